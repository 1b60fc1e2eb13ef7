//! Reverse-mode gradients as a transformation of recorded operations: a gradient is recorded, checked and
//! charged like any other operation, so it can be differentiated again and every backend computes it.
//!
//! The rules are part of the numerics' version (rule 7): which operations are recorded, and in which order
//! contributions are added, decides bits. Nothing is evaluated here.

mod element;
mod linear;
mod movement;

use std::collections::HashMap;

use crate::{
    CallErrorCode, DType, Exhausted, Graph, Op, RecordError, Recorded, ReduceKind, Shape, Tensor, gas,
    node::{SequenceSet, SequenceState},
};

impl Graph {
    /// The gradient of `loss` (f32, one element) with respect to each of `wrt`, f32 and shaped as the tensor;
    /// zeros where the loss does not depend on it.
    ///
    /// Integers, truth values and what is computed from them alone are constants; so are `floor`, `sign` and
    /// `detach`. Canon, the 12-bit rounding and casts between floats differentiate as identity.
    ///
    /// # Errors
    /// A loss that is no f32 scalar, a `wrt` that is no float, an operation on the way that has no derivative
    /// (the optimiser steps), or the task's limits.
    pub fn gradients(&mut self, loss: &Tensor, wrt: &[&Tensor]) -> Recorded<Vec<Tensor>> {
        if loss.dtype() != DType::F32 || loss.shape().elements() != 1 {
            let message = format!(
                "the loss is {} {}; it must be one f32: take its mean or sum first",
                loss.dtype(),
                loss.shape()
            );
            return Err(RecordError::call(CallErrorCode::Shape, "gradients", message));
        }
        if let Some(tensor) = wrt.iter().find(|tensor| !is_float(tensor)) {
            let message = format!("with respect to a {} tensor; only floats have gradients", tensor.dtype());
            return Err(RecordError::call(CallErrorCode::DType, "gradients", message));
        }
        self.labelled("gradients", |graph| Backward::new(graph, loss, wrt)?.run(graph, loss, wrt))
    }
}

/// One pass from the loss back to what is asked for.
struct Backward {
    /// The nodes on a way from `wrt` to the loss, descending by sequence.
    way: Vec<Tensor>,
    /// What the loss's change is per change of a node, by sequence: the sum of what consumers gave so far.
    gradients: HashMap<u64, Tensor, SequenceState>,
    /// Those of the way, by sequence.
    on_way: SequenceSet,
    /// The nodes asked for, by sequence.
    asked: SequenceSet,
}

impl Backward {
    fn new(graph: &Graph, loss: &Tensor, wrt: &[&Tensor]) -> Result<Backward, Exhausted> {
        graph.meter().charge_gas(gas::LISTED.saturating_mul(wrt.len() as u64))?;
        let asked: SequenceSet = wrt.iter().map(|tensor| tensor.sequence()).collect();
        let mut on_way = SequenceSet::default();
        let mut way = Vec::new();
        // Inputs have lower sequences than consumers, so ascending order sees inputs first.
        for node in history(graph, loss)? {
            let flows = |input: &Tensor| on_way.contains(&input.sequence());
            let depends =
                asked.contains(&node.sequence()) || (!is_constant(node) && node.inputs().iter().any(flows));
            if depends && is_float(node) {
                on_way.insert(node.sequence());
                way.push(node.clone());
            }
        }
        way.reverse();
        Ok(Backward { way, gradients: HashMap::default(), on_way, asked })
    }

    fn run(mut self, graph: &mut Graph, loss: &Tensor, wrt: &[&Tensor]) -> Recorded<Vec<Tensor>> {
        let one = graph.full(DType::F32, loss.shape(), 1.0)?;
        self.gradients.insert(loss.sequence(), one);
        for node in std::mem::take(&mut self.way) {
            // Consumers came before, in descending sequence, so the gradient of this node is complete.
            if let Some(gradient) = self.gradients.get(&node.sequence()).cloned() {
                self.propagate(graph, &node, &gradient)?;
            }
        }
        wrt.iter()
            .map(|tensor| match self.gradients.get(&tensor.sequence()) {
                Some(gradient) => Ok(gradient.clone()),
                None => graph.full(DType::F32, tensor.shape(), 0.0),
            })
            .collect()
    }

    /// The node at this input needs a gradient.
    fn wants(&self, node: &Tensor, input: usize) -> bool {
        self.on_way.contains(&node.inputs()[input].sequence())
    }

    /// Adds a contribution to a node's gradient, after those that came before (rule 7's order).
    fn give(&mut self, graph: &mut Graph, to: &Tensor, contribution: Tensor) -> Recorded<()> {
        let sum = match self.gradients.remove(&to.sequence()) {
            Some(before) => graph.add(&before, &contribution)?,
            None => contribution,
        };
        self.gradients.insert(to.sequence(), sum);
        Ok(())
    }

    fn propagate(&mut self, graph: &mut Graph, node: &Tensor, gradient: &Tensor) -> Recorded<()> {
        // A constant is on the way only where it is itself asked for; nothing flows on from it.
        if is_constant(node) {
            return Ok(());
        }
        if let Op::MatMul { transpose_a, transpose_b } = *node.op() {
            return self.matmul(graph, node, gradient, transpose_a, transpose_b);
        }
        for at in 0..node.inputs().len() {
            if self.wants(node, at) {
                let contribution = input_gradient(graph, node, at, gradient)?;
                self.give(graph, &node.inputs()[at].clone(), contribution)?;
            }
        }
        Ok(())
    }
}

/// What a node gives to its input `at`, for every operation but matmul.
fn input_gradient(graph: &mut Graph, node: &Tensor, at: usize, gradient: &Tensor) -> Recorded {
    let input = &node.inputs()[at];
    match node.op() {
        Op::Leaf | Op::ArgReduce { .. } | Op::MatMul { .. } => {
            unreachable!("leaves have no inputs, indices are constants, matmul has its own rule")
        }
        Op::Element(op) => {
            let contribution = element::gradient(graph, op, node, at, gradient)?;
            sum_to(graph, &contribution, input.shape())
        }
        Op::View(view) => movement::view(graph, view, input, gradient),
        Op::Pad { low, interior, .. } => movement::pad(graph, low, interior, input, gradient),
        Op::Concat { axis } => movement::concat(graph, *axis, node, at, gradient),
        Op::Reduce { kind: ReduceKind::Sum, .. } => graph.broadcast_to(gradient, input.shape()),
        Op::Reduce { kind, axes } => extreme(graph, *kind == ReduceKind::Max, axes, input, gradient),
        Op::Conv2d(attributes) => linear::conv2d(graph, *attributes, node, at, gradient),
        Op::Conv2dInputGradient(attributes) => {
            linear::conv2d_input_gradient(graph, *attributes, node, at, gradient)
        }
        Op::Conv2dWeightGradient(attributes) => {
            linear::conv2d_weight_gradient(graph, *attributes, node, at, gradient)
        }
        Op::Fold(window) => graph.window(gradient, *window),
        Op::Gather { axis } => {
            let zeros = graph.full(DType::F32, input.shape(), 0.0)?;
            graph.scatter_add(&zeros, *axis, &node.inputs()[1], gradient)
        }
        Op::ScatterAdd { .. } if at == 0 => graph.reshape(gradient, gradient.shape()),
        Op::ScatterAdd { axis } => graph.gather(gradient, *axis, &node.inputs()[1]),
    }
}

/// Max and min: the whole gradient to the first extreme element.
fn extreme(graph: &mut Graph, largest: bool, axes: &[usize], input: &Tensor, gradient: &Tensor) -> Recorded {
    let chosen = graph.arg_reduce(largest, input, axes)?;
    let reduced: Vec<usize> = axes.iter().map(|&axis| input.shape()[axis]).collect();
    let positions = graph.iota(&reduced)?;
    let mut along = vec![1; input.shape().rank()];
    for &axis in axes {
        along[axis] = input.shape()[axis];
    }
    let positions = graph.reshape(&positions, &along)?;
    let mask = graph.eq(&positions, &chosen)?;
    let zero = graph.scalar(0.0)?;
    graph.select(&mask, gradient, &zero)
}

/// The adjoint of broadcasting: sums the axes that `shape` does not have or has with size 1.
fn sum_to(graph: &mut Graph, x: &Tensor, shape: &Shape) -> Recorded {
    if x.shape() == shape {
        return Ok(x.clone());
    }
    let extra = x.shape().rank() - shape.rank();
    let axes: Vec<usize> = (0..x.shape().rank())
        .filter(|&axis| axis < extra || (shape[axis - extra] == 1 && x.shape()[axis] != 1))
        .collect();
    let summed = if axes.is_empty() { x.clone() } else { graph.reduce(ReduceKind::Sum, x, &axes, true)? };
    graph.reshape(&summed, shape)
}

/// The loss and everything it was computed from, ascending by sequence. Values do not cut history; commit
/// does. Each is charged before it is looked at.
fn history<'a>(graph: &Graph, loss: &'a Tensor) -> Result<Vec<&'a Tensor>, Exhausted> {
    let mut seen = SequenceSet::from_iter([loss.sequence()]);
    let mut nodes = vec![loss];
    let mut next = 0;
    while let Some(&node) = nodes.get(next) {
        next += 1;
        graph.meter().charge_gas(gas::walked(node))?;
        nodes.extend(node.inputs().iter().filter(|input| seen.insert(input.sequence())));
    }
    nodes.sort_unstable_by_key(|node| node.sequence());
    Ok(nodes)
}

fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.dtype(), DType::F32 | DType::Bf16 | DType::F16)
}

/// The node's derivative is zero wherever it has one.
fn is_constant(node: &Tensor) -> bool {
    use crate::{ElementOp, ViewOp};
    matches!(
        node.op(),
        Op::Element(ElementOp::Floor | ElementOp::Sign) | Op::View(ViewOp::Detach) | Op::ArgReduce { .. }
    )
}

#[cfg(test)]
mod tests;
