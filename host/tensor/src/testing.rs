//! What the tests of every backend share: random graphs, the comparison of two executors bit for bit, and the
//! count of what was covered.
//!
//! Compiled always, so that other crates' tests and `anneal selftest` can use it. Not used by a task.

mod coverage;
mod generate;
mod operations;
pub mod values;

use std::{collections::HashMap, fmt, sync::Arc};

pub use coverage::{Coverage, dtypes_of, every_element_op};
pub use generate::{Case, random_graph};

use crate::{DType, Elements, Executor, ExecutorError, Shape, Tensor, Value, reachable};

/// Two executors that do not agree.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// An element has other bits.
    #[error(transparent)]
    Element(ElementMismatch),
    /// A value has another type, or there are too few values.
    #[error("{node}: {found}")]
    Form {
        /// What was asked for.
        node: String,
        /// What came.
        found: String,
    },
    /// An executor failed.
    #[error("the {who} failed")]
    Machine {
        /// Which.
        who: &'static str,
        /// How.
        #[source]
        source: ExecutorError,
    },
}

/// The first element that differs.
#[derive(Debug, thiserror::Error)]
pub struct ElementMismatch {
    /// The node: its sequence, operation, dtype and shape, and its inputs'.
    pub node: String,
    /// The contract's function that recorded it.
    pub label: &'static str,
    /// Where.
    pub index: Vec<usize>,
    /// The type of the elements.
    pub dtype: DType,
    /// The reference's word.
    pub expected: u32,
    /// The candidate's word.
    pub found: u32,
    /// How many elements differ.
    pub count: usize,
    /// Only the case's targets were asked for, so the candidate was free to fuse; else every node was.
    pub fused: bool,
}

impl fmt::Display for ElementMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |word: u32| match self.dtype {
            DType::F32 => format!("{word:#010x} ({:e})", f32::from_bits(word)),
            _ => format!("{word:#010x}"),
        };
        let asked = if self.fused { "only the targets were asked for" } else { "every node was asked for" };
        write!(
            f,
            "{} (recorded by {}) differs at {:?}: the reference gives {}, the candidate {}; {} elements \
             differ; {asked}",
            self.node,
            self.label,
            self.index,
            show(self.expected),
            show(self.found),
            self.count
        )
    }
}

/// Compares two executors on every node of a case, then on its targets alone (so that what a candidate fuses
/// is compared too), bit for bit but for the sign of zero.
///
/// # Errors
/// The first difference, by recorded order.
pub fn check_equal(
    reference: &mut dyn Executor,
    candidate: &mut dyn Executor,
    case: &Case,
) -> Result<(), Mismatch> {
    let mut nodes = reachable(&case.targets);
    nodes.retain(|node| node.value().is_none());
    let expected = run("reference", reference, &nodes)?;
    let found = run("candidate", candidate, &nodes)?;
    for (node, (expected, found)) in nodes.iter().zip(expected.iter().zip(&found)) {
        compare(node, expected, found, false)?;
    }
    let by_sequence: HashMap<u64, &Arc<Elements>> =
        nodes.iter().map(Tensor::sequence).zip(&expected).collect();
    let found = run("candidate", candidate, &case.targets)?;
    for (target, found) in case.targets.iter().zip(&found) {
        if let Some(expected) = by_sequence.get(&target.sequence()) {
            compare(target, expected, found, true)?;
        }
    }
    Ok(())
}

fn run(
    who: &'static str,
    executor: &mut dyn Executor,
    targets: &[Tensor],
) -> Result<Vec<Arc<Elements>>, Mismatch> {
    let machine = |source| Mismatch::Machine { who, source };
    let values = executor.evaluate(targets).map_err(machine)?;
    if values.len() != targets.len() {
        let found = format!("{} values came from the {who}", values.len());
        return Err(Mismatch::Form { node: format!("{} targets", targets.len()), found });
    }
    let mut read = Vec::with_capacity(values.len());
    for (target, value) in targets.iter().zip(&values) {
        let elements = executor.read(value).map_err(machine)?;
        check_form(who, target, value, &elements)?;
        read.push(elements);
    }
    Ok(read)
}

fn check_form(who: &str, target: &Tensor, value: &Value, elements: &Elements) -> Result<(), Mismatch> {
    let asked: (DType, Shape) = (target.dtype(), *target.shape());
    let kind = std::mem::discriminant(elements);
    if (value.dtype, value.shape) == asked
        && elements.len() == target.shape().elements()
        && kind == std::mem::discriminant(&Elements::zeros(target.dtype(), 0))
    {
        return Ok(());
    }
    let found = format!("the {who} gives {} {} with {} elements", value.dtype, value.shape, elements.len());
    Err(Mismatch::Form { node: describe(target), found })
}

fn compare(node: &Tensor, expected: &Elements, found: &Elements, fused: bool) -> Result<(), Mismatch> {
    let dtype = node.dtype();
    let differs = |at: &usize| signless(dtype, expected.word(*at)) != signless(dtype, found.word(*at));
    let Some(first) = (0..expected.len()).find(differs) else { return Ok(()) };
    Err(Mismatch::Element(ElementMismatch {
        node: describe(node),
        label: node.label(),
        index: node.shape().unravel(first),
        dtype,
        expected: expected.word(first),
        found: found.word(first),
        count: (0..expected.len()).filter(differs).count(),
        fused,
    }))
}

/// The word without the sign of a zero.
fn signless(dtype: DType, word: u32) -> u32 {
    match (dtype, word) {
        (DType::F32, 0x8000_0000) | (DType::Bf16 | DType::F16, 0x8000) => 0,
        (_, word) => word,
    }
}

fn describe(node: &Tensor) -> String {
    let inputs: Vec<String> =
        node.inputs().iter().map(|input| format!("{} {}", input.dtype(), input.shape())).collect();
    format!("{node:?} of ({})", inputs.join(", "))
}

#[cfg(test)]
mod tests;
