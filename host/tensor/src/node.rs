//! Recorded tensors: nodes that hold their inputs.
//!
//! A node lives as long as a handle or another node needs it, so the meter's count of bytes is the count of
//! what is reachable, the same on every machine. Nothing is computed here.

use std::{
    collections::HashSet,
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use crate::{DType, Exhausted, Meter, Op, Shape, Value, gas, limits};

/// A handle to a recorded tensor. Cloning shares it.
#[derive(Clone)]
pub struct Tensor(Arc<Node>);

struct Node {
    sequence: u64,
    op: Op,
    label: &'static str,
    inputs: Vec<Tensor>,
    shape: Shape,
    dtype: DType,
    value: OnceLock<Value>,
    stage: AtomicU8,
    /// What it counts against the task's bytes.
    held: u64,
    meter: Arc<Meter>,
}

/// How far a tensor has come by what the guest asked for. Gas follows from it, so it is no question of what an
/// executor keeps, or of what was traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Recorded.
    Recorded,
    /// Computed on the way to another, and not kept: the next who needs it computes it again.
    Computed,
    /// Its value is kept.
    Kept,
}

impl Tensor {
    /// Records a node. The caller has checked that it is legal.
    pub(crate) fn record(
        meter: &Arc<Meter>,
        sequence: u64,
        label: &'static str,
        op: Op,
        inputs: Vec<Tensor>,
        shape: Shape,
        dtype: DType,
    ) -> Result<Tensor, Exhausted> {
        let shapes: Vec<&Shape> = inputs.iter().map(Tensor::shape).collect();
        let held = bytes_of(&shape, dtype)
            .saturating_add(gas::workspace(&op, &shapes, &shape))
            .saturating_add(limits::RECORD_BYTES + limits::RECORD_INPUT_BYTES * inputs.len() as u64);
        meter.add_tensor(held)?;
        let (value, stage) = (OnceLock::new(), AtomicU8::new(Stage::Recorded as u8));
        let meter = Arc::clone(meter);
        Ok(Tensor(Arc::new(Node { sequence, op, label, inputs, shape, dtype, value, stage, held, meter })))
    }

    /// A number that grows with every recorded node of a task.
    pub fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// The operation.
    pub fn op(&self) -> &Op {
        &self.0.op
    }

    /// The contract's function that recorded it, where that is composed of several (`softmax`), else the
    /// operation's own name.
    pub fn label(&self) -> &'static str {
        self.0.label
    }

    /// The inputs.
    pub fn inputs(&self) -> &[Tensor] {
        &self.0.inputs
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Bytes of the elements.
    pub fn bytes(&self) -> usize {
        bytes_of(&self.0.shape, self.0.dtype) as usize
    }

    /// The value, where it was evaluated.
    pub fn value(&self) -> Option<&Value> {
        self.0.value.get()
    }

    /// Keeps an evaluated value; the first one stays.
    pub fn set_value(&self, value: Value) {
        debug_assert_eq!((value.dtype, value.shape), (self.0.dtype, self.0.shape));
        let _first_stays = self.0.value.set(value);
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.0.stage.load(Ordering::Relaxed) {
            0 => Stage::Recorded,
            1 => Stage::Computed,
            _ => Stage::Kept,
        }
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Both are handles to one node.
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Every node that the targets need and that has no value yet, and the valued nodes they start from, inputs
/// before consumers, in ascending sequence.
pub fn reachable(targets: &[Tensor]) -> Vec<Tensor> {
    let mut seen = SequenceSet::default();
    let mut nodes: Vec<Tensor> =
        targets.iter().filter(|tensor| seen.insert(tensor.sequence())).cloned().collect();
    let mut next = 0;
    while let Some(tensor) = nodes.get(next).cloned() {
        next += 1;
        if tensor.value().is_none() {
            nodes.extend(tensor.inputs().iter().filter(|input| seen.insert(input.sequence())).cloned());
        }
    }
    nodes.sort_unstable_by_key(Tensor::sequence);
    nodes
}

fn bytes_of(shape: &Shape, dtype: DType) -> u64 {
    (shape.elements() * dtype.byte_size()) as u64
}

impl Drop for Node {
    fn drop(&mut self) {
        self.meter.remove_tensor(self.held);
        // A history may be tens of thousands of nodes deep: take it apart in a loop, not by recursion.
        let mut waiting = std::mem::take(&mut self.inputs);
        while let Some(Tensor(node)) = waiting.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                waiting.append(&mut node.inputs);
            }
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} {} {}", self.sequence(), self.op().name(), self.dtype(), self.shape())
    }
}

/// Sequence numbers that were seen.
pub(crate) type SequenceSet = HashSet<u64, SequenceState>;

/// Hashes sequence numbers: they are distinct and count up, so one multiplication spreads them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SequenceState;

pub(crate) struct SequenceHasher(u64);

impl BuildHasher for SequenceState {
    type Hasher = SequenceHasher;

    fn build_hasher(&self) -> SequenceHasher {
        SequenceHasher(0)
    }
}

impl Hasher for SequenceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, sequence: u64) {
        let product = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
