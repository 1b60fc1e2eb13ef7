//! Tensors with canonical arithmetic.

mod dtype;
pub mod numerics;
mod op;

pub use dtype::DType;
pub use op::{
    AdamwScalars, Conv2dAttributes, ElementOp, Op, ReduceKind, SgdScalars, ViewOp, WindowAttributes,
};
