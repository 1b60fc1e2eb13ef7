//! Machines: what makes an attempt at a task, from files to files. One runs it in this process with an
//! executor that it is given; [`crate::WorkerMachine`] runs each attempt in a process of its own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anneal_job::{FaultCode, HostFault, Outcome, Task};
use anneal_tensor::Executor;
use serde::{Deserialize, Serialize};

use crate::{
    compile::CompiledComponent,
    event::{Observer, Trace},
    files,
    pace::PaceHandle,
    run::{RunOptions, StopFlag, run_task},
    state::{Inputs, State, check_task},
    versions::check_versions,
};

/// Bytes of the inputs and of each state of an attempt.
pub const FILE_BYTES_MAX: u64 = 16 << 30;

/// Makes attempts.
pub trait Machine {
    /// What it is called: `cpu`, `gpu`, `cpu (2 threads)`.
    fn name(&self) -> &str;

    /// Makes one attempt at a task.
    fn attempt(&mut self, request: &AttemptRequest, observer: &mut dyn Observer) -> Outcome;
}

/// An attempt to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptRequest {
    /// The task.
    pub task: Task,
    /// Its component, as [`crate::compile::run`] left it.
    pub component: PathBuf,
    /// A safetensors file with all its inputs; none where it has none.
    pub inputs: Option<PathBuf>,
    /// A safetensors file for each of its states, in the task's order.
    pub states: Vec<PathBuf>,
    /// Where the returned state goes; `None` throws it away.
    pub output: Option<PathBuf>,
    /// Wall-clock time.
    pub time: Duration,
    /// What is traced.
    pub trace: Trace,
    /// Stops the attempt from another thread.
    #[serde(skip)]
    pub stop: StopFlag,
    /// How fast it may go; without one it is not governed, and goes as fast as it can.
    #[serde(skip)]
    pub pace: Option<PaceHandle>,
}

/// Runs attempts in this process, on an executor that it is given: a library's way, and a test's.
pub struct InProcessMachine {
    name: String,
    executor: Box<dyn Executor>,
    loaded: Option<(PathBuf, CompiledComponent)>,
}

impl InProcessMachine {
    /// A machine that computes with this executor.
    pub fn new(name: impl Into<String>, executor: Box<dyn Executor>) -> InProcessMachine {
        InProcessMachine { name: name.into(), executor, loaded: None }
    }

    /// The executor.
    pub fn executor(&self) -> &dyn Executor {
        &*self.executor
    }

    fn load(&mut self, path: &Path) -> Result<CompiledComponent, HostFault> {
        if let Some((loaded, component)) = &self.loaded
            && loaded == path
        {
            return Ok(component.clone());
        }
        let component = CompiledComponent::load(path).map_err(io_fault)?;
        self.loaded = Some((path.to_owned(), component.clone()));
        Ok(component)
    }

    fn try_attempt(
        &mut self,
        request: &AttemptRequest,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, HostFault> {
        // Other versions may write states otherwise: that is no damage.
        check_versions(request.task.versions)?;
        let component = self.load(&request.component)?;
        let inputs = read_inputs(request.inputs.as_deref())?;
        let states = request.states.iter().map(|path| read_state(path)).collect::<Result<Vec<State>, _>>()?;
        check_task(&request.task, &inputs, &states).map_err(io_fault)?;
        let AttemptRequest { time, trace, .. } = *request;
        let options = RunOptions { time, stop: request.stop.clone(), trace, pace: request.pace.clone() };
        let (outcome, state) =
            run_task(&component, &request.task, &inputs, states, &mut self.executor, observer, options);
        if let (Some(state), Some(path)) = (state, &request.output) {
            let (folder, name) = anneal_files::folder_and_name(path).map_err(io_fault)?;
            files::write_state(&folder, &name, &state).map_err(io_fault)?;
        }
        Ok(outcome)
    }
}

impl Machine for InProcessMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn attempt(&mut self, request: &AttemptRequest, observer: &mut dyn Observer) -> Outcome {
        self.try_attempt(request, observer).unwrap_or_else(Outcome::HostFault)
    }
}

fn read_inputs(path: Option<&Path>) -> Result<Inputs, HostFault> {
    let Some(path) = path else { return Ok(Inputs::default()) };
    let (folder, name) = anneal_files::folder_and_name(path).map_err(io_fault)?;
    files::read_inputs(&folder, &name, FILE_BYTES_MAX).map_err(io_fault)
}

fn read_state(path: &Path) -> Result<State, HostFault> {
    let (folder, name) = anneal_files::folder_and_name(path).map_err(io_fault)?;
    files::read_state(&folder, &name, FILE_BYTES_MAX).map_err(io_fault)
}

fn io_fault(error: impl std::fmt::Display) -> HostFault {
    HostFault { code: FaultCode::Io, message: error.to_string() }
}
