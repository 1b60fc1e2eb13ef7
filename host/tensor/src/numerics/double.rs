//! Sums and products carried as two floats, and polynomials: the tools of the transcendental functions.
//!
//! A pair (high, low) stands for the exact sum high + low, |low| about half a unit in the last place of
//! high. The error terms are exact only where nothing is subnormal; callers say why that does not matter.
//! Not a number type of the contract: nothing here is stored.

use super::Scalar;

/// The unevaluated sum of two floats.
pub(super) struct Pair<S: Scalar> {
    pub(super) high: S::F,
    pub(super) low: S::F,
}

impl<S: Scalar> Clone for Pair<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scalar> Copy for Pair<S> {}

/// a + b exactly, for |a| ≥ |b| or a = 0 (Dekker's fast two-sum).
#[inline(always)]
pub(super) fn fast_two_sum<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> Pair<S> {
    let high = s.add(a, b);
    let part = s.sub(high, a);
    let low = s.sub(b, part);
    Pair { high, low }
}

/// x as a float of 12 significant bits and the rest, which has at most 12; both exact.
#[inline(always)]
pub(super) fn split<S: Scalar>(s: &mut S, x: S::F) -> Pair<S> {
    let bits = s.bits(x);
    let upper = s.word(0xffff_f000);
    let kept = s.and(bits, upper);
    let high = s.from_bits(kept);
    let low = s.sub(x, high);
    Pair { high, low }
}

/// a · b exactly (Dekker's product on halves of 12 bits, each partial product exact).
#[inline(always)]
pub(super) fn two_product<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> Pair<S> {
    let high = s.mul(a, b);
    let x = split(s, a);
    let y = split(s, b);
    let hh = s.mul(x.high, y.high);
    let hl = s.mul(x.high, y.low);
    let lh = s.mul(x.low, y.high);
    let ll = s.mul(x.low, y.low);
    let error = s.sub(hh, high);
    let error = s.add(error, hl);
    let error = s.add(error, lh);
    let low = s.add(error, ll);
    Pair { high, low }
}

/// a · b of two pairs, to about 2^-44 of the product.
#[inline(always)]
pub(super) fn pair_product<S: Scalar>(s: &mut S, a: Pair<S>, b: Pair<S>) -> Pair<S> {
    let product = two_product(s, a.high, b.high);
    let cross1 = s.mul(a.high, b.low);
    let cross2 = s.mul(a.low, b.high);
    let cross = s.add(cross1, cross2);
    let low = s.add(product.low, cross);
    fast_two_sum(s, product.high, low)
}

/// The polynomial with these coefficients, lowest power first, by Horner's rule: one product and one sum
/// for each power, no fused operation. Coefficients are normal numbers.
#[inline(always)]
pub(super) fn polynomial<S: Scalar>(s: &mut S, x: S::F, coefficients: &[f32]) -> S::F {
    let (last, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
    let mut value = s.float(*last);
    for &coefficient in rest.iter().rev() {
        let product = s.mul(value, x);
        let constant = s.float(coefficient);
        value = s.add(product, constant);
    }
    value
}

/// x with the sign of `like`; a zero `like` counts as positive. x ≥ 0.
#[inline(always)]
pub(super) fn with_sign<S: Scalar>(s: &mut S, x: S::F, like: S::F) -> S::F {
    let zero = s.float(0.0);
    let negative = s.lt(like, zero);
    let opposite = s.neg(x);
    s.select(negative, opposite, x)
}

/// x limited to [low, high].
#[inline(always)]
pub(super) fn limit<S: Scalar>(s: &mut S, x: S::F, low: f32, high: f32) -> S::F {
    let low = s.float(low);
    let high = s.float(high);
    let raised = s.max(x, low);
    s.min(raised, high)
}

/// Floats from their bits, in constants.
pub(super) const fn floats<const N: usize>(bits: [u32; N]) -> [f32; N] {
    let mut values = [0.0; N];
    let mut i = 0;
    while i < N {
        values[i] = f32::from_bits(bits[i]);
        i += 1;
    }
    values
}
