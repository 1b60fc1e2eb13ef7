//! The parent of a worker process: starts it, hears it, ends it. Whatever the worker does, an attempt ends.

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

use anneal_job::{FaultCode, HostFault, Outcome};

use super::{BackendRequest, Line, Request};
use crate::{
    child::{Child, ChildError},
    confine::LINE_BYTES_MAX,
    event::Observer,
    machine::{AttemptRequest, Machine},
};

/// How often the stop flag is looked at while the worker is silent.
const LISTEN: Duration = Duration::from_millis(50);
/// What a worker gets beyond its attempt's time: to start, load and read, and to stop in peace.
const GRACE: Duration = Duration::from_secs(60);
/// What a worker gets to stop when it is told to.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Makes each attempt in a process of its own.
#[derive(Clone, Debug)]
pub struct WorkerMachine {
    /// What it is called.
    pub name: String,
    /// A program and its arguments that calls [`super::serve`].
    pub command: Vec<OsString>,
    /// Its whole environment: see [`super::ENVIRONMENT_KEPT`].
    pub environment: Vec<(OsString, OsString)>,
    /// What it computes with.
    pub backend: BackendRequest,
    /// Bytes of memory that it may write to; `None` leaves it to the system.
    pub memory_bytes: Option<u64>,
}

impl Machine for WorkerMachine {
    fn name(&self) -> &str {
        &self.name
    }

    fn attempt(&mut self, request: &AttemptRequest, observer: &mut dyn Observer) -> Outcome {
        self.supervise(request, observer).unwrap_or_else(Outcome::HostFault)
    }
}

impl WorkerMachine {
    fn supervise(&self, attempt: &AttemptRequest, observer: &mut dyn Observer) -> Result<Outcome, HostFault> {
        let mut child = Child::start(&self.command, &self.environment, LINE_BYTES_MAX).map_err(died)?;
        child.send(self.request(attempt)?);
        let mut deadline = Instant::now() + attempt.time + GRACE;
        let mut stopping = false;
        loop {
            if let Some(line) = child.line(LISTEN).map_err(|error| ended(error, stopping))? {
                match serde_json::from_slice(&line) {
                    Ok(Line::Event(event)) => observer.observe(event),
                    Ok(Line::Outcome(outcome)) => return Ok(outcome),
                    Err(error) => {
                        let message = format!("the worker spoke nonsense ({error}); this is a bug of anneal");
                        return Err(fault(FaultCode::Internal, message));
                    }
                }
            }
            if attempt.stop.is_stopped() && !stopping {
                stopping = true;
                child.send(b"stop\n".to_vec());
                deadline = deadline.min(Instant::now() + STOP_GRACE);
            }
            if Instant::now() >= deadline {
                return Err(over_time(attempt, stopping));
            }
        }
    }

    fn request(&self, attempt: &AttemptRequest) -> Result<Vec<u8>, HostFault> {
        let request = Request {
            backend: self.backend.clone(),
            memory_bytes: self.memory_bytes,
            attempt: attempt.clone(),
        };
        let line = serde_json::to_vec(&request);
        let mut line = line.map_err(|error| {
            fault(FaultCode::Internal, format!("the request cannot be written as JSON: {error}"))
        })?;
        line.push(b'\n');
        Ok(line)
    }
}

fn over_time(attempt: &AttemptRequest, stopping: bool) -> HostFault {
    if stopping {
        return fault(FaultCode::WorkerDied, "the attempt was stopped; its worker did not stop by itself");
    }
    let message = format!(
        "the worker did not answer within the {} s this host allows, and was killed: try again, or use \
         --backend cpu",
        attempt.time.as_secs()
    );
    fault(FaultCode::TimeOut, message)
}

fn ended(error: ChildError, stopping: bool) -> HostFault {
    if stopping { fault(FaultCode::WorkerDied, "the attempt was stopped") } else { died(error) }
}

fn died(error: ChildError) -> HostFault {
    let advice = match error {
        ChildError::Killed { .. } => "; out of memory, or a driver's crash? Try again, or use --backend cpu",
        _ => "; try again",
    };
    fault(FaultCode::WorkerDied, format!("the worker died: {error}{advice}"))
}

fn fault(code: FaultCode, message: impl Into<String>) -> HostFault {
    HostFault { code, message: message.into() }
}
