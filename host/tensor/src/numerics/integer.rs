//! Two's complement arithmetic on words, wrapping. Not conversions: see `convert`.

use super::Scalar;

/// −x, wrapping: the lowest value is its own negation.
#[inline(always)]
pub fn neg<S: Scalar>(s: &mut S, x: S::U) -> S::U {
    let zero = s.word(0);
    s.usub(zero, x)
}

/// |x|, wrapping: the lowest value stays.
#[inline(always)]
pub fn abs<S: Scalar>(s: &mut S, x: S::U) -> S::U {
    let zero = s.word(0);
    let opposite = s.usub(zero, x);
    let negative = s.ilt(x, zero);
    s.uselect(negative, opposite, x)
}

/// −1, 0 or 1.
#[inline(always)]
pub fn sign<S: Scalar>(s: &mut S, x: S::U) -> S::U {
    let zero = s.word(0);
    let one = s.word(1);
    let minus_one = s.word(u32::MAX);
    let positive = s.ilt(zero, x);
    let negative = s.ilt(x, zero);
    let below = s.uselect(negative, minus_one, zero);
    s.uselect(positive, one, below)
}

/// a + b, wrapping.
#[inline(always)]
pub fn add<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::U {
    s.uadd(a, b)
}

/// a − b, wrapping.
#[inline(always)]
pub fn sub<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::U {
    s.usub(a, b)
}

/// a · b, wrapping.
#[inline(always)]
pub fn mul<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::U {
    s.umul(a, b)
}

/// a / b truncated towards zero; x / 0 = 0, and the lowest value divided by −1 is itself.
#[inline(always)]
pub fn div<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::U {
    s.idiv(a, b)
}

/// The larger.
#[inline(always)]
pub fn max<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::U {
    let less = s.ilt(a, b);
    s.uselect(less, b, a)
}

/// The smaller.
#[inline(always)]
pub fn min<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::U {
    let less = s.ilt(a, b);
    s.uselect(less, a, b)
}

/// a = b.
#[inline(always)]
pub fn eq<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::B {
    s.ueq(a, b)
}

/// a < b, two's complement (bytes are not negative, so it serves them too).
#[inline(always)]
pub fn lt<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::B {
    s.ilt(a, b)
}

/// a ≤ b, two's complement.
#[inline(always)]
pub fn le<S: Scalar>(s: &mut S, a: S::U, b: S::U) -> S::B {
    let greater = s.ilt(b, a);
    s.not(greater)
}
