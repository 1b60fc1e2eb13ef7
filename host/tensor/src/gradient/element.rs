//! The derivatives of element operations. Broadcasting is the caller's: what is returned has the shape that
//! the formula gives.

use crate::{CallErrorCode, ElementOp, Graph, RecordError, Recorded, Tensor};

/// 2 / √π, rounded to f32.
const TWO_OVER_ROOT_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI;

/// g · ∂op/∂input at the node's inputs.
pub(super) fn gradient(graph: &mut Graph, op: &ElementOp, node: &Tensor, at: usize, g: &Tensor) -> Recorded {
    use ElementOp::*;
    let y = node;
    let x = &node.inputs()[at];
    match op {
        // Between floats; a cast to or from anything else is a constant and never asked.
        Cast | Add => Ok(g.clone()),
        Neg => graph.neg(g),
        Abs => {
            let sign = graph.sign(x)?;
            graph.mul(g, &sign)
        }
        Recip => {
            let square = graph.mul(y, y)?;
            let product = graph.mul(g, &square)?;
            graph.neg(&product)
        }
        Exp => graph.mul(g, y),
        Ln => graph.div(g, x),
        Sqrt => {
            let twice = graph.add(y, y)?;
            graph.div(g, &twice)
        }
        Rsqrt => rsqrt(graph, y, g),
        Tanh => {
            let one = graph.scalar(1.0)?;
            let square = graph.mul(y, y)?;
            let slope = graph.sub(&one, &square)?;
            graph.mul(g, &slope)
        }
        Sigmoid => {
            let one = graph.scalar(1.0)?;
            let rest = graph.sub(&one, y)?;
            let slope = graph.mul(y, &rest)?;
            graph.mul(g, &slope)
        }
        Erf => erf(graph, x, g),
        Sin => {
            let slope = graph.cos(x)?;
            graph.mul(g, &slope)
        }
        Cos => {
            let sine = graph.sin(x)?;
            let product = graph.mul(g, &sine)?;
            graph.neg(&product)
        }
        Sub if at == 0 => Ok(g.clone()),
        Sub => graph.neg(g),
        Mul => graph.mul(g, &node.inputs()[1 - at]),
        Div if at == 0 => graph.div(g, &node.inputs()[1]),
        Div => {
            let product = graph.mul(g, y)?;
            let quotient = graph.div(&product, x)?;
            graph.neg(&quotient)
        }
        Pow if at == 0 => power_base(graph, node, g),
        Pow => power_exponent(graph, node, g),
        Max => chosen(graph, node, at, g, |graph, a, b| graph.le(b, a)),
        Min => chosen(graph, node, at, g, |graph, a, b| graph.le(a, b)),
        Where => {
            let condition = node.inputs()[0].clone();
            masked(graph, &condition, at == 1, g)
        }
        SgdVelocity(_) | SgdParameter(_) | AdamwFirst(_) | AdamwSecond(_) | AdamwParameter(_) => {
            let message = format!(
                "{} has no derivative: commit after the optimiser's step, or detach its result",
                node.label()
            );
            Err(RecordError::call(CallErrorCode::NoGradient, "gradients", message))
        }
        Full(_) | Iota | Uniform(_) | Normal(_) | Sign | Floor | Not | Eq | Lt | Le | And | Or | Xor => {
            unreachable!("{} is a constant: its inputs are never asked", op.name())
        }
    }
}

/// −½ · g · y³.
fn rsqrt(graph: &mut Graph, y: &Tensor, g: &Tensor) -> Recorded {
    let half = graph.scalar(-0.5)?;
    let square = graph.mul(y, y)?;
    let cube = graph.mul(&square, y)?;
    let scaled = graph.mul(g, &half)?;
    graph.mul(&scaled, &cube)
}

/// g · 2/√π · e^−x².
fn erf(graph: &mut Graph, x: &Tensor, g: &Tensor) -> Recorded {
    let square = graph.mul(x, x)?;
    let exponent = graph.neg(&square)?;
    let bell = graph.exp(&exponent)?;
    let factor = graph.scalar(TWO_OVER_ROOT_PI)?;
    let slope = graph.mul(&factor, &bell)?;
    graph.mul(g, &slope)
}

/// g · b · a^(b − 1).
fn power_base(graph: &mut Graph, node: &Tensor, g: &Tensor) -> Recorded {
    let [a, b] = [&node.inputs()[0], &node.inputs()[1]];
    let one = graph.scalar(1.0)?;
    let less = graph.sub(b, &one)?;
    let power = graph.pow(a, &less)?;
    let slope = graph.mul(b, &power)?;
    graph.mul(g, &slope)
}

/// g · a^b · ln a, and 0 where a is not positive.
fn power_exponent(graph: &mut Graph, node: &Tensor, g: &Tensor) -> Recorded {
    let a = &node.inputs()[0];
    let zero = graph.scalar(0.0)?;
    let positive = graph.lt(&zero, a)?;
    let logarithm = graph.ln(a)?;
    let slope = graph.mul(node, &logarithm)?;
    let product = graph.mul(g, &slope)?;
    masked(graph, &positive, true, &product)
}

/// The gradient where the input was the one chosen; a tie chose the first.
fn chosen(
    graph: &mut Graph,
    node: &Tensor,
    at: usize,
    g: &Tensor,
    first: impl FnOnce(&mut Graph, &Tensor, &Tensor) -> Recorded,
) -> Recorded {
    let mask = first(graph, &node.inputs()[0], &node.inputs()[1])?;
    masked(graph, &mask, at == 0, g)
}

/// g where the mask is `kept`, else 0.
fn masked(graph: &mut Graph, mask: &Tensor, kept: bool, g: &Tensor) -> Recorded {
    let zero = graph.scalar(0.0)?;
    if kept { graph.select(mask, g, &zero) } else { graph.select(mask, &zero, g) }
}
