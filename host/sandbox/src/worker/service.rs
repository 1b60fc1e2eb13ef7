//! The worker process: one request, one attempt, one outcome.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    process::ExitCode,
    thread,
};

use anneal_job::{FaultCode, HostFault, Outcome};
use anneal_tensor::Executor;

use super::{BackendRequest, Line, Request};
use crate::{
    confine,
    event::Event,
    machine::{InProcessMachine, Machine},
    run::StopFlag,
};

/// Makes the attempt that is requested on stdin, with the executor that `make_executor` gives for its
/// backend.
pub fn serve(make_executor: impl FnOnce(&BackendRequest) -> Result<Box<dyn Executor>, String>) -> ExitCode {
    match confine::own_stdout().and_then(|stdout| answer(stdout, make_executor)) {
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
    let mut stdin = BufReader::new(io::stdin());
    let request: Request = serde_json::from_str(&confine::read_line(&mut stdin)?)?;
    confine::worker(request.memory_bytes)?;
    let Request { backend, mut attempt, .. } = request;
    attempt.stop = StopFlag::default();
    stop_with_stdin(stdin, attempt.stop.clone());
    let mut stdout = BufWriter::new(stdout);
    let outcome = match make_executor(&backend) {
        Ok(executor) => {
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
            outcome
        }
        Err(message) => Outcome::HostFault(HostFault { code: FaultCode::DeviceLost, message }),
    };
    say(&mut stdout, &Line::Outcome(outcome))
}

fn say(stdout: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *stdout, line)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Stops the attempt at the parent's word, or when the parent is gone.
fn stop_with_stdin(mut stdin: impl BufRead + Send + 'static, stop: StopFlag) {
    thread::spawn(move || {
        let _either_way = confine::read_line(&mut stdin);
        stop.stop();
    });
}
