//! The recorder: the contract's operations, checked, charged and turned into nodes.
//!
//! Every method checks its arguments, so that what was recorded never fails on data. The larger operations
//! are recorded as compositions ([`composite`]); gradients are recorded by `gradient`. Nothing is computed
//! here but scalars.

mod composite;
mod create;
mod elementwise;
mod evaluate;
mod index;
mod linear;
mod movement;
mod optimise;
mod reduce;

use std::sync::Arc;

pub(crate) use linear::{check_terms, check_workspace, conv2d_shape};
pub(crate) use movement::window_shape;
pub use optimise::{AdamwOptions, SgdOptions};

use evaluate::Structures;

use crate::{
    CallErrorCode, DType, Exhausted, Meter, Op, RecordError, Shape, Tensor, Value, gas, limits, node::Stage,
};

pub use composite::Pool2dOptions;

/// Records the operations of one task.
pub struct Graph {
    meter: Arc<Meter>,
    seed: u64,
    sequence: u64,
    step_nodes: usize,
    label: Option<&'static str>,
    structures: Structures,
}

/// What recording gives.
pub type Recorded<T = Tensor> = Result<T, RecordError>;

impl Graph {
    /// A recorder for a task with this seed (rule 10) that charges this meter.
    pub fn new(seed: u64, meter: Arc<Meter>) -> Graph {
        Graph { meter, seed, sequence: 0, step_nodes: 0, label: None, structures: Structures::default() }
    }

    /// The meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The task's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A leaf that holds a value.
    ///
    /// # Errors
    /// Where the tensor is over a limit of the contract, or the task's bytes are used up.
    pub fn leaf(&mut self, value: Value) -> Recorded {
        check_size("import", &value.shape, value.dtype)?;
        let tensor = self.node("leaf", Op::Leaf, Vec::new(), value.shape, value.dtype)?;
        tensor.set_value(value);
        tensor.set_stage(Stage::Kept);
        Ok(tensor)
    }

    /// Records an operation: charges it and counts it. Its arguments were checked by the caller; only the
    /// size of the result is checked here.
    pub(crate) fn record(&mut self, op: Op, inputs: &[&Tensor], shape: Shape, dtype: DType) -> Recorded {
        let label = self.label.unwrap_or(op.name());
        check_size(label, &shape, dtype)?;
        self.meter.charge_gas(gas::computed(&op, inputs, &shape, dtype))?;
        let inputs = inputs.iter().map(|&input| input.clone()).collect();
        Ok(self.node(label, op, inputs, shape, dtype)?)
    }

    /// Records what `compose` records under the name of the contract's function that it makes up.
    pub(crate) fn labelled<T>(
        &mut self,
        label: &'static str,
        compose: impl FnOnce(&mut Graph) -> Recorded<T>,
    ) -> Recorded<T> {
        let outer = self.label;
        self.label = Some(outer.unwrap_or(label));
        let composed = compose(self);
        self.label = outer;
        composed
    }

    fn node(
        &mut self,
        label: &'static str,
        op: Op,
        inputs: Vec<Tensor>,
        shape: Shape,
        dtype: DType,
    ) -> Result<Tensor, Exhausted> {
        if self.step_nodes >= limits::STEP_NODES_MAX {
            return Err(Exhausted::StepNodes { limit: limits::STEP_NODES_MAX });
        }
        let tensor = Tensor::record(&self.meter, self.sequence, label, op, inputs, shape, dtype)?;
        self.sequence += 1;
        self.step_nodes += 1;
        Ok(tensor)
    }
}

/// The shape with these sizes, or an error in the name of `operation`.
pub(crate) fn shape_of(operation: &'static str, sizes: &[usize]) -> Recorded<Shape> {
    Shape::new(sizes).ok_or_else(|| {
        let message = format!("the shape {sizes:?} has rank {} (at most {})", sizes.len(), limits::RANK_MAX)
            + " or too many elements; reshape or split the tensor";
        RecordError::call(CallErrorCode::Limit, operation, message)
    })
}

fn check_size(operation: &'static str, shape: &Shape, dtype: DType) -> Recorded<()> {
    let bytes = shape.elements() * dtype.byte_size();
    if bytes > limits::TENSOR_BYTES_MAX {
        let message = format!(
            "the result {dtype} {shape} would hold {bytes} bytes; a tensor holds at most {}: split it",
            limits::TENSOR_BYTES_MAX
        );
        return Err(RecordError::call(CallErrorCode::Limit, operation, message));
    }
    Ok(())
}

/// Every axis is below the rank and none is named twice; returned ascending.
pub(crate) fn check_axes(operation: &'static str, shape: &Shape, axes: &[usize]) -> Recorded<Vec<usize>> {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    let distinct = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    if !distinct || sorted.last().is_some_and(|&axis| axis >= shape.rank()) {
        let message = format!(
            "axes {axes:?} of a tensor of shape {shape}: each must be below {} and named once",
            shape.rank()
        );
        return Err(RecordError::call(CallErrorCode::Argument, operation, message));
    }
    Ok(sorted)
}

pub(crate) fn check_dtype(operation: &'static str, x: &Tensor, allowed: &[DType]) -> Recorded<()> {
    if allowed.contains(&x.dtype()) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(|dtype| dtype.name()).collect();
    let message = format!("got {} {}, takes {}; cast first", x.dtype(), x.shape(), names.join(" or "));
    Err(RecordError::call(CallErrorCode::DType, operation, message))
}

pub(crate) fn shape_error<T>(operation: &'static str, message: String) -> Recorded<T> {
    Err(RecordError::call(CallErrorCode::Shape, operation, message))
}

pub(crate) fn argument_error<T>(operation: &'static str, message: String) -> Recorded<T> {
    Err(RecordError::call(CallErrorCode::Argument, operation, message))
}
