//! Conversions between element types, by integer arithmetic only.
//!
//! Words hold i32, u8, bf16 and f16 elements; the upper bits of a narrower element are 0. Not the reading
//! of files: an import of f32 is `canonical::import`.

use super::Scalar;
use super::canonical::MAX;
use super::double::limit;

/// The bits of the canonical value of any binary32 bits: NaN gives 0, ±infinity and anything beyond ±2^62
/// gives ±2^62, below 2^-100 what is no multiple of 2^-123 gives 0, −0 gives 0.
#[inline(always)]
pub fn canon_bits<S: Scalar>(s: &mut S, bits: S::U) -> S::U {
    let zero = s.word(0);
    let one = s.word(1);
    let magnitude_mask = s.word(0x7fff_ffff);
    let infinity = s.word(0x7f80_0000);
    let largest = s.word(MAX.to_bits());
    let smallest_product = s.word(0x0d80_0000);
    let grid = s.word(0x0200_0000);
    let position = s.word(23);
    let grid_exponent = s.word(27);
    let magnitude = s.and(bits, magnitude_mask);
    let sign = s.xor(bits, magnitude);

    // Below 2^-100 with biased exponent E the last 27 − E bits weigh less than 2^-123.
    let exponent = s.shr(magnitude, position);
    let below = s.usub(grid_exponent, exponent);
    let past = s.shl(one, below);
    let mask = s.usub(past, one);
    let remainder = s.and(magnitude, mask);
    let off_grid = s.ult(zero, remainder);
    let under_grid = s.ult(magnitude, grid);
    let lost = s.either(off_grid, under_grid);
    let small = s.ult(magnitude, smallest_product);
    let lost = s.both(small, lost);
    let nan = s.ult(infinity, magnitude);
    let lost = s.either(lost, nan);

    let beyond = s.ult(largest, magnitude);
    let kept = s.uselect(beyond, largest, magnitude);
    let signed = s.or(kept, sign);
    s.uselect(lost, zero, signed)
}

/// i32 → f32, the nearest value, ties to even: the upper half of the magnitude is exact, and the one sum
/// with the lower half rounds.
#[inline(always)]
pub fn i32_to_f32<S: Scalar>(s: &mut S, x: S::U) -> S::F {
    let zero = s.word(0);
    let sixteen = s.word(16);
    let lower_mask = s.word(0xffff);
    let unit = s.float(65_536.0);
    let negative = s.ilt(x, zero);
    let opposite = s.usub(zero, x);
    let magnitude = s.uselect(negative, opposite, x);
    let upper = s.shr(magnitude, sixteen);
    let lower = s.and(magnitude, lower_mask);
    let upper = s.from_int(upper);
    let upper = s.mul(upper, unit);
    let lower = s.from_int(lower);
    let value = s.add(upper, lower);
    let minus = s.neg(value);
    s.select(negative, minus, value)
}

/// f32 → i32, towards zero, saturating.
#[inline(always)]
pub fn f32_to_i32<S: Scalar>(s: &mut S, x: S::F) -> S::U {
    let highest = s.float(2_147_483_648.0);
    let lowest = s.float(-2_147_483_648.0);
    let inside = limit(s, x, -2_147_483_520.0, 2_147_483_520.0);
    let value = s.to_int(inside);
    let above = s.le(highest, x);
    let below = s.le(x, lowest);
    let most = s.word(i32::MAX as u32);
    let least = s.word(i32::MIN as u32);
    let value = s.uselect(above, most, value);
    s.uselect(below, least, value)
}

/// f32 → u8, towards zero, saturating.
#[inline(always)]
pub fn f32_to_u8<S: Scalar>(s: &mut S, x: S::F) -> S::U {
    let inside = limit(s, x, 0.0, 255.0);
    s.to_int(inside)
}

/// i32 → u8, saturating.
#[inline(always)]
pub fn i32_to_u8<S: Scalar>(s: &mut S, x: S::U) -> S::U {
    let zero = s.word(0);
    let most = s.word(0xff);
    let negative = s.ilt(x, zero);
    let above = s.ilt(most, x);
    let value = s.uselect(above, most, x);
    s.uselect(negative, zero, value)
}

/// f32 → bool: not zero.
#[inline(always)]
pub fn f32_to_bool<S: Scalar>(s: &mut S, x: S::F) -> S::B {
    let zero = s.float(0.0);
    let is_zero = s.eq(x, zero);
    s.not(is_zero)
}

/// i32 or u8 → bool: not zero.
#[inline(always)]
pub fn word_to_bool<S: Scalar>(s: &mut S, x: S::U) -> S::B {
    let zero = s.word(0);
    let is_zero = s.ueq(x, zero);
    s.not(is_zero)
}

/// bool → f32: 0 or 1.
#[inline(always)]
pub fn bool_to_f32<S: Scalar>(s: &mut S, x: S::B) -> S::F {
    let one = s.float(1.0);
    let zero = s.float(0.0);
    s.select(x, one, zero)
}

/// bool → i32 or u8: 0 or 1.
#[inline(always)]
pub fn bool_to_word<S: Scalar>(s: &mut S, x: S::B) -> S::U {
    let one = s.word(1);
    let zero = s.word(0);
    s.uselect(x, one, zero)
}

/// Canonical f32 → bf16, the nearest, ties to even. A canonical value never overflows there; zero comes
/// out without a sign. Below 2^-107 the result may be no canonical f32 (2^-123 is a bf16, and so are its
/// neighbours): the way back makes it one.
#[inline(always)]
pub fn f32_to_bf16<S: Scalar>(s: &mut S, x: S::F) -> S::U {
    let zero_float = s.float(0.0);
    let zero = s.word(0);
    let one = s.word(1);
    let sixteen = s.word(16);
    let below_half = s.word(0x7fff);
    let bits = s.bits(x);
    let last = s.shr(bits, sixteen);
    let odd = s.and(last, one);
    let up = s.uadd(bits, below_half);
    let up = s.uadd(up, odd);
    let rounded = s.shr(up, sixteen);
    let is_zero = s.eq(x, zero_float);
    s.uselect(is_zero, zero, rounded)
}

/// bf16 → f32, made canonical by [`canon_bits`].
#[inline(always)]
pub fn bf16_to_f32<S: Scalar>(s: &mut S, x: S::U) -> S::F {
    let sixteen = s.word(16);
    let bits = s.shl(x, sixteen);
    let bits = canon_bits(s, bits);
    s.from_bits(bits)
}

/// Canonical f32 → f16, the nearest, ties to even, subnormals of f16 included; what rounds beyond ±65504
/// gives ±65504. A zero result has no sign.
#[inline(always)]
pub fn f32_to_f16<S: Scalar>(s: &mut S, x: S::F) -> S::U {
    let zero = s.word(0);
    let one = s.word(1);
    let thirteen = s.word(13);
    let magnitude = s.abs(x);
    let smallest_normal = s.float(f32::from_bits(0x3880_0000));

    // From 2^-14 on: shift the exponent's bias, then round the significand to 11 bits.
    let limited = limit(s, magnitude, f32::from_bits(0x3880_0000), 65_536.0);
    let bits = s.bits(limited);
    let rebias = s.word(112 << 23);
    let below_half = s.word(0xfff);
    let bits = s.usub(bits, rebias);
    let last = s.shr(bits, thirteen);
    let odd = s.and(last, one);
    let up = s.uadd(bits, below_half);
    let up = s.uadd(up, odd);
    let normal = s.shr(up, thirteen);
    let largest = s.word(0x7bff);
    let beyond = s.ult(largest, normal);
    let normal = s.uselect(beyond, largest, normal);

    // Below: units of 2^-24, rounded to an integer by the sum with 2^23.
    let small = s.min(magnitude, smallest_normal);
    let units = s.float(16_777_216.0);
    let offset = s.float(8_388_608.0);
    let scaled = s.mul(small, units);
    let rounded = s.add(scaled, offset);
    let rounded = s.bits(rounded);
    let offset_bits = s.word(0x4b00_0000);
    let subnormal = s.usub(rounded, offset_bits);

    let is_small = s.lt(magnitude, smallest_normal);
    let value = s.uselect(is_small, subnormal, normal);
    let zero_float = s.float(0.0);
    let negative = s.lt(x, zero_float);
    let sign_bit = s.word(0x8000);
    let is_zero = s.ueq(value, zero);
    let sign = s.uselect(negative, sign_bit, zero);
    let sign = s.uselect(is_zero, zero, sign);
    s.or(value, sign)
}

/// f16 → f32, exact; ±infinity gives ±2^62, NaN gives 0. Always canonical.
#[inline(always)]
pub fn f16_to_f32<S: Scalar>(s: &mut S, x: S::U) -> S::F {
    let zero = s.word(0);
    let thirteen = s.word(13);
    let magnitude_mask = s.word(0x7fff);
    let sign_mask = s.word(0x8000);
    let magnitude = s.and(x, magnitude_mask);
    let sign = s.and(x, sign_mask);

    let smallest_normal = s.word(0x0400);
    let infinity = s.word(0x7c00);
    let rebias = s.word(112 << 23);
    let is_subnormal = s.ult(magnitude, smallest_normal);
    let unit_word = s.uselect(is_subnormal, smallest_normal, magnitude);
    let shifted = s.shl(unit_word, thirteen);
    let bits = s.uadd(shifted, rebias);
    let normal = s.from_bits(bits);
    let subnormal_word = s.uselect(is_subnormal, magnitude, zero);
    let integer = s.from_int(subnormal_word);
    let unit = s.float(f32::from_bits(0x3380_0000));
    let subnormal = s.mul(integer, unit);
    let value = s.select(is_subnormal, subnormal, normal);

    let max = s.float(MAX);
    let zero_float = s.float(0.0);
    let is_infinity = s.ueq(magnitude, infinity);
    let is_nan = s.ult(infinity, magnitude);
    let value = s.select(is_infinity, max, value);
    let value = s.select(is_nan, zero_float, value);
    let is_positive = s.ueq(sign, zero);
    let opposite = s.neg(value);
    s.select(is_positive, value, opposite)
}

#[cfg(test)]
mod tests {
    use super::super::canonical::{GRID, MIN_PRODUCT, is_canonical};
    use super::super::proof::{Flushing, canonical_samples, canonical_word};
    use super::*;
    use crate::numerics::Native;

    #[test]
    fn integers_round_to_nearest_even() {
        let mut state = 1_u32;
        for i in 0..1 << 22 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let edge = (1_i64 << (i % 32)) + i64::from(i / 32 % 7) - 3;
            for x in [state, (state as i32 >> (i % 32)) as u32, edge as u32, i] {
                assert_eq!(i32_to_f32(&mut Native, x).to_bits(), (x as i32 as f32).to_bits(), "{x:#x}");
            }
        }
    }

    #[test]
    fn floats_truncate_and_saturate_like_as() {
        for x in canonical_samples(1 << 20) {
            assert_eq!(f32_to_i32(&mut Native, x) as i32, x as i32, "{x:e}");
            assert_eq!(f32_to_u8(&mut Native, x), u32::from(x as u8), "{x:e}");
        }
    }

    #[test]
    fn halves_agree_with_the_half_crate() {
        let mut flushing = Flushing::new(3);
        for x in canonical_samples(1 << 20) {
            let bf16 = f32_to_bf16(&mut Native, x);
            let expected = if x == 0.0 { 0 } else { half::bf16::from_f32(x).to_bits() };
            assert_eq!(bf16, u32::from(expected), "{x:e}");
            assert_eq!(bf16, f32_to_bf16(&mut flushing, x), "{x:e}");
            let f16 = f32_to_f16(&mut Native, x);
            let mut expected = half::f16::from_f32(x).to_bits();
            if expected & 0x7fff == 0 {
                expected = 0;
            }
            if expected & 0x7fff == 0x7c00 {
                expected -= 1;
            }
            assert_eq!(f16, u32::from(expected), "{x:e}");
            assert_eq!(f16, f32_to_f16(&mut flushing, x), "{x:e}");
        }
        for bits in 0..=u16::MAX {
            let f16 = f16_to_f32(&mut Native, u32::from(bits));
            let exact = half::f16::from_bits(bits);
            let expected = match exact.to_f32() {
                x if x.is_nan() => 0.0,
                x if x.is_infinite() => MAX.copysign(x),
                x => x,
            };
            assert_eq!(f16, expected, "{bits:#x}");
            assert!(is_canonical(f16));
            assert_eq!(canonical_word(f16_to_f32(&mut flushing, u32::from(bits))), canonical_word(f16));
            let bf16 = bf16_to_f32(&mut Native, u32::from(bits));
            let exact = half::bf16::from_bits(bits).to_f32();
            let expected = match exact.abs() {
                x if x.is_nan() => 0.0,
                x if x > MAX => MAX.copysign(exact),
                x if x >= MIN_PRODUCT => exact,
                x if x >= GRID && (f64::from(x) * 2_f64.powi(123)).fract() == 0.0 => exact,
                _ => 0.0,
            };
            assert_eq!(bf16, expected, "{bits:#x}");
            assert!(is_canonical(bf16));
            assert_eq!(canonical_word(bf16_to_f32(&mut flushing, u32::from(bits))), canonical_word(bf16));
        }
    }
}
