//! The gradients of sums of products. Which axes make up k, and in which order, is rule 7.

use super::Backward;
use crate::{
    Conv2dAttributes, DType, Graph, Op, Recorded, Shape, Tensor, ViewOp, gas,
    graph::{argument_error, check_terms, check_workspace},
};

impl Backward {
    pub(super) fn matmul(
        &mut self,
        graph: &mut Graph,
        node: &Tensor,
        g: &Tensor,
        transpose_a: bool,
        transpose_b: bool,
    ) -> Recorded<()> {
        let [a, b] = [node.inputs()[0].clone(), node.inputs()[1].clone()];
        if self.wants(node, 0) {
            match self.broadcast_source(&a) {
                Some(source) => {
                    // aᵀ takes the place of b: its rows are the terms.
                    let rows = rows_of(graph, &b, !transpose_b)?;
                    let g_rows = rows_of(graph, g, true)?;
                    let contribution = shared(graph, &source, &a, &g_rows, &rows, transpose_a)?;
                    self.give(graph, &source, contribution)?;
                }
                None => {
                    let contribution = match transpose_a {
                        false => graph.matmul(g, &b, false, !transpose_b)?,
                        true => graph.matmul(&b, g, transpose_b, true)?,
                    };
                    self.give(graph, &a, contribution)?;
                }
            }
        }
        if self.wants(node, 1) {
            match self.broadcast_source(&b) {
                Some(source) => {
                    let rows = rows_of(graph, &a, transpose_a)?;
                    let contribution = shared(graph, &source, &b, &rows, g, transpose_b)?;
                    self.give(graph, &source, contribution)?;
                }
                None => {
                    let contribution = match transpose_b {
                        false => graph.matmul(&a, g, !transpose_a, false)?,
                        true => graph.matmul(g, &a, true, transpose_a)?,
                    };
                    self.give(graph, &b, contribution)?;
                }
            }
        }
        Ok(())
    }

    /// The tensor that was broadcast along the batch to make this operand, unless the operand itself is asked
    /// for.
    fn broadcast_source(&self, operand: &Tensor) -> Option<Tensor> {
        let last =
            |tensor: &Tensor| tensor.shape().rank().checked_sub(2).map(|at| tensor.shape()[at..].to_vec());
        let source = match operand.op() {
            Op::View(ViewOp::Broadcast) => &operand.inputs()[0],
            _ => return None,
        };
        let along_batch_only = last(source).is_some() && last(source) == last(operand);
        (along_batch_only && !self.asked.contains(&operand.sequence())).then(|| source.clone())
    }
}

/// The operand with its last two axes swapped where they are not (rows, columns).
fn rows_of(graph: &mut Graph, x: &Tensor, swapped: bool) -> Recorded {
    if !swapped {
        return Ok(x.clone());
    }
    let rank = x.shape().rank();
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 2, rank - 1);
    graph.permute(x, &axes)
}

/// The gradient of an operand that every batch shares: one product of `left [batch…, r, p]` and
/// `right [batch…, r, q]` over k = (shared batch axes, r), giving `[p, q]` (transposed where the operand is
/// stored so) in the shape of `source`.
fn shared(
    graph: &mut Graph,
    source: &Tensor,
    operand: &Tensor,
    left: &Tensor,
    right: &Tensor,
    transposed: bool,
) -> Recorded {
    let batch_rank = operand.shape().rank() - 2;
    let missing = operand.shape().rank() - source.shape().rank();
    let is_shared =
        |axis: usize| axis < missing || (source.shape()[axis - missing] == 1 && operand.shape()[axis] != 1);
    let (shared, own): (Vec<usize>, Vec<usize>) = (0..batch_rank).partition(|&axis| is_shared(axis));
    let gathered = |graph: &mut Graph, x: &Tensor| {
        let axes = [&own[..], &shared, &[batch_rank, batch_rank + 1]].concat();
        let permuted = graph.permute(x, &axes)?;
        let sizes = permuted.shape().to_vec();
        let terms: usize = sizes[own.len()..sizes.len() - 1].iter().product();
        graph.reshape(&permuted, &[&sizes[..own.len()], &[terms, sizes[sizes.len() - 1]]].concat())
    };
    let left = gathered(graph, left)?;
    let right = gathered(graph, right)?;
    let product = match transposed {
        false => graph.matmul(&left, &right, true, false)?,
        true => graph.matmul(&right, &left, true, false)?,
    };
    graph.reshape(&product, source.shape())
}

pub(super) fn conv2d(
    graph: &mut Graph,
    attributes: Conv2dAttributes,
    node: &Tensor,
    at: usize,
    g: &Tensor,
) -> Recorded {
    let [x, weight] = [&node.inputs()[0], &node.inputs()[1]];
    match at {
        0 => input_gradient(graph, attributes, g, weight, x.shape()),
        _ => weight_gradient(graph, attributes, x, g, weight.shape()),
    }
}

pub(super) fn conv2d_input_gradient(
    graph: &mut Graph,
    attributes: Conv2dAttributes,
    node: &Tensor,
    at: usize,
    g: &Tensor,
) -> Recorded {
    let [dy, weight] = [&node.inputs()[0], &node.inputs()[1]];
    match at {
        0 => graph.conv2d(g, weight, attributes),
        _ => weight_gradient(graph, attributes, g, dy, weight.shape()),
    }
}

pub(super) fn conv2d_weight_gradient(
    graph: &mut Graph,
    attributes: Conv2dAttributes,
    node: &Tensor,
    at: usize,
    g: &Tensor,
) -> Recorded {
    let [x, dy] = [&node.inputs()[0], &node.inputs()[1]];
    match at {
        0 => input_gradient(graph, attributes, dy, g, x.shape()),
        _ => graph.conv2d(x, g, attributes),
    }
}

fn input_gradient(
    graph: &mut Graph,
    attributes: Conv2dAttributes,
    dy: &Tensor,
    weight: &Tensor,
    shape: &Shape,
) -> Recorded {
    let w = weight.shape();
    check_terms("gradients", w[0] / attributes.groups * w[2] * w[3])?;
    check_workspace("gradients", gas::spread(w, shape, &attributes))?;
    graph.record(Op::Conv2dInputGradient(attributes), &[dy, weight], *shape, DType::F32)
}

fn weight_gradient(
    graph: &mut Graph,
    attributes: Conv2dAttributes,
    x: &Tensor,
    dy: &Tensor,
    shape: &Shape,
) -> Recorded {
    let y = dy.shape();
    let terms = y[0] * y[2] * y[3];
    if check_terms("gradients", terms).is_err() {
        let message =
            format!("the gradient of a convolution's weight sums {terms} products; use a smaller batch");
        return argument_error("gradients", message);
    }
    graph.record(Op::Conv2dWeightGradient(attributes), &[x, dy], *shape, DType::F32)
}
