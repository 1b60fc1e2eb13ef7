//! The process that loads NVIDIA's library: it answers questions about GPUs, one after another, until its parent is
//! gone. Its stdin is a socket on which it answers, too, so that nothing that the library prints is taken for an answer.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::library::NvmlLibrary;
use crate::{
    energy::EnergyMeter,
    gap::{Found, Gap},
    gpu::{GpuIdentity, GpuReadings},
    processes::Processes,
};

/// Bytes of a question.
const QUESTION_BYTES_MAX: u64 = 64 << 10;

/// The first line: what holds for all questions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setting {
    pub library: PathBuf,
    /// The folder that holds `proc`.
    pub root: PathBuf,
    /// The process that is not another, nor what it starts.
    pub own: u32,
}

/// Which GPU is to be read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Question {
    pub number: u64,
    address: Option<String>,
    id: Option<String>,
}

/// What was read for the question of this number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub number: u64,
    pub readings: GpuReadings,
}

impl Question {
    pub(super) fn new(number: u64, gpu: &GpuIdentity) -> Question {
        let address = gpu.address.map(|address| address.to_string());
        Question { number, address, id: gpu.id.map(|id| id.to_string()) }
    }

    fn gpu(&self) -> GpuIdentity {
        GpuIdentity {
            address: self.address.as_ref().and_then(|text| text.parse().ok()),
            id: self.id.as_ref().and_then(|text| text.parse().ok()),
        }
    }
}

/// Answers its parent, which started it with a socket for stdin.
pub fn serve() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_to_tell) => ExitCode::FAILURE,
    }
}

fn answer() -> io::Result<()> {
    end_with_parent()?;
    let socket = UnixStream::from(rustix::io::dup(rustix::stdio::stdin())?);
    let mut answers = socket.try_clone()?;
    let mut questions = BufReader::new(socket);
    let Some(setting) = line::<Setting>(&mut questions)? else { return Ok(()) };
    let mut library = NvmlLibrary::new(setting.library);
    let processes = Processes::new(&setting.root, setting.own);
    let mut meters: BTreeMap<String, EnergyMeter> = BTreeMap::new();
    while let Some(question) = line::<Question>(&mut questions)? {
        let gpu = question.gpu();
        let meter = meters.entry(gpu.to_string()).or_default();
        let readings = library.read(&gpu, meter, Instant::now(), &processes);
        let answer = Answer { number: question.number, readings: sound(readings) };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        answers.write_all(&text)?;
    }
    Ok(())
}

/// The next line; `None` at the end.
fn line<T: for<'de> Deserialize<'de>>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut text = Vec::new();
    input.take(QUESTION_BYTES_MAX).read_until(b'\n', &mut text)?;
    if text.pop() != Some(b'\n') {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// What is no number cannot be written as one, and is no reading.
fn sound(readings: GpuReadings) -> GpuReadings {
    fn finite<T>(found: Found<T>, number: impl Fn(&T) -> f64) -> Found<T> {
        match found {
            Ok(value) if !number(&value).is_finite() => Err(Gap::lost("NVML gives what is no number")),
            found => found,
        }
    }
    let GpuReadings { core, hot_spot, memory, fan, watts, memory_by_others, use_by_others } = readings;
    GpuReadings {
        core: finite(core, |value| value.0),
        hot_spot: finite(hot_spot, |value| value.0),
        memory: finite(memory, |value| value.0),
        fan: finite(fan, |value| value.0),
        watts: finite(watts, |value| value.0),
        memory_by_others,
        use_by_others: finite(use_by_others, |value| value.0),
    }
}

/// A process that hangs in the library hears nothing any more, and is not to outlive its parent. One that crashes
/// leaves no image of its memory.
fn end_with_parent() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}
