//! A child process of ours, seen from its parent: started with an empty environment, listened to with limits
//! of size and time, and always ended. Never waits without a limit.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

/// Bytes of what it said to people that are kept: its end.
const STDERR_BYTES_KEPT: usize = 4 << 10;
const CHUNK_BYTES: usize = 64 << 10;
/// How often one that is silent is looked after.
const LOOK: Duration = Duration::from_millis(50);
/// How long a killed process may take to vanish; one that hangs in a driver is left behind.
const REAP_TIME: Duration = Duration::from_secs(2);

/// Why a child gave no answer.
#[derive(Debug, Error)]
pub(crate) enum ChildError {
    #[error("{program} cannot be started: {source}")]
    Start { program: String, source: io::Error },
    #[error("it took too long")]
    TimeOut,
    #[error("it was stopped")]
    Stopped,
    #[error("it was ended by signal {signal}{said}")]
    Killed { signal: i32, said: String },
    #[error("it ended with {status} before its answer{said}")]
    Ended { status: String, said: String },
    #[error("it answered with more than {limit} bytes")]
    TooMuch { limit: u64 },
}

/// A running child.
pub(crate) struct Child {
    process: std::process::Child,
    to_stdin: Option<mpsc::Sender<Vec<u8>>>,
    stdout: mpsc::Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    answer_bytes_max: u64,
    stderr: Arc<Mutex<Vec<u8>>>,
    is_stopped: bool,
}

impl Child {
    /// Starts a program with this environment and nothing else of ours; it may answer with so many bytes at
    /// once (a line, or all of it).
    pub(crate) fn start(
        command: &[OsString],
        environment: &[(OsString, OsString)],
        answer_bytes_max: u64,
    ) -> Result<Child, ChildError> {
        let start = |source: io::Error| ChildError::Start {
            program: command.first().map(|program| program.display().to_string()).unwrap_or_default(),
            source,
        };
        let (program, arguments) =
            command.split_first().ok_or_else(|| start(io::ErrorKind::NotFound.into()))?;
        let mut process = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let stderr = Arc::default();
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(stdin), Some(stdout), Some(errors)) = pipes else {
            return Err(start(io::ErrorKind::BrokenPipe.into()));
        };
        let to_stdin = write_in_background(stdin);
        let stdout = read_in_background(stdout);
        keep_tail_in_background(errors, Arc::clone(&stderr));
        Ok(Child {
            process,
            to_stdin: Some(to_stdin),
            stdout,
            buffer: Vec::new(),
            answer_bytes_max,
            stderr,
            is_stopped: false,
        })
    }

    /// Sends bytes to its stdin, in the background.
    pub(crate) fn send(&self, bytes: Vec<u8>) {
        if let Some(to_stdin) = &self.to_stdin {
            let _it_may_be_gone = to_stdin.send(bytes);
        }
    }

    /// Its next line, without the end; `None` where none came within this time.
    pub(crate) fn line(&mut self, time: Duration) -> Result<Option<Vec<u8>>, ChildError> {
        let deadline = Instant::now() + time;
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|&byte| byte == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            match self.stdout.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.take(&chunk)?,
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(None),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// All it writes until it ends well. It is asked after again and again (`held`): how long it may have worked
    /// since it was asked last, or that it is to end.
    pub(crate) fn all(
        mut self,
        time: Duration,
        mut held: impl FnMut(&mut Child) -> Result<Duration, ChildError>,
    ) -> Result<Vec<u8>, ChildError> {
        let mut worked = Duration::ZERO;
        loop {
            worked += held(&mut self)?;
            let Some(left) = time.checked_sub(worked).filter(|left| !left.is_zero()) else {
                return Err(ChildError::TimeOut);
            };
            match self.stdout.recv_timeout(left.min(LOOK)) {
                Ok(chunk) => self.take(&chunk)?,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        match self.reap() {
            Some(status) if status.success() => Ok(std::mem::take(&mut self.buffer)),
            _ => Err(self.ended()),
        }
    }

    /// Stops its process where it is, or lets it go on. It is killed as well where it is stopped, by its parent and
    /// by its parent's end.
    pub(crate) fn hold(&mut self, is_stopped: bool) {
        if self.is_stopped != is_stopped {
            self.is_stopped = is_stopped;
            tracing::debug!(process = self.process.id(), is_stopped, "a child is held from outside");
            signal_to(&self.process, is_stopped);
        }
    }

    /// Whether it has written something that was not taken yet.
    pub(crate) fn has_said_something(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Its process is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Processor time of all its threads, by the kernel's count.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        processor_time(&stat)
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), ChildError> {
        self.buffer.extend_from_slice(chunk);
        let limit = self.answer_bytes_max;
        if self.buffer.len() as u64 > limit { Err(ChildError::TooMuch { limit }) } else { Ok(()) }
    }

    /// Why it ended.
    fn ended(&mut self) -> ChildError {
        let status = self.reap();
        let said = match self.stderr.lock() {
            Ok(stderr) if !stderr.is_empty() => {
                format!("; it said: {}", String::from_utf8_lossy(&stderr).trim())
            }
            _ => String::new(),
        };
        match status.map(|status| (status, signal(status))) {
            Some((_, Some(signal))) => ChildError::Killed { signal, said },
            Some((status, None)) => ChildError::Ended { status: status.to_string(), said },
            None => ChildError::Ended { status: "no status".to_owned(), said },
        }
    }

    /// Its status once it ended; waits a little, for it has closed its output or was killed.
    fn reap(&mut self) -> Option<ExitStatus> {
        self.to_stdin = None;
        let deadline = Instant::now() + REAP_TIME;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(2)),
                Ok(Some(status)) => return Some(status),
                Err(_) => return None,
            }
        }
        None
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            let _it_ended_meanwhile = self.process.kill();
            self.reap();
        }
    }
}

fn write_in_background(mut stdin: ChildStdin) -> mpsc::Sender<Vec<u8>> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in receiver {
            if stdin.write_all(&bytes).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

fn read_in_background(mut stdout: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::sync_channel(16);
    thread::spawn(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = stdout.read(&mut chunk) {
            if sender.send(chunk[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn keep_tail_in_background(mut stderr: impl Read + Send + 'static, tail: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut chunk) {
            tracing::debug!(text = %String::from_utf8_lossy(&chunk[..count]), "the child's stderr");
            let Ok(mut tail) = tail.lock() else { return };
            tail.extend_from_slice(&chunk[..count]);
            let surplus = tail.len().saturating_sub(STDERR_BYTES_KEPT);
            tail.drain(..surplus);
        }
    });
}

/// The kernel tells processor time in hundredths of a second, on all machines.
const PROCESSOR_TICK: Duration = Duration::from_millis(10);

/// The two times, in the program and in the kernel for it, of a line of `/proc/PID/stat`. The second word is the
/// name, which may hold anything.
fn processor_time(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u32>);
    let (own, kernel) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(PROCESSOR_TICK * own.saturating_add(kernel))
}

#[cfg(unix)]
fn signal_to(process: &std::process::Child, is_stopped: bool) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = if is_stopped { Signal::STOP } else { Signal::CONT };
    // It was not waited for, so the number is its own still.
    if let Some(id) = i32::try_from(process.id()).ok().and_then(Pid::from_raw)
        && let Err(error) = kill_process(id, signal)
    {
        tracing::warn!(%error, "a child could not be held");
    }
}

#[cfg(not(unix))]
fn signal_to(_process: &std::process::Child, _is_stopped: bool) {}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let line =
            |name: &str| format!("7 ({name}) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 1 0 100 200 300\n");
        for name in ["anneal", "a b", ") S 1 (", ""] {
            assert_eq!(processor_time(&line(name)), Some(Duration::from_secs(2)), "{name}");
        }
        for text in ["", "7 (anneal", "7 (anneal) S 1", "7 (a) S 1 2 3 4 5 6 7 8 9 10 x 12 13"] {
            assert_eq!(processor_time(text), None, "{text}");
        }
    }
}
