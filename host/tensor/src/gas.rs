//! What recorded operations cost: deterministic, from shapes alone. The table is part of the task's identity
//! ([`GAS_VERSION`]); the guest reads it in `wit/tensors.wit`.

use crate::{ElementOp, Op, Shape, ViewOp};

/// Changes whenever a cost changes.
pub const GAS_VERSION: u32 = 1;
/// Every recorded operation.
pub const OPERATION: u64 = 1000;
/// Bytes moved, and element operations, for one gas.
pub const UNITS_PER_GAS: u64 = 16;

/// The gas of recording an operation that reads `read_bytes`, writes `written_bytes` and does `work` element
/// operations.
pub fn operation(read_bytes: u64, written_bytes: u64, work: u64) -> u64 {
    OPERATION + (read_bytes + written_bytes).div_ceil(UNITS_PER_GAS) + work.div_ceil(UNITS_PER_GAS)
}

/// The element operations of a recorded operation.
pub fn work(op: &Op, inputs: &[&Shape], output: &Shape) -> u64 {
    let n = output.elements() as u64;
    let input = |at: usize| inputs.get(at).map_or(0, |shape| shape.elements() as u64);
    match op {
        Op::Leaf => 0,
        Op::Element(op) => n * element(op),
        Op::View(ViewOp::Window(_))
        | Op::View(_)
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. } => n,
        Op::Reduce { .. } | Op::ArgReduce { .. } | Op::Fold(_) => input(0),
        Op::MatMul { transpose_a, .. } => {
            let a = inputs[0];
            let k = if *transpose_a { a[a.rank() - 2] } else { a[a.rank() - 1] };
            2 * n * k as u64
        }
        Op::Conv2d(_) => 2 * n * inputs[1][1..].iter().product::<usize>() as u64,
        Op::Conv2dInputGradient(attributes) => {
            let weight = inputs[1];
            2 * n * (weight[0] / attributes.groups * weight[2] * weight[3]) as u64
        }
        Op::Conv2dWeightGradient(_) => {
            let dy = inputs[1];
            2 * n * (dy[0] * dy[2] * dy[3]) as u64
        }
        Op::ScatterAdd { .. } => input(2),
    }
}

const fn element(op: &ElementOp) -> u64 {
    use ElementOp::*;
    match op {
        Full(_) | Iota | Cast | Neg | Abs | Sign | Floor | Not | Add | Sub | Mul | Max | Min | Eq | Lt
        | Le | And | Or | Xor | Where => 1,
        Recip | Sqrt | Div => 4,
        Rsqrt => 8,
        Exp | Ln | Tanh | Sigmoid | Erf => 16,
        Sin | Cos => 32,
        Uniform(_) => 40,
        Pow => 48,
        Normal(_) => 120,
        SgdVelocity(_) | SgdParameter(_) => 4,
        AdamwFirst(_) => 4,
        AdamwSecond(_) => 4,
        AdamwParameter(_) => 8,
    }
}
