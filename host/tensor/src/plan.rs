//! Plans: what an executor does to evaluate some targets, found once for a structure and reused.
//!
//! A plan is built from the nodes that the targets need: views become strides, chains of element operations
//! become one [`Map`], every sum of products becomes a [`Contract`]. Fusing changes what is stored, never a
//! bit. Scalars and leaves are arguments of a run, so a learning rate or a new batch reuses the plan.
//! Backends walk the steps; nothing is computed here.

mod build;
mod cache;
mod contract;
mod group;
mod layout;
mod lower;
mod structure;
mod walk;

pub use cache::{PLANS_MAX, PlanCache};
pub use group::{MAP_BUFFERS_MAX, MAP_INSTRUCTIONS_MAX};
pub use structure::Arguments;
pub(crate) use structure::StructureHasher;

use crate::{DType, ElementOp, ReduceKind};

/// A buffer of a run: an argument, an intermediate or a result.
pub type Slot = usize;

/// Steps over numbered buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What each slot holds. The first [`Plan::arguments`] slots are the valued nodes, in ascending sequence.
    pub slots: Vec<SlotInfo>,
    /// How many slots are given.
    pub arguments: usize,
    /// How many scalar words are given: a zero, then [`ElementOp::scalars`] and pad constants in node order.
    pub scalars: usize,
    /// In order. A slot is written by exactly one step, except that a step may fill a slot and later steps
    /// overwrite parts of it (pad, concat). A slot of no elements may be written by none.
    pub steps: Vec<Step>,
    /// Per step, the slots that no later step and no target needs.
    pub releases: Vec<Vec<Slot>>,
    /// The slot of each target, contiguous and row-major; several targets may share one, and a target that
    /// is (a whole view of) a given value is an argument's slot.
    pub targets: Vec<Slot>,
}

/// A buffer's type: contiguous elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// The element type.
    pub dtype: DType,
    /// How many.
    pub elements: usize,
}

/// Elements of a slot seen through strides: index i is at `offset + Σ i[axis] · strides[axis]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The buffer.
    pub slot: Slot,
    /// Element at index zero.
    pub offset: isize,
    /// Per axis, in elements; zero repeats, negative goes backwards.
    pub strides: Vec<isize>,
}

/// One step and the nodes it computes, for messages and traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// The names of the operations in it, in recorded order.
    pub operations: Vec<&'static str>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// Element operations over one index space.
    Map(Map),
    /// A reduction.
    Reduce(Reduce),
    /// The position of an extreme element.
    ArgReduce(ArgReduce),
    /// Sums of products by rule 4.
    Contract(Contract),
    /// Overlapping windows added up (rule 5's order over the kernel positions).
    Fold(Fold),
    /// Slices at indices.
    Gather(Gather),
    /// Slices added at indices.
    ScatterAdd(ScatterAdd),
}

/// A straight-line program run at every index of a shape: loads, instructions, stores.
///
/// Registers are numbered: the loads first, then one an instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The index space, row-major.
    pub shape: Vec<usize>,
    /// What is loaded, with its dtype.
    pub loads: Vec<(View, DType)>,
    /// In order.
    pub instructions: Vec<Instruction>,
    /// Registers and where they go.
    pub stores: Vec<(usize, View)>,
}

/// One element operation of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The operation. Its scalars are not to be used: they are words `scalars..` of the run's arguments.
    pub op: ElementOp,
    /// Registers of the inputs.
    pub inputs: Vec<usize>,
    /// The dtype of the result.
    pub dtype: DType,
    /// Where its scalars begin.
    pub scalars: usize,
}

/// `out[o] = reduce over r of x[o, r]`, r row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// What is computed.
    pub kind: ReduceKind,
    /// f32 or i32.
    pub dtype: DType,
    /// The shape of what is kept.
    pub kept: Vec<usize>,
    /// The shape of what is reduced.
    pub reduced: Vec<usize>,
    /// The input; strides over kept, then reduced.
    pub x: View,
    /// The output, contiguous over kept.
    pub out: Slot,
}

/// As [`Reduce`]; the output is the i32 row-major position in `reduced`.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgReduce {
    /// Of the largest; else of the smallest.
    pub largest: bool,
    /// f32 or i32.
    pub dtype: DType,
    /// The shape of what is kept.
    pub kept: Vec<usize>,
    /// The shape of what is reduced.
    pub reduced: Vec<usize>,
    /// The input; strides over kept, then reduced.
    pub x: View,
    /// The output, contiguous over kept.
    pub out: Slot,
}

/// `out[batch, m, n] = Σ over k of a[batch, m, k] · b[batch, n, k]`, each of the four a group of axes; k runs
/// row-major in chunks of 256 (rule 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// Axes that both operands and the output have.
    pub batch: Vec<usize>,
    /// Axes of a and the output.
    pub m: Vec<usize>,
    /// Axes of b and the output.
    pub n: Vec<usize>,
    /// Axes that are summed.
    pub k: Vec<usize>,
    /// Strides over batch, then m, then k.
    pub a: View,
    /// Strides over batch, then n, then k.
    pub b: View,
    /// Contiguous over batch, m, n.
    pub out: Slot,
}

/// `out[n, c, y, x] = Σ over kernel positions of windows[n, c, oy, ox, ky, kx]` where
/// `oy · stride + ky · dilation = y`, and likewise for columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// `[n, c, oh, ow, kh, kw]`.
    pub windows_shape: [usize; 6],
    /// Strides over `windows_shape`.
    pub windows: View,
    /// Rows and columns of the output.
    pub size: [usize; 2],
    /// Distance between windows.
    pub stride: [usize; 2],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// Contiguous `[n, c, h, w]`.
    pub out: Slot,
}

/// `out[a, i, b] = x[a, indices[i], b]`, zero where the index is out of range.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Any.
    pub dtype: DType,
    /// Axes before.
    pub before: Vec<usize>,
    /// Axes of the indices.
    pub indices_shape: Vec<usize>,
    /// Axes after.
    pub after: Vec<usize>,
    /// The size of the indexed axis.
    pub size: usize,
    /// Strides over before, the indexed axis, after.
    pub x: View,
    /// Strides over `indices_shape`; i32.
    pub indices: View,
    /// Contiguous over before, `indices_shape`, after.
    pub out: Slot,
}

/// `out = base; for i ascending: out[a, indices[i], b] += source[a, i, b]`, dropped where out of range; each
/// f32 sum clamps.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterAdd {
    /// f32 or i32.
    pub dtype: DType,
    /// Axes before.
    pub before: Vec<usize>,
    /// Axes of the indices.
    pub indices_shape: Vec<usize>,
    /// Axes after.
    pub after: Vec<usize>,
    /// The size of the indexed axis.
    pub size: usize,
    /// Strides over before, the indexed axis, after.
    pub base: View,
    /// Strides over `indices_shape`; i32.
    pub indices: View,
    /// Strides over before, `indices_shape`, after.
    pub source: View,
    /// Contiguous over before, the indexed axis, after.
    pub out: Slot,
}

#[cfg(test)]
mod tests;
