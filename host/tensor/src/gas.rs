//! What recorded operations cost: deterministic, from shapes alone. The table is part of the task's identity
//! ([`GAS_VERSION`]); the guest reads it in `wit/tensors.wit`.

use crate::{Conv2dAttributes, DType, ElementOp, Op, Shape, Tensor, ViewOp};

/// Changes whenever a cost changes.
pub const GAS_VERSION: u32 = 2;
/// Every recorded operation.
pub const OPERATION: u64 = 1000;
/// Bytes moved, and element operations, for one gas.
pub const UNITS_PER_GAS: u64 = 16;
/// Each operation that a gradient or an evaluation looks at on its way through a history.
pub const WALKED: u64 = 100;
/// Each input of such an operation.
pub const WALKED_INPUT: u64 = 10;
/// Each tensor of a list that is handed in.
pub const LISTED: u64 = 200;
/// An evaluation that computes anything.
pub const EVALUATION: u64 = 10_000;
/// Each operation of an evaluation whose structure is none of the task's last [`crate::limits::STRUCTURES_MAX`]: a
/// backend plans it, and compiles kernels for it.
pub const PLANNED: u64 = 10_000;

/// Element operations of each matrix product, of however few elements, that an operation is made of.
pub const MATRIX: u64 = 2048;

/// The gas of recording an operation that reads `read_bytes`, writes `written_bytes` and does `work` element
/// operations.
pub fn operation(read_bytes: u64, written_bytes: u64, work: u64) -> u64 {
    OPERATION + moved(read_bytes.saturating_add(written_bytes)) + work.div_ceil(UNITS_PER_GAS)
}

/// The gas of moving bytes.
pub fn moved(bytes: u64) -> u64 {
    bytes.div_ceil(UNITS_PER_GAS)
}

/// The gas of an operation with these inputs and this result, wherever it is computed.
pub(crate) fn computed(op: &Op, inputs: &[&Tensor], output: &Shape, dtype: DType) -> u64 {
    let shapes: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
    let read = inputs.iter().map(|input| input.bytes() as u64).sum();
    let written = (output.elements() * dtype.byte_size()) as u64;
    // What is made on the way is written and read.
    let between = moved(workspace(op, &shapes, output).saturating_mul(2));
    operation(read, written, work(op, &shapes, output)).saturating_add(between)
}

/// The gas of looking at an operation on the way through a history.
pub(crate) fn walked(node: &Tensor) -> u64 {
    WALKED + WALKED_INPUT * node.inputs().len() as u64
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
        Op::Reduce { .. } | Op::ArgReduce { .. } => input(0),
        // Each element is a sum over all kernel positions, most of which may be absent.
        Op::Fold(window) => n.saturating_mul((window.kernel[0] * window.kernel[1]) as u64).max(input(0)),
        Op::MatMul { transpose_a, .. } => {
            let a = inputs[0];
            let k = if *transpose_a { a[a.rank() - 2] } else { a[a.rank() - 1] };
            let matrices: usize = output[..output.rank() - 2].iter().product();
            2 * n * k as u64 + MATRIX * matrices as u64
        }
        Op::Conv2d(attributes) => {
            let matrices = MATRIX * (output[0] * attributes.groups) as u64;
            2 * n * inputs[1][1..].iter().product::<usize>() as u64 + matrices
        }
        Op::Conv2dInputGradient(attributes) => {
            let weight = inputs[1];
            let matrices = MATRIX * (output[0] * attributes.groups) as u64;
            2 * n * (weight[0] / attributes.groups * weight[2] * weight[3]) as u64 + matrices
        }
        Op::Conv2dWeightGradient(attributes) => {
            let dy = inputs[1];
            2 * n * (dy[0] * dy[2] * dy[3]) as u64 + MATRIX * attributes.groups as u64
        }
        Op::ScatterAdd { .. } => input(2),
    }
}

/// Bytes of the padded or spread image that an executor makes on the way to a result.
pub fn workspace(op: &Op, inputs: &[&Shape], output: &Shape) -> u64 {
    let bytes = |sizes: [usize; 4]| {
        sizes.iter().fold(size_of::<f32>() as u64, |bytes, &size| bytes.saturating_mul(size as u64))
    };
    match op {
        Op::Conv2d(attributes) | Op::Conv2dWeightGradient(attributes) => match attributes.padding {
            [0, 0] => 0,
            _ => bytes(padded(inputs[0], attributes)),
        },
        Op::Conv2dInputGradient(attributes) => bytes(spread(inputs[1], output, attributes)),
        _ => 0,
    }
}

/// The image `[n, c, h, w]` of a convolution with its padding.
pub(crate) fn padded(image: &Shape, attributes: &Conv2dAttributes) -> [usize; 4] {
    let Conv2dAttributes { padding, .. } = attributes;
    [image[0], image[1], image[2] + 2 * padding[0], image[3] + 2 * padding[1]]
}

/// What the gradient of an `image` spreads its input over: the image's pixels and a kernel's reach around them,
/// for every output channel.
pub(crate) fn spread(weight: &Shape, image: &Shape, attributes: &Conv2dAttributes) -> [usize; 4] {
    let Conv2dAttributes { padding, dilation, .. } = attributes;
    let along = |axis: usize| {
        let reach = (weight[2 + axis].saturating_sub(1)).saturating_mul(dilation[axis]);
        (image[2 + axis] + 2 * padding[axis]).saturating_add(reach)
    };
    [image[0], weight[0], along(0), along(1)]
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
