//! How each operation is drawn: its operands, its attributes.

use super::generate::Generator;
use crate::{
    AdamwOptions, CallErrorCode, Conv2dAttributes, DType, ElementOp, Graph, Op, Pool2dOptions, RecordError,
    Recorded, SgdOptions, Shape, Tensor, WindowAttributes,
    graph::{conv2d_shape, window_shape},
};

type Unary = fn(&mut Graph, &Tensor) -> Recorded;
type Binary = fn(&mut Graph, &Tensor, &Tensor) -> Recorded;
type Drawn = fn(&mut Generator) -> Recorded;
type DrawnTogether = fn(&mut Generator) -> Recorded<Vec<Tensor>>;

/// One way to record something.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    /// On one tensor of a dtype.
    Unary(Unary, DType),
    /// On two tensors of a dtype that broadcast together.
    Binary(Binary, DType),
    /// From the first dtype to the second.
    Cast(DType, DType),
    /// Two of a dtype, chosen by a truth value.
    Select(DType),
    /// A constant.
    Full(DType),
    /// A reduction over some axes.
    Reduce(fn(&mut Graph, &Tensor, &[usize], bool) -> Recorded, DType),
    /// An index of an extreme element.
    ArgReduce(bool, DType),
    /// Slices added up.
    ScatterAdd(DType),
    /// Everything else.
    Other(Drawn),
    /// What gives several tensors.
    Several(DrawnTogether),
}

/// Every operation of the contract, on every dtype that it takes, once.
pub(super) fn every() -> Vec<Operation> {
    use DType::{Bool, F32, I32, U8};
    let mut all = Vec::new();
    let unary: [Unary; 18] = [
        Graph::recip,
        Graph::exp,
        Graph::ln,
        Graph::sqrt,
        Graph::rsqrt,
        Graph::tanh,
        Graph::sigmoid,
        Graph::erf,
        Graph::sin,
        Graph::cos,
        Graph::floor,
        Graph::relu,
        Graph::gelu,
        Graph::silu,
        Graph::neg,
        Graph::abs,
        Graph::sign,
        Graph::detach,
    ];
    all.extend(unary.map(|op| Operation::Unary(op, F32)));
    all.extend([Graph::neg as Unary, Graph::abs, Graph::sign].map(|op| Operation::Unary(op, I32)));
    all.push(Operation::Unary(Graph::logical_not, Bool));
    let number: [Binary; 9] = [
        Graph::add,
        Graph::sub,
        Graph::mul,
        Graph::div,
        Graph::maximum,
        Graph::minimum,
        Graph::eq,
        Graph::lt,
        Graph::le,
    ];
    all.extend(number.map(|op| Operation::Binary(op, F32)));
    all.extend(number.map(|op| Operation::Binary(op, I32)));
    all.push(Operation::Binary(Graph::pow, F32));
    all.extend([Graph::eq as Binary, Graph::lt, Graph::le].map(|op| Operation::Binary(op, U8)));
    let xor: Binary = |graph, a, b| graph.element(ElementOp::Xor, &[a, b]);
    let logic = [Graph::eq as Binary, Graph::logical_and, Graph::logical_or, xor];
    all.extend(logic.map(|op| Operation::Binary(op, Bool)));
    for from in DType::ALL {
        all.extend(DType::ALL.into_iter().filter(|&to| to != from).map(|to| Operation::Cast(from, to)));
        all.extend([Operation::Select(from), Operation::Full(from)]);
    }
    for dtype in [F32, I32] {
        all.extend([Graph::sum, Graph::max, Graph::min].map(|op| Operation::Reduce(op, dtype)));
        all.extend([true, false].map(|largest| Operation::ArgReduce(largest, dtype)));
        all.push(Operation::ScatterAdd(dtype));
    }
    let other: [Drawn; 32] = [
        iota,
        uniform,
        normal,
        reshape,
        permute,
        broadcast,
        slice,
        pad,
        pad_between,
        concat,
        flip,
        window,
        fold,
        long_sum,
        mean,
        argmax,
        matmul,
        matmul,
        matmul_shared,
        conv2d,
        conv2d,
        conv2d_input_gradient,
        conv2d_weight_gradient,
        max_pool2d,
        avg_pool2d,
        softmax,
        log_softmax,
        layer_norm,
        gather,
        gather_bits,
        one_hot,
        long_matmul,
    ];
    all.extend(other.map(Operation::Other));
    let several: [DrawnTogether; 3] = [sgd, adamw, gradients];
    all.extend(several.map(Operation::Several));
    all
}

impl Operation {
    /// Draws operands and records.
    pub(super) fn record(self, g: &mut Generator) -> Recorded<Vec<Tensor>> {
        let one = match self {
            Operation::Several(record) => return record(g),
            Operation::Other(record) => record(g),
            Operation::Unary(op, dtype) => {
                let x = g.any(dtype);
                op(&mut g.graph, &x)
            }
            Operation::Binary(op, dtype) => {
                let [a, b] = pair(g, dtype);
                op(&mut g.graph, &a, &b)
            }
            Operation::Cast(from, to) => {
                let x = g.any(from);
                g.graph.cast(&x, to)
            }
            Operation::Select(dtype) => {
                let [yes, no] = pair(g, dtype);
                let shape = yes.shape().broadcast(no.shape()).expect("a pair broadcasts");
                let condition = g.broadcasting(DType::Bool, &shape);
                g.graph.select(&condition, &yes, &no)
            }
            Operation::Full(dtype) => full(g, dtype),
            Operation::Reduce(op, dtype) => {
                let x = g.any(dtype);
                let axes = g.some_axes(x.shape().rank());
                let keep = g.random.chance(50);
                op(&mut g.graph, &x, &axes, keep)
            }
            Operation::ArgReduce(largest, dtype) => {
                let x = g.any(dtype);
                let mut axes = g.some_axes(x.shape().rank());
                axes.sort_unstable();
                g.graph.arg_reduce(largest, &x, &axes)
            }
            Operation::ScatterAdd(dtype) => scatter_add(g, dtype),
        };
        Ok(vec![one?])
    }
}

fn pair(g: &mut Generator, dtype: DType) -> [Tensor; 2] {
    let a = g.any(dtype);
    let b = g.broadcasting(dtype, a.shape());
    if g.random.chance(50) { [a, b] } else { [b, a] }
}

fn full(g: &mut Generator, dtype: DType) -> Recorded {
    let sizes = g.any_sizes();
    let value = match dtype {
        DType::F32 => g.random.pick(&[0.0, 1.0, -2.5, 1e-30, 4e18]),
        DType::I32 => g.random.pick(&[0.0, -7.0, 2_147_483_647.0]),
        DType::U8 => 200.0,
        DType::Bool => 1.0,
        DType::Bf16 | DType::F16 => {
            let op = Op::Element(ElementOp::Full(0x3d55));
            return g.graph.record(op, &[], Shape::of(&sizes), dtype);
        }
    };
    g.graph.full(dtype, &sizes, value)
}

fn iota(g: &mut Generator) -> Recorded {
    let sizes = g.any_sizes();
    g.graph.iota(&sizes)
}

fn uniform(g: &mut Generator) -> Recorded {
    let sizes = g.any_sizes();
    let stream = u64::from(g.random.word());
    g.graph.uniform(&sizes, stream)
}

fn normal(g: &mut Generator) -> Recorded {
    let sizes = g.any_sizes();
    let stream = u64::from(g.random.word()) << 20;
    g.graph.normal(&sizes, stream)
}

fn any_dtype(g: &mut Generator) -> DType {
    g.random.pick(&[
        DType::F32,
        DType::F32,
        DType::F32,
        DType::I32,
        DType::U8,
        DType::Bool,
        DType::Bf16,
        DType::F16,
    ])
}

fn any_tensor(g: &mut Generator) -> Tensor {
    let dtype = any_dtype(g);
    g.any(dtype)
}

fn reshape(g: &mut Generator) -> Recorded {
    let x = any_tensor(g);
    g.reshaped(&x)
}

fn permute(g: &mut Generator) -> Recorded {
    let x = any_tensor(g);
    let axes = g.permutation(x.shape().rank());
    g.graph.permute(&x, &axes)
}

fn broadcast(g: &mut Generator) -> Recorded {
    let x = any_tensor(g);
    g.repeated(&x)
}

fn slice(g: &mut Generator) -> Recorded {
    let x = any_tensor(g);
    g.sliced(&x)
}

fn flip(g: &mut Generator) -> Recorded {
    let x = any_tensor(g);
    let axes = g.some_axes(x.shape().rank());
    g.graph.flip(&x, &axes)
}

fn pad(g: &mut Generator) -> Recorded {
    let x = any_tensor(g);
    let [low, high] = [0, 1].map(|_| x.shape().iter().map(|_| g.random.below(3)).collect::<Vec<_>>());
    let value = if matches!(x.dtype(), DType::Bf16 | DType::F16) { 0.0 } else { 1.0 };
    g.graph.pad(&x, &low, &high, value)
}

fn pad_between(g: &mut Generator) -> Recorded {
    let x = g.any(DType::F32);
    let [low, high, interior] =
        [0, 1, 2].map(|_| x.shape().iter().map(|_| g.random.below(3)).collect::<Vec<_>>());
    g.graph.pad_bits(&x, &low, &high, &interior, (-1.5f32).to_bits())
}

fn concat(g: &mut Generator) -> Recorded {
    let dtype = any_dtype(g);
    let first = g.of_rank(dtype, 1);
    let axis = g.random.below(first.shape().rank());
    let mut parts = vec![first.clone()];
    for _ in 0..g.random.below(4) {
        let mut sizes = first.shape().to_vec();
        sizes[axis] = g.random.below(4);
        parts.push(g.sized(dtype, &sizes));
    }
    g.graph.concat(&parts.iter().collect::<Vec<_>>(), axis)
}

/// An image and a window that fits it.
fn image(g: &mut Generator) -> (Tensor, WindowAttributes) {
    let kernel = [1 + g.random.below(3), 1 + g.random.below(3)];
    let dilation = [1 + g.random.below(2), 1 + g.random.below(3)];
    let stride = [1 + g.random.below(3), 1 + g.random.below(2)];
    let extent = |axis: usize| (kernel[axis] - 1) * dilation[axis] + 1;
    let rows = extent(0) + g.random.below(6);
    let columns = extent(1) + g.random.below(6);
    let sizes = [g.random.below(3), 1 + g.random.below(3), rows, columns];
    (g.sized(DType::F32, &sizes), WindowAttributes { kernel, stride, dilation })
}

fn window(g: &mut Generator) -> Recorded {
    let (x, window) = image(g);
    g.graph.window(&x, window)
}

fn fold(g: &mut Generator) -> Recorded {
    let (x, window) = image(g);
    let sizes = window_shape(x.shape(), &window).expect("the window fits the image");
    let windows = g.sized(DType::F32, &sizes);
    g.graph.record(Op::Fold(window), &[&windows], *x.shape(), DType::F32)
}

/// A sum of several blocks.
fn long_sum(g: &mut Generator) -> Recorded {
    let count = g.random.pick(&[1023, 1024, 1025, 2048, 5000, 3]);
    let sizes = if g.random.chance(50) { [count, 3] } else { [2, count] };
    let x = g.sized(DType::F32, &sizes);
    let axes: &[usize] = g.random.pick(&[&[0], &[1], &[0, 1]]);
    g.graph.sum(&x, axes, false)
}

fn mean(g: &mut Generator) -> Recorded {
    let x = g.any(DType::F32);
    let axes = g.some_axes(x.shape().rank());
    let over = |axis: &usize| x.shape()[*axis];
    let empty = if axes.is_empty() {
        x.shape().elements() == 0
    } else {
        axes.iter().map(over).product::<usize>() == 0
    };
    if empty { g.graph.sum(&x, &axes, true) } else { g.graph.mean(&x, &axes, true) }
}

fn argmax(g: &mut Generator) -> Recorded {
    let x = g.of_rank(DType::F32, 1);
    match (0..x.shape().rank()).find(|&axis| x.shape()[axis] > 0) {
        Some(axis) if g.random.chance(50) => g.graph.argmax(&x, axis, false),
        Some(axis) => g.graph.argmin(&x, axis, true),
        None => g.graph.arg_reduce(true, &x, &[0]),
    }
}

/// A product whose operands are drawn and stored in every orientation.
fn product(g: &mut Generator, batch: [&[usize]; 2], m: usize, k: usize, n: usize) -> Recorded {
    let [transpose_a, transpose_b] = [g.random.chance(50), g.random.chance(50)];
    let a = if transpose_a { [k, m] } else { [m, k] };
    let b = if transpose_b { [n, k] } else { [k, n] };
    let a = g.sized(DType::F32, &[batch[0], &a].concat());
    let b = g.sized(DType::F32, &[batch[1], &b].concat());
    g.graph.matmul(&a, &b, transpose_a, transpose_b)
}

fn matmul(g: &mut Generator) -> Recorded {
    let [m, n] = [0, 1].map(|_| g.random.pick(&[0, 1, 1, 2, 3, 5, 17, 33]));
    let k = g.random.pick(&[0, 1, 3, 8, 19]);
    let rank = g.random.pick(&[0, 0, 1, 2]);
    let batch: Vec<usize> = (0..rank).map(|_| 1 + g.random.below(3)).collect();
    product(g, [&batch, &batch], m, k, n)
}

/// Sums of several chunks.
fn long_matmul(g: &mut Generator) -> Recorded {
    let [m, n] = [0, 1].map(|_| 1 + g.random.below(9));
    let k = g.random.pick(&[255, 256, 257, 512, 700]);
    product(g, [&[], &[]], m, k, n)
}

/// A batch on one side only, or on both and broadcast.
fn matmul_shared(g: &mut Generator) -> Recorded {
    let (a, b): (&[usize], &[usize]) =
        g.random.pick(&[(&[3], &[]), (&[], &[2, 2]), (&[2, 1], &[3]), (&[1], &[2])]);
    let [m, k, n] = [0, 1, 2].map(|_| 1 + g.random.below(6));
    product(g, [a, b], m, k, n)
}

/// Shapes `x`, `weight`, `y` and attributes that fit.
fn convolution(g: &mut Generator) -> ([Vec<usize>; 3], Conv2dAttributes) {
    loop {
        let groups = g.random.pick(&[1, 1, 2, 3]);
        let attributes = Conv2dAttributes {
            stride: [1 + g.random.below(3), 1 + g.random.below(2)],
            padding: [g.random.below(3), g.random.below(3)],
            dilation: [1 + g.random.below(2), 1 + g.random.below(3)],
            groups,
        };
        let channels = g.random.pick(&[1, 2, 3, 5, 40]);
        let x = [g.random.below(4), channels * groups, 1 + g.random.below(9), 1 + g.random.below(9)];
        let kernel = [1 + g.random.below(3), 1 + g.random.below(4)];
        let weight = [groups * g.random.below(4), channels, kernel[0], kernel[1]];
        if let Some(y) = conv2d_shape(&Shape::of(&x), &Shape::of(&weight), &attributes) {
            return ([x.to_vec(), weight.to_vec(), y.to_vec()], attributes);
        }
    }
}

fn conv2d(g: &mut Generator) -> Recorded {
    let ([x, weight, _], attributes) = convolution(g);
    let [x, weight] = [g.sized(DType::F32, &x), g.sized(DType::F32, &weight)];
    g.graph.conv2d(&x, &weight, attributes)
}

fn conv2d_input_gradient(g: &mut Generator) -> Recorded {
    let ([x, weight, y], attributes) = convolution(g);
    let [dy, weight] = [g.sized(DType::F32, &y), g.sized(DType::F32, &weight)];
    g.graph.record(Op::Conv2dInputGradient(attributes), &[&dy, &weight], Shape::of(&x), DType::F32)
}

fn conv2d_weight_gradient(g: &mut Generator) -> Recorded {
    let ([x, weight, y], attributes) = convolution(g);
    let [x, dy] = [g.sized(DType::F32, &x), g.sized(DType::F32, &y)];
    g.graph.record(Op::Conv2dWeightGradient(attributes), &[&x, &dy], Shape::of(&weight), DType::F32)
}

fn pooling(g: &mut Generator) -> (Tensor, Pool2dOptions) {
    let (x, window) = image(g);
    let kernel = [window.kernel[0].min(x.shape()[2]), window.kernel[1].min(x.shape()[3])];
    let padding = [g.random.below(kernel[0] / 2 + 1), g.random.below(kernel[1] / 2 + 1)];
    (x, Pool2dOptions { kernel, stride: window.stride, padding })
}

fn max_pool2d(g: &mut Generator) -> Recorded {
    let (x, options) = pooling(g);
    g.graph.max_pool2d(&x, options)
}

fn avg_pool2d(g: &mut Generator) -> Recorded {
    let (x, options) = pooling(g);
    g.graph.avg_pool2d(&x, options)
}

fn softmax(g: &mut Generator) -> Recorded {
    let x = g.of_rank(DType::F32, 1);
    let axis = g.random.below(x.shape().rank());
    g.graph.softmax(&x, axis)
}

fn log_softmax(g: &mut Generator) -> Recorded {
    let x = g.of_rank(DType::F32, 1);
    let axis = g.random.below(x.shape().rank());
    g.graph.log_softmax(&x, axis)
}

fn layer_norm(g: &mut Generator) -> Recorded {
    let rank = 1 + g.random.below(3);
    let mut sizes = g.sizes(rank);
    sizes.iter_mut().for_each(|size| *size = (*size).max(1));
    let x = g.sized(DType::F32, &sizes);
    let axes = 1 + g.random.below(rank);
    g.graph.layer_norm(&x, axes, 1e-5)
}

/// Indices around `0 .. size`, some outside.
fn indices(g: &mut Generator, sizes: &[usize], size: usize) -> Tensor {
    let drawn = g.sized(DType::I32, sizes);
    if g.random.chance(30) {
        return drawn;
    }
    // |x| mod (size + 1), by what the contract has; MIN stays outside.
    let graph = &mut g.graph;
    let bound = graph.full(DType::I32, &[], size as f64 + 1.0).expect("small");
    let positive = graph.abs(&drawn).expect("i32");
    let quotient = graph.div(&positive, &bound).expect("i32");
    let whole = graph.mul(&quotient, &bound).expect("i32");
    graph.sub(&positive, &whole).expect("i32")
}

fn indexed(g: &mut Generator, dtype: DType) -> (Tensor, usize, Tensor) {
    let rank = 1 + g.random.below(4);
    let sizes = g.sizes(rank);
    let axis = g.random.below(rank);
    let x = g.sized(dtype, &sizes);
    let index_rank = g.random.pick(&[0, 1, 1, 2, 3]);
    let index_sizes: Vec<usize> = (0..index_rank).map(|_| g.random.below(5)).collect();
    let indices = indices(g, &index_sizes, sizes[axis]);
    (x, axis, indices)
}

fn gather(g: &mut Generator) -> Recorded {
    let (x, axis, indices) = indexed(g, DType::F32);
    g.graph.gather(&x, axis, &indices)
}

fn gather_bits(g: &mut Generator) -> Recorded {
    let dtype = any_dtype(g);
    let (x, axis, indices) = indexed(g, dtype);
    g.graph.gather(&x, axis, &indices)
}

fn scatter_add(g: &mut Generator, dtype: DType) -> Recorded {
    let (base, axis, indices) = indexed(g, dtype);
    let sizes = [&base.shape()[..axis], indices.shape(), &base.shape()[axis + 1..]].concat();
    let source = g.sized(dtype, &sizes);
    g.graph.scatter_add(&base, axis, &indices, &source)
}

fn one_hot(g: &mut Generator) -> Recorded {
    let indices = indices(g, &[2, 3], 4);
    g.graph.one_hot(&indices, 4)
}

fn sgd(g: &mut Generator) -> Recorded<Vec<Tensor>> {
    let sizes = g.any_sizes();
    let [parameter, gradient, velocity] = [0, 1, 2].map(|_| g.sized(DType::F32, &sizes));
    let options = SgdOptions {
        learning_rate: g.random.pick(&[0.1, 0.0, 1e18]),
        momentum: g.random.pick(&[0.0, 0.9]),
        weight_decay: g.random.pick(&[0.0, 0.01]),
        nesterov: g.random.chance(50),
    };
    let (parameter, velocity) = g.graph.sgd(&parameter, &gradient, &velocity, options)?;
    Ok(vec![parameter, velocity])
}

fn adamw(g: &mut Generator) -> Recorded<Vec<Tensor>> {
    let sizes = g.any_sizes();
    let [parameter, gradient, first, second] = [0, 1, 2, 3].map(|_| g.sized(DType::F32, &sizes));
    let options = AdamwOptions {
        learning_rate: g.random.pick(&[0.001, 1.0]),
        beta1: g.random.pick(&[0.0, 0.9]),
        beta2: 0.999,
        epsilon: g.random.pick(&[1e-8, 1e-30]),
        weight_decay: g.random.pick(&[0.0, 0.01]),
        step: 1 + g.random.below(1000) as u32,
    };
    let (parameter, first, second) = g.graph.adamw(&parameter, &gradient, &first, &second, options)?;
    Ok(vec![parameter, first, second])
}

/// The gradient of a sum with respect to some of what it was computed from.
fn gradients(g: &mut Generator) -> Recorded<Vec<Tensor>> {
    let x = g.any(DType::F32);
    let loss = g.graph.sum(&x, &[], false)?;
    let history = crate::reachable(std::slice::from_ref(&loss));
    // A whole history would grow with each gradient taken: the last operations are enough.
    let near = &history[history.len().saturating_sub(60)..];
    let floats: Vec<&Tensor> =
        near.iter().filter(|node| matches!(node.dtype(), DType::F32 | DType::Bf16 | DType::F16)).collect();
    let wrt: Vec<&Tensor> = (0..2).map(|_| floats[g.random.below(floats.len())]).collect();
    match g.graph.gradients(&loss, &wrt) {
        Err(RecordError::Call(error)) if error.code == CallErrorCode::NoGradient => Ok(vec![loss]),
        gradients => gradients,
    }
}
