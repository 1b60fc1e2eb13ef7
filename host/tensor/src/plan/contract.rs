//! Sums of products: matmul and the three convolutions as one [`Contract`] each.
//!
//! A convolution is a matrix product over windows of the padded image; what differs is which axes are
//! summed. Taps in the padding are zero terms in their place in k (rule 4).

use super::{
    Contract, StepKind, View,
    build::Builder,
    layout::{Layout, collapse},
    lower::{inside, pick},
};
use crate::{Conv2dAttributes, Shape};

/// An operand before axes are joined: the view and its axes in the three groups it has.
struct Operand {
    view: View,
    batch: Vec<isize>,
    own: Vec<isize>,
    k: Vec<isize>,
}

/// The sizes of the four groups.
struct Sizes {
    batch: Vec<usize>,
    m: Vec<usize>,
    n: Vec<usize>,
    k: Vec<usize>,
}

impl Builder<'_> {
    pub(super) fn matmul(&mut self, node: usize, inputs: &[usize], transpose_a: bool, transpose_b: bool) {
        let (a, b) = (self.shape(inputs[0]), self.shape(inputs[1]));
        let outer = a.rank() - 2;
        let last = |transposed: bool| if transposed { (outer + 1, outer) } else { (outer, outer + 1) };
        let (m, a_k) = last(transpose_a);
        let (n, b_k) = last(!transpose_b);
        let sizes = Sizes { batch: a[..outer].to_vec(), m: vec![a[m]], n: vec![b[n]], k: vec![a[a_k]] };
        let batch: Vec<usize> = (0..outer).collect();
        let mut operand = |input: usize, own: usize, k: usize| {
            let view = self.view(inputs[input]);
            let shape = self.shape(inputs[input]);
            let of = |axes: &[usize]| pick(&shape, &view, axes).1;
            Operand { batch: of(&batch), own: of(&[own]), k: of(&[k]), view }
        };
        let (a, b) = (operand(0, m, a_k), operand(1, n, b_k));
        self.contract(node, sizes, a, b);
    }

    pub(super) fn conv2d(&mut self, node: usize, inputs: &[usize], conv: &Conv2dAttributes) {
        let [n, o, oh, ow] = four(&self.shape(node));
        let [_, cg, kh, kw] = four(&self.shape(inputs[1]));
        let groups = conv.groups;
        let og = o / groups;
        let weight = self.view(inputs[1]);
        let w = &weight.strides;
        let a = Operand {
            batch: vec![0, w[0] * og as isize],
            own: vec![w[0]],
            k: vec![w[1], w[2], w[3]],
            view: weight.clone(),
        };
        let (image, _) = self.padded(inputs[0], conv.padding);
        let x = &image.strides;
        let b = Operand {
            batch: vec![x[0], x[1] * cg as isize],
            own: scaled(&x[2..], conv.stride),
            k: [vec![x[1]], scaled(&x[2..], conv.dilation)].concat(),
            view: image.clone(),
        };
        let sizes = Sizes { batch: vec![n, groups], m: vec![og], n: vec![oh, ow], k: vec![cg, kh, kw] };
        self.contract(node, sizes, a, b);
    }

    /// `dw[o, c, ky, kx] = Σ over (n, oy, ox) of dy[n, o, oy, ox] · x[n, c, oy·s + ky·d, ox·s + kx·d]`.
    pub(super) fn conv2d_weight_gradient(&mut self, node: usize, inputs: &[usize], conv: &Conv2dAttributes) {
        let [o, cg, kh, kw] = four(&self.shape(node));
        let [n, _, oh, ow] = four(&self.shape(inputs[1]));
        let groups = conv.groups;
        let og = o / groups;
        let dy = self.view(inputs[1]);
        let y = &dy.strides;
        let a = Operand {
            batch: vec![y[1] * og as isize],
            own: vec![y[1]],
            k: vec![y[0], y[2], y[3]],
            view: dy.clone(),
        };
        let (image, _) = self.padded(inputs[0], conv.padding);
        let x = &image.strides;
        let b = Operand {
            batch: vec![x[1] * cg as isize],
            own: [vec![x[1]], scaled(&x[2..], conv.dilation)].concat(),
            k: [vec![x[0]], scaled(&x[2..], conv.stride)].concat(),
            view: image.clone(),
        };
        let sizes = Sizes { batch: vec![groups], m: vec![og], n: vec![cg, kh, kw], k: vec![n, oh, ow] };
        self.contract(node, sizes, a, b);
    }

    /// `dx[n, c, y, x] = Σ over (o, ky, kx) of w[o, c, ky, kx] · d[n, o, y + p − ky·d, x + p − kx·d]`, where
    /// d is dy with `stride − 1` zeros between neighbours and zeros around.
    pub(super) fn conv2d_input_gradient(&mut self, node: usize, inputs: &[usize], conv: &Conv2dAttributes) {
        let [n, c, h, w] = four(&self.shape(node));
        let [o, _, kh, kw] = four(&self.shape(inputs[1]));
        let groups = conv.groups;
        let (og, cg) = (o / groups, c / groups);
        let weight = self.view(inputs[1]);
        let v = &weight.strides;
        let a = Operand {
            batch: vec![0, v[0] * og as isize],
            own: vec![v[1]],
            k: vec![v[0], v[2], v[3]],
            view: weight.clone(),
        };
        let view = self.spread(node, inputs, conv);
        let d = &view.strides;
        let back = scaled(&d[2..], conv.dilation).iter().map(|stride| -stride).collect();
        let b = Operand {
            batch: vec![d[0], d[1] * og as isize],
            own: vec![d[2], d[3]],
            k: [vec![d[1]], back].concat(),
            view,
        };
        let sizes = Sizes { batch: vec![n, groups], m: vec![cg], n: vec![h, w], k: vec![og, kh, kw] };
        self.contract(node, sizes, a, b);
    }

    /// dy spread out for the input gradient. The view's offset is the element at index `[0, 0, p, p]` of the
    /// unpadded, spread dy, from where kernel taps go backwards.
    fn spread(&mut self, node: usize, inputs: &[usize], conv: &Conv2dAttributes) -> View {
        let dy = self.shape(inputs[0]);
        let [n, o, oh, ow] = four(&dy);
        let kernel = &self.shape(inputs[1])[2..];
        let size = &self.shape(node)[2..];
        let core = [(oh - 1) * conv.stride[0] + 1, (ow - 1) * conv.stride[1] + 1];
        let low = [0, 1].map(|i| ((kernel[i] - 1) * conv.dilation[i]).saturating_sub(conv.padding[i]));
        let long = [0, 1].map(|i| low[i] + core[i].max(size[i] + conv.padding[i]));
        let shape = Shape::of(&[n, o, long[0], long[1]]);
        let slot = self.new_slot(self.dtype(node), shape.elements());
        self.fill(slot, shape, 0, "conv2d_input_gradient");
        let gaps = [0, 0, conv.stride[0] - 1, conv.stride[1] - 1];
        let part = inside(slot, &shape, &dy, &[0, 0, low[0], low[1]], &gaps);
        self.copy(inputs[0], part, "conv2d_input_gradient");
        let strides: Vec<isize> = shape.strides().iter().map(|&stride| stride as isize).collect();
        let start = |i: usize| (conv.padding[i] + low[i]) as isize * strides[2 + i];
        View { slot, offset: start(0) + start(1), strides }
    }

    /// An image with zeros around it: a view, and its shape. Without padding, the image itself.
    fn padded(&mut self, node: usize, padding: [usize; 2]) -> (View, [usize; 4]) {
        let shape = self.shape(node);
        let [n, c, h, w] = four(&shape);
        if padding == [0, 0] {
            return (self.view(node), [n, c, h, w]);
        }
        if let Some(padded) = self.padded.get(&(node, padding)) {
            return padded.clone();
        }
        let sizes = [n, c, h + 2 * padding[0], w + 2 * padding[1]];
        let around = Shape::of(&sizes);
        let slot = self.new_slot(self.dtype(node), around.elements());
        self.fill(slot, around, 0, "conv2d");
        let part = inside(slot, &around, &shape, &[0, 0, padding[0], padding[1]], &[0; 4]);
        self.copy(node, part, "conv2d");
        let padded = (View { slot, offset: 0, strides: Layout::contiguous(around).strides }, sizes);
        self.padded.insert((node, padding), padded.clone());
        padded
    }

    fn contract(&mut self, node: usize, sizes: Sizes, mut a: Operand, mut b: Operand) {
        let out = self.own_slot(node);
        if self.shape(node).elements() == 0 {
            return;
        }
        let Sizes { mut batch, mut m, mut n, mut k } = sizes;
        for group in [(&batch, &mut a.batch, &mut b.batch), (&k, &mut a.k, &mut b.k)] {
            let (sizes, a, b) = group;
            unstride(sizes, a);
            unstride(sizes, b);
        }
        unstride(&m, &mut a.own);
        unstride(&n, &mut b.own);
        collapse(&mut batch, &mut [&mut a.batch, &mut b.batch]);
        // A batch that shares b is only more rows: out is row-major over (batch, m) either way.
        if b.batch.last() == Some(&0) {
            b.batch.pop();
            m.splice(0..0, batch.pop());
            a.own.splice(0..0, a.batch.pop());
        }
        collapse(&mut m, &mut [&mut a.own]);
        collapse(&mut n, &mut [&mut b.own]);
        collapse(&mut k, &mut [&mut a.k, &mut b.k]);
        let view = |of: Operand| View { strides: [of.batch, of.own, of.k].concat(), ..of.view };
        let contract = Contract { batch, m, n, k, a: view(a), b: view(b), out };
        self.push(StepKind::Contract(contract), vec![self.recording.nodes[node].op().name()]);
    }
}

/// Where there is one index, its stride is 0: attributes may make it any number.
fn unstride(sizes: &[usize], strides: &mut [isize]) {
    for (stride, _) in strides.iter_mut().zip(sizes).filter(|(_, size)| **size <= 1) {
        *stride = 0;
    }
}

fn scaled(strides: &[isize], factors: [usize; 2]) -> Vec<isize> {
    // Wraps only where there is one index along the axis, and then the stride becomes 0.
    strides.iter().zip(factors).map(|(stride, factor)| stride.wrapping_mul(factor as isize)).collect()
}

fn four(shape: &Shape) -> [usize; 4] {
    shape[..].try_into().expect("images and kernels have rank 4")
}
