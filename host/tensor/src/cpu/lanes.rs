//! One element operation over a tile: the loops that become vector code.
//!
//! Every dtype is a word a lane: a float's bits, an integer's value, 0 or 1 for a truth value. The choice of
//! the operation is outside each loop; what it computes is `numerics`, as the reference interpreter calls it.

use super::instruction_set::Kernel;
use crate::{
    DType, ElementOp,
    numerics::{
        Native, Scalar, arithmetic as f, convert, error_function, exponential, integer as i, logarithm,
        optimizer::{self, Adamw, Sgd},
        power, threefry, trigonometric,
    },
};

/// An operation, its operands and where its results go.
pub struct Instruct<'a> {
    /// The operation; its scalars are in `scalars`.
    pub op: &'a ElementOp,
    /// The dtype of the inputs that decides which function it is: the last one's.
    pub from: DType,
    /// The dtype of the result.
    pub to: DType,
    /// As many as the operation takes; at least as long as `out`.
    pub inputs: [&'a [u32]; 3],
    /// The words of the operation's scalars.
    pub scalars: &'a [u32],
    /// The row-major index of the first element, for indices and random numbers.
    pub first: u32,
    /// The results.
    pub out: &'a mut [u32],
}

/// `out[i] = function(inputs[i]…)`, with the kind of each operand and the result: F float, W word, B truth.
macro_rules! lanes {
    ($tile:ident, $function:path, $a:ident => $to:ident) => {{
        let count = $tile.out.len();
        let a = &$tile.inputs[0][..count];
        for at in 0..count {
            $tile.out[at] = give!($to, $function(&mut Native, take!($a, a[at])));
        }
    }};
    ($tile:ident, $function:path, $a:ident, $b:ident => $to:ident) => {{
        let count = $tile.out.len();
        let [a, b] = [&$tile.inputs[0][..count], &$tile.inputs[1][..count]];
        for at in 0..count {
            $tile.out[at] = give!($to, $function(&mut Native, take!($a, a[at]), take!($b, b[at])));
        }
    }};
}

/// As [`lanes`] for the optimisers: float operands after the arguments of the step.
macro_rules! optimise {
    ($tile:ident, $function:path, $arguments:expr, 2) => {{
        let arguments = $arguments;
        let count = $tile.out.len();
        let [a, b] = [&$tile.inputs[0][..count], &$tile.inputs[1][..count]];
        for at in 0..count {
            let result = $function(&mut Native, &arguments, take!(F, a[at]), take!(F, b[at]));
            $tile.out[at] = give!(F, result);
        }
    }};
    ($tile:ident, $function:path, $arguments:expr, 3) => {{
        let arguments = $arguments;
        let count = $tile.out.len();
        let [a, b, c] = $tile.inputs.map(|input| &input[..count]);
        for at in 0..count {
            let operands = [take!(F, a[at]), take!(F, b[at]), take!(F, c[at])];
            let result = $function(&mut Native, &arguments, operands[0], operands[1], operands[2]);
            $tile.out[at] = give!(F, result);
        }
    }};
}

macro_rules! take {
    (F, $word:expr) => {
        f32::from_bits($word)
    };
    (W, $word:expr) => {
        $word
    };
    (B, $word:expr) => {
        $word != 0
    };
}

macro_rules! give {
    (F, $value:expr) => {
        f32::to_bits($value)
    };
    (W, $value:expr) => {
        $value
    };
    (B, $value:expr) => {
        u32::from($value)
    };
}

impl Kernel for Instruct<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        use ElementOp::*;
        match self.op {
            Full(_) => self.out.fill(masked(self.scalars[0], self.to)),
            Iota | Uniform(_) | Normal(_) => self.indexed(),
            Cast => self.cast(),
            Not => {
                let tile = self;
                lanes!(tile, Native::not, B => B);
            }
            Neg | Abs | Sign if self.from == DType::I32 => self.unary_word(),
            Neg | Abs | Sign | Recip | Exp | Ln | Sqrt | Rsqrt | Tanh | Sigmoid | Erf | Sin | Cos | Floor => {
                self.unary_float();
            }
            And | Or | Xor => self.binary_truth(),
            Add | Sub | Mul | Div | Max | Min | Pow | Eq | Lt | Le if self.from == DType::F32 => {
                self.binary_float();
            }
            Add | Sub | Mul | Div | Max | Min | Pow | Eq | Lt | Le => self.binary_word(),
            Where => self.choose(),
            SgdVelocity(_) | SgdParameter(_) | AdamwFirst(_) | AdamwSecond(_) | AdamwParameter(_) => {
                self.optimise();
            }
        }
    }
}

impl Instruct<'_> {
    #[inline(always)]
    fn indexed(&mut self) {
        let first = self.first;
        match self.op {
            ElementOp::Iota => {
                for (at, out) in self.out.iter_mut().enumerate() {
                    *out = first.wrapping_add(at as u32);
                }
            }
            ElementOp::Uniform(_) => {
                let key = [self.scalars[0], self.scalars[1]];
                for (at, out) in self.out.iter_mut().enumerate() {
                    *out = threefry::uniform(&mut Native, key, first.wrapping_add(at as u32)).to_bits();
                }
            }
            _ => {
                let key = [self.scalars[0], self.scalars[1]];
                for (at, out) in self.out.iter_mut().enumerate() {
                    *out = threefry::normal(&mut Native, key, first.wrapping_add(at as u32)).to_bits();
                }
            }
        }
    }

    #[inline(always)]
    fn unary_word(self) {
        let tile = self;
        match tile.op {
            ElementOp::Neg => lanes!(tile, i::neg, W => W),
            ElementOp::Abs => lanes!(tile, i::abs, W => W),
            _ => lanes!(tile, i::sign, W => W),
        }
    }

    #[inline(always)]
    fn unary_float(self) {
        let tile = self;
        match tile.op {
            ElementOp::Neg => lanes!(tile, f::neg, F => F),
            ElementOp::Abs => lanes!(tile, f::abs, F => F),
            ElementOp::Sign => lanes!(tile, f::sign, F => F),
            ElementOp::Recip => lanes!(tile, f::recip, F => F),
            ElementOp::Exp => lanes!(tile, exponential::exp, F => F),
            ElementOp::Ln => lanes!(tile, logarithm::ln, F => F),
            ElementOp::Sqrt => lanes!(tile, f::sqrt, F => F),
            ElementOp::Rsqrt => lanes!(tile, f::rsqrt, F => F),
            ElementOp::Tanh => lanes!(tile, exponential::tanh, F => F),
            ElementOp::Sigmoid => lanes!(tile, exponential::sigmoid, F => F),
            ElementOp::Erf => lanes!(tile, error_function::erf, F => F),
            ElementOp::Sin => lanes!(tile, trigonometric::sin, F => F),
            ElementOp::Cos => lanes!(tile, trigonometric::cos, F => F),
            _ => lanes!(tile, f::floor, F => F),
        }
    }

    #[inline(always)]
    fn binary_float(self) {
        let tile = self;
        match tile.op {
            ElementOp::Add => lanes!(tile, f::add, F, F => F),
            ElementOp::Sub => lanes!(tile, f::sub, F, F => F),
            ElementOp::Mul => lanes!(tile, f::mul, F, F => F),
            ElementOp::Div => lanes!(tile, f::div, F, F => F),
            ElementOp::Max => lanes!(tile, f::max, F, F => F),
            ElementOp::Min => lanes!(tile, f::min, F, F => F),
            ElementOp::Pow => lanes!(tile, power::pow, F, F => F),
            ElementOp::Eq => lanes!(tile, f::eq, F, F => B),
            ElementOp::Lt => lanes!(tile, f::lt, F, F => B),
            _ => lanes!(tile, f::le, F, F => B),
        }
    }

    /// i32, and the comparisons of u8 and of bool (whose words are 0 and 1).
    #[inline(always)]
    fn binary_word(self) {
        let tile = self;
        match tile.op {
            ElementOp::Add => lanes!(tile, i::add, W, W => W),
            ElementOp::Sub => lanes!(tile, i::sub, W, W => W),
            ElementOp::Mul => lanes!(tile, i::mul, W, W => W),
            ElementOp::Div => lanes!(tile, i::div, W, W => W),
            ElementOp::Max => lanes!(tile, i::max, W, W => W),
            ElementOp::Min => lanes!(tile, i::min, W, W => W),
            ElementOp::Eq => lanes!(tile, i::eq, W, W => B),
            ElementOp::Lt => lanes!(tile, i::lt, W, W => B),
            _ => lanes!(tile, i::le, W, W => B),
        }
    }

    #[inline(always)]
    fn binary_truth(self) {
        let tile = self;
        match tile.op {
            ElementOp::And => lanes!(tile, Native::and, W, W => W),
            ElementOp::Or => lanes!(tile, Native::or, W, W => W),
            _ => lanes!(tile, Native::xor, W, W => W),
        }
    }

    #[inline(always)]
    fn choose(self) {
        let count = self.out.len();
        let [condition, yes, no] = self.inputs.map(|input| &input[..count]);
        for at in 0..count {
            self.out[at] = if condition[at] != 0 { yes[at] } else { no[at] };
        }
    }

    #[inline(always)]
    fn optimise(self) {
        let tile = self;
        let s = &mut Native;
        match tile.op {
            ElementOp::SgdVelocity(_) => {
                optimise!(tile, optimizer::sgd_velocity, Sgd::from_words(s, tile.scalars), 3);
            }
            ElementOp::SgdParameter(_) => {
                optimise!(tile, optimizer::sgd_parameter, Sgd::from_words(s, tile.scalars), 3);
            }
            ElementOp::AdamwFirst(_) => {
                optimise!(tile, optimizer::adamw_first, Adamw::from_words(s, tile.scalars), 2);
            }
            ElementOp::AdamwSecond(_) => {
                optimise!(tile, optimizer::adamw_second, Adamw::from_words(s, tile.scalars), 2);
            }
            _ => optimise!(tile, optimizer::adamw_parameter, Adamw::from_words(s, tile.scalars), 3),
        }
    }

    /// The conversion table of `numerics::element`: between integers directly, the rest by way of f32.
    #[inline(always)]
    fn cast(mut self) {
        use DType::{Bool, I32, U8};
        match (self.from, self.to) {
            (from, to) if from == to => self.copy(),
            (U8, I32) | (Bool, I32 | U8) => self.copy(),
            (I32, U8) => {
                let tile = self;
                lanes!(tile, convert::i32_to_u8, W => W);
            }
            (I32 | U8, Bool) => {
                let tile = self;
                lanes!(tile, convert::word_to_bool, W => B);
            }
            _ => {
                self.widen();
                self.narrow();
            }
        }
    }

    #[inline(always)]
    fn copy(&mut self) {
        self.out.copy_from_slice(&self.inputs[0][..self.out.len()]);
    }

    #[inline(always)]
    fn widen(&mut self) {
        let tile = self;
        match tile.from {
            DType::F32 => tile.copy(),
            DType::I32 => lanes!(tile, convert::i32_to_f32, W => F),
            DType::U8 => lanes!(tile, Native::from_int, W => F),
            DType::Bool => lanes!(tile, convert::bool_to_f32, B => F),
            DType::Bf16 => lanes!(tile, convert::bf16_to_f32, W => F),
            DType::F16 => lanes!(tile, convert::f16_to_f32, W => F),
        }
    }

    #[inline(always)]
    fn narrow(&mut self) {
        macro_rules! in_place {
            ($function:path, $to:ident) => {
                for word in self.out.iter_mut() {
                    *word = give!($to, $function(&mut Native, f32::from_bits(*word)));
                }
            };
        }
        match self.to {
            DType::F32 => {}
            DType::I32 => in_place!(convert::f32_to_i32, W),
            DType::U8 => in_place!(convert::f32_to_u8, W),
            DType::Bool => in_place!(convert::f32_to_bool, B),
            DType::Bf16 => in_place!(convert::f32_to_bf16, W),
            DType::F16 => in_place!(convert::f32_to_f16, W),
        }
    }
}

/// The lane of an element with these bits; bits above the dtype's width are ignored.
pub fn masked(bits: u32, dtype: DType) -> u32 {
    match dtype {
        DType::F32 | DType::I32 => bits,
        DType::U8 => bits & 0xff,
        DType::Bf16 | DType::F16 => bits & 0xffff,
        DType::Bool => u32::from(bits & 0xff != 0),
    }
}
