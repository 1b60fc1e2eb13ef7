//! Correctly rounded division and square root from a platform's rough ones, by integer arithmetic.
//!
//! For instantiations of [`Scalar`] whose platform promises less than IEEE-754: the platform estimates on
//! significands, where nothing overflows or is subnormal, and the exact integer remainder of the estimate
//! says by how much it is off. Not used by `Native`.

use super::Scalar;

/// How far an estimate may be off, in units of the result's last place: the corrections sum to 31, of
/// which 16 are taken back first.
const LARGEST_CORRECTION: u32 = 16;

/// |x| brought to [1, 2): what the platform should divide. 1 for x = 0.
#[inline(always)]
pub fn div_significand<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let bits = s.bits(x);
    let fraction = s.word(0x007f_ffff);
    let one = s.word(0x3f80_0000);
    let kept = s.and(bits, fraction);
    let unit = s.or(kept, one);
    s.from_bits(unit)
}

/// |x| brought to [1, 4) by an even power of two: what the platform should take the root of. In [1, 4) for
/// x = 0 too.
#[inline(always)]
pub fn sqrt_significand<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let bits = s.bits(x);
    let fraction = s.word(0x007f_ffff);
    let one = s.word(0x3f80_0000);
    let exponent_bit = s.word(0x0080_0000);
    let kept = s.and(bits, fraction);
    // A biased exponent that is even is an odd exponent.
    let parity = s.and(bits, exponent_bit);
    let odd = s.xor(parity, exponent_bit);
    let unit = s.or(kept, one);
    let unit = s.uadd(unit, odd);
    s.from_bits(unit)
}

/// a / b, rounded to nearest even. a is zero or in [2^-100, 2^100], b in [2^-100, 2^100]; a quotient below
/// 2^-126 gives 0, and the caller makes sure that none is 2^128 or more.
///
/// `estimate` is `div_significand(a)` / `div_significand(b)`, in (1/2, 2), off by at most 7 units in the last
/// place. With k = 23 where the significand of a is not below that of b and else 24, the wanted integer is
/// a · 2^k / b rounded; the remainder of a guess Q, a · 2^k − Q · b, is small, so 32 bits hold it exactly.
#[inline(always)]
pub fn div_corrected<S: Scalar>(s: &mut S, a: S::F, b: S::F, estimate: S::F) -> S::F {
    let zero = s.word(0);
    let one = s.word(1);
    let position = s.word(23);
    let fraction = s.word(0x007f_ffff);
    let hidden = s.word(0x0080_0000);
    let exponent_field = s.word(0xff);
    let a_bits = s.bits(a);
    let b_bits = s.bits(b);
    let a_int = s.and(a_bits, fraction);
    let a_int = s.or(a_int, hidden);
    let b_int = s.and(b_bits, fraction);
    let b_int = s.or(b_int, hidden);

    let below_one = s.ult(a_int, b_int);
    let extra = s.uselect(below_one, one, zero);
    let k = s.uadd(position, extra);
    let unit23 = s.float(8_388_608.0);
    let unit24 = s.float(16_777_216.0);
    let unit = s.select(below_one, unit24, unit23);
    let guess = s.mul(estimate, unit);
    let guess = s.to_int(guess);

    let back = s.word(LARGEST_CORRECTION);
    let mut quotient = s.usub(guess, back);
    let dividend = s.shl(a_int, k);
    let product = s.umul(quotient, b_int);
    let mut remainder = s.usub(dividend, product);
    let mut step = LARGEST_CORRECTION;
    while step > 0 {
        let count = s.word(step);
        let amount = s.umul(count, b_int);
        let lower = s.usub(remainder, amount);
        let higher = s.uadd(quotient, count);
        let too_much = s.ult(remainder, amount);
        remainder = s.uselect(too_much, remainder, lower);
        quotient = s.uselect(too_much, quotient, higher);
        step /= 2;
    }
    // A quotient of two 24-bit integers is never halfway between two 24-bit integers.
    let doubled = s.uadd(remainder, remainder);
    let up = s.ult(b_int, doubled);
    let increment = s.uselect(up, one, zero);
    let quotient = s.uadd(quotient, increment);

    // The sum lets a carry out of the significand raise the exponent.
    let a_exponent = s.shr(a_bits, position);
    let a_exponent = s.and(a_exponent, exponent_field);
    let b_exponent = s.shr(b_bits, position);
    let b_exponent = s.and(b_exponent, exponent_field);
    let bias = s.word(126);
    let exponent = s.usub(a_exponent, b_exponent);
    let exponent = s.uadd(exponent, bias);
    let exponent = s.usub(exponent, extra);
    // One less than the biased exponent, because the quotient brings its hidden bit.
    let underflow = s.ilt(exponent, zero);
    let exponent_bits = s.shl(exponent, position);
    let magnitude = s.uadd(exponent_bits, quotient);
    let float_zero = s.float(0.0);
    let a_is_zero = s.eq(a, float_zero);
    let vanishes = s.either(underflow, a_is_zero);
    let signs = s.xor(a_bits, b_bits);
    let sign_mask = s.word(0x8000_0000);
    let sign = s.and(signs, sign_mask);
    let bits = s.or(magnitude, sign);
    let bits = s.uselect(vanishes, zero, bits);
    s.from_bits(bits)
}

/// The square root of a, rounded to nearest even; a is zero or in [2^-123, 2^124].
///
/// `estimate` is the root of `sqrt_significand(a)`, in [1, 2), off by at most 7 units in the last place. The
/// wanted integer is the root of N = significand · 2^46; the remainder N − Q² of a guess is small, so 32
/// bits hold it exactly.
#[inline(always)]
pub fn sqrt_corrected<S: Scalar>(s: &mut S, a: S::F, estimate: S::F) -> S::F {
    let zero = s.word(0);
    let one = s.word(1);
    let position = s.word(23);
    let fraction = s.word(0x007f_ffff);
    let hidden = s.word(0x0080_0000);
    let exponent_field = s.word(0xff);
    let bits = s.bits(a);
    let biased = s.shr(bits, position);
    let biased = s.and(biased, exponent_field);
    let parity = s.and(biased, one);
    let odd = s.xor(parity, one);
    let integer = s.and(bits, fraction);
    let integer = s.or(integer, hidden);
    let shift = s.uadd(position, odd);
    let square = s.shl(integer, shift);

    let unit = s.float(8_388_608.0);
    let guess = s.mul(estimate, unit);
    let guess = s.to_int(guess);
    let back = s.word(LARGEST_CORRECTION);
    let mut root = s.usub(guess, back);
    let product = s.umul(root, root);
    let mut remainder = s.usub(square, product);
    let mut step = LARGEST_CORRECTION;
    while step > 0 {
        // (Q + step)² − Q² = step · (2 Q + step).
        let count = s.word(step);
        let doubled = s.uadd(root, root);
        let sum = s.uadd(doubled, count);
        let amount = s.umul(sum, count);
        let lower = s.usub(remainder, amount);
        let higher = s.uadd(root, count);
        let too_much = s.ult(remainder, amount);
        remainder = s.uselect(too_much, remainder, lower);
        root = s.uselect(too_much, root, higher);
        step /= 2;
    }
    // (Q + 1/2)² = Q² + Q + 1/4, so the root is above Q + 1/2 exactly where the remainder is above Q.
    let up = s.ult(root, remainder);
    let increment = s.uselect(up, one, zero);
    let root = s.uadd(root, increment);

    // Biased exponent of the root: (biased − 127 − odd) / 2 + 127; one less, for the hidden bit.
    let bias = s.word(127);
    let even = s.uadd(biased, bias);
    let even = s.usub(even, odd);
    let half = s.shr(even, one);
    let exponent = s.usub(half, one);
    let exponent_bits = s.shl(exponent, position);
    let magnitude = s.uadd(exponent_bits, root);
    let float_zero = s.float(0.0);
    let is_zero = s.eq(a, float_zero);
    let magnitude = s.uselect(is_zero, zero, magnitude);
    s.from_bits(magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numerics::Native;

    /// A 64-bit linear congruential generator; its upper half.
    fn next(state: &mut u64) -> u32 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 32) as u32
    }

    /// A float with this fraction, an exponent in [−reach, reach] and any sign.
    fn float(fraction: u32, choice: u32, low: i32, high: i32) -> f32 {
        let exponent = low + (choice % (high - low + 1) as u32) as i32;
        let sign = (choice & 0x4000_0000) << 1;
        f32::from_bits(sign | ((exponent + 127) as u32) << 23 | fraction & 0x007f_ffff)
    }

    /// A fraction that is random, or near an end or the middle.
    fn fraction(state: &mut u64) -> u32 {
        let word = next(state);
        match next(state) % 4 {
            0 => word % 16,
            1 => 0x007f_ffff - word % 16,
            2 => 0x0040_0000 + word % 16 - 8,
            _ => word,
        }
    }

    fn perturbed(x: f32, error: i32) -> f32 {
        f32::from_bits(x.to_bits().wrapping_add_signed(error))
    }

    fn check_div(a: f32, b: f32, error: i32) {
        let s = &mut Native;
        let estimate = div_significand(s, a) / div_significand(s, b);
        let corrected = div_corrected(s, a, b, perturbed(estimate, error));
        let exact = a / b;
        let expected = if exact.is_normal() { exact } else { 0.0 };
        assert_eq!(corrected.to_bits(), expected.to_bits(), "{a:e} / {b:e} off by {error}");
    }

    fn check_sqrt(a: f32, error: i32) {
        let s = &mut Native;
        let estimate = sqrt_significand(s, a).sqrt();
        let corrected = sqrt_corrected(s, a, perturbed(estimate, error));
        assert_eq!(corrected.to_bits(), a.sqrt().to_bits(), "sqrt {a:e} off by {error}");
    }

    #[test]
    fn division_is_correct_from_a_wrong_estimate() {
        let mut state = 1;
        for _ in 0..20_000_000 {
            let a_fraction = fraction(&mut state);
            let b_fraction = fraction(&mut state);
            let choice = next(&mut state);
            let a = float(a_fraction, choice, -60, 60);
            let b = float(b_fraction, next(&mut state), -60, 60);
            check_div(a, b, (choice >> 16) as i32 % 13 - 6);
        }
        for (a, b) in [(1.0, 1.0), (1.0, 3.0), (2.0_f32.powi(-100), 2.0_f32.powi(26)), (-0.0, 3.0)] {
            for error in -7..=7 {
                check_div(if a == 0.0 { 0.0 } else { a }, b, error);
            }
        }
        // A quotient that would be subnormal is zero, without asking the estimate.
        check_div(2.0_f32.powi(-100), -1.5 * 2.0_f32.powi(100), 0);
    }

    #[test]
    fn roots_are_correct_from_a_wrong_estimate() {
        let mut state = 2;
        for _ in 0..20_000_000 {
            let choice = next(&mut state);
            let a = float(fraction(&mut state), choice, -123, 123).abs();
            check_sqrt(a, (choice >> 16) as i32 % 13 - 6);
        }
        for exponent in -123..=124 {
            for error in -7..=7 {
                check_sqrt(2.0_f32.powi(exponent), error);
            }
        }
        check_sqrt(0.0, 0);
    }
}
