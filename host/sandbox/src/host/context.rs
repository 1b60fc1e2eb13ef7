//! Interface `context`: who the task is, and the states of `merge`.

use anneal_job::{Entry, ParameterValue, Task};

use super::{Host, Refusal, bindings::context, bindings::tensors as wit};
use crate::{limits, state::State};

impl context::Host for Host {
    fn open_state(&mut self, worker: u32) -> Result<Vec<context::NamedTensor>, Refusal> {
        self.charge(limits::CALL_GAS)?;
        if self.task.entry != Entry::Merge {
            let message = format!("open-state: {} has no states to open; only merge has", self.task.entry);
            return Err(not_found(message));
        }
        let count = self.states.len();
        let Some(slot) = self.states.get_mut(super::size(worker)) else {
            return Err(not_found(format!("open-state: there is no state {worker}; the task has {count}")));
        };
        let Some(state) = slot.take() else {
            return Err(not_found(format!(
                "open-state: state {worker} was opened before; each is opened once"
            )));
        };
        self.open(&state)
    }
}

impl Host {
    /// Handles for the tensors of a state, each a leaf where the executor works best.
    pub(crate) fn open(&mut self, state: &State) -> Result<Vec<context::NamedTensor>, Refusal> {
        self.charge(limits::CALL_GAS * state.tensors().len() as u64)?;
        let tensors = state.tensors().iter();
        tensors
            .map(|tensor| {
                let value = self.executor.place(tensor.value.clone())?;
                let leaf = self.graph.leaf(value)?;
                Ok(context::NamedTensor { name: tensor.name.clone(), tensor: self.hand_out(leaf)? })
            })
            .collect()
    }
}

/// The task as the guest sees it.
pub(crate) fn task(task: &Task) -> context::Task {
    let value = |value: &ParameterValue| match value {
        ParameterValue::Boolean(value) => context::Value::Boolean(*value),
        ParameterValue::Integer(value) => context::Value::Integer(*value),
        ParameterValue::Number(value) => context::Value::Number(*value),
        ParameterValue::Text(value) => context::Value::Text(value.clone()),
    };
    context::Task {
        seed: task.seed(),
        round: task.place.round,
        segment: task.place.segment,
        segments: task.place.segments,
        worker: task.place.worker,
        workers: task.place.workers,
        parameters: task
            .parameters
            .iter()
            .map(|(name, parameter)| (name.clone(), value(parameter)))
            .collect(),
    }
}

fn not_found(message: String) -> Refusal {
    Refusal::Call(wit::Error { code: wit::ErrorCode::NotFound, message })
}
