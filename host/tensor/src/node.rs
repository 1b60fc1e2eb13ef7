//! Recorded tensors: nodes that hold their inputs, and the meter that counts what they cost.
//!
//! A node lives as long as a handle or another node needs it, so the meter's count of bytes is the count of
//! what is reachable, the same on every machine. Nothing is computed here.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{DType, Exhausted, Op, Shape, Value};

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
    meter: Arc<Meter>,
}

/// Counts what a task uses: gas and the bytes of live tensors.
#[derive(Debug)]
pub struct Meter {
    gas_pending: AtomicU64,
    bytes_live: AtomicU64,
    bytes_peak: AtomicU64,
    bytes_max: u64,
}

impl Meter {
    /// A meter that allows this many bytes of live tensors.
    pub fn new(bytes_max: u64) -> Arc<Meter> {
        Arc::new(Meter {
            gas_pending: AtomicU64::new(0),
            bytes_live: AtomicU64::new(0),
            bytes_peak: AtomicU64::new(0),
            bytes_max,
        })
    }

    /// Charges gas, to be collected with [`Meter::take_gas`].
    pub fn charge_gas(&self, gas: u64) {
        let pending = self.gas_pending.load(Ordering::Relaxed);
        self.gas_pending.store(pending.saturating_add(gas), Ordering::Relaxed);
    }

    /// The gas charged since the last call. Whoever meters the task subtracts it from its budget before the
    /// guest goes on.
    pub fn take_gas(&self) -> u64 {
        self.gas_pending.swap(0, Ordering::Relaxed)
    }

    /// Bytes of live tensors.
    pub fn bytes_live(&self) -> u64 {
        self.bytes_live.load(Ordering::Relaxed)
    }

    /// The most bytes that were live at once.
    pub fn bytes_peak(&self) -> u64 {
        self.bytes_peak.load(Ordering::Relaxed)
    }

    fn hold(&self, bytes: u64) -> Result<(), Exhausted> {
        let needed = self.bytes_live().saturating_add(bytes);
        if needed > self.bytes_max {
            return Err(Exhausted::TensorBytes { needed, limit: self.bytes_max });
        }
        self.bytes_live.store(needed, Ordering::Relaxed);
        self.bytes_peak.fetch_max(needed, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, bytes: u64) {
        self.bytes_live.fetch_sub(bytes, Ordering::Relaxed);
    }
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
        meter.hold(bytes_of(&shape, dtype))?;
        let value = OnceLock::new();
        Ok(Tensor(Arc::new(Node {
            sequence,
            op,
            label,
            inputs,
            shape,
            dtype,
            value,
            meter: Arc::clone(meter),
        })))
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

    /// Both are handles to one node.
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Every node that the targets need and that has no value yet, and the valued nodes they start from, inputs
/// before consumers, in ascending sequence.
pub fn reachable(targets: &[Tensor]) -> Vec<Tensor> {
    let mut seen = std::collections::HashMap::new();
    let mut stack: Vec<&Tensor> = targets.iter().collect();
    while let Some(tensor) = stack.pop() {
        if seen.insert(tensor.sequence(), tensor).is_none() && tensor.value().is_none() {
            stack.extend(tensor.inputs());
        }
    }
    let mut nodes: Vec<Tensor> = seen.into_values().cloned().collect();
    nodes.sort_by_key(Tensor::sequence);
    nodes
}

fn bytes_of(shape: &Shape, dtype: DType) -> u64 {
    (shape.elements() * dtype.byte_size()) as u64
}

impl Drop for Node {
    fn drop(&mut self) {
        self.meter.release(bytes_of(&self.shape, self.dtype));
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
