//! What makes a binary32 value canonical, how results become canonical, and host arithmetic on them.
//!
//! The generic functions take [`Scalar`]; the plain ones (`add`, `powi`, `import`, …) are for host code
//! whose result can reach a tensor: schedules, bias corrections, scalar arguments. Not vector code.

use super::{Native, Scalar, arithmetic, convert};

/// 2^62: the largest canonical magnitude.
pub const MAX: f32 = f32::from_bits(0x5e80_0000);
/// 2^-100: a product or quotient below it is 0.
pub const MIN_PRODUCT: f32 = f32::from_bits(0x0d80_0000);
/// 2^-123: every canonical value is a multiple of it.
pub const GRID: f32 = f32::from_bits(0x0200_0000);
/// 2^52: where an operand of a matmul saturates.
pub const ROUND12_MAX: f32 = f32::from_bits(0x5980_0000);
/// 2^-50: an operand of a matmul below it is 0.
pub const ROUND12_MIN: f32 = f32::from_bits(0x2680_0000);
/// Elements in a block of a sum.
pub const SUM_BLOCK: usize = 1024;
/// Lanes in a block of a sum; element i is in lane i mod 64.
pub const SUM_LANES: usize = 64;
/// Terms of a matmul or convolution accumulated from zero before they are added to the result.
pub const MATMUL_CHUNK: usize = 256;

/// x limited to ±2^62; x is finite.
#[inline(always)]
pub fn clamp<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let low = s.float(-MAX);
    let high = s.float(MAX);
    let raised = s.max(x, low);
    s.min(raised, high)
}

/// x, or 0 where |x| < 2^-100.
#[inline(always)]
pub fn flush<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let zero = s.float(0.0);
    let smallest = s.float(MIN_PRODUCT);
    let magnitude = s.abs(x);
    let small = s.lt(magnitude, smallest);
    s.select(small, zero, x)
}

/// Makes a finite sum of multiples of 2^-123 canonical.
#[inline(always)]
pub fn canon_sum<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    clamp(s, x)
}

/// Makes a finite product, or any other finite value, canonical.
#[inline(always)]
pub fn canon_product<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let x = clamp(s, x);
    flush(s, x)
}

/// An operand of a matmul or convolution: 12 significant bits, ties to even; 0 where |x| < 2^-50 before
/// rounding; saturated at ±2^52 after it. A zero comes out without a sign.
#[inline(always)]
pub fn round12<S: Scalar>(s: &mut S, x: S::F) -> S::F {
    let magnitude = s.abs(x);
    let smallest = s.float(ROUND12_MIN);
    let largest = s.float(ROUND12_MAX);
    // The clamp first: a carry out of the mantissa then stays far from the exponent's end, and a value that
    // rounds up to 2^52 lies below it before.
    let small = s.lt(magnitude, smallest);
    let limited = s.min(magnitude, largest);
    let bits = s.bits(limited);
    let twelve = s.word(12);
    let one = s.word(1);
    let below_half = s.word(0x7ff);
    let kept = s.word(0xffff_f000);
    let last = s.shr(bits, twelve);
    let odd = s.and(last, one);
    let up = s.uadd(bits, below_half);
    let up = s.uadd(up, odd);
    let rounded = s.and(up, kept);
    // A small operand may be zero of any bits; give from_bits a normal number whichever it was.
    let safe = s.word(ROUND12_MIN.to_bits());
    let rounded = s.uselect(small, safe, rounded);
    let rounded = s.from_bits(rounded);
    let zero = s.float(0.0);
    let negative = s.lt(x, zero);
    let opposite = s.neg(rounded);
    let signed = s.select(negative, opposite, rounded);
    s.select(small, zero, signed)
}

/// A NaN or an infinity where a number was expected.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the value with bits {bits:#010x} is not a finite number")]
pub struct NotFinite {
    /// The bits of the refused value.
    pub bits: u32,
}

/// The canonical value of a number that enters the engine: itself if it is canonical, ±2^62 beyond ±2^62,
/// 0 below 2^-100 unless it is a multiple of 2^-123. Zero loses its sign.
///
/// # Errors
/// [`NotFinite`] for NaN and infinities.
pub fn import(value: f32) -> Result<f32, NotFinite> {
    if !value.is_finite() {
        return Err(NotFinite { bits: value.to_bits() });
    }
    Ok(f32::from_bits(convert::canon_bits(&mut Native, value.to_bits())))
}

/// Whether a value may be stored in a tensor. Either zero is.
pub fn is_canonical(value: f32) -> bool {
    import(value).is_ok_and(|canonical| canonical == value)
}

/// Whether a canonical value is ±2^62, which is reported as an overflow where it leaves the engine.
pub fn is_saturated(value: f32) -> bool {
    value.abs() == MAX
}

/// Canonical a + b.
pub fn add(a: f32, b: f32) -> f32 {
    arithmetic::add(&mut Native, a, b)
}

/// Canonical a − b.
pub fn sub(a: f32, b: f32) -> f32 {
    arithmetic::sub(&mut Native, a, b)
}

/// Canonical a · b.
pub fn mul(a: f32, b: f32) -> f32 {
    arithmetic::mul(&mut Native, a, b)
}

/// Canonical a / b; x / 0 is ±2^62 by the sign of x, 0 / 0 is 2^62.
pub fn div(a: f32, b: f32) -> f32 {
    arithmetic::div(&mut Native, a, b)
}

/// Canonical square root; 0 for a negative value.
pub fn sqrt(a: f32) -> f32 {
    arithmetic::sqrt(&mut Native, a)
}

/// a to the power n by repeated squaring, lowest bit of n first, each product canonical; 1 for n = 0.
pub fn powi(a: f32, mut n: u32) -> f32 {
    let mut result = 1.0;
    let mut square = a;
    while n != 0 {
        if n & 1 == 1 {
            result = mul(result, square);
        }
        square = mul(square, square);
        n >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(exponent: i32) -> f32 {
        f32::from_bits(((exponent + 127) as u32) << 23)
    }

    #[test]
    fn import_keeps_canonical_bits_and_repairs_the_rest() {
        let cases = [
            (0.0, 0.0),
            (-0.0, 0.0),
            (MAX, MAX),
            (-f32::MAX, -MAX),
            (MAX * 1.5, MAX),
            (GRID, GRID),
            (-GRID * 3.0, -GRID * 3.0),
            (GRID * 1.5, 0.0),
            (GRID / 2.0, 0.0),
            (f32::from_bits(1), 0.0),
            (MIN_PRODUCT, MIN_PRODUCT),
            (f32::from_bits(MIN_PRODUCT.to_bits() + 1), f32::from_bits(MIN_PRODUCT.to_bits() + 1)),
            // Just below 2^-100 the last place is 2^-124.
            (f32::from_bits(MIN_PRODUCT.to_bits() - 1), 0.0),
            (f32::from_bits(MIN_PRODUCT.to_bits() - 2), f32::from_bits(MIN_PRODUCT.to_bits() - 2)),
            (1.0, 1.0),
        ];
        for (value, canonical) in cases {
            assert_eq!(import(value).unwrap().to_bits(), f32::to_bits(canonical), "{value:e}");
            assert!(is_canonical(canonical));
        }
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(import(value).is_err());
        }
    }

    #[test]
    fn round12_rounds_to_even_and_saturates() {
        let ulp = power(-11);
        let cases = [
            (0.0, 0.0),
            (-0.0, 0.0),
            (1.0, 1.0),
            (1.0 + ulp, 1.0 + ulp),
            (1.0 + ulp / 2.0, 1.0),
            (1.0 + ulp * 1.5, 1.0 + ulp * 2.0),
            (-(1.0 + ulp * 1.5), -(1.0 + ulp * 2.0)),
            (f32::from_bits(0x3fff_ffff), 2.0),
            (ROUND12_MIN, ROUND12_MIN),
            (f32::from_bits(ROUND12_MIN.to_bits() - 1), 0.0),
            (f32::from_bits(ROUND12_MAX.to_bits() - 1), ROUND12_MAX),
            (ROUND12_MAX, ROUND12_MAX),
            (-MAX, -ROUND12_MAX),
            (GRID, 0.0),
        ];
        for (value, rounded) in cases {
            assert_eq!(round12(&mut Native, value).to_bits(), f32::to_bits(rounded), "{value:e}");
        }
    }

    #[test]
    fn powi_squares() {
        assert_eq!(powi(3.0, 0), 1.0);
        assert_eq!(powi(3.0, 5), 243.0);
        assert_eq!(powi(2.0, 80), MAX);
        assert_eq!(powi(0.5, 101), 0.0);
        assert_eq!(powi(0.9, 3), mul(0.9, mul(0.9, 0.9)));
    }
}
