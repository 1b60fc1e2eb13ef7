//! Sign, order, rounding, sum, product, quotient and root of canonical values, each ending canonical.
//!
//! Not transcendental functions. Every function takes canonical inputs and is one straight line.

use super::Scalar;
use super::canonical::{GRID, MAX, MIN_PRODUCT, canon_product, canon_sum, clamp};
use super::double::with_sign;

/// −x.
#[inline(always)]
pub fn neg<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    s.neg(x)
}

/// |x|.
#[inline(always)]
pub fn abs<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    s.abs(x)
}

/// −1, 0 or 1.
#[inline(always)]
pub fn sign<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let zero = s.float(0.0);
    let one = s.float(1.0);
    let minus_one = s.float(-1.0);
    let positive = s.lt(zero, x);
    let negative = s.lt(x, zero);
    let below = s.select(negative, minus_one, zero);
    s.select(positive, one, below)
}

/// The largest integer not above x.
///
/// The sum of |x| and 2^23 has its last place at 1, which rounds |x| to an integer; from 2^23 on every value
/// is one already.
#[inline(always)]
pub fn floor<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let offset = s.float(8_388_608.0);
    let one = s.float(1.0);
    let magnitude = s.abs(x);
    let large = s.le(offset, magnitude);
    let shifted = s.add(magnitude, offset);
    let rounded = s.sub(shifted, offset);
    let rounded = with_sign(s, rounded, x);
    let above = s.lt(x, rounded);
    let lower = s.sub(rounded, one);
    let floored = s.select(above, lower, rounded);
    s.select(large, x, floored)
}

/// a + b. The exact sum is at most 2^63 and a multiple of 2^-123.
#[inline(always)]
pub fn add<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    let sum = s.add(a, b);
    canon_sum(s, sum)
}

/// a − b. The exact difference is at most 2^63 and a multiple of 2^-123.
#[inline(always)]
pub fn sub<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    let difference = s.sub(a, b);
    canon_sum(s, difference)
}

/// a · b. The exact product is at most 2^124.
#[inline(always)]
pub fn mul<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    let product = s.mul(a, b);
    canon_product(s, product)
}

/// a / b: correctly rounded, then clamped and flushed; x / 0 is ±2^62 by the sign of x, 0 / 0 is 2^62.
///
/// The significands in [1, 2) are divided and the exponents subtracted apart, so that no intermediate
/// overflows or is subnormal: the difference of exponents is limited to [−102, 64], beyond which the result
/// is 0 or saturated whatever the significands are, and 2^difference is a normal number.
#[inline(always)]
pub fn div<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    let zero = s.float(0.0);
    let a_bits = s.bits(a);
    let b_bits = s.bits(b);
    let sign_and_fraction = s.word(0x807f_ffff);
    let exponent_of_one = s.word(0x3f80_0000);
    let exponent_mask = s.word(0x7f80_0000);
    let a_kept = s.and(a_bits, sign_and_fraction);
    let a_kept = s.or(a_kept, exponent_of_one);
    let a_unit = s.from_bits(a_kept);
    let b_kept = s.and(b_bits, sign_and_fraction);
    let b_kept = s.or(b_kept, exponent_of_one);
    let b_unit = s.from_bits(b_kept);
    let unit = s.div(a_unit, b_unit);

    // Exponents stay where they are in the word: both are below 2^31, so the difference keeps its sign.
    let a_exponent = s.and(a_bits, exponent_mask);
    let b_exponent = s.and(b_bits, exponent_mask);
    let exponent = s.usub(a_exponent, b_exponent);
    let low = s.word((-102_i32 << 23) as u32);
    let high = s.word(64 << 23);
    let below = s.ilt(exponent, low);
    let exponent = s.uselect(below, low, exponent);
    let above = s.ilt(high, exponent);
    let exponent = s.uselect(above, high, exponent);
    let scale = s.uadd(exponent, exponent_of_one);
    let scale = s.from_bits(scale);
    let scaled = s.mul(unit, scale);
    let quotient = canon_product(s, scaled);

    let a_is_zero = s.eq(a, zero);
    let quotient = s.select(a_is_zero, zero, quotient);
    let plus = s.float(MAX);
    let minus = s.float(-MAX);
    let a_is_negative = s.lt(a, zero);
    let saturated = s.select(a_is_negative, minus, plus);
    let b_is_zero = s.eq(b, zero);
    s.select(b_is_zero, saturated, quotient)
}

/// 1 / x, the same value as `div(1, x)`: ±2^62 where |x| ≤ 2^-62, and 1 / 0 = 2^62.
#[inline(always)]
pub fn recip<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    // A magnitude below 2^-100 saturates as 2^-100 does; that keeps the quotient within 2^100.
    let smallest = s.float(MIN_PRODUCT);
    let magnitude = s.abs(x);
    let magnitude = s.max(magnitude, smallest);
    let one = s.float(1.0);
    let quotient = s.div(one, magnitude);
    let quotient = clamp(s, quotient);
    let opposite = s.neg(quotient);
    let zero = s.float(0.0);
    let negative = s.lt(x, zero);
    s.select(negative, opposite, quotient)
}

/// The square root, correctly rounded; 0 for x ≤ 0. Roots of canonical values lie in [2^-61.5, 2^31].
#[inline(always)]
pub fn sqrt<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let zero = s.float(0.0);
    let positive = s.max(x, zero);
    s.sqrt(positive)
}

/// 1 / sqrt(x) in two roundings; 2^62 for x ≤ 0. The result of x > 0 lies in [2^-31, 2^61.5].
#[inline(always)]
pub fn rsqrt<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let zero = s.float(0.0);
    let one = s.float(1.0);
    let grid = s.float(GRID);
    let max = s.float(MAX);
    let positive = s.lt(zero, x);
    let safe = s.max(x, grid);
    let root = s.sqrt(safe);
    let quotient = s.div(one, root);
    s.select(positive, quotient, max)
}

/// The larger.
#[inline(always)]
pub fn max<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    s.max(a, b)
}

/// The smaller.
#[inline(always)]
pub fn min<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    s.min(a, b)
}

/// a = b.
#[inline(always)]
pub fn eq<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::B {
    s.eq(a, b)
}

/// a < b.
#[inline(always)]
pub fn lt<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::B {
    s.lt(a, b)
}

/// a ≤ b.
#[inline(always)]
pub fn le<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::B {
    s.le(a, b)
}
