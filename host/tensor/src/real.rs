//! The f64 evaluator: recorded graphs over real numbers, as far as f64 goes.
//!
//! It knows neither canon nor the rounding to 12 bits nor storage formats, so its finite differences mean
//! something. Values outside a function's domain, integers and truth values are the contract's, exactly.
//! Which elements meet is the reference's interpreter. For tests: it uses the platform's f64 functions, whose
//! last bit differs between machines, so nothing here may reach a result.

mod function;

use crate::{
    AdamwScalars, DType, ElementOp, Elements, ReduceKind, SgdScalars, Shape, Tensor,
    numerics::threefry::threefry_words,
    reference::interpreter::{self, Arithmetic, Operand},
};
pub use function::erf;

/// 2^62, the value at the poles of the contract's functions.
const POLE: f64 = 4_611_686_018_427_387_904.0;

/// Elements as f64: integers, truth values (0 and 1) and half floats by value.
#[derive(Clone, Debug, PartialEq)]
pub struct RealTensor {
    /// The shape.
    pub shape: Shape,
    /// The type the elements stand for.
    pub dtype: DType,
    /// Row-major.
    pub elements: Vec<f64>,
}

/// The elements of each target.
///
/// `leaf` may give the elements of any node, instead of those it holds or would be computed to: how a finite
/// difference moves a leaf.
///
/// # Panics
/// Where a leaf is neither given nor in host memory.
pub fn evaluate(targets: &[Tensor], leaf: &dyn Fn(&Tensor) -> Option<Vec<f64>>) -> Vec<RealTensor> {
    let known = |node: &Tensor| {
        let held = || {
            node.value()
                .map(|value| numbers(node.dtype(), value.elements().expect("the value is in host memory")))
        };
        Ok::<_, std::convert::Infallible>(leaf(node).or_else(held))
    };
    let Ok(results) = interpreter::evaluate(&Real, targets, known);
    let tensor = |(target, elements): (&Tensor, Vec<f64>)| RealTensor {
        shape: *target.shape(),
        dtype: target.dtype(),
        elements,
    };
    targets.iter().zip(results).map(tensor).collect()
}

/// Elements in host memory by value.
pub fn numbers(dtype: DType, elements: &Elements) -> Vec<f64> {
    (0..elements.len()).map(|index| number(dtype, elements.word(index))).collect()
}

fn number(dtype: DType, word: u32) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_bits(word)),
        DType::I32 => f64::from(word as i32),
        DType::U8 | DType::Bool => f64::from(word),
        DType::Bf16 => half::bf16::from_bits(word as u16).to_f64(),
        DType::F16 => half::f16::from_bits(word as u16).to_f64(),
    }
}

/// Arithmetic on f64.
struct Real;

impl Arithmetic for Real {
    type Element = f64;

    fn constant(&self, dtype: DType, bits: u32) -> f64 {
        number(dtype, bits)
    }

    fn map(&self, op: &ElementOp, inputs: &[Operand<f64>], output: DType, count: usize) -> Vec<f64> {
        let dtype = inputs.first().map_or(output, |input| input.dtype);
        let at = |index: usize| {
            let x = |input: usize| inputs[input].elements[index];
            match inputs.len() {
                0 => creation(op, output, index as u32),
                1 => unary(op, dtype, output, x(0)),
                2 => binary(op, dtype, x(0), x(1)),
                _ => ternary(op, x(0), x(1), x(2)),
            }
        };
        (0..count).map(at).collect()
    }

    fn reduce(&self, kind: ReduceKind, dtype: DType, elements: &[f64]) -> f64 {
        let (lowest, highest) = match dtype {
            DType::F32 => (-POLE, POLE),
            _ => (f64::from(i32::MIN), f64::from(i32::MAX)),
        };
        match kind {
            // Sums of fewer than 2^21 i32 are exact in f64.
            ReduceKind::Sum if dtype == DType::I32 => wrap(elements.iter().sum()),
            ReduceKind::Sum => elements.iter().sum(),
            ReduceKind::Max => elements.iter().copied().fold(lowest, f64::max),
            ReduceKind::Min => elements.iter().copied().fold(highest, f64::min),
        }
    }

    fn less(&self, _: DType, a: f64, b: f64) -> bool {
        a < b
    }

    fn add(&self, dtype: DType, a: f64, b: f64) -> f64 {
        if dtype == DType::I32 { wrap(a + b) } else { a + b }
    }

    fn factor(&self, x: f64) -> f64 {
        x
    }

    fn dot(&self, terms: impl Iterator<Item = (f64, f64)>) -> f64 {
        terms.map(|(a, b)| a * b).sum()
    }

    fn integer(&self, x: f64) -> i64 {
        x as i64
    }

    fn position(&self, position: usize) -> f64 {
        position as f64
    }
}

/// An integer modulo 2^32, as i32.
fn wrap(x: f64) -> f64 {
    f64::from(x as i64 as i32)
}

fn truth(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

fn unexpected(op: &ElementOp) -> ! {
    unreachable!("{} with these inputs was not recorded", op.name())
}

fn creation(op: &ElementOp, output: DType, index: u32) -> f64 {
    let unit = 1.0 / 16_777_216.0;
    let upper = |word: u32| f64::from(word >> 8);
    match *op {
        ElementOp::Full(bits) => number(output, bits),
        ElementOp::Iota => f64::from(index as i32),
        ElementOp::Uniform(key) => upper(threefry_words(key, [index, 0])[0]) * unit,
        ElementOp::Normal(key) => {
            let [radius, angle] = threefry_words(key, [index, 0]);
            let radius = (-2.0 * ((upper(radius) + 1.0) * unit).ln()).sqrt();
            radius * (std::f64::consts::TAU * upper(angle) * unit).cos()
        }
        _ => unexpected(op),
    }
}

fn unary(op: &ElementOp, dtype: DType, output: DType, x: f64) -> f64 {
    match op {
        ElementOp::Cast => cast(output, x),
        ElementOp::Neg if dtype == DType::I32 => wrap(-x),
        ElementOp::Abs if dtype == DType::I32 => wrap(x.abs()),
        ElementOp::Neg => -x,
        ElementOp::Abs => x.abs(),
        ElementOp::Sign if x == 0.0 => 0.0,
        ElementOp::Sign => x.signum(),
        ElementOp::Recip => function::divide(1.0, x),
        ElementOp::Exp => x.exp(),
        ElementOp::Ln => function::ln(x),
        ElementOp::Sqrt => x.max(0.0).sqrt(),
        ElementOp::Rsqrt if x <= 0.0 => POLE,
        ElementOp::Rsqrt => 1.0 / x.sqrt(),
        ElementOp::Tanh => x.tanh(),
        ElementOp::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        ElementOp::Erf => erf(x),
        ElementOp::Sin => x.sin(),
        ElementOp::Cos => x.cos(),
        ElementOp::Floor => x.floor(),
        ElementOp::Not => truth(x == 0.0),
        _ => unexpected(op),
    }
}

/// Casts between floats change nothing; those to integers truncate and saturate.
fn cast(output: DType, x: f64) -> f64 {
    match output {
        DType::F32 | DType::Bf16 | DType::F16 => x,
        DType::I32 => x.trunc().clamp(f64::from(i32::MIN), f64::from(i32::MAX)),
        DType::U8 => x.trunc().clamp(0.0, 255.0),
        DType::Bool => truth(x != 0.0),
    }
}

fn binary(op: &ElementOp, dtype: DType, a: f64, b: f64) -> f64 {
    match op {
        ElementOp::Add if dtype == DType::I32 => wrap(a + b),
        ElementOp::Sub if dtype == DType::I32 => wrap(a - b),
        ElementOp::Mul if dtype == DType::I32 => f64::from((a as i32).wrapping_mul(b as i32)),
        ElementOp::Div if dtype == DType::I32 && b == 0.0 => 0.0,
        ElementOp::Div if dtype == DType::I32 => f64::from((a as i32).wrapping_div(b as i32)),
        ElementOp::Add => a + b,
        ElementOp::Sub => a - b,
        ElementOp::Mul => a * b,
        ElementOp::Div => function::divide(a, b),
        ElementOp::Max => a.max(b),
        ElementOp::Min => a.min(b),
        ElementOp::Pow => function::power(a, b),
        ElementOp::Eq => truth(a == b),
        ElementOp::Lt => truth(a < b),
        ElementOp::Le => truth(a <= b),
        ElementOp::And => truth(a != 0.0 && b != 0.0),
        ElementOp::Or => truth(a != 0.0 || b != 0.0),
        ElementOp::Xor => truth((a != 0.0) != (b != 0.0)),
        ElementOp::AdamwFirst(s) => average(s.beta1, a, b),
        ElementOp::AdamwSecond(s) => average(s.beta2, a, b * b),
        _ => unexpected(op),
    }
}

fn ternary(op: &ElementOp, a: f64, b: f64, c: f64) -> f64 {
    match op {
        ElementOp::Where => {
            if a != 0.0 {
                b
            } else {
                c
            }
        }
        ElementOp::SgdVelocity(s) => sgd_direction(s, a, b, c),
        ElementOp::SgdParameter(s) => {
            let direction = if s.nesterov { sgd_direction(s, c, b, a) } else { c };
            a - f64::from(s.learning_rate) * direction
        }
        ElementOp::AdamwParameter(s) => adamw_parameter(s, a, b, c),
        _ => unexpected(op),
    }
}

fn sgd_direction(s: &SgdScalars, velocity: f64, gradient: f64, parameter: f64) -> f64 {
    f64::from(s.momentum) * velocity + (gradient + f64::from(s.weight_decay) * parameter)
}

fn average(beta: f32, before: f64, now: f64) -> f64 {
    f64::from(beta) * before + (1.0 - f64::from(beta)) * now
}

fn adamw_parameter(s: &AdamwScalars, parameter: f64, first: f64, second: f64) -> f64 {
    let rate = f64::from(s.learning_rate);
    let mean = first / f64::from(s.correction1);
    let root = (second.max(0.0) / f64::from(s.correction2)).sqrt();
    let decayed = parameter - rate * f64::from(s.weight_decay) * parameter;
    decayed - rate * mean / (root + f64::from(s.epsilon))
}

#[cfg(test)]
mod gradients;
#[cfg(test)]
mod tests;
