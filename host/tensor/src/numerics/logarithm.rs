//! The natural logarithm, and the binary logarithm as a pair of floats for the power function.
//!
//! Not other bases: nothing in the contract asks for them.

use super::Scalar;
use super::canonical::{GRID, MAX, canon_sum};
use super::double::{Pair, fast_two_sum, floats, pair_product, polynomial, two_product};

/// The bits of sqrt(1/2), where a significand's range begins.
const SQRT_HALF: u32 = 0x3f35_04f3;
/// The upper 16 bits of ln 2.
const LN2_HIGH: f32 = f32::from_bits(0x3f31_7200);
/// ln 2 − LN2_HIGH.
const LN2_LOW: f32 = f32::from_bits(0x35bf_be8e);
/// (ln(1 + f) − f + f²/2) / f³, minimax on [sqrt(1/2) − 1, sqrt(2) − 1] for the relative error of
/// ln(1 + f): 2^-28.1 as rounded.
const LN: [f32; 9] = floats([
    0x3eaa_aaa4,
    0xbe80_0003,
    0x3e4c_d26b,
    0xbe2a_ae46,
    0x3e11_9a67,
    0xbdfe_0a81,
    0x3df3_8637,
    0xbdef_4ec0,
    0x3d8a_4836,
]);
/// 2 / ln 2 as a pair.
const LOG2_FIRST: [f32; 2] = floats([0x4038_aa3b, 0x3325_7060]);
/// 2 / (3 ln 2) as a pair.
const LOG2_SECOND: [f32; 2] = floats([0x3f76_384f, 0xb1f1_7f01]);
/// (log2 m / t − 2 / ln 2 − 2 t² / (3 ln 2)) / t⁴ in t², with t = (m − 1) / (m + 1), minimax for t² ≤ 0.0296.
const LOG2_TAIL: [f32; 4] = floats([0x3f13_bb62, 0x3ed3_0c8d, 0x3ea3_de60, 0x3e8f_db23]);

/// x = m · 2^e with m in [sqrt(1/2), sqrt(2)): (m, e as a float). x is normal and positive.
#[inline(always)]
fn decompose<S: Scalar>(s: &mut S, x: S::F) -> (S::F, S::F) {
    let bits = s.bits(x);
    let base = s.word(SQRT_HALF);
    let position = s.word(23);
    let above = s.usub(bits, base);
    let exponent = s.sar(above, position);
    let removed = s.shl(exponent, position);
    let significand = s.usub(bits, removed);
    let m = s.from_bits(significand);
    let e = s.from_int(exponent);
    (m, e)
}

/// The natural logarithm; −2^62 for x ≤ 0. Results of x > 0 lie in [−85.3, 43].
///
/// With f = m − 1 (exact): f + (f³ · P(f) + e · LN2_LOW − f²/2), then e · LN2_HIGH (an exact product).
#[inline(always)]
pub fn ln<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let zero = s.float(0.0);
    let one = s.float(1.0);
    let half = s.float(0.5);
    let grid = s.float(GRID);
    let lowest = s.float(-MAX);
    let ln2_high = s.float(LN2_HIGH);
    let ln2_low = s.float(LN2_LOW);
    let positive = s.lt(zero, x);
    let safe = s.max(x, grid);
    let (m, e) = decompose(s, safe);
    let f = s.sub(m, one);
    let square = s.mul(f, f);
    let curve = polynomial(s, f, &LN);
    let cube = s.mul(f, square);
    let rest = s.mul(cube, curve);
    let small = s.mul(e, ln2_low);
    let rest = s.add(rest, small);
    let halved = s.mul(half, square);
    let rest = s.sub(rest, halved);
    let value = s.add(f, rest);
    let large = s.mul(e, ln2_high);
    let value = s.add(value, large);
    let value = s.select(positive, value, lowest);
    canon_sum(s, value)
}

/// log2(x) to about 2^-36 of itself, for a normal positive x; exact for powers of two.
///
/// t = (m − 1) / (m + 1) as a pair, by a division and its remainder; log2 m = t · (C₀ + C₁ t² + t⁴ · P(t²)),
/// where all but the tail is carried as pairs; then e is added.
#[inline(always)]
pub(super) fn log2_pair<S: Scalar>(s: &mut S, x: S::F) -> Pair<S> {
    let one = s.float(1.0);
    let (m, e) = decompose(s, x);
    let f = s.sub(m, one);
    // m + 1 may need 25 bits. For m > 1 the order is wrong for the fast sum in general; here the sum less
    // one is exact all the same, because it stays below 2.5.
    let denominator = fast_two_sum(s, one, m);
    let t = s.div(f, denominator.high);
    let back = two_product(s, t, denominator.high);
    let remainder = s.sub(f, back.high);
    let remainder = s.sub(remainder, back.low);
    let missed = s.mul(t, denominator.low);
    let remainder = s.sub(remainder, missed);
    // The remainder is 0 or at least 2^-72, where every term of it has its last place.
    let t_low = s.div(remainder, denominator.high);
    let t = Pair { high: t, low: t_low };

    let square = pair_product(s, t, t);
    let second = Pair { high: s.float(LOG2_SECOND[0]), low: s.float(LOG2_SECOND[1]) };
    let linear = pair_product(s, square, second);
    let tail = polynomial(s, square.high, &LOG2_TAIL);
    let fourth = s.mul(square.high, square.high);
    let tail = s.mul(fourth, tail);
    let first_high = s.float(LOG2_FIRST[0]);
    let first_low = s.float(LOG2_FIRST[1]);
    let factor = fast_two_sum(s, first_high, linear.high);
    let low = s.add(tail, first_low);
    let low = s.add(low, linear.low);
    let low = s.add(factor.low, low);
    let factor = fast_two_sum(s, factor.high, low);
    let logarithm = pair_product(s, t, factor);
    let sum = fast_two_sum(s, e, logarithm.high);
    let low = s.add(sum.low, logarithm.low);
    fast_two_sum(s, sum.high, low)
}
