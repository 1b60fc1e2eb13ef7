//! The adjoints of movement: where each element's gradient goes back to.

use crate::{Graph, Op, Recorded, Tensor, ViewOp};

pub(super) fn view(graph: &mut Graph, view: &ViewOp, input: &Tensor, g: &Tensor) -> Recorded {
    match view {
        ViewOp::Reshape => graph.reshape(g, input.shape()),
        ViewOp::Permute { axes } => {
            let mut inverse = vec![0; axes.len()];
            for (to, &from) in axes.iter().enumerate() {
                inverse[from] = to;
            }
            graph.permute(g, &inverse)
        }
        ViewOp::Broadcast => super::sum_to(graph, g, input.shape()),
        ViewOp::Slice { starts, steps } => slice(graph, starts, steps, input, g),
        ViewOp::Flip { axes } => graph.flip(g, axes),
        ViewOp::Window(window) => graph.record(Op::Fold(*window), &[g], *input.shape(), g.dtype()),
        ViewOp::Detach => unreachable!("detach is a constant: its input is never asked"),
    }
}

/// Back to their places, zeros between and around.
fn slice(graph: &mut Graph, starts: &[usize], steps: &[usize], input: &Tensor, g: &Tensor) -> Recorded {
    let rank = starts.len();
    let interior: Vec<usize> = steps.iter().map(|step| step - 1).collect();
    let covered = |i: usize| g.shape()[i] + g.shape()[i].saturating_sub(1) * interior[i];
    let high: Vec<usize> = (0..rank).map(|i| input.shape()[i] - starts[i] - covered(i)).collect();
    graph.pad_bits(g, starts, &high, &interior, 0)
}

/// Only the elements that were there before the padding.
pub(super) fn pad(
    graph: &mut Graph,
    low: &[usize],
    interior: &[usize],
    input: &Tensor,
    g: &Tensor,
) -> Recorded {
    let steps: Vec<usize> = interior.iter().map(|between| between + 1).collect();
    let end = |i: usize| match input.shape()[i] {
        0 => low[i],
        size => low[i] + (size - 1) * steps[i] + 1,
    };
    let ends: Vec<usize> = (0..low.len()).map(end).collect();
    graph.slice(g, low, &ends, &steps)
}

/// The part of the gradient that lies over the input.
pub(super) fn concat(graph: &mut Graph, axis: usize, node: &Tensor, at: usize, g: &Tensor) -> Recorded {
    let before: usize = node.inputs()[..at].iter().map(|input| input.shape()[axis]).sum();
    let mut starts = vec![0; g.shape().rank()];
    let mut ends = g.shape().to_vec();
    starts[axis] = before;
    ends[axis] = before + node.inputs()[at].shape()[axis];
    graph.slice(g, &starts, &ends, &vec![1; starts.len()])
}
