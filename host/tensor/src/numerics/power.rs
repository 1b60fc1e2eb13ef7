//! a to the power b. Not integer powers on the host: see `canonical::powi`.

use super::Scalar;
use super::canonical::{GRID, MAX, canon_product};
use super::double::{fast_two_sum, limit, split, two_product};
use super::exponential::{exp_reduced, nearest, scale};
use super::logarithm::log2_pair;

/// The upper 12 bits of ln 2.
const LN2_HIGH: f32 = f32::from_bits(0x3f31_7000);
/// ln 2 − LN2_HIGH.
const LN2_LOW: f32 = f32::from_bits(0x3805_fdf4);
/// ln 2.
const LN2: f32 = f32::from_bits(0x3f31_7218);

/// a to the power b.
///
/// By the first line that holds: b = 0 gives 1; a = 0 gives 0 for b > 0 and 2^62 for b < 0; a < 0 gives 0
/// where b is no integer, and ±|a|^b otherwise, negative for an odd b (from 2^24 on every b is even). What
/// remains is 2^(b · log2 |a|), b limited to ±2^32: the smallest |log2 a| that is not 0 is about 2^-24, so
/// beyond that the result is 0 or saturated anyway. b · log2 |a| is at most 2^39.
#[inline(always)]
pub fn pow<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    let zero = s.float(0.0);
    let one = s.float(1.0);
    let grid = s.float(GRID);
    let magnitude = s.abs(a);
    let safe = s.max(magnitude, grid);
    let logarithm = log2_pair(s, safe);
    let exponent = limit(s, b, -4_294_967_296.0, 4_294_967_296.0);

    let product = two_product(s, exponent, logarithm.high);
    let cross = s.mul(exponent, logarithm.low);
    let low = s.add(product.low, cross);
    // Limited as exp is; where the limit acts, the low part may be anything small.
    let high = limit(s, product.high, -110.0, 70.0);
    let low = limit(s, low, -0.001, 0.001);
    let (n, n_float) = nearest(s, high);
    let fraction = s.sub(high, n_float);
    // The pair times ln 2: the product of the leading 12-bit halves is exact. Where they vanish, so nearly
    // does the argument, and the order in the sum below no longer matters.
    let parts = split(s, fraction);
    let ln2_high = s.float(LN2_HIGH);
    let ln2_low = s.float(LN2_LOW);
    let ln2 = s.float(LN2);
    let leading = s.mul(parts.high, ln2_high);
    let rest1 = s.mul(parts.high, ln2_low);
    let rest2 = s.add(parts.low, low);
    let rest2 = s.mul(rest2, ln2);
    let rest = s.add(rest1, rest2);
    let argument = fast_two_sum(s, leading, rest);
    let value = exp_reduced(s, argument.high, argument.low);
    let value = scale(s, value, n);
    let value = canon_product(s, value);

    let even_from = s.float(16_777_216.0);
    let b_magnitude = s.abs(b);
    let large = s.le(even_from, b_magnitude);
    let two = s.float(2.0);
    let small_b = s.select(large, two, b);
    let integer = s.to_int(small_b);
    let back = s.from_int(integer);
    let is_integer = s.eq(back, small_b);
    let one_bit = s.word(1);
    let low_bit = s.and(integer, one_bit);
    let is_odd = s.ueq(low_bit, one_bit);
    let opposite = s.neg(value);
    let signed = s.select(is_odd, opposite, value);
    let of_negative = s.select(is_integer, signed, zero);
    let a_is_negative = s.lt(a, zero);
    let value = s.select(a_is_negative, of_negative, value);

    let max = s.float(MAX);
    let b_is_negative = s.lt(b, zero);
    let of_zero = s.select(b_is_negative, max, zero);
    let a_is_zero = s.eq(a, zero);
    let value = s.select(a_is_zero, of_zero, value);
    let b_is_zero = s.eq(b, zero);
    s.select(b_is_zero, one, value)
}
