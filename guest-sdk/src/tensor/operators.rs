//! `+ - * /` and `-x`, between tensors and numbers, owned or borrowed. They panic at the caller's line.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Operand, Tensor};
use crate::error::expect;

macro_rules! operator {
    ($trait:ident, $method:ident, $try_method:ident) => {
        impl<T: Operand> $trait<T> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                expect(self.$try_method(other))
            }
        }

        impl<T: Operand> $trait<T> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                expect(self.$try_method(other))
            }
        }

        operator!($trait, $method, $try_method, f32, Tensor);
        operator!($trait, $method, $try_method, f32, &Tensor);
        operator!($trait, $method, $try_method, i32, Tensor);
        operator!($trait, $method, $try_method, i32, &Tensor);
    };
    ($trait:ident, $method:ident, $try_method:ident, $number:ty, $tensor:ty) => {
        impl $trait<$tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: $tensor) -> Tensor {
                expect(self.into_tensor().and_then(|number| number.$try_method(other)))
            }
        }
    };
}

operator!(Add, add, try_add);
operator!(Sub, sub, try_sub);
operator!(Mul, mul, try_mul);
operator!(Div, div, try_div);

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        expect(self.try_neg())
    }
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        expect(self.try_neg())
    }
}
