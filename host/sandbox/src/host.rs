//! The host's side of the contract: what a guest's store holds, and what its calls do to it.
//!
//! Every function checks, charges and answers or traps; none panics on what a guest gives. The arithmetic and
//! the checks of tensors are `anneal_tensor`'s; how a run begins and ends is `run`.

pub(crate) mod bindings;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod calls;
mod clock;
mod context;
mod data;
mod memory;
mod reports;
mod tensors;
mod trace;

use std::sync::mpsc::SyncSender;

use anneal_job::{FailureCode, Limits, Task};
use anneal_tensor::{
    CallErrorCode, Executor, ExecutorError, Exhausted, Graph, Meter, RecordError, Tensor, gas,
    limits::{HANDLE_BYTES, RANK_MAX},
};
use wasmtime::{
    CallHook, StoreContextMut,
    component::{Resource, ResourceTable, ResourceTableError},
};

pub(crate) use clock::Clock;
pub use clock::StopFlag;
pub(crate) use context::task as context_task;
pub(crate) use memory::MemoryLimiter;
pub(crate) use reports::{Reports, shown};
pub(crate) use trace::value as evaluated;

use crate::{
    ending::Ending,
    event::{Event, Trace},
    limits,
    state::{Inputs, State},
    wasi::Wasi,
};
use bindings::tensors as wit;

/// What a guest's store holds.
pub(crate) struct Host {
    /// Records what the guest asks for.
    pub graph: Graph,
    /// Computes it.
    pub executor: Box<dyn Executor>,
    /// The guest's handles: tensors, and the streams of WASI.
    pub table: ResourceTable,
    /// How many of them are tensors.
    pub tensors: u32,
    /// Handles of WASI's resources.
    pub others: usize,
    /// The task.
    pub task: Task,
    /// The job's inputs.
    pub inputs: Inputs,
    /// The states that `open-state` gives, each once.
    pub states: Vec<Option<State>>,
    /// Commits.
    pub steps: u64,
    /// What the guest reported.
    pub reports: Reports,
    /// The limit on linear memory.
    pub memory: MemoryLimiter,
    /// The machine that WASI shows.
    pub wasi: Wasi,
    /// When to stop.
    pub clock: Clock,
    /// What is traced.
    pub trace: Trace,
    /// Calls out of the guest that have not returned: of the contract, and of the runtime's own helpers.
    pub calls_out: u32,
}

/// What a new store is made of.
pub(crate) struct HostParts {
    pub task: Task,
    pub inputs: Inputs,
    pub states: Vec<State>,
    pub executor: Box<dyn Executor>,
    pub events: SyncSender<Event>,
    pub clock: Clock,
    pub trace: Trace,
}

/// Why a call of the contract gave no value: the guest hears of a wrong call, anything else ends the run.
#[derive(Debug)]
pub enum Refusal {
    /// The guest's mistake.
    Call(wit::Error),
    /// The run's end.
    End(wasmtime::Error),
}

impl Host {
    pub(crate) fn new(parts: HostParts) -> Host {
        let HostParts { task, inputs, states, executor, events, clock, trace } = parts;
        let Limits { gas, memory_bytes, tensor_bytes, handles } = task.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(handles).unwrap_or(usize::MAX) + limits::OTHER_HANDLES_MAX);
        Host {
            graph: Graph::new(task.seed(), Meter::with_gas(tensor_bytes, gas)),
            executor,
            table,
            tensors: 0,
            others: 0,
            inputs,
            states: states.into_iter().map(Some).collect(),
            steps: 0,
            reports: Reports::new(events),
            memory: MemoryLimiter::new(memory_bytes),
            wasi: Wasi::new(task.seed()),
            clock,
            trace,
            task,
            calls_out: 0,
        }
    }

    /// Charges gas that is not an operation's, before the work that it is for.
    pub(crate) fn charge(&self, gas: u64) -> Result<(), Ending> {
        Ok(self.graph.meter().charge_gas(gas)?)
    }

    /// Charges a call that is given so many bytes of lists and texts: they were copied out of the guest.
    pub(crate) fn charge_call(&self, bytes: usize) -> Result<(), Ending> {
        self.charge(limits::CALL_GAS + gas::moved(bytes as u64))
    }

    /// Sizes and axes as the engine counts them. A list that is longer than any shape is refused before it is
    /// copied or quoted.
    pub(crate) fn sizes(&self, operation: &'static str, words: &[u32]) -> Result<Vec<usize>, Refusal> {
        self.charge(gas::moved(size_of_val(words) as u64))?;
        if words.len() > RANK_MAX {
            let message = format!("a list of {} sizes or axes; the rank is at most {RANK_MAX}", words.len());
            return Err(RecordError::call(CallErrorCode::Limit, operation, message).into());
        }
        Ok(words.iter().map(|&word| size(word)).collect())
    }

    /// The guest may hold so many tensors more. Asked before the work where a list comes in and as many go out: a
    /// list may name one handle a million times.
    pub(crate) fn check_room(&self, more: usize) -> Result<(), Refusal> {
        let limit = self.task.limits.handles;
        if more > limit.saturating_sub(self.tensors) as usize {
            let message = format!(
                "the guest holds {limit} tensors, its limit: drop handles that are not needed, or raise \
                 limits.handles in job.toml"
            );
            return Err(Ending::failure(FailureCode::Handles, message).into());
        }
        Ok(())
    }

    /// A handle for the guest.
    pub(crate) fn hand_out(&mut self, tensor: Tensor) -> Result<Resource<Tensor>, Refusal> {
        self.check_room(1)?;
        self.graph.meter().hold(HANDLE_BYTES)?;
        let handle = self.table.push(tensor)?;
        self.tensors += 1;
        Ok(handle)
    }

    /// Handles for the guest.
    pub(crate) fn hand_out_all(&mut self, tensors: Vec<Tensor>) -> Result<Vec<Resource<Tensor>>, Refusal> {
        tensors.into_iter().map(|tensor| self.hand_out(tensor)).collect()
    }

    /// The tensor behind a handle.
    pub(crate) fn tensor(&self, handle: &Resource<Tensor>) -> Result<&Tensor, Refusal> {
        Ok(self.table.get(handle)?)
    }

    /// The tensors behind handles.
    pub(crate) fn all(&self, handles: &[Resource<Tensor>]) -> Result<Vec<Tensor>, Refusal> {
        handles.iter().map(|handle| self.tensor(handle).cloned()).collect()
    }

    /// The tensor behind a handle that the guest gives up.
    pub(crate) fn take_back(&mut self, handle: Resource<Tensor>) -> Result<Tensor, Ending> {
        let tensor = self.table.delete(handle)?;
        self.graph.meter().release(HANDLE_BYTES);
        self.tensors = self.tensors.saturating_sub(1);
        Ok(tensor)
    }

    /// The guest goes on only while its budget covers what its last call recorded.
    ///
    /// The runtime's own helpers (an epoch's end, memory that grows) are calls out, too, and the guest's code keeps
    /// its fuel in a register over them: what was taken then would be forgotten. Within a call of the contract that
    /// happens where the guest makes room for the answer, so gas is collected when the outermost call returns.
    pub(crate) fn collect_gas(mut store: StoreContextMut<'_, Host>, hook: CallHook) -> wasmtime::Result<()> {
        let calls_out = &mut store.data_mut().calls_out;
        match hook {
            CallHook::CallingHost => *calls_out += 1,
            CallHook::ReturningFromHost => *calls_out = calls_out.saturating_sub(1),
            CallHook::CallingWasm | CallHook::ReturningFromWasm => return Ok(()),
        }
        match (*calls_out, hook) {
            // What is left is known to the call, so that it does no work that nobody pays for.
            (1, CallHook::CallingHost) => {
                let left = store.get_fuel()?;
                store.data().graph.meter().leave_gas(left);
                return Ok(());
            }
            (0, _) => {}
            _ => return Ok(()),
        }
        let gas = store.data().graph.meter().take_gas();
        if gas == 0 {
            return Ok(());
        }
        match store.get_fuel()?.checked_sub(gas) {
            Some(rest) => store.set_fuel(rest),
            None => {
                let limit = store.data().task.limits.gas;
                Err(Ending::from(Exhausted::Gas { limit }).into())
            }
        }
    }
}

impl From<Ending> for Refusal {
    fn from(ending: Ending) -> Refusal {
        Refusal::End(ending.into())
    }
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Refusal {
        let error = match error {
            RecordError::Call(error) => error,
            RecordError::Exhausted(exhausted) => return Ending::from(exhausted).into(),
        };
        let code = match error.code {
            CallErrorCode::Shape => wit::ErrorCode::Shape,
            CallErrorCode::DType => wit::ErrorCode::Dtype,
            CallErrorCode::Argument => wit::ErrorCode::Argument,
            CallErrorCode::Limit => wit::ErrorCode::Limit,
            CallErrorCode::NoGradient => wit::ErrorCode::NoGradient,
            CallErrorCode::NotFound => wit::ErrorCode::NotFound,
            CallErrorCode::Overflow => wit::ErrorCode::Overflow,
        };
        Refusal::Call(wit::Error { code, message: error.to_string() })
    }
}

impl From<Exhausted> for Refusal {
    fn from(exhausted: Exhausted) -> Refusal {
        Ending::from(exhausted).into()
    }
}

impl From<ExecutorError> for Refusal {
    fn from(error: ExecutorError) -> Refusal {
        Ending::from(error).into()
    }
}

impl From<ResourceTableError> for Ending {
    fn from(error: ResourceTableError) -> Ending {
        let code = match error {
            ResourceTableError::Full => FailureCode::Handles,
            _ => FailureCode::Trap,
        };
        Ending::failure(code, format!("the guest used a handle that the host does not accept: {error}"))
    }
}

impl From<ResourceTableError> for Refusal {
    fn from(error: ResourceTableError) -> Refusal {
        Ending::from(error).into()
    }
}

impl From<Refusal> for wasmtime::Error {
    /// For calls that have no error of their own.
    fn from(refusal: Refusal) -> wasmtime::Error {
        match refusal {
            Refusal::Call(error) => Ending::failure(FailureCode::Trap, error.message).into(),
            Refusal::End(error) => error,
        }
    }
}

/// A size as the engine counts it.
pub(crate) fn size(word: u32) -> usize {
    const { assert!(usize::BITS >= 64, "the host's memory layout needs a 64-bit machine") };
    word as usize
}

/// A size as the guest counts it; the engine's checked shapes that are larger cannot be held by the guest.
pub(crate) fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}
