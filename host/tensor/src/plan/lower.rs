//! Operations that are a step of their own: what each becomes. Sums of products are in `contract`.

use super::{
    ArgReduce, Fold, Gather, Reduce, ScatterAdd, Slot, StepKind, View,
    build::Builder,
    layout::{Layout, collapse},
};
use crate::{Op, Shape, ViewOp, WindowAttributes};

impl Builder<'_> {
    /// Emits the steps of a node that is no element operation.
    pub(super) fn step(&mut self, node: usize) {
        let recording = self.recording;
        let op = recording.nodes[node].op();
        let inputs = recording.inputs(node);
        match op {
            Op::View(ViewOp::Reshape) => self.reshape(node, inputs[0]),
            Op::Pad { low, interior, .. } => self.pad(node, inputs[0], low, interior),
            Op::Concat { axis } => self.concat(node, inputs, *axis),
            Op::Reduce { axes, .. } | Op::ArgReduce { axes, .. } => self.reduce(node, inputs[0], axes),
            Op::MatMul { transpose_a, transpose_b } => {
                self.matmul(node, inputs, *transpose_a, *transpose_b);
            }
            Op::Conv2d(conv) => self.conv2d(node, inputs, conv),
            Op::Conv2dInputGradient(conv) => self.conv2d_input_gradient(node, inputs, conv),
            Op::Conv2dWeightGradient(conv) => self.conv2d_weight_gradient(node, inputs, conv),
            Op::Fold(window) => self.fold(node, inputs[0], window),
            Op::Gather { axis } => self.gather(node, inputs, *axis),
            Op::ScatterAdd { axis } => self.scatter_add(node, inputs, *axis),
            Op::Leaf | Op::Element(_) | Op::View(_) => panic!("{} is not a step", op.name()),
        }
    }

    /// A reshape that strides cannot express: a copy in the input's index space, stored row-major.
    fn reshape(&mut self, node: usize, input: usize) {
        let slot = self.own_slot(node);
        let out = View { slot, offset: 0, strides: Layout::contiguous(self.shape(input)).strides };
        self.copy(input, out, "reshape");
    }

    fn pad(&mut self, node: usize, input: usize, low: &[usize], interior: &[usize]) {
        let slot = self.own_slot(node);
        let shape = self.shape(node);
        if shape != self.shape(input) {
            self.fill(slot, shape, self.recording.scalars_of[node], "pad");
        }
        self.copy(input, inside(slot, &shape, &self.shape(input), low, interior), "pad");
    }

    fn concat(&mut self, node: usize, inputs: &[usize], axis: usize) {
        let slot = self.own_slot(node);
        let shape = self.shape(node);
        let mut low = vec![0; shape.rank()];
        for &input in inputs {
            let part = self.shape(input);
            self.copy(input, inside(slot, &shape, &part, &low, &vec![0; shape.rank()]), "concat");
            low[axis] += part[axis];
        }
    }

    fn reduce(&mut self, node: usize, input: usize, axes: &[usize]) {
        let out = self.own_slot(node);
        let shape = self.shape(input);
        let outer: Vec<usize> = (0..shape.rank()).filter(|axis| !axes.contains(axis)).collect();
        let x = self.view(input);
        let (mut kept, kept_strides) = pick(&shape, &x, &outer);
        let (mut reduced, reduced_strides) = pick(&shape, &x, axes);
        if kept.contains(&0) {
            return;
        }
        let x = joined(x, &mut [(&mut kept, kept_strides), (&mut reduced, reduced_strides)]);
        let dtype = self.dtype(input);
        let op = self.recording.nodes[node].op();
        let kind = match *op {
            Op::Reduce { kind, .. } => StepKind::Reduce(Reduce { kind, dtype, kept, reduced, x, out }),
            Op::ArgReduce { largest, .. } => {
                StepKind::ArgReduce(ArgReduce { largest, dtype, kept, reduced, x, out })
            }
            _ => panic!("{} is no reduction", op.name()),
        };
        self.push(kind, vec![op.name()]);
    }

    fn fold(&mut self, node: usize, input: usize, window: &WindowAttributes) {
        let out = self.own_slot(node);
        let [.., h, w] = self.shape(node)[..] else { panic!("a fold has rank 4") };
        let windows_shape = self.shape(input)[..].try_into().expect("windows have rank 6");
        if self.shape(node).elements() == 0 {
            return;
        }
        let fold = Fold {
            windows_shape,
            windows: self.view(input),
            size: [h, w],
            stride: window.stride,
            dilation: window.dilation,
            out,
        };
        self.push(StepKind::Fold(fold), vec!["fold"]);
    }

    fn gather(&mut self, node: usize, inputs: &[usize], axis: usize) {
        let out = self.own_slot(node);
        if self.shape(node).elements() == 0 {
            return;
        }
        let x = self.shape(inputs[0]);
        let gather = Gather {
            dtype: self.dtype(node),
            before: x[..axis].to_vec(),
            indices_shape: self.shape(inputs[1]).to_vec(),
            after: x[axis + 1..].to_vec(),
            size: x[axis],
            x: self.view(inputs[0]),
            indices: self.view(inputs[1]),
            out,
        };
        self.push(StepKind::Gather(gather), vec!["gather"]);
    }

    fn scatter_add(&mut self, node: usize, inputs: &[usize], axis: usize) {
        let out = self.own_slot(node);
        let base = self.shape(node);
        if base.elements() == 0 {
            return;
        }
        let scatter = ScatterAdd {
            dtype: self.dtype(node),
            before: base[..axis].to_vec(),
            indices_shape: self.shape(inputs[1]).to_vec(),
            after: base[axis + 1..].to_vec(),
            size: base[axis],
            base: self.view(inputs[0]),
            indices: self.view(inputs[1]),
            source: self.view(inputs[2]),
            out,
        };
        self.push(StepKind::ScatterAdd(scatter), vec!["scatter_add"]);
    }
}

/// The part of a slot of `shape` that holds a tensor of shape `part`, `low` elements from the start and with
/// `interior` elements between neighbours.
pub(super) fn inside(slot: Slot, shape: &Shape, part: &Shape, low: &[usize], interior: &[usize]) -> View {
    let strides = shape.strides();
    let offset = low.iter().zip(&strides).map(|(low, stride)| (low * stride) as isize).sum();
    let steps =
        strides.iter().zip(interior).map(|(&stride, &gap)| stride.wrapping_mul(gap.wrapping_add(1)) as isize);
    let Layout { offset, strides, .. } = Layout::new(*part, offset, steps.collect());
    View { slot, offset, strides }
}

/// The sizes and strides of some axes of a view.
pub(super) fn pick(shape: &Shape, view: &View, axes: &[usize]) -> (Vec<usize>, Vec<isize>) {
    (axes.iter().map(|&axis| shape[axis]).collect(), axes.iter().map(|&axis| view.strides[axis]).collect())
}

/// The view over some groups of axes, in each of which neighbours that are evenly strided are joined.
fn joined(view: View, groups: &mut [(&mut Vec<usize>, Vec<isize>)]) -> View {
    let mut strides = Vec::new();
    for (sizes, of) in groups {
        collapse(sizes, &mut [&mut *of]);
        strides.append(of);
    }
    View { strides, ..view }
}
