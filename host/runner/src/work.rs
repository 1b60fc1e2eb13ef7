//! A task from files to what a receipt says of it, or to a trace. Blocking, on the caller's thread; used by the
//! agent for leases and by a coordinator for replays. Where the files come from is not known here.

use std::{
    ffi::OsString,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use anneal_api::wire::TraceLevel;
use anneal_job::{Blob, Completed, Digest, FaultCode, HostFault, Outcome, ReceiptOutcome, Task, trace_root};
use anneal_sandbox::{
    AttemptRequest, Event, Machine, PaceHandle, StopFlag, Trace, check_versions,
    compile::{self, CompileError, CompileLimits},
};
use sha2::{Digest as _, Sha256};

/// How components are compiled, and where the code is kept.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// A program and its arguments that calls `anneal_sandbox::compile::serve`.
    pub command: Vec<OsString>,
    /// The folder of compiled components.
    pub cache: PathBuf,
    /// What a compilation may use, and how its process is confined.
    pub limits: CompileLimits,
}

/// What a task reads.
#[derive(Clone, Debug)]
pub struct TaskFiles {
    /// The component's bytes.
    pub component: PathBuf,
    /// One safetensors file with all inputs, where there are any.
    pub inputs: Option<PathBuf>,
    /// The states it starts from, in the task's order.
    pub states: Vec<PathBuf>,
}

/// A task that is to be run.
pub struct Work<'a> {
    /// The task.
    pub task: &'a Task,
    /// Its files.
    pub files: &'a TaskFiles,
    /// Wall-clock time.
    pub time: Duration,
    /// Ends it early.
    pub stop: &'a StopFlag,
    /// How fast it may go; `None` is as fast as it can.
    pub pace: Option<PaceHandle>,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempted {
    /// For the receipt.
    pub outcome: ReceiptOutcome,
    /// Over the digest of each commit, so that a trace that is asked for later is bound to what was run.
    pub trace_root: Digest,
    /// What was digested on the way.
    pub traced: Traced,
}

/// The digests that a dispute looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Of each commit, or of each operation of a step.
    pub digests: Vec<Digest>,
    /// Of operations: their names in the contract.
    pub names: Vec<String>,
}

/// Runs a task, digesting what the level says; the state it returns is written to `output`.
///
/// # Errors
/// This machine's fault: no result.
pub fn attempt(
    machine: &mut dyn Machine,
    compiler: &Compiler,
    work: &Work<'_>,
    output: &Path,
    level: TraceLevel,
    hear: &mut dyn FnMut(&Event),
) -> Result<Attempted, HostFault> {
    let request = request(compiler, work, Some(output.to_owned()), level)?;
    let (outcome, heard) = run_held(machine, request, hear);
    let outcome = match outcome {
        Outcome::Completed(completed) => receipt_of(completed, output)?,
        Outcome::GuestFailure(failure) => ReceiptOutcome::GuestFailure { failure },
        Outcome::HostFault(fault) => return Err(fault),
    };
    Ok(Attempted { outcome, trace_root: trace_root(&heard.commits), traced: heard.at(level) })
}

/// Runs a task again and digests what the level says. How it ends does not matter: a guest may fail of wrong
/// numbers.
///
/// # Errors
/// This machine's fault.
pub fn trace(
    machine: &mut dyn Machine,
    compiler: &Compiler,
    work: &Work<'_>,
    level: TraceLevel,
) -> Result<Traced, HostFault> {
    match run_held(machine, request(compiler, work, None, level)?, &mut |_| {}) {
        (Outcome::HostFault(fault), _) => Err(fault),
        (Outcome::Completed(_) | Outcome::GuestFailure(_), heard) => Ok(heard.at(level)),
    }
}

/// The digests that a run gave: those of commits always, those of operations where they were asked for.
#[derive(Default)]
struct Heard {
    commits: Vec<Digest>,
    operations: Traced,
}

impl Heard {
    fn at(self, level: TraceLevel) -> Traced {
        match level {
            TraceLevel::Commits => Traced { digests: self.commits, names: Vec::new() },
            TraceLevel::Operations { .. } => self.operations,
        }
    }
}

/// Runs an attempt to an end of its own: one that was ended because it did not stand begins again from its states,
/// once it may. Nobody is told, for nothing is wrong with the task or the machine; where it is to be given back
/// meanwhile, it is stopped like any other.
fn run_held(
    machine: &mut dyn Machine,
    mut request: AttemptRequest,
    hear: &mut dyn FnMut(&Event),
) -> (Outcome, Heard) {
    loop {
        let mut busy_ms = 0;
        let ended = run(machine, &request, &mut |event| {
            if let Event::Paced(report) = event {
                busy_ms = report.busy_ms;
            }
            hear(event);
        });
        match (&ended.0, &request.pace) {
            (Outcome::HostFault(HostFault { code: FaultCode::Held, .. }), Some(pace)) => {
                // Its time is that of all its beginnings together.
                request.time = request.time.saturating_sub(Duration::from_millis(busy_ms));
                pace.wait_to_run(&request.stop);
            }
            _ => return ended,
        }
    }
}

fn run(
    machine: &mut dyn Machine,
    request: &AttemptRequest,
    hear: &mut dyn FnMut(&Event),
) -> (Outcome, Heard) {
    let mut heard = Heard::default();
    let outcome = machine.attempt(request, &mut |event: Event| match &event {
        Event::TracedStep(step) => heard.commits.push(step.digest()),
        Event::TracedOperation(operation) => {
            heard.operations.digests.push(operation.digest);
            heard.operations.names.push(operation_name(&operation.operation, &operation.label));
        }
        event => hear(event),
    });
    (outcome, heard)
}

/// An operation, and the function of the contract that it is a part of.
fn operation_name(operation: &str, label: &str) -> String {
    if operation == label { label.to_owned() } else { format!("{operation} (in {label})") }
}

fn request(
    compiler: &Compiler,
    work: &Work<'_>,
    output: Option<PathBuf>,
    level: TraceLevel,
) -> Result<AttemptRequest, HostFault> {
    // Before anything is read: what other versions call a component or a state may be damage here.
    check_versions(work.task.versions)?;
    let trace = match level {
        TraceLevel::Commits => Trace::Steps,
        TraceLevel::Operations { step } => Trace::Operations { step },
    };
    let component = &work.files.component;
    let governed = work.pace.as_ref().map(|pace| (pace, work.stop));
    let compiled =
        compile::run_governed(&compiler.command, component, &compiler.cache, compiler.limits, governed);
    let compiled = compiled.map_err(|error| compile_fault(&error))?;
    Ok(AttemptRequest {
        task: work.task.clone(),
        component: compiled.path,
        inputs: work.files.inputs.clone(),
        states: work.files.states.clone(),
        output,
        time: work.time,
        trace,
        stop: work.stop.clone(),
        pace: work.pace.clone(),
    })
}

/// A component that does not compile is no result: two operators' faults pause the job and show its developer
/// this message.
fn compile_fault(error: &CompileError) -> HostFault {
    let code = match error {
        CompileError::Limits(_) => FaultCode::TimeOut,
        CompileError::Cache { .. } => FaultCode::Io,
        CompileError::Stopped => FaultCode::WorkerDied,
        CompileError::Confinement(_) => FaultCode::Confinement,
        _ => FaultCode::Internal,
    };
    HostFault { code, message: error.to_string() }
}

fn receipt_of(completed: Completed, output: &Path) -> Result<ReceiptOutcome, HostFault> {
    let state_blob = blob_of(output).map_err(|error| HostFault {
        code: FaultCode::Io,
        message: format!("the state that was written cannot be read again: {error}"),
    })?;
    Ok(ReceiptOutcome::Completed { completed, state_blob })
}

/// A file's SHA-256 and size.
///
/// # Errors
/// The operating system's.
pub fn blob_of(path: &Path) -> io::Result<Blob> {
    let mut file = anneal_files::open_regular(path)?;
    let (mut hasher, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            count => {
                hasher.update(&chunk[..count]);
                bytes += count as u64;
            }
        }
    }
    Ok(Blob { digest: Digest::from_bytes(hasher.finalize().into()), bytes })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use anneal_job::{Entry, Limits, Versions, plan::place_alone};
    use anneal_sandbox::PaceReport;
    use anneal_tensor::Pace;

    use super::*;

    /// A worker that does not stand a few times, and is ended, before it comes to an end of its own.
    struct Unruly {
        ended: u64,
        times: Vec<Duration>,
        pace: PaceHandle,
    }

    impl Machine for Unruly {
        fn name(&self) -> &str {
            "unruly"
        }

        fn attempt(
            &mut self,
            request: &AttemptRequest,
            observer: &mut dyn anneal_sandbox::Observer,
        ) -> Outcome {
            assert_ne!(self.pace.pace(), Pace::Pause, "nothing begins while it is paused");
            self.times.push(request.time);
            observer.observe(Event::Paced(PaceReport {
                busy_ms: 700,
                held_ms: 90_000,
                ..PaceReport::default()
            }));
            let is_over = self.times.len() as u64 > self.ended;
            let code = if is_over { FaultCode::Internal } else { FaultCode::Held };
            Outcome::HostFault(HostFault { code, message: "ended".to_owned() })
        }
    }

    fn request(pace: &PaceHandle) -> AttemptRequest {
        let task = Task {
            component: Digest::of(b"component"),
            entry: Entry::Run,
            place: place_alone(),
            job_seed: 1,
            parameters: BTreeMap::new(),
            inputs: BTreeMap::new(),
            states: Vec::new(),
            limits: Limits::DEFAULT,
            versions: Versions { contract: [0, 1, 0], numerics: 1, gas: 1 },
        };
        AttemptRequest {
            task,
            component: PathBuf::new(),
            inputs: None,
            states: Vec::new(),
            output: None,
            time: Duration::from_secs(10),
            trace: Trace::Off,
            stop: StopFlag::default(),
            pace: Some(pace.clone()),
        }
    }

    #[test]
    fn one_that_was_ended_because_it_did_not_stand_begins_again_within_its_time() {
        let pace = PaceHandle::default();
        let mut machine = Unruly { ended: 3, times: Vec::new(), pace: pace.clone() };
        let (outcome, _) = run_held(&mut machine, request(&pace), &mut |_| {});
        // The fault is the one it came to by itself, and no word of what was held before.
        assert!(matches!(outcome, Outcome::HostFault(HostFault { code: FaultCode::Internal, .. })));
        let milliseconds = |times: &[Duration]| times.iter().map(Duration::as_millis).collect::<Vec<_>>();
        assert_eq!(milliseconds(&machine.times), [10_000, 9300, 8600, 7900]);
    }
}
