//! e^x and what is made of it: tanh and sigmoid.
//!
//! Not the power function, which shares [`exp_reduced`] (see `power`). Each function is one straight line.

use super::Scalar;
use super::canonical::{canon_product, canon_sum};
use super::double::{floats, limit, polynomial, with_sign};

/// log2(e).
const LOG2_E: f32 = f32::from_bits(0x3fb8_aa3b);
/// The upper 16 bits of ln 2: a multiple by an integer of up to 8 bits is exact.
const LN2_HIGH: f32 = f32::from_bits(0x3f31_7200);
/// ln 2 − LN2_HIGH.
const LN2_LOW: f32 = f32::from_bits(0x35bf_be8e);
/// (e^r − 1 − r) / r², minimax on |r| ≤ 0.3475 for the relative error of e^r: 2^-29.7 as rounded.
const EXP: [f32; 6] = floats([0x3f00_0000, 0x3e2a_aaaa, 0x3d2a_aa46, 0x3c08_893a, 0x3ab6_c776, 0x394f_838a]);
/// (tanh x / x − 1) / x² in x², minimax on |x| ≤ 0.627: 2^-29.0 as rounded.
const TANH: [f32; 6] = floats([0xbeaa_aaaa, 0x3e08_8831, 0xbd5c_f6c4, 0x3cb1_bfd6, 0xbc05_dcb1, 0x3b0c_0098]);

/// e^(high + low) for |high| ≤ 0.3475 and |low| at most a unit in the last place of high: in [0.7, 1.42].
///
/// 1 + high is taken with its rounding error, so that the last sum is nearly the only rounding. high² may
/// be subnormal; next to 1 it is nothing either way.
#[inline(always)]
pub(super) fn exp_reduced<S: Scalar>(s: &mut S, high: S::F, low: S::F) -> S::F {
    let one = s.float(1.0);
    let leading = s.add(one, high);
    let seen = s.sub(leading, one);
    let unseen = s.sub(high, seen);
    let square = s.mul(high, high);
    let curve = polynomial(s, high, &EXP);
    let rest = s.mul(square, curve);
    let rest = s.add(rest, low);
    let rest = s.add(rest, unseen);
    s.add(leading, rest)
}

/// x · 2^n for a normal result; −126 ≤ n ≤ 127.
#[inline(always)]
pub(super) fn scale<S: Scalar>(s: &mut S, x: S::F, n: S::U) -> S::F {
    let bias = s.word(127);
    let position = s.word(23);
    let biased = s.uadd(n, bias);
    let bits = s.shl(biased, position);
    let factor = s.from_bits(bits);
    s.mul(x, factor)
}

/// The integer nearest to x, ties to even, as a word and as a float; |x| < 2^22.
///
/// The sum with 3 · 2^22 has its last place at 1, and its bits count from those of 3 · 2^22: no conversion.
#[inline(always)]
pub(super) fn nearest<S: Scalar>(s: &mut S, x: S::F) -> (S::U, S::F) {
    let offset = s.float(12_582_912.0);
    let shifted = s.add(x, offset);
    let bits = s.bits(shifted);
    let offset_bits = s.word(0x4b40_0000);
    let integer = s.usub(bits, offset_bits);
    let float = s.sub(shifted, offset);
    (integer, float)
}

/// e^x, not canonical, for −70 ≤ x ≤ 44: in [2^-101, 2^64].
///
/// n = nearest(x · log2 e); r = x − n · ln 2 as a pair (Cody and Waite: n · LN2_HIGH and its subtraction
/// are exact); e^r · 2^n.
#[inline(always)]
pub(super) fn exp_bounded<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let log2_e = s.float(LOG2_E);
    let ln2_high = s.float(LN2_HIGH);
    let ln2_low = s.float(LN2_LOW);
    let ratio = s.mul(x, log2_e);
    let (n, n_float) = nearest(s, ratio);
    let large = s.mul(n_float, ln2_high);
    let remainder = s.sub(x, large);
    let small = s.mul(n_float, ln2_low);
    let high = s.sub(remainder, small);
    let taken = s.sub(remainder, high);
    let low = s.sub(taken, small);
    let value = exp_reduced(s, high, low);
    scale(s, value, n)
}

/// e^x: 2^62 from about 42.975 on, 0 below about −69.315.
#[inline(always)]
pub fn exp<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let x = limit(s, x, -70.0, 44.0);
    let value = exp_bounded(s, x);
    canon_product(s, value)
}

/// Hyperbolic tangent; ±1 from about 9.01 on.
///
/// Below 0.625: x + x · (x² · P(x²)); from there 1 − 2 / (e^(2|x|) + 1), with |x| limited to 10.
#[inline(always)]
pub fn tanh<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let one = s.float(1.0);
    let two = s.float(2.0);
    let magnitude = s.abs(x);

    let limited = limit(s, magnitude, 0.0, 10.0);
    let doubled = s.add(limited, limited);
    let power = exp_bounded(s, doubled);
    let denominator = s.add(power, one);
    let quotient = s.div(two, denominator);
    let far = s.sub(one, quotient);
    let far = with_sign(s, far, x);

    // x² of a tiny x may be flushed, and then x is the result, as it is by rounding.
    let close = limit(s, x, -1.0, 1.0);
    let square = s.mul(close, close);
    let curve = polynomial(s, square, &TANH);
    let curve = s.mul(square, curve);
    let rest = s.mul(close, curve);
    let near = s.add(close, rest);

    let threshold = s.float(0.625);
    let is_near = s.lt(magnitude, threshold);
    let value = s.select(is_near, near, far);
    canon_sum(s, value)
}

/// 1 / (1 + e^−x): with e = e^−|x| (0 below 2^-100), 1 / (1 + e) for x ≥ 0 and e / (1 + e) below, corrected
/// by what 1 + e lost.
#[inline(always)]
pub fn sigmoid<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let zero = s.float(0.0);
    let one = s.float(1.0);
    let magnitude = s.abs(x);
    let opposite = s.neg(magnitude);
    let power = exp(s, opposite);
    let denominator = s.add(one, power);
    let negative = s.lt(x, zero);
    let numerator = s.select(negative, power, one);
    let quotient = s.div(numerator, denominator);
    // What the denominator lost by rounding, times the slope: its reciprocal is 1 − e / (1 + e) or the
    // quotient itself. Where these products are subnormal they are far below the quotient's last place.
    let seen = s.sub(denominator, one);
    let lost = s.sub(power, seen);
    let complement = s.sub(one, quotient);
    let reciprocal = s.select(negative, complement, quotient);
    let slope = s.mul(quotient, lost);
    let correction = s.mul(slope, reciprocal);
    let value = s.sub(quotient, correction);
    canon_product(s, value)
}
