//! The one dispatch from an [`ElementOp`] to its scalar function.
//!
//! The reference interpreter calls it with `Native` for each element, the shader emitter with itself for
//! each kernel. Vector loops on the CPU call the functions directly. Not a check of types: a graph that
//! reaches this point has legal dtypes, and anything else is a bug of ours that panics.

use super::arithmetic as f;
use super::integer as i;
use super::optimizer::{self, Adamw, Sgd};
use super::{Scalar, convert, error_function, exponential, logarithm, power, threefry, trigonometric};
use crate::{DType, ElementOp};

/// One element of any dtype.
pub enum Lane<S: Scalar> {
    /// f32.
    F(S::F),
    /// i32 as two's complement; u8, bf16 and f16 bits in the low part of a word whose rest is 0.
    U(S::U),
    /// bool.
    B(S::B),
}

impl<S: Scalar> Clone for Lane<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Scalar> Copy for Lane<S> {}

impl<S: Scalar> Lane<S> {
    /// The float of an f32 lane.
    #[inline(always)]
    fn float(self) -> S::F {
        match self {
            Lane::F(value) => value,
            _ => panic!("an element function of f32 got another dtype"),
        }
    }

    /// The word of a lane that is neither f32 nor bool.
    #[inline(always)]
    fn word(self) -> S::U {
        match self {
            Lane::U(value) => value,
            _ => panic!("an element function of words got another dtype"),
        }
    }

    /// The truth value of a bool lane.
    #[inline(always)]
    fn truth(self) -> S::B {
        match self {
            Lane::B(value) => value,
            _ => panic!("an element function of bool got another dtype"),
        }
    }
}

/// One output element.
///
/// `inputs` are the elements at the output's index, `input_dtypes` theirs and `output` the node's dtype;
/// `scalars` are the words of [`ElementOp::scalars`], given at run time (those inside `op` are never read, so
/// that what an emitter writes does not depend on them); `index` is the row-major index of the element.
///
/// # Panics
/// Where [`ElementOp::result`] would refuse the input dtypes, or too few inputs or scalars are given.
#[inline(always)]
pub fn evaluate<S: Scalar>(
    s: &mut S,
    op: &ElementOp,
    inputs: &[Lane<S>],
    input_dtypes: &[DType],
    output: DType,
    scalars: &[S::U],
    index: S::U,
) -> Lane<S> {
    use ElementOp::*;
    match op {
        Full(_) => from_bits(s, scalars[0], output),
        Iota => Lane::U(index),
        Uniform(_) => Lane::F(threefry::uniform(s, [scalars[0], scalars[1]], index)),
        Normal(_) => Lane::F(threefry::normal(s, [scalars[0], scalars[1]], index)),
        Cast => cast(s, inputs[0], input_dtypes[0], output),
        Neg | Abs | Sign | Recip | Exp | Ln | Sqrt | Rsqrt | Tanh | Sigmoid | Erf | Sin | Cos | Floor
        | Not => unary(s, op, inputs[0]),
        Add | Sub | Mul | Div | Max | Min | Pow | Eq | Lt | Le | And | Or | Xor => {
            binary(s, op, inputs[0], inputs[1])
        }
        Where => choose(s, inputs[0].truth(), inputs[1], inputs[2]),
        SgdVelocity(_) | SgdParameter(_) | AdamwFirst(_) | AdamwSecond(_) | AdamwParameter(_) => {
            Lane::F(optimize(s, op, inputs, scalars))
        }
    }
}

/// A lane of this dtype from the bits of an element; bits above the dtype's width are ignored.
#[inline(always)]
fn from_bits<S: Scalar>(s: &mut S, bits: S::U, dtype: DType) -> Lane<S> {
    let mask = |s: &mut S, mask| {
        let mask = s.word(mask);
        s.and(bits, mask)
    };
    match dtype {
        DType::F32 => Lane::F(s.from_bits(bits)),
        DType::I32 => Lane::U(bits),
        DType::U8 => Lane::U(mask(s, 0xff)),
        DType::Bf16 | DType::F16 => Lane::U(mask(s, 0xffff)),
        DType::Bool => {
            let byte = mask(s, 0xff);
            Lane::B(convert::word_to_bool(s, byte))
        }
    }
}

/// The conversion table. bf16 and f16 meet the other dtypes as f32, so a wide i32 is rounded twice.
#[inline(always)]
fn cast<S: Scalar>(s: &mut S, x: Lane<S>, from: DType, to: DType) -> Lane<S> {
    if from == to {
        return x;
    }
    match (from, to) {
        (DType::I32, DType::U8) => Lane::U(convert::i32_to_u8(s, x.word())),
        (DType::U8, DType::I32) => x,
        (DType::I32 | DType::U8, DType::Bool) => Lane::B(convert::word_to_bool(s, x.word())),
        (DType::Bool, DType::I32 | DType::U8) => Lane::U(convert::bool_to_word(s, x.truth())),
        _ => {
            let float = to_f32(s, x, from);
            from_f32(s, float, to)
        }
    }
}

/// Any dtype as canonical f32.
#[inline(always)]
fn to_f32<S: Scalar>(s: &mut S, x: Lane<S>, from: DType) -> S::F {
    match from {
        DType::F32 => x.float(),
        DType::I32 => convert::i32_to_f32(s, x.word()),
        DType::U8 => s.from_int(x.word()),
        DType::Bool => convert::bool_to_f32(s, x.truth()),
        DType::Bf16 => convert::bf16_to_f32(s, x.word()),
        DType::F16 => convert::f16_to_f32(s, x.word()),
    }
}

/// Canonical f32 as any dtype.
#[inline(always)]
fn from_f32<S: Scalar>(s: &mut S, x: S::F, to: DType) -> Lane<S> {
    match to {
        DType::F32 => Lane::F(x),
        DType::I32 => Lane::U(convert::f32_to_i32(s, x)),
        DType::U8 => Lane::U(convert::f32_to_u8(s, x)),
        DType::Bool => Lane::B(convert::f32_to_bool(s, x)),
        DType::Bf16 => Lane::U(convert::f32_to_bf16(s, x)),
        DType::F16 => Lane::U(convert::f32_to_f16(s, x)),
    }
}

#[inline(always)]
fn unary<S: Scalar>(s: &mut S, op: &ElementOp, x: Lane<S>) -> Lane<S> {
    match x {
        Lane::F(x) => Lane::F(unary_float(s, op, x)),
        Lane::U(x) => Lane::U(match op {
            ElementOp::Neg => i::neg(s, x),
            ElementOp::Abs => i::abs(s, x),
            ElementOp::Sign => i::sign(s, x),
            _ => panic!("{} does not take words", op.name()),
        }),
        Lane::B(x) => match op {
            ElementOp::Not => Lane::B(s.not(x)),
            _ => panic!("{} does not take bool", op.name()),
        },
    }
}

#[inline(always)]
fn unary_float<S: Scalar>(s: &mut S, op: &ElementOp, x: S::F) -> S::F {
    match op {
        ElementOp::Neg => f::neg(s, x),
        ElementOp::Abs => f::abs(s, x),
        ElementOp::Sign => f::sign(s, x),
        ElementOp::Recip => f::recip(s, x),
        ElementOp::Exp => exponential::exp(s, x),
        ElementOp::Ln => logarithm::ln(s, x),
        ElementOp::Sqrt => f::sqrt(s, x),
        ElementOp::Rsqrt => f::rsqrt(s, x),
        ElementOp::Tanh => exponential::tanh(s, x),
        ElementOp::Sigmoid => exponential::sigmoid(s, x),
        ElementOp::Erf => error_function::erf(s, x),
        ElementOp::Sin => trigonometric::sin(s, x),
        ElementOp::Cos => trigonometric::cos(s, x),
        ElementOp::Floor => f::floor(s, x),
        _ => panic!("{} does not take f32", op.name()),
    }
}

#[inline(always)]
fn binary<S: Scalar>(s: &mut S, op: &ElementOp, a: Lane<S>, b: Lane<S>) -> Lane<S> {
    match (a, b) {
        (Lane::F(a), Lane::F(b)) => binary_float(s, op, a, b),
        (Lane::U(a), Lane::U(b)) => binary_word(s, op, a, b),
        (Lane::B(a), Lane::B(b)) => Lane::B(binary_truth(s, op, a, b)),
        _ => panic!("{} got two dtypes", op.name()),
    }
}

#[inline(always)]
fn binary_float<S: Scalar>(s: &mut S, op: &ElementOp, a: S::F, b: S::F) -> Lane<S> {
    match op {
        ElementOp::Add => Lane::F(f::add(s, a, b)),
        ElementOp::Sub => Lane::F(f::sub(s, a, b)),
        ElementOp::Mul => Lane::F(f::mul(s, a, b)),
        ElementOp::Div => Lane::F(f::div(s, a, b)),
        ElementOp::Max => Lane::F(f::max(s, a, b)),
        ElementOp::Min => Lane::F(f::min(s, a, b)),
        ElementOp::Pow => Lane::F(power::pow(s, a, b)),
        ElementOp::Eq => Lane::B(f::eq(s, a, b)),
        ElementOp::Lt => Lane::B(f::lt(s, a, b)),
        ElementOp::Le => Lane::B(f::le(s, a, b)),
        _ => panic!("{} does not take f32", op.name()),
    }
}

#[inline(always)]
fn binary_word<S: Scalar>(s: &mut S, op: &ElementOp, a: S::U, b: S::U) -> Lane<S> {
    match op {
        ElementOp::Add => Lane::U(i::add(s, a, b)),
        ElementOp::Sub => Lane::U(i::sub(s, a, b)),
        ElementOp::Mul => Lane::U(i::mul(s, a, b)),
        ElementOp::Div => Lane::U(i::div(s, a, b)),
        ElementOp::Max => Lane::U(i::max(s, a, b)),
        ElementOp::Min => Lane::U(i::min(s, a, b)),
        ElementOp::Eq => Lane::B(i::eq(s, a, b)),
        ElementOp::Lt => Lane::B(i::lt(s, a, b)),
        ElementOp::Le => Lane::B(i::le(s, a, b)),
        _ => panic!("{} does not take words", op.name()),
    }
}

#[inline(always)]
fn binary_truth<S: Scalar>(s: &mut S, op: &ElementOp, a: S::B, b: S::B) -> S::B {
    match op {
        ElementOp::And => s.both(a, b),
        ElementOp::Or => s.either(a, b),
        ElementOp::Xor => differ(s, a, b),
        ElementOp::Eq => {
            let different = differ(s, a, b);
            s.not(different)
        }
        _ => panic!("{} does not take bool", op.name()),
    }
}

#[inline(always)]
fn differ<S: Scalar>(s: &mut S, a: S::B, b: S::B) -> S::B {
    let either = s.either(a, b);
    let both = s.both(a, b);
    let not_both = s.not(both);
    s.both(either, not_both)
}

#[inline(always)]
fn choose<S: Scalar>(s: &mut S, condition: S::B, yes: Lane<S>, no: Lane<S>) -> Lane<S> {
    match (yes, no) {
        (Lane::F(yes), Lane::F(no)) => Lane::F(s.select(condition, yes, no)),
        (Lane::U(yes), Lane::U(no)) => Lane::U(s.uselect(condition, yes, no)),
        (Lane::B(yes), Lane::B(no)) => {
            let taken = s.both(condition, yes);
            let otherwise = s.not(condition);
            let other = s.both(otherwise, no);
            Lane::B(s.either(taken, other))
        }
        _ => panic!("where got two dtypes"),
    }
}

#[inline(always)]
fn optimize<S: Scalar>(s: &mut S, op: &ElementOp, inputs: &[Lane<S>], scalars: &[S::U]) -> S::F {
    let a = inputs[0].float();
    let b = inputs[1].float();
    match op {
        ElementOp::SgdVelocity(_) => {
            let sgd = Sgd::from_words(s, scalars);
            optimizer::sgd_velocity(s, &sgd, a, b, inputs[2].float())
        }
        ElementOp::SgdParameter(_) => {
            let sgd = Sgd::from_words(s, scalars);
            optimizer::sgd_parameter(s, &sgd, a, b, inputs[2].float())
        }
        ElementOp::AdamwFirst(_) => {
            let adamw = Adamw::from_words(s, scalars);
            optimizer::adamw_first(s, &adamw, a, b)
        }
        ElementOp::AdamwSecond(_) => {
            let adamw = Adamw::from_words(s, scalars);
            optimizer::adamw_second(s, &adamw, a, b)
        }
        ElementOp::AdamwParameter(_) => {
            let adamw = Adamw::from_words(s, scalars);
            optimizer::adamw_parameter(s, &adamw, a, b, inputs[2].float())
        }
        _ => panic!("{} is no optimiser", op.name()),
    }
}
