//! The element functions of SGD and AdamW. Not schedules or bias corrections, which are host arithmetic.
//!
//! Canon is placed only where written here: every product is flushed (below 2^-100 it is 0), which makes
//! every sum one of multiples of 2^-123 and so blind to subnormals, and the result is clamped once. A
//! clamp stands inside only where the next product could overflow.

use super::Scalar;
use super::arithmetic::recip;
use super::canonical::{canon_product, canon_sum, flush};

/// The arguments of an SGD step, as run-time values.
pub struct Sgd<S: Scalar> {
    /// η.
    pub learning_rate: S::F,
    /// μ.
    pub momentum: S::F,
    /// λ.
    pub weight_decay: S::F,
    /// Whether to look ahead along the new velocity.
    pub nesterov: S::B,
}

impl<S: Scalar> Clone for Sgd<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scalar> Copy for Sgd<S> {}

impl<S: Scalar> Sgd<S> {
    /// From the words of `SgdScalars::words`.
    #[inline(always)]
    pub fn from_words(s: &mut S, words: &[S::U]) -> Self {
        let zero = s.word(0);
        let is_plain = s.ueq(words[3], zero);
        Sgd {
            learning_rate: s.from_bits(words[0]),
            momentum: s.from_bits(words[1]),
            weight_decay: s.from_bits(words[2]),
            nesterov: s.not(is_plain),
        }
    }
}

/// The arguments of an AdamW step, as run-time values.
pub struct Adamw<S: Scalar> {
    /// η.
    pub learning_rate: S::F,
    /// β₁.
    pub beta1: S::F,
    /// β₂.
    pub beta2: S::F,
    /// ε.
    pub epsilon: S::F,
    /// λ.
    pub weight_decay: S::F,
    /// c₁ = 1 − β₁^t.
    pub correction1: S::F,
    /// c₂ = 1 − β₂^t.
    pub correction2: S::F,
}

impl<S: Scalar> Clone for Adamw<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scalar> Copy for Adamw<S> {}

impl<S: Scalar> Adamw<S> {
    /// From the words of `AdamwScalars::words`.
    #[inline(always)]
    pub fn from_words(s: &mut S, words: &[S::U]) -> Self {
        Adamw {
            learning_rate: s.from_bits(words[0]),
            beta1: s.from_bits(words[1]),
            beta2: s.from_bits(words[2]),
            epsilon: s.from_bits(words[3]),
            weight_decay: s.from_bits(words[4]),
            correction1: s.from_bits(words[5]),
            correction2: s.from_bits(words[6]),
        }
    }
}

/// a · b, flushed and not clamped: at most 2^124 for canonical a and b.
#[inline(always)]
fn flushed_product<S: Scalar>(s: &mut S, a: S::F, b: S::F) -> S::F {
    let product = s.mul(a, b);
    flush(s, product)
}

/// μ·v + (g + λ·p), before the clamp: |λ·p| ≤ 2^124, |g + λ·p| ≤ 2^124 + 2^62, |μ·v| ≤ 2^124, so the
/// result is at most 2^125 + 2^62.
#[inline(always)]
fn direction<S: Scalar>(s: &mut S, sgd: &Sgd<S>, velocity: S::F, gradient: S::F, parameter: S::F) -> S::F {
    let decay = flushed_product(s, sgd.weight_decay, parameter);
    let gradient = s.add(gradient, decay);
    let kept = flushed_product(s, sgd.momentum, velocity);
    s.add(kept, gradient)
}

/// The new velocity clamp(μ·v + (g + λ·p)).
#[inline(always)]
pub fn sgd_velocity<S: Scalar>(
    s: &mut S,
    sgd: &Sgd<S>,
    velocity: S::F,
    gradient: S::F,
    parameter: S::F,
) -> S::F {
    let velocity = direction(s, sgd, velocity, gradient, parameter);
    canon_sum(s, velocity)
}

/// The new parameter clamp(p − η·d): d is the new velocity, or with Nesterov clamp(μ·v + (g + λ·p)), where v
/// is the new velocity too. |p − η·d| ≤ 2^124 + 2^62.
#[inline(always)]
pub fn sgd_parameter<S: Scalar>(
    s: &mut S,
    sgd: &Sgd<S>,
    parameter: S::F,
    gradient: S::F,
    velocity: S::F,
) -> S::F {
    let ahead = sgd_velocity(s, sgd, velocity, gradient, parameter);
    let chosen = s.select(sgd.nesterov, ahead, velocity);
    let step = flushed_product(s, sgd.learning_rate, chosen);
    let parameter = s.sub(parameter, step);
    canon_sum(s, parameter)
}

/// clamp(β·a + (1 − β)·b): |1 − β| ≤ 2^62 (rounded once), each product at most 2^124, the sum at most 2^125.
#[inline(always)]
fn moving_average<S: Scalar>(s: &mut S, beta: S::F, a: S::F, b: S::F) -> S::F {
    let one = s.float(1.0);
    let share = s.sub(one, beta);
    let kept = flushed_product(s, beta, a);
    let new = flushed_product(s, share, b);
    let sum = s.add(kept, new);
    canon_sum(s, sum)
}

/// The new first moment clamp(β₁·m + (1 − β₁)·g).
#[inline(always)]
pub fn adamw_first<S: Scalar>(s: &mut S, adamw: &Adamw<S>, first: S::F, gradient: S::F) -> S::F {
    moving_average(s, adamw.beta1, first, gradient)
}

/// The new second moment clamp(β₂·v + (1 − β₂)·canon(g²)).
#[inline(always)]
pub fn adamw_second<S: Scalar>(s: &mut S, adamw: &Adamw<S>, second: S::F, gradient: S::F) -> S::F {
    let square = s.mul(gradient, gradient);
    let square = canon_product(s, square);
    moving_average(s, adamw.beta2, second, square)
}

/// The smallest denominator of the AdamW step, 2^-60: the quotient stays finite (2^122).
const DENOMINATOR_MIN: f32 = f32::from_bits(0x2180_0000);

/// The new parameter clamp((p − (η·λ)·p) − u).
///
/// u = flush(n / d), n = canon(η · canon(m · r₁)), d = max(√(flush(max(v, 0) · r₂)) + ε, 2^-60), where
/// r₁ = 1 / c₁ and r₂ = max(1 / c₂, 0) are the canonical reciprocals, so that a device divides once for an
/// element. Bounds: m·r₁ and v·r₂ ≤ 2^124, the root ≤ 2^62, d ≤ 2^63, n / d ≤ 2^122, (η·λ)·p ≤ 2^124, and the
/// difference ≤ 2^125.
#[inline(always)]
pub fn adamw_parameter<S: Scalar>(
    s: &mut S,
    adamw: &Adamw<S>,
    parameter: S::F,
    first: S::F,
    second: S::F,
) -> S::F {
    let zero = s.float(0.0);
    let inverse1 = recip(s, adamw.correction1);
    let inverse2 = recip(s, adamw.correction2);
    let inverse2 = s.max(inverse2, zero);
    let rate = s.mul(adamw.learning_rate, adamw.weight_decay);
    let rate = canon_product(s, rate);
    let decay = flushed_product(s, rate, parameter);
    let decayed = s.sub(parameter, decay);

    let mean = s.mul(first, inverse1);
    let mean = canon_product(s, mean);
    let numerator = s.mul(adamw.learning_rate, mean);
    let numerator = canon_product(s, numerator);
    let second = s.max(second, zero);
    let variance = flushed_product(s, second, inverse2);
    let deviation = s.sqrt(variance);
    let denominator = s.add(deviation, adamw.epsilon);
    let smallest = s.float(DENOMINATOR_MIN);
    let denominator = s.max(denominator, smallest);
    let step = s.div(numerator, denominator);
    let step = flush(s, step);
    let parameter = s.sub(decayed, step);
    canon_sum(s, parameter)
}
