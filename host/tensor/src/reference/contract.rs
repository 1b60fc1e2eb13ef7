//! Sums over products and over windows: which terms each output element has, and in which order.
//!
//! A term that falls outside an image (padding, between strides) counts as zero *at its place*, so the chunks
//! of 256 terms of rule 4 begin at the same terms everywhere.

use super::interpreter::Arithmetic;
use crate::{Conv2dAttributes, ReduceKind, Shape, Tensor, WindowAttributes};

/// `[batch…, m, k] · [batch…, k, n]`; terms in the order of k.
pub(crate) fn matmul<A: Arithmetic>(
    arithmetic: &A,
    inputs: &[&[A::Element]],
    from: &[&Shape],
    to: &Shape,
    transpose_a: bool,
    transpose_b: bool,
) -> Vec<A::Element> {
    let [a, b] = factors(arithmetic, inputs);
    let [.., rows_a, columns_a] = from[0][..] else { unreachable!("a matrix has two axes") };
    let [.., m, n] = to[..] else { unreachable!("a matrix has two axes") };
    let k = if transpose_a { rows_a } else { columns_a };
    let a_at = |i: usize, t: usize| if transpose_a { t * m + i } else { i * k + t };
    let b_at = |t: usize, j: usize| if transpose_b { j * k + t } else { t * n + j };
    let batches: usize = to[..to.rank() - 2].iter().product();
    let mut product = Vec::with_capacity(to.elements());
    for batch in 0..batches {
        let (a, b) = (&a[batch * m * k..], &b[batch * k * n..]);
        for i in 0..m {
            for j in 0..n {
                product.push(arithmetic.dot((0..k).map(|t| (a[a_at(i, t)], b[b_at(t, j)]))));
            }
        }
    }
    product
}

/// `y[n, o, oy, ox] = Σ x[n, g · cg + c, oy · stride + ky · dilation − padding, …] · w[o, c, ky, kx]` over
/// (c, ky, kx) row-major, where g is o's group.
pub(crate) fn conv2d<A: Arithmetic>(
    arithmetic: &A,
    inputs: &[&[A::Element]],
    from: &[&Shape],
    to: &Shape,
    attributes: &Conv2dAttributes,
) -> Vec<A::Element> {
    let [x, weight] = factors(arithmetic, inputs);
    let terms = Shape::of(&from[1][1..]);
    let taps: Vec<Vec<usize>> = terms.indices().collect();
    let group_of = group_of(from[1][0], attributes);
    let y = to.indices().map(|y| {
        let [n, o, oy, ox] = y[..] else { unreachable!("four axes") };
        arithmetic.dot(taps.iter().map(|tap| {
            let [c, ky, kx] = tap[..] else { unreachable!("three axes") };
            let channel = group_of(o) * terms[0] + c;
            let row = input_of(0, from[0][2], oy, ky, attributes);
            let column = input_of(1, from[0][3], ox, kx, attributes);
            (element_at(&x, from[0], n, channel, row, column), weight[from[1].ravel(&[o, c, ky, kx])])
        }))
    });
    y.collect()
}

/// `dx[n, g · cg + c, y, x] = Σ dy[n, g · og + o, oy, ox] · w[g · og + o, c, ky, kx]` over (o, ky, kx)
/// row-major, og the output channels of a group, where oy is the output row with
/// `oy · stride + ky · dilation − padding = y`, and likewise ox. Where there is no such row or column, the
/// term is zero and keeps its place.
pub(crate) fn conv2d_input_gradient<A: Arithmetic>(
    arithmetic: &A,
    inputs: &[&[A::Element]],
    from: &[&Shape],
    to: &Shape,
    attributes: &Conv2dAttributes,
) -> Vec<A::Element> {
    let [dy, weight] = factors(arithmetic, inputs);
    let [outputs, channels, kernel_rows, kernel_columns] = from[1][..] else { unreachable!("four axes") };
    let outputs = outputs / attributes.groups;
    let taps: Vec<Vec<usize>> = Shape::of(&[outputs, kernel_rows, kernel_columns]).indices().collect();
    let dx = to.indices().map(|x| {
        let [n, channel, y, x] = x[..] else { unreachable!("four axes") };
        let (group, c) = (channel / channels, channel % channels);
        arithmetic.dot(taps.iter().map(|tap| {
            let [o, ky, kx] = tap[..] else { unreachable!("three axes") };
            let output = group * outputs + o;
            let row = output_of(0, from[0][2], y, ky, attributes);
            let column = output_of(1, from[0][3], x, kx, attributes);
            let tap = weight[from[1].ravel(&[output, c, ky, kx])];
            (element_at(&dy, from[0], n, output, row, column), tap)
        }))
    });
    dx.collect()
}

/// `dw[o, c, ky, kx] = Σ x[n, g · cg + c, oy · stride + ky · dilation − padding, …] · dy[n, o, oy, ox]` over
/// (n, oy, ox) row-major, where g is o's group.
pub(crate) fn conv2d_weight_gradient<A: Arithmetic>(
    arithmetic: &A,
    inputs: &[&[A::Element]],
    from: &[&Shape],
    to: &Shape,
    attributes: &Conv2dAttributes,
) -> Vec<A::Element> {
    let [x, dy] = factors(arithmetic, inputs);
    let [batch, outputs, rows, columns] = from[1][..] else { unreachable!("four axes") };
    let places: Vec<Vec<usize>> = Shape::of(&[batch, rows, columns]).indices().collect();
    let group_of = group_of(outputs, attributes);
    let dw = to.indices().map(|tap| {
        let [o, c, ky, kx] = tap[..] else { unreachable!("four axes") };
        let channel = group_of(o) * to[1] + c;
        arithmetic.dot(places.iter().map(|place| {
            let [n, oy, ox] = place[..] else { unreachable!("three axes") };
            let row = input_of(0, from[0][2], oy, ky, attributes);
            let column = input_of(1, from[0][3], ox, kx, attributes);
            (element_at(&x, from[0], n, channel, row, column), dy[from[1].ravel(&[n, o, oy, ox])])
        }))
    });
    dw.collect()
}

/// `y[n, c, row, column] = Σ windows[n, c, oy, ox, ky, kx]` over (ky, kx) row-major, where
/// `oy · stride + ky · dilation = row`, and likewise ox; zero where there is no such window.
pub(crate) fn fold<A: Arithmetic>(
    arithmetic: &A,
    windows: &[A::Element],
    from: &Shape,
    node: &Tensor,
    window: &WindowAttributes,
) -> Vec<A::Element> {
    let WindowAttributes { kernel, stride, dilation } = *window;
    let unpadded = Conv2dAttributes { stride, padding: [0, 0], dilation, groups: 1 };
    let taps: Vec<Vec<usize>> = Shape::of(&kernel).indices().collect();
    let sums = node.shape().indices().map(|place| {
        let [n, c, row, column] = place[..] else { unreachable!("four axes") };
        let terms: Vec<A::Element> = taps
            .iter()
            .map(|tap| {
                let [ky, kx] = tap[..] else { unreachable!("two axes") };
                let oy = output_of(0, from[2], row, ky, &unpadded);
                let ox = output_of(1, from[3], column, kx, &unpadded);
                match (oy, ox) {
                    (Some(oy), Some(ox)) => windows[from.ravel(&[n, c, oy, ox, ky, kx])],
                    _ => A::Element::default(),
                }
            })
            .collect();
        arithmetic.reduce(ReduceKind::Sum, node.dtype(), &terms)
    });
    sums.collect()
}

fn factors<A: Arithmetic>(arithmetic: &A, inputs: &[&[A::Element]]) -> [Vec<A::Element>; 2] {
    let factors = |input: &[A::Element]| input.iter().map(|&x| arithmetic.factor(x)).collect();
    [factors(inputs[0]), factors(inputs[1])]
}

/// Which group an output channel is in.
fn group_of(outputs: usize, attributes: &Conv2dAttributes) -> impl Fn(usize) -> usize + use<> {
    let outputs_in_group = outputs / attributes.groups;
    move |output| output / outputs_in_group
}

/// The row (or column, by `axis`) of the image below tap `tap` of output row `output`, if it is inside.
fn input_of(axis: usize, size: usize, output: usize, tap: usize, by: &Conv2dAttributes) -> Option<usize> {
    let padded = output * by.stride[axis] + tap * by.dilation[axis];
    padded.checked_sub(by.padding[axis]).filter(|&at| at < size)
}

/// The output row (or column, by `axis`) whose tap `tap` is above row `input` of the image, if there is one.
fn output_of(axis: usize, size: usize, input: usize, tap: usize, by: &Conv2dAttributes) -> Option<usize> {
    let distance = (input + by.padding[axis]).checked_sub(tap * by.dilation[axis])?;
    let output = distance / by.stride[axis];
    (distance % by.stride[axis] == 0 && output < size).then_some(output)
}

/// An element of a `[n, c, h, w]` tensor, zero outside.
fn element_at<E: Copy + Default>(
    elements: &[E],
    shape: &Shape,
    n: usize,
    channel: usize,
    row: Option<usize>,
    column: Option<usize>,
) -> E {
    match (row, column) {
        (Some(row), Some(column)) => elements[shape.ravel(&[n, channel, row, column])],
        _ => E::default(),
    }
}
