//! The parent of a worker process: starts it, hears it, ends it. Whatever the worker does, an attempt ends.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anneal_job::{FaultCode, HostFault, Outcome};
use anneal_tensor::Pace;

use super::{
    BackendRequest, Line, Request, shaders,
    staging::Staging,
    word::{REPEATED, Word},
};
use crate::{
    brake::{Brake, Hold, Seen},
    child::{Child, ChildError},
    confine::{self, Confinement, ConfinementReport, GpuPaths, Group, GroupFolders, Layer, OwnedGroup},
    event::{Event, Observer},
    machine::{AttemptRequest, Machine},
    pace::PaceHandle,
    protocol::LINE_BYTES_MAX,
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
    /// The environment, of which it gets what [`super::ENVIRONMENT_KEPT`] names.
    pub environment: Vec<(OsString, OsString)>,
    /// What it computes with.
    pub backend: BackendRequest,
    /// Bytes of memory that it may write to; `None` leaves it to the system.
    pub memory_bytes: Option<u64>,
    /// Whether it drives a GPU: only then does it see drivers and devices.
    pub gpu: bool,
    /// Whether that is hardware: what it was handed goes on when the worker's process is stopped.
    pub hardware: bool,
    /// How it is confined, and what of that is insisted on.
    pub confinement: Confinement,
    /// Where its control group is made.
    pub groups: GroupFolders,
    /// Where GPU drivers keep compiled shaders, in a folder for each component; `None` compiles them again in
    /// each attempt.
    pub shaders: Option<PathBuf>,
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
    /// How a worker is confined on this machine; it makes its executor, and no attempt.
    ///
    /// # Errors
    /// Where it cannot be started, is confined below the requirement, or has no executor.
    pub fn check(&self) -> Result<ConfinementReport, HostFault> {
        let (_group, mut worker) = self.start(None)?;
        let deadline = Instant::now() + GRACE;
        loop {
            match worker.line()? {
                Some(Line::Ready) => return worker.report.ok_or_else(unconfined),
                Some(Line::Outcome(Outcome::HostFault(fault))) => return Err(fault),
                Some(_) => return Err(nonsense("it answered what was not asked")),
                None if Instant::now() >= deadline => {
                    return Err(fault(FaultCode::TimeOut, "the worker did not get ready, and was killed"));
                }
                None => {}
            }
        }
    }

    fn supervise(&self, attempt: &AttemptRequest, observer: &mut dyn Observer) -> Result<Outcome, HostFault> {
        let Some(output) = &attempt.output else { return self.hear(attempt, observer) };
        let unwritable = |error: std::io::Error| fault(FaultCode::Io, cannot_write(output, &error));
        let staging = Staging::beside(output).map_err(unwritable)?;
        let outcome =
            self.hear(&AttemptRequest { output: Some(staging.file()), ..attempt.clone() }, observer)?;
        if matches!(outcome, Outcome::Completed(_)) {
            staging.keep().map_err(unwritable)?;
        }
        Ok(outcome)
    }

    fn hear(&self, attempt: &AttemptRequest, observer: &mut dyn Observer) -> Result<Outcome, HostFault> {
        // Declared first, the group is removed last: when the worker is gone.
        let (_group, mut worker) = self.start(Some(attempt.clone()))?;
        let mut pacing = Pacing::new(attempt.pace.as_ref(), self.brake());
        let mut killed_at = None;
        loop {
            let stopping = killed_at.is_some();
            if !stopping {
                pacing.hold(&mut worker)?;
            }
            match worker.line().map_err(|fault| if stopping { was_stopped() } else { fault })? {
                Some(Line::Event(event)) => {
                    pacing.hear(&event);
                    observer.observe(event);
                }
                Some(Line::Outcome(outcome)) => return worker.accept(outcome),
                Some(_) => return Err(nonsense("it answered what was not asked")),
                None => {}
            }
            if attempt.stop.is_stopped() && !stopping {
                if worker.child.is_stopped() {
                    // It cannot hear, and goes on with nothing any more.
                    return Err(was_stopped());
                }
                worker.child.send(Word::Stop.line());
                killed_at = Some(Instant::now() + STOP_GRACE);
            }
            if killed_at.is_some_and(|killed_at| Instant::now() >= killed_at) {
                return Err(over_time(attempt, true));
            }
            if pacing.active >= attempt.time.saturating_add(GRACE) {
                return Err(over_time(attempt, stopping));
            }
        }
    }

    fn start(&self, attempt: Option<AttemptRequest>) -> Result<(OwnedGroup, Running), HostFault> {
        let shaders = self.shaders(attempt.as_ref());
        let environment = if self.confinement.asks_for(Layer::Environment) {
            confine::cleared(&self.environment, shaders.as_deref())
        } else {
            self.environment.clone()
        };
        let group = if self.confinement.asks_for(Layer::Group) {
            self.groups.make(self.memory_bytes)
        } else {
            OwnedGroup(Group::none("it was not asked for"))
        };
        let request = Request {
            governed: attempt.as_ref().is_some_and(|attempt| attempt.pace.is_some()),
            backend: self.backend(),
            memory_bytes: self.memory_bytes,
            confinement: self.confinement,
            gpu: self.gpu.then(|| GpuPaths::find(&environment)),
            group: group.0.clone(),
            shaders,
            attempt,
        };
        let line = serde_json::to_vec(&request);
        let mut line = line.map_err(|error| {
            fault(FaultCode::Internal, format!("the request cannot be written as JSON: {error}"))
        })?;
        line.push(b'\n');
        let child = Child::start(&self.command, &environment, LINE_BYTES_MAX).map_err(died)?;
        child.send(line);
        Ok((group, Running { child, confinement: self.confinement, report: None }))
    }

    /// What holds the worker from outside. A program that plays a GPU takes all processors.
    fn brake(&self) -> Brake {
        let threads = self.backend().threads.filter(|_| !self.gpu).unwrap_or_else(all_threads);
        Brake::new(u32::try_from(threads).unwrap_or(u32::MAX), self.hardware)
    }

    /// Where this attempt's driver keeps its shaders. Without the folder it is only slower.
    fn shaders(&self, attempt: Option<&AttemptRequest>) -> Option<PathBuf> {
        let base = self.shaders.as_deref().filter(|_| self.gpu)?;
        let folder = shaders::folder(base, &attempt?.component);
        folder.inspect_err(|error| tracing::warn!(%error, "compiled shaders are not kept")).ok()
    }

    /// The backend with its threads counted here, for a confined worker does not see a container's share.
    fn backend(&self) -> BackendRequest {
        let threads = Some(self.backend.threads.unwrap_or_else(all_threads));
        BackendRequest { threads, ..self.backend.clone() }
    }
}

fn all_threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What a worker is told of its pace, whether it obeys, and how long it may have worked at that.
struct Pacing<'a> {
    pace: Option<&'a PaceHandle>,
    told: Option<(Pace, Instant)>,
    began: Instant,
    seen: Instant,
    brake: Brake,
    /// It says that it stands.
    stands: bool,
    /// Time as the worker's own limit counts it: without what it was to stand. Nothing that the worker says
    /// is believed for it.
    active: Duration,
}

impl Pacing<'_> {
    fn new(pace: Option<&PaceHandle>, brake: Brake) -> Pacing<'_> {
        let now = Instant::now();
        Pacing { pace, told: None, began: now, seen: now, brake, stands: false, active: Duration::ZERO }
    }

    /// Tells the worker its pace, and holds it where it does not hold itself.
    fn hold(&mut self, worker: &mut Running) -> Result<(), HostFault> {
        let now = Instant::now();
        let word = self.due(now);
        let Some((pace, _)) = self.told else { return Ok(()) };
        let seen = Seen { pace, processor: worker.child.processor_time(), stands: self.stands };
        match self.brake.ask(now.saturating_duration_since(self.began), seen) {
            // Before it has said how it is confined, it has not promised to end with its parent.
            Hold::Stop if worker.report.is_some() => worker.child.hold(true),
            Hold::End => return Err(does_not_stand()),
            Hold::Stop | Hold::Go => {
                let word = if worker.child.is_stopped() { Some(Word::Pace(pace)) } else { word };
                if let Some(word) = word {
                    worker.child.send(word.line());
                }
                worker.child.hold(false);
            }
        }
        Ok(())
    }

    /// What the worker says of how it is held.
    fn hear(&mut self, event: &Event) {
        if let Event::Paced(report) = event {
            self.stands = report.stands && report.per_mille == 0;
        }
    }

    /// Counts the time until now; the word to say now.
    fn due(&mut self, now: Instant) -> Option<Word> {
        let passed = now.saturating_duration_since(self.seen);
        self.seen = now;
        let Some(handle) = self.pace else {
            self.active += passed;
            return None;
        };
        let pace = handle.pace();
        let told = self.told.map_or(Pace::Pause, |(told, _)| told);
        self.active += passed.mul_f64(f64::from(told.per_mille()) / 1000.0);
        let is_known = self.told.is_some_and(|(told, at)| told == pace && now < at + REPEATED);
        if told != pace {
            self.stands = false;
        }
        (!is_known).then(|| {
            self.told = Some((pace, now));
            Word::Pace(pace)
        })
    }
}

/// A worker that was asked, and what it has said of its confinement.
struct Running {
    child: Child,
    confinement: Confinement,
    report: Option<ConfinementReport>,
}

impl Running {
    /// Its next word after the first, which is how it is confined; `None` where it says nothing for a while.
    fn line(&mut self) -> Result<Option<Line>, HostFault> {
        loop {
            let Some(line) = self.child.line(LISTEN).map_err(died)? else { return Ok(None) };
            match serde_json::from_slice(&line).map_err(|error| nonsense(&error.to_string()))? {
                Line::Confined(report) if self.report.is_none() => {
                    tracing::debug!(?report, "the worker is confined");
                    self.report = Some(report);
                }
                Line::Confined(_) => return Err(nonsense("it was confined twice")),
                line => return Ok(Some(line)),
            }
        }
    }

    /// Takes a result only of a worker that is confined as it must be; a worker that refused says so itself.
    fn accept(&self, outcome: Outcome) -> Result<Outcome, HostFault> {
        let report = self.report.as_ref().ok_or_else(unconfined)?;
        match (outcome, report.unmet(self.confinement.requirement)) {
            (outcome @ Outcome::HostFault(_), _) | (outcome, None) => Ok(outcome),
            (_, Some(unmet)) => Err(fault(FaultCode::Confinement, unmet)),
        }
    }
}

fn unconfined() -> HostFault {
    nonsense("it did not say how it is confined")
}

fn nonsense(what: &str) -> HostFault {
    fault(FaultCode::Internal, format!("the worker spoke nonsense ({what}); this is a bug of anneal"))
}

fn was_stopped() -> HostFault {
    fault(FaultCode::WorkerDied, "the attempt was stopped")
}

fn does_not_stand() -> HostFault {
    fault(
        FaultCode::Held,
        "the worker did not stand when its owner's limits said so, and was ended; the attempt begins again when they \
         let it",
    )
}

fn cannot_write(output: &Path, error: &std::io::Error) -> String {
    let output = output.display();
    format!("{output} cannot be written ({error}); check the space and the rights of its folder")
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
