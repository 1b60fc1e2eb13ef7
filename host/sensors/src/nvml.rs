//! NVIDIA's GPUs, through the library of their driver (NVML), which a process of its own loads ([`service`]): it is
//! foreign code, and where a driver dies it crashes or hangs. Here is that process's parent.
//!
//! A process that ends is started again, after a rest that doubles up to a minute; one that does not answer for
//! [`PATIENCE`] is ended. As long as there is no answer, and no longer, every sensor of its GPUs is lost, and what was
//! read before is never given again. A reading waits for an answer for a moment only ([`ANSWERS_WITHIN`]), for other
//! devices are to be read, too.

mod device;
mod library;
mod service;

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use service::serve;

use crate::{
    gap::{Found, Gap},
    gpu::{GpuIdentity, GpuReadings},
};
use service::{Answer, Question, Setting};

/// Where a driver is, unless it is said.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// How long a reading waits for an answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);
/// The same for the first answer of all: a driver that nothing else uses takes its time to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(3);
/// A process that takes longer for an answer hangs, and is ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// The rest after a process that ended; each that ends soon after doubles it.
const REST_MIN: Duration = Duration::from_secs(1);
/// The longest rest; a process that lived longer does not count as one that ended soon.
const REST_MAX: Duration = Duration::from_secs(60);
/// A killed process is waited for so long; one that hangs in a driver is left behind.
const REAP_TIME: Duration = Duration::from_millis(200);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// NVIDIA's GPUs, as another process reads them.
#[derive(Debug)]
pub(crate) struct NvmlSource {
    /// A program and its arguments that calls [`serve`].
    command: Vec<OsString>,
    setting: Setting,
    state: State,
    rest: Duration,
    has_answered: bool,
}

#[derive(Debug)]
enum State {
    /// It is asked, or will be.
    Running(Asked),
    /// Why there is none, and until when it is left so.
    Resting(Option<(Instant, Gap)>),
}

/// A process that answers questions.
#[derive(Debug)]
struct Asked {
    process: Child,
    began: Instant,
    /// Its stdin, which both sides write.
    socket: UnixStream,
    /// What was read and is no whole line yet.
    buffer: Vec<u8>,
    /// Questions so far.
    questions: u64,
    /// When the last one was asked, where it was not answered yet.
    waits_since: Option<Instant>,
}

impl NvmlSource {
    /// The driver's library, or another one in its place; processes are looked up below this root, and this one and
    /// its children are not others.
    pub(crate) fn new(command: Vec<OsString>, library: Option<PathBuf>, root: &Path, own: u32) -> NvmlSource {
        let library = library.unwrap_or_else(|| LIBRARY.into());
        let setting = Setting { library, root: root.to_owned(), own };
        NvmlSource { command, setting, state: State::Resting(None), rest: REST_MIN, has_answered: false }
    }

    /// Everything that is known of a GPU.
    pub(crate) fn read(&mut self, gpu: &GpuIdentity) -> GpuReadings {
        self.try_read(gpu).unwrap_or_else(|gap| GpuReadings::none(&gap))
    }

    fn try_read(&mut self, gpu: &GpuIdentity) -> Found<GpuReadings> {
        let within = if self.has_answered { ANSWERS_WITHIN } else { BEGINS_WITHIN };
        let deadline = Instant::now() + within;
        let answered = self.running()?.ask(gpu, deadline);
        match answered {
            Ok(Some(readings)) => {
                self.has_answered = true;
                Ok(readings)
            }
            Ok(None) => {
                // Whoever has waited once does so no longer.
                self.has_answered = true;
                Err(self.silent())
            }
            Err(error) => Err(self.ended(&error)),
        }
    }

    /// The process, started where there is none and the last one was left alone for long enough.
    fn running(&mut self) -> Found<&mut Asked> {
        if self.command.is_empty() {
            return Err(Gap::absent("no program is named that reads NVIDIA's GPUs"));
        }
        if let State::Resting(rested) = &self.state {
            if let Some((until, why)) = rested
                && Instant::now() < *until
            {
                return Err(why.clone());
            }
            match Asked::start(&self.command, &self.setting) {
                Ok(asked) => self.state = State::Running(asked),
                Err(error) => return Err(self.rests(&format!("cannot be started ({error})"), false)),
            }
        }
        match &mut self.state {
            State::Running(asked) => Ok(asked),
            State::Resting(_) => Err(Gap::lost("the process that reads NVIDIA's GPUs is not there")),
        }
    }

    fn silent(&mut self) -> Gap {
        let State::Running(Asked { waits_since: Some(since), .. }) = &self.state else {
            return self.rests("is not there", false);
        };
        let seconds = since.elapsed().as_secs_f64();
        if since.elapsed() >= PATIENCE {
            return self.rests(&format!("did not answer within {seconds:.0} s and was ended"), false);
        }
        Gap::lost(format!(
            "the process that calls {} has not answered for {seconds:.1} s; does NVIDIA's driver hang?",
            self.setting.library.display()
        ))
    }

    fn ended(&mut self, error: &io::Error) -> Gap {
        let mut how = format!("failed ({error})");
        let mut lived_long = false;
        if let State::Running(asked) = &mut self.state {
            lived_long = asked.began.elapsed() > REST_MAX;
            if let Some(status) = reap(&mut asked.process) {
                how = format!("ended with {status}");
            }
        }
        self.rests(&how, lived_long)
    }

    /// Leaves the process alone for a while.
    fn rests(&mut self, how: &str, lived_long: bool) -> Gap {
        if lived_long {
            self.rest = REST_MIN;
        }
        let gap = Gap::lost(format!(
            "the process that calls {} {how}; another is tried {} s later. Is NVIDIA's driver whole?",
            self.setting.library.display(),
            self.rest.as_secs()
        ));
        // What was there is ended by being dropped.
        self.state = State::Resting(Some((Instant::now() + self.rest, gap.clone())));
        self.rest = (self.rest * 2).min(REST_MAX);
        gap
    }
}

impl Asked {
    fn start(command: &[OsString], setting: &Setting) -> io::Result<Asked> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::NotFound)?;
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_write_timeout(Some(ANSWERS_WITHIN))?;
        let process = Command::new(program)
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut asked = Asked {
            process,
            began: Instant::now(),
            socket,
            buffer: Vec::new(),
            questions: 0,
            waits_since: None,
        };
        asked.say(setting)?;
        Ok(asked)
    }

    /// What it says of a GPU; `None` where it does not in time. An answer to an earlier question is none.
    fn ask(&mut self, gpu: &GpuIdentity, deadline: Instant) -> io::Result<Option<GpuReadings>> {
        let mut wanted = None;
        loop {
            if self.waits_since.is_none() {
                self.questions += 1;
                wanted = Some(self.questions);
                self.say(&Question::new(self.questions, gpu))?;
                self.waits_since = Some(Instant::now());
            }
            let Some(line) = self.line(deadline)? else { return Ok(None) };
            let answer: Answer = serde_json::from_slice(&line)?;
            self.waits_since = None;
            if Some(answer.number) == wanted {
                return Ok(Some(answer.readings));
            }
        }
    }

    fn say(&mut self, what: &impl serde::Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.socket.write_all(&line)
    }

    /// The next line, without its end; `None` where none came in time.
    fn line(&mut self, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Some(line));
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("it answers without an end"));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _it_ended_meanwhile = self.process.kill();
            reap(&mut self.process);
        }
    }
}

/// Its status once it ended; waits a little.
fn reap(process: &mut Child) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + REAP_TIME;
    loop {
        match process.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(REAP_TIME / 100),
            Ok(None) | Err(_) => return None,
        }
    }
}
