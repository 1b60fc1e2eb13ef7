//! Functions on f64 that the standard library lacks, or whose domain the contract extends.

use super::POLE;

/// a / b; x / 0 is ±2^62 by the sign of x, 0 / 0 is 2^62.
pub(super) fn divide(a: f64, b: f64) -> f64 {
    match (a, b) {
        (a, 0.0) if a < 0.0 => -POLE,
        (_, 0.0) => POLE,
        (a, b) => a / b,
    }
}

/// The natural logarithm; −2^62 for x ≤ 0.
pub(super) fn ln(x: f64) -> f64 {
    if x > 0.0 { x.ln() } else { -POLE }
}

/// a to the power b; 0^b is 2^62 for b < 0, a negative a to a fraction is 0.
pub(super) fn power(a: f64, b: f64) -> f64 {
    if b == 0.0 {
        1.0
    } else if a == 0.0 {
        if b > 0.0 { 0.0 } else { POLE }
    } else if a < 0.0 && b.fract() != 0.0 {
        0.0
    } else {
        a.powf(b)
    }
}

/// The error function, to a few units in the last place.
///
/// Up to 3 by the series 2/√π · e^(−x²) · Σ 2^n x^(2n+1) / (1 · 3 · … · (2n + 1)), whose terms are all
/// positive; beyond by the continued fraction of 1 − erf, e^(−x²) / √π / (x + ½/(x + 1/(x + 3⁄2/(x + …)))).
/// Abramowitz and Stegun, 7.1.6 and 7.1.14.
pub fn erf(x: f64) -> f64 {
    let magnitude = x.abs();
    let value = if magnitude <= 3.0 { erf_series(magnitude) } else { 1.0 - erfc_fraction(magnitude) };
    value.copysign(x)
}

fn erf_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = 0.0;
    let mut odd = 1.0;
    while term > sum * 1e-18 {
        sum += term;
        odd += 2.0;
        term *= 2.0 * x * x / odd;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn erfc_fraction(x: f64) -> f64 {
    let denominator = (1..=60).rev().fold(x, |below, n| x + 0.5 * f64::from(n) / below);
    (-x * x).exp() / (denominator * std::f64::consts::PI.sqrt())
}
