//! Evaluation: what it costs, and its values.
//!
//! Recording an operation pays for computing it once. A result that was computed on the way to another and not
//! kept is computed again for the next, and paid for again. What is kept by this count is what the guest asked
//! for, never what an executor or a trace happens to keep.

use super::{Graph, Recorded};
use crate::{
    Executor, ExecutorError, Exhausted, Tensor, gas,
    node::{SequenceSet, Stage},
};

impl Graph {
    /// Charges what evaluating the tensors costs beyond their recording. To be asked before they are evaluated.
    ///
    /// # Errors
    /// Where the gas is used up: nothing is to be evaluated.
    pub fn charge_evaluation(&mut self, tensors: &[Tensor]) -> Result<(), Exhausted> {
        let is_new = |tensor: &&Tensor| tensor.stage() != Stage::Kept;
        let mut seen = SequenceSet::default();
        let mut waiting: Vec<&Tensor> =
            tensors.iter().filter(is_new).filter(|tensor| seen.insert(tensor.sequence())).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        // Executors look through what is alive for what they may use again.
        self.meter.charge_gas(gas::EVALUATION + self.meter.tensors_live())?;
        while let Some(node) = waiting.pop() {
            self.meter.charge_gas(gas::walked(node))?;
            if node.stage() == Stage::Computed {
                let inputs: Vec<&Tensor> = node.inputs().iter().collect();
                self.meter.charge_gas(gas::computed(node.op(), &inputs, node.shape(), node.dtype()))?;
            }
            node.set_stage(Stage::Computed);
            waiting.extend(
                node.inputs().iter().filter(is_new).filter(|input| seen.insert(input.sequence())),
            );
        }
        tensors.iter().for_each(|tensor| tensor.set_stage(Stage::Kept));
        Ok(())
    }

    /// Evaluates the tensors now, keeping each value in its node. History stays.
    ///
    /// # Errors
    /// Only the machine's.
    pub fn evaluate(&mut self, tensors: &[Tensor], executor: &mut dyn Executor) -> Result<(), ExecutorError> {
        let mut seen = SequenceSet::default();
        let is_waiting = |tensor: &&Tensor| tensor.value().is_none() && seen.insert(tensor.sequence());
        let waiting: Vec<Tensor> = tensors.iter().filter(is_waiting).cloned().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let values = executor.evaluate(&waiting)?;
        for (tensor, value) in waiting.iter().zip(values) {
            tensor.set_value(value);
        }
        Ok(())
    }

    /// The step boundary: evaluates the tensors and returns leaves with their values and no history.
    ///
    /// # Errors
    /// The machine's, or the task's gas or bytes are used up.
    pub fn commit(
        &mut self,
        tensors: &[Tensor],
        executor: &mut dyn Executor,
    ) -> Result<Recorded<Vec<Tensor>>, ExecutorError> {
        if let Err(exhausted) = self.charge_evaluation(tensors) {
            return Ok(Err(exhausted.into()));
        }
        self.evaluate(tensors, executor)?;
        self.step_nodes = 0;
        Ok(tensors
            .iter()
            .map(|tensor| {
                let value = tensor.value().expect("evaluate leaves a value in every target");
                self.leaf(value.clone())
            })
            .collect())
    }
}
