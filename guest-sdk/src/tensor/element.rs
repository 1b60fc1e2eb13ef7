//! Operations on each element: of one tensor, and of two that are broadcast against each other.

use super::{DType, Tensor, operations, raw};
use crate::error::Error;

/// The other side of an element-wise operation: a tensor, or a number that stands for one of rank 0.
pub trait Operand {
    /// As a tensor.
    fn into_tensor(self) -> Result<Tensor, Error>;
}

impl Operand for Tensor {
    fn into_tensor(self) -> Result<Tensor, Error> {
        Ok(self)
    }
}

impl Operand for &Tensor {
    fn into_tensor(self) -> Result<Tensor, Error> {
        Ok(self.clone())
    }
}

impl Operand for f32 {
    fn into_tensor(self) -> Result<Tensor, Error> {
        Tensor::try_full_of(DType::F32, &[], self.into())
    }
}

impl Operand for i32 {
    fn into_tensor(self) -> Result<Tensor, Error> {
        Tensor::try_full_of(DType::I32, &[], self.into())
    }
}

/// Operations of one tensor that the contract has under the same name.
macro_rules! unary {
    ($($(#[$meta:meta])* $name:ident / $try_name:ident)*) => {
        operations! {$(
            $(#[$meta])*
            fn $name / $try_name(self) -> Tensor {
                Tensor::from_raw(raw::$name(&self.0))
            }
        )*}
    };
}

/// Operations of two operands that the contract has under the same name.
macro_rules! binary {
    ($($(#[$meta:meta])* $name:ident / $try_name:ident)*) => {
        operations! {$(
            $(#[$meta])*
            fn $name / $try_name(self, other: impl Operand) -> Tensor {
                Tensor::from_raw(raw::$name(&self.0, &other.into_tensor()?.0))
            }
        )*}
    };
}

unary! {
    /// −x; f32 or i32.
    neg / try_neg
    /// |x|; f32 or i32. Its derivative at 0 is 0.
    abs / try_abs
    /// −1, 0 or 1; f32 or i32. Its derivative is 0.
    sign / try_sign
    /// 1 / x; f32. 1 / 0 is 2^62.
    recip / try_recip
    /// e^x; f32, at most 2^62.
    exp / try_exp
    /// Natural logarithm; f32. −2^62 for x ≤ 0.
    ln / try_ln
    /// Square root; f32. 0 for x < 0.
    sqrt / try_sqrt
    /// 1 / √x; f32. 2^62 for x ≤ 0.
    rsqrt / try_rsqrt
    /// Hyperbolic tangent; f32.
    tanh / try_tanh
    /// 1 / (1 + e^−x); f32.
    sigmoid / try_sigmoid
    /// Error function; f32.
    erf / try_erf
    /// Sine; f32.
    sin / try_sin
    /// Cosine; f32.
    cos / try_cos
    /// The largest integer not above x; f32. Its derivative is 0.
    floor / try_floor
    /// max(x, 0); f32. Its derivative at 0 is 0.
    relu / try_relu
    /// x · (1 + erf(x / √2)) / 2, the exact form; f32.
    gelu / try_gelu
    /// x · sigmoid(x); f32.
    silu / try_silu
    /// Logical not; boolean.
    logical_not / try_logical_not
}

binary! {
    /// self + other, broadcast; f32 or i32. Also the operator `+`.
    add / try_add
    /// self − other, broadcast; f32 or i32. Also the operator `-`.
    sub / try_sub
    /// self · other element by element, broadcast; f32 or i32. Also the operator `*`.
    mul / try_mul
    /// self / other, broadcast; f32 (x / 0 is ±2^62), or i32 (truncated, x / 0 is 0). Also the operator `/`.
    div / try_div
    /// self to the power other, broadcast; f32.
    pow / try_pow
    /// The larger, broadcast; f32 or i32. The gradient of a tie goes to self.
    maximum / try_maximum
    /// The smaller, broadcast; f32 or i32. The gradient of a tie goes to self.
    minimum / try_minimum
    /// self = other → boolean, broadcast; f32, i32, u8 or boolean.
    eq / try_eq
    /// self < other → boolean, broadcast; f32, i32 or u8.
    lt / try_lt
    /// self ≤ other → boolean, broadcast; f32, i32 or u8.
    le / try_le
    /// Logical and; boolean, broadcast.
    logical_and / try_logical_and
    /// Logical or; boolean, broadcast.
    logical_or / try_logical_or
}

operations! {
    /// self ≠ other → boolean, broadcast; f32, i32, u8 or boolean.
    fn ne / try_ne(self, other: impl Operand) -> Tensor {
        self.try_eq(other)?.try_logical_not()
    }

    /// self > other → boolean, broadcast; f32, i32 or u8.
    fn gt / try_gt(self, other: impl Operand) -> Tensor {
        other.into_tensor()?.try_lt(self)
    }

    /// self ≥ other → boolean, broadcast; f32, i32 or u8.
    fn ge / try_ge(self, other: impl Operand) -> Tensor {
        other.into_tensor()?.try_le(self)
    }

    /// Not below `low` and not above `high`; f32.
    fn clamp / try_clamp(self, low: f32, high: f32) -> Tensor {
        self.try_maximum(low)?.try_minimum(high)
    }

    /// x²; f32 or i32.
    fn square / try_square(self) -> Tensor {
        self.try_mul(self)
    }

    /// `yes` where this (boolean) holds, else `no`; both of one dtype, all three broadcast.
    fn where_ / try_where(self, yes: impl Operand, no: impl Operand) -> Tensor {
        Tensor::from_raw(raw::where_(&self.0, &yes.into_tensor()?.0, &no.into_tensor()?.0))
    }
}
