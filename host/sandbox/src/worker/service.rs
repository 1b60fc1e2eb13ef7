//! The worker process: one request, one attempt, one outcome. It confines itself before anything else.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::fd::AsRawFd,
    path::Path,
    process::ExitCode,
    thread,
};

use anneal_job::{FaultCode, HostFault, Outcome};
use anneal_tensor::{Executor, float_mode};

use super::{
    BackendRequest, Line, Request,
    word::{SILENCE_MAX, Word},
};
use crate::{
    confine::{self, ConfinementReport, Grant, Limits, Role},
    event::Event,
    machine::{AttemptRequest, FILE_BYTES_MAX, InProcessMachine, Machine},
    pace::PaceHandle,
    protocol,
    run::StopFlag,
};

/// Makes the attempt that is requested on stdin, with the executor that `make_executor` gives for its
/// backend. Called while the process has one thread: it is confined before the executor is made.
pub fn serve(make_executor: impl FnOnce(&BackendRequest) -> Result<Box<dyn Executor>, String>) -> ExitCode {
    match protocol::own_stdout().and_then(|stdout| answer(stdout, make_executor)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the worker could not answer");
            ExitCode::FAILURE
        }
    }
}

fn answer(
    stdout: File,
    make_executor: impl FnOnce(&BackendRequest) -> Result<Box<dyn Executor>, String>,
) -> io::Result<()> {
    // Before any other thread is started, for they inherit it.
    let mode = float_mode::check(float_mode::AT_START);
    let mut stdin = BufReader::new(io::stdin());
    let request: Request = serde_json::from_str(&protocol::read_line(&mut stdin)?)?;
    let report = confine(&request, &stdout)?;
    let mut stdout = BufWriter::new(stdout);
    let unmet = report.unmet(request.confinement.requirement);
    say(&mut stdout, &Line::Confined(report))?;
    if let Some(message) = unmet {
        return say(&mut stdout, &Line::Outcome(fault(FaultCode::Confinement, message)));
    }
    if let Err(wrong) = mode {
        return say(&mut stdout, &Line::Outcome(fault(FaultCode::FloatMode, wrong.to_string())));
    }
    let stop = StopFlag::default();
    let pace = request.governed.then(|| PaceHandle::watched(SILENCE_MAX));
    hear(stdin, stop.clone(), pace.clone());
    let Request { backend, attempt, .. } = request;
    if let Some(pace) = &pace {
        // The executor's first computations are work, too.
        pace.wait_to_run(&stop);
    }
    let executor = match make_executor(&backend) {
        Ok(executor) => executor,
        Err(message) => return say(&mut stdout, &Line::Outcome(fault(FaultCode::DeviceLost, message))),
    };
    let Some(attempt) = attempt else { return say(&mut stdout, &Line::Ready) };
    let attempt = AttemptRequest { stop, pace, ..attempt };
    let mut unheard = Ok(());
    let mut observer = |event: Event| {
        if unheard.is_ok() {
            unheard = say(&mut stdout, &Line::Event(event));
            if unheard.is_err() {
                attempt.stop.stop();
            }
        }
    };
    let outcome = InProcessMachine::new(backend.backend, executor).attempt(&attempt, &mut observer);
    unheard?;
    say(&mut stdout, &Line::Outcome(outcome))
}

/// Leaves this process what the request needs, and nothing else.
fn confine(request: &Request, stdout: &File) -> io::Result<ConfinementReport> {
    // So that a panic's backtrace names functions.
    let mut readable = vec![Path::new("/proc/self/exe").to_owned()];
    let mut writable = Vec::new();
    if let Some(attempt) = &request.attempt {
        readable.push(attempt.component.clone());
        readable.extend(attempt.inputs.iter().chain(&attempt.states).cloned());
        writable.extend(attempt.output.iter().filter_map(|output| output.parent()).map(Path::to_owned));
    }
    writable.extend(request.shaders.clone());
    let grant = Grant {
        role: Role::Worker,
        readable,
        writable,
        gpu: request.gpu.clone(),
        descriptor: stdout.as_raw_fd(),
        limits: Limits::worker(request.memory_bytes, FILE_BYTES_MAX),
        group: request.group.clone(),
    };
    confine::end_with_parent()?;
    Ok(confine::confine(request.confinement, &grant))
}

fn fault(code: FaultCode, message: String) -> Outcome {
    Outcome::HostFault(HostFault { code, message })
}

fn say(stdout: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *stdout, line)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Hears the parent: its pace for the attempt, its stop, and that it is gone, which is a stop, too.
fn hear(mut stdin: impl BufRead + Send + 'static, stop: StopFlag, pace: Option<PaceHandle>) {
    thread::spawn(move || {
        while let (Ok(Word::Pace(told)), Some(pace)) = (Word::read(&mut stdin), &pace) {
            pace.set(told);
        }
        stop.stop();
    });
}
