//! How the scalar functions are proved: oracles, a hostile instantiation, walks over all inputs.
//!
//! For tests and soak runs; not for hot paths, and nothing here may reach a result: the oracles use the
//! platform's f64 functions.

use std::ops::Range;

use super::canonical::{GRID, MAX, MIN_PRODUCT, is_canonical};
use super::{Native, Scalar, arithmetic, error_function, exponential, logarithm, power, trigonometric};

/// A function of one f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryFunction {
    /// −x.
    Neg,
    /// |x|.
    Abs,
    /// −1, 0 or 1.
    Sign,
    /// Largest integer not above x.
    Floor,
    /// 1 / x.
    Recip,
    /// e^x.
    Exp,
    /// Natural logarithm.
    Ln,
    /// Square root.
    Sqrt,
    /// 1 / sqrt(x).
    Rsqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^−x).
    Sigmoid,
    /// Error function.
    Erf,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
}

impl UnaryFunction {
    /// Every one.
    pub const ALL: [UnaryFunction; 14] = [
        UnaryFunction::Neg,
        UnaryFunction::Abs,
        UnaryFunction::Sign,
        UnaryFunction::Floor,
        UnaryFunction::Recip,
        UnaryFunction::Exp,
        UnaryFunction::Ln,
        UnaryFunction::Sqrt,
        UnaryFunction::Rsqrt,
        UnaryFunction::Tanh,
        UnaryFunction::Sigmoid,
        UnaryFunction::Erf,
        UnaryFunction::Sin,
        UnaryFunction::Cos,
    ];

    /// The canonical function.
    #[inline(always)]
    pub fn evaluate<S: Scalar>(self, s: &mut S, x: S::F) -> S::F {
        match self {
            UnaryFunction::Neg => arithmetic::neg(s, x),
            UnaryFunction::Abs => arithmetic::abs(s, x),
            UnaryFunction::Sign => arithmetic::sign(s, x),
            UnaryFunction::Floor => arithmetic::floor(s, x),
            UnaryFunction::Recip => arithmetic::recip(s, x),
            UnaryFunction::Exp => exponential::exp(s, x),
            UnaryFunction::Ln => logarithm::ln(s, x),
            UnaryFunction::Sqrt => arithmetic::sqrt(s, x),
            UnaryFunction::Rsqrt => arithmetic::rsqrt(s, x),
            UnaryFunction::Tanh => exponential::tanh(s, x),
            UnaryFunction::Sigmoid => exponential::sigmoid(s, x),
            UnaryFunction::Erf => error_function::erf(s, x),
            UnaryFunction::Sin => trigonometric::sin(s, x),
            UnaryFunction::Cos => trigonometric::cos(s, x),
        }
    }

    /// The mathematical value for a canonical x, close to f64's precision, before canon; outside the domain
    /// the value of the table.
    pub fn oracle(self, x: f32) -> f64 {
        let max = f64::from(MAX);
        let wide = f64::from(x);
        match self {
            UnaryFunction::Neg => -wide,
            UnaryFunction::Abs => wide.abs(),
            UnaryFunction::Sign if x == 0.0 => 0.0,
            UnaryFunction::Sign => wide.signum(),
            UnaryFunction::Floor => wide.floor(),
            UnaryFunction::Recip if x == 0.0 => max,
            UnaryFunction::Recip => 1.0 / wide,
            UnaryFunction::Exp => wide.exp(),
            UnaryFunction::Ln if x <= 0.0 => -max,
            UnaryFunction::Ln => wide.ln(),
            UnaryFunction::Sqrt => wide.max(0.0).sqrt(),
            UnaryFunction::Rsqrt if x <= 0.0 => max,
            UnaryFunction::Rsqrt => 1.0 / wide.sqrt(),
            UnaryFunction::Tanh => wide.tanh(),
            UnaryFunction::Sigmoid if x < 0.0 => wide.exp() / (1.0 + wide.exp()),
            UnaryFunction::Sigmoid => 1.0 / (1.0 + (-wide).exp()),
            UnaryFunction::Erf => erf_oracle(wide),
            UnaryFunction::Sin => wide.sin(),
            UnaryFunction::Cos => wide.cos(),
        }
    }
}

/// erf by the series 2/sqrt(π) · x · e^(−x²) · Σ (2x²)^n / (1 · 3 · … · (2n + 1)), all of whose terms are
/// positive.
fn erf_oracle(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let square = x * x;
    let (mut term, mut sum, mut n) = (1.0, 1.0, 0.0);
    while term > sum * 1e-17 {
        n += 1.0;
        term *= 2.0 * square / (2.0 * n + 1.0);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * x * (-square).exp() * sum
}

/// The input on which a function was worst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorstCase {
    /// The input's bits.
    pub input: u32,
    /// |result − oracle| in units in the last place of the oracle's binade.
    pub ulp: f64,
    /// Canonical inputs walked.
    pub count: u64,
    /// Results that were not canonical.
    pub not_canonical: u64,
    /// Inputs whose result moved when subnormals were flushed and zeros changed their sign.
    pub moved: u64,
}

impl WorstCase {
    /// Of nothing.
    pub const NONE: WorstCase = WorstCase { input: 0, ulp: 0.0, count: 0, not_canonical: 0, moved: 0 };

    /// Of two walks.
    pub fn merge(self, other: WorstCase) -> WorstCase {
        let worse = if other.ulp > self.ulp { other } else { self };
        WorstCase {
            input: worse.input,
            ulp: worse.ulp,
            count: self.count + other.count,
            not_canonical: self.not_canonical + other.not_canonical,
            moved: self.moved + other.moved,
        }
    }
}

/// The distance of a canonical result from the exact value, in units in the last place of the exact value.
/// Where canon makes of the exact value, or of a neighbour within two units, what the result is, 0.
pub fn ulp_error(result: f32, exact: f64) -> f64 {
    let max = f64::from(MAX);
    let smallest = f64::from(MIN_PRODUCT);
    let magnitude = exact.abs();
    let slack = 1.0 + 2.0 / 8_388_608.0;
    if f64::from(result) == exact {
        return 0.0;
    }
    if f64::from(result) == max.copysign(exact) && magnitude * slack >= max {
        return 0.0;
    }
    if result == 0.0 && magnitude < smallest * slack {
        return 0.0;
    }
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(-100);
    (f64::from(result) - exact).abs() / 2_f64.powi(exponent - 23)
}

/// Walks the bit patterns in `range`, those that are canonical inputs, and reports the worst error against
/// the oracle, results that are not canonical, and results that move under [`Flushing`]. The whole of
/// `0..u32::MAX` is every input (the one pattern left out is a NaN).
pub fn worst_ulp(function: UnaryFunction, range: Range<u32>) -> WorstCase {
    let mut flushing = Flushing::new(range.start);
    let mut worst = WorstCase::NONE;
    for input in range {
        let x = f32::from_bits(input);
        if is_canonical(x) {
            worst = worst.merge(case(function, x, &mut flushing));
        }
    }
    worst
}

/// One input of [`worst_ulp`].
fn case(function: UnaryFunction, x: f32, flushing: &mut Flushing) -> WorstCase {
    let result = function.evaluate(&mut Native, x);
    let hostile = function.evaluate(flushing, x);
    WorstCase {
        input: x.to_bits(),
        ulp: ulp_error(result, function.oracle(x)),
        count: 1,
        not_canonical: u64::from(!is_canonical(result)),
        moved: u64::from(canonical_word(result) != canonical_word(hostile)),
    }
}

/// The bits of a canonical value as a digest sees them: zero has no sign.
pub fn canonical_word(x: f32) -> u32 {
    if x == 0.0 { 0 } else { x.to_bits() }
}

/// Canonical values for tests: every boundary and power of two with its neighbours, both signs, then `count`
/// values spread over all exponents, and as many near where functions bend (|x| < 128).
pub fn canonical_samples(count: u32) -> impl Iterator<Item = f32> {
    let powers = (4..=189_u32).flat_map(|exponent| {
        let bits = exponent << 23;
        [bits - 2, bits - 1, bits, bits + 1, bits + 2, bits + 0x0040_0000, bits + 0x0035_04f3]
    });
    let boundaries = powers.map(f32::from_bits).chain([0.0, GRID, MIN_PRODUCT, MAX]);
    let spread = (0..count).map(|i| f32::from_bits((scramble(i) % (190 - 4) + 4) << 23 | scramble(!i) >> 9));
    let bends = (0..count).map(move |i| scramble(i ^ 0x5555_5555) as f32 / 33_554_432.0);
    boundaries
        .chain(spread)
        .chain(bends)
        .flat_map(|x| [x, -x])
        .map(|x| super::canonical::import(x).unwrap_or(0.0))
        .filter(|&x| is_canonical(x))
}

/// A fixed permutation of the words that looks random.
fn scramble(x: u32) -> u32 {
    super::threefry::threefry_words([0x9e37_79b9, 0x7f4a_7c15], [x, 0])[0]
}

/// An instantiation that does to subnormals and zeros what platforms may: each operation flushes subnormal
/// operands and results or keeps them, and gives each zero either sign, by a coin of its own.
#[derive(Clone, Debug)]
pub struct Flushing {
    state: u32,
}

impl Flushing {
    /// With this seed for the coin.
    pub fn new(seed: u32) -> Self {
        Flushing { state: seed | 1 }
    }

    /// The next throw (xorshift).
    fn coin(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state
    }

    /// What the platform may make of a value.
    #[inline(always)]
    fn blur(&mut self, x: f32) -> f32 {
        let exponent = x.to_bits() & 0x7f80_0000;
        if exponent == 0 || exponent == 0x7f80_0000 { self.blur_special(x) } else { x }
    }

    /// [`Flushing::blur`] of what is zero, subnormal or (a bug of ours) not finite.
    #[cold]
    fn blur_special(&mut self, x: f32) -> f32 {
        assert!(x.is_finite(), "a scalar function made {x}");
        let coin = self.coin();
        if x == 0.0 || coin & 2 != 0 { if coin & 1 == 0 { 0.0 } else { -0.0 } } else { x }
    }

    /// An operation on two floats.
    #[inline(always)]
    fn binary(&mut self, a: f32, b: f32, operation: impl Fn(f32, f32) -> f32) -> f32 {
        let a = self.blur(a);
        let b = self.blur(b);
        self.blur(operation(a, b))
    }

    /// A comparison.
    #[inline(always)]
    fn compare(&mut self, a: f32, b: f32, operation: impl Fn(f32, f32) -> bool) -> bool {
        let a = self.blur(a);
        let b = self.blur(b);
        operation(a, b)
    }
}

/// Delegates the operations on words and truth values to [`Native`].
macro_rules! delegate {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(fn $name(&mut self, $($argument: $kind),*) -> $result {
            Native.$name($($argument),*)
        })*
    };
}

impl Scalar for Flushing {
    type F = f32;
    type U = u32;
    type B = bool;

    fn float(&mut self, value: f32) -> f32 {
        assert!(value == 0.0 || value.is_normal());
        self.blur(value)
    }
    fn add(&mut self, a: f32, b: f32) -> f32 {
        self.binary(a, b, |a, b| a + b)
    }
    fn sub(&mut self, a: f32, b: f32) -> f32 {
        self.binary(a, b, |a, b| a - b)
    }
    fn mul(&mut self, a: f32, b: f32) -> f32 {
        self.binary(a, b, |a, b| a * b)
    }
    fn div(&mut self, a: f32, b: f32) -> f32 {
        let bounds = MIN_PRODUCT..=1.0 / MIN_PRODUCT;
        assert!(a == 0.0 || bounds.contains(&a.abs()), "divided {a:e}");
        assert!(bounds.contains(&b.abs()), "divided by {b:e}");
        self.binary(a, b, |a, b| a / b)
    }
    fn sqrt(&mut self, a: f32) -> f32 {
        assert!(a == 0.0 || (GRID..=MAX * MAX).contains(&a), "root of {a:e}");
        let a = self.blur(a);
        self.blur(a.sqrt())
    }
    fn neg(&mut self, a: f32) -> f32 {
        let a = self.blur(a);
        self.blur(-a)
    }
    fn abs(&mut self, a: f32) -> f32 {
        let a = self.blur(a);
        self.blur(a.abs())
    }
    fn min(&mut self, a: f32, b: f32) -> f32 {
        self.binary(a, b, f32::min)
    }
    fn max(&mut self, a: f32, b: f32) -> f32 {
        self.binary(a, b, f32::max)
    }
    fn lt(&mut self, a: f32, b: f32) -> bool {
        self.compare(a, b, |a, b| a < b)
    }
    fn le(&mut self, a: f32, b: f32) -> bool {
        self.compare(a, b, |a, b| a <= b)
    }
    fn eq(&mut self, a: f32, b: f32) -> bool {
        self.compare(a, b, |a, b| a == b)
    }
    fn bits(&mut self, a: f32) -> u32 {
        self.blur(a).to_bits()
    }
    fn from_bits(&mut self, a: u32) -> f32 {
        let value = f32::from_bits(a);
        assert!(value == 0.0 || value.is_normal(), "a float was made of {a:#x}");
        self.blur(value)
    }
    fn to_int(&mut self, a: f32) -> u32 {
        assert!(a.abs() < 2_147_483_648.0, "an integer was made of {a:e}");
        let a = self.blur(a);
        Native.to_int(a)
    }
    fn from_int(&mut self, a: u32) -> f32 {
        assert!((a as i32).unsigned_abs() <= 1 << 24, "a float was made of the integer {}", a as i32);
        let value = Native.from_int(a);
        self.blur(value)
    }
    fn select(&mut self, condition: bool, yes: f32, no: f32) -> f32 {
        let value = if condition { yes } else { no };
        self.blur(value)
    }
    delegate! {
        word(value: u32) -> u32;
        uadd(a: u32, b: u32) -> u32;
        usub(a: u32, b: u32) -> u32;
        umul(a: u32, b: u32) -> u32;
        and(a: u32, b: u32) -> u32;
        or(a: u32, b: u32) -> u32;
        xor(a: u32, b: u32) -> u32;
        shl(a: u32, n: u32) -> u32;
        shr(a: u32, n: u32) -> u32;
        sar(a: u32, n: u32) -> u32;
        idiv(a: u32, b: u32) -> u32;
        ueq(a: u32, b: u32) -> bool;
        ult(a: u32, b: u32) -> bool;
        ilt(a: u32, b: u32) -> bool;
        both(a: bool, b: bool) -> bool;
        either(a: bool, b: bool) -> bool;
        not(a: bool) -> bool;
        uselect(condition: bool, yes: u32, no: u32) -> u32;
    }
}

/// The error of the power function on one pair of canonical inputs, by its table outside a > 0, and
/// whether it moved under [`Flushing`].
pub fn pow_case(a: f32, b: f32, flushing: &mut Flushing) -> WorstCase {
    let result = power::pow(&mut Native, a, b);
    let hostile = power::pow(flushing, a, b);
    let b_is_integer = b.fract() == 0.0;
    let exact = match (a, b) {
        (_, 0.0) => 1.0,
        (0.0, b) => {
            if b > 0.0 {
                0.0
            } else {
                f64::from(MAX)
            }
        }
        (a, _) if a < 0.0 && !b_is_integer => 0.0,
        (a, b) => f64::from(a).powf(f64::from(b)),
    };
    WorstCase {
        input: a.to_bits(),
        ulp: ulp_error(result, exact),
        count: 1,
        not_canonical: u64::from(!is_canonical(result)),
        moved: u64::from(canonical_word(result) != canonical_word(hostile)),
    }
}

#[cfg(test)]
mod tests;
