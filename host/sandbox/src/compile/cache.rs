//! Starts the compiling process and keeps what it makes, by the component's digest, in a folder that nobody
//! else can write, sealed with a key that nobody else can read.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anneal_job::Digest;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};

use super::{
    CompileError, CompileLimits, cache_key,
    key::SealingKey,
    new_engine,
    service::{Answer, Confined, Request},
};
use crate::{
    admission::{self, ComponentInfo},
    brake::{Brake, Hold, Seen},
    child::{Child, ChildError},
    confine::ConfinementReport,
    pace::PaceHandle,
    run::StopFlag,
};

/// Bytes of compiled code: some ten times the component's.
const CODE_BYTES_MAX: u64 = 512 << 20;

/// Files of the folder: two a component. Beyond it the oldest go.
const FILES_MAX: usize = 128;

/// A component compiled to a file.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledFile {
    /// For [`super::CompiledComponent::load`].
    pub path: PathBuf,
    /// What the component is.
    pub info: ComponentInfo,
}

/// What is kept beside the code.
#[derive(Serialize, Deserialize)]
struct Kept {
    info: ComponentInfo,
    /// Over the name, this information and the code: see [`sealed`].
    seal: String,
}

/// Compiles the component in this file by a process of its own, or finds it compiled already in `cache`, a
/// folder that is made where it is missing.
///
/// `command` is a program and its arguments that calls [`super::serve`]; it gets an empty environment.
///
/// # Errors
/// Where the file is no component, or is refused, invalid, or over the limits; and the machine's.
pub fn run(
    command: &[OsString],
    component: &Path,
    cache: &Path,
    limits: CompileLimits,
) -> Result<CompiledFile, CompileError> {
    run_governed(command, component, cache, limits, None)
}

/// As [`run`], at an owner's pace and until it is stopped: compiling is work that a stranger causes.
///
/// # Errors
/// As [`run`], and [`CompileError::Stopped`].
pub fn run_governed(
    command: &[OsString],
    component: &Path,
    cache: &Path,
    limits: CompileLimits,
    governed: Option<(&PaceHandle, &StopFlag)>,
) -> Result<CompiledFile, CompileError> {
    let bytes = admission::read(component)?;
    if bytes.is_empty() {
        // To the compiling process, nothing means that it is only to say how it is confined.
        admission::inspect(&bytes)?;
    }
    let digest = Digest::of(&bytes);
    let key = cache_key(digest, &new_engine()?);
    let unusable = |error: io::Error| CompileError::Cache {
        path: cache.display().to_string(),
        message: error.to_string(),
    };
    let folder = anneal_files::private_folder(cache).map_err(unusable)?;
    let sealing = SealingKey::of(cache).map_err(unusable)?;
    let path = cache.join(format!("{key}.cwasm"));
    if let Some(info) = kept(&folder, &key, &sealing) {
        tracing::debug!(%digest, "compiled before");
        return Ok(CompiledFile { path, info });
    }
    let (info, code) = compile(command, &bytes, limits, governed)?;
    keep(&folder, &key, &info, &code, &sealing).map_err(unusable)?;
    Ok(CompiledFile { path, info })
}

/// What was compiled before, where all of it is still there and sealed by this host.
fn kept(folder: &Dir, key: &str, sealing: &SealingKey) -> Option<ComponentInfo> {
    let kept = anneal_files::read_bounded_in(folder, format!("{key}.json").as_ref(), 1 << 20).ok()?;
    let kept: Kept = serde_json::from_slice(&kept).ok()?;
    let code = anneal_files::read_bounded_in(folder, format!("{key}.cwasm").as_ref(), CODE_BYTES_MAX).ok()?;
    let info = serde_json::to_vec(&kept.info).ok()?;
    let sealed = sealing.is_of(&kept.seal, &sealed(key, &info, &code));
    if !sealed {
        tracing::warn!(key, "compiled code was not sealed by this host; it is compiled anew");
    }
    sealed.then_some(kept.info)
}

/// What a seal covers: which component for which engine, what it is, and its code.
fn sealed<'a>(key: &'a str, info: &'a [u8], code: &'a [u8]) -> [&'a [u8]; 3] {
    [key.as_bytes(), info, code]
}

fn keep(folder: &Dir, key: &str, info: &ComponentInfo, code: &[u8], sealing: &SealingKey) -> io::Result<()> {
    let seal = sealing.seal(&sealed(key, &serde_json::to_vec(info)?, code));
    let kept = Kept { info: info.clone(), seal };
    anneal_files::write_whole(folder, format!("{key}.cwasm").as_ref(), code)?;
    anneal_files::write_whole(folder, format!("{key}.json").as_ref(), &serde_json::to_vec(&kept)?)?;
    // Another process may be at it too; what it leaves the next one takes.
    let _kept_for_now = prune(folder);
    Ok(())
}

/// Keeps the folder bounded.
fn prune(folder: &Dir) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in folder.entries()? {
        let entry = entry?;
        found.push((entry.metadata()?.modified()?.into_std(), entry.file_name()));
    }
    found.sort();
    for (_, name) in &found[..found.len().saturating_sub(FILES_MAX)] {
        folder.remove_file(name)?;
    }
    Ok(())
}

/// How a compiling process is confined on this machine.
///
/// # Errors
/// Where it cannot be started or speaks nonsense.
pub fn check(command: &[OsString], limits: CompileLimits) -> Result<ConfinementReport, CompileError> {
    ask(command, &[], limits, None).map(|(confined, _)| confined)
}

fn compile(
    command: &[OsString],
    component: &[u8],
    limits: CompileLimits,
    governed: Option<(&PaceHandle, &StopFlag)>,
) -> Result<(ComponentInfo, Vec<u8>), CompileError> {
    let (confined, answer) = ask(command, component, limits, governed)?;
    if let Some(unmet) = confined.unmet(limits.confinement.requirement) {
        return Err(CompileError::Confinement(unmet));
    }
    let (line, code) = split_line(&answer);
    match serde_json::from_slice(line) {
        Ok(Answer::Compiled { info, bytes }) if code.len() as u64 == bytes => Ok((*info, code.to_vec())),
        Ok(Answer::Refused { message }) => Err(CompileError::Refused(message)),
        Ok(Answer::Failed { message }) => Err(CompileError::Engine(message)),
        _ => Err(CompileError::Process("its answer is incomplete".to_owned())),
    }
}

/// Asks a compiling process; how it is confined, and the answer.
fn ask(
    command: &[OsString],
    component: &[u8],
    limits: CompileLimits,
    governed: Option<(&PaceHandle, &StopFlag)>,
) -> Result<(ConfinementReport, Vec<u8>), CompileError> {
    let failed = |error: ChildError| match error {
        ChildError::Stopped => CompileError::Stopped,
        ChildError::TimeOut | ChildError::Killed { .. } => CompileError::Limits(limits),
        error => CompileError::Process(error.to_string()),
    };
    let request = Request::new(limits, component.len() as u64);
    let mut request =
        serde_json::to_vec(&request).map_err(|error| CompileError::Process(error.to_string()))?;
    request.push(b'\n');
    request.extend_from_slice(component);
    if let Some((pace, stop)) = governed {
        pace.wait_to_run(stop);
    }
    let child = Child::start(command, &[], CODE_BYTES_MAX).map_err(failed)?;
    child.send(request);
    let mut held = Held::new(governed);
    let said = child.all(limits.time, |child| held.look(child)).map_err(failed)?;
    let (line, answer) = split_line(&said);
    match serde_json::from_slice(line) {
        Ok(Confined { confined }) => Ok((confined, answer.to_vec())),
        Err(_) => Err(CompileError::Process("it did not say how it is confined".to_owned())),
    }
}

/// A compiling process at an owner's pace: it hears no words, so it is held from outside alone.
struct Held<'a> {
    governed: Option<(&'a PaceHandle, &'a StopFlag)>,
    brake: Brake,
    began: Instant,
    looked: Instant,
}

impl Held<'_> {
    fn new<'a>(governed: Option<(&'a PaceHandle, &'a StopFlag)>) -> Held<'a> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let brake = Brake::new(u32::try_from(threads).unwrap_or(u32::MAX), false);
        let now = Instant::now();
        Held { governed, brake, began: now, looked: now }
    }

    /// Holds it, or lets it go on; how long it may have worked since the last look.
    fn look(&mut self, child: &mut Child) -> Result<Duration, ChildError> {
        let now = Instant::now();
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.looked, now));
        let Some((pace, stop)) = self.governed else { return Ok(passed) };
        if stop.is_stopped() {
            return Err(ChildError::Stopped);
        }
        let worked = if child.is_stopped() { Duration::ZERO } else { passed };
        let seen = Seen { pace: pace.pace(), processor: child.processor_time(), stands: false };
        let hold = self.brake.ask(now.saturating_duration_since(self.began), seen);
        // Before it has said how it is confined, it has not promised to end with its parent.
        child.hold(hold == Hold::Stop && child.has_said_something());
        Ok(worked)
    }
}

/// The first line without its end, and what follows.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}
