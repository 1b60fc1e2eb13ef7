//! A real process of the command, in the background: started, killed, stopped, looked at. What it says goes to a
//! file. It is killed when it is let go of, and nothing else is: only processes that were started here.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often something is looked at that is waited for.
pub const LOOK: Duration = Duration::from_millis(20);

/// A running process.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Where the log stood when this process began.
    began: u64,
}

impl Process {
    /// Starts the command; what it says is appended to the file.
    pub fn start(mut command: Command, log: &Path) -> Process {
        let file = || -> File {
            OpenOptions::new().create(true).append(true).open(log).expect("a log file can be opened")
        };
        let began = fs::metadata(log).map_or(0, |metadata| metadata.len());
        let child = command
            .stdin(Stdio::null())
            .stdout(file())
            .stderr(file())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Process { child, log: log.to_owned(), began }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has said since it began.
    pub fn said(&self) -> String {
        let all = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&all[(self.began as usize).min(all.len())..]).into_owned()
    }

    /// The children that are workers or compilers, as the system knows them now.
    pub fn workers(&self) -> Vec<u32> {
        workers_of(self.id()).into_iter().map(|(_, id)| id).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The children of a process that are workers or compilers, with the word that makes them one.
pub fn workers_of(id: u32) -> Vec<(&'static str, u32)> {
    children(id).into_iter().filter_map(|id| Some((worker_word(id)?, id))).collect()
}

/// Sends a signal to a process of ours; nothing where it is gone.
pub fn signal(id: u32, name: &str) {
    let sent =
        Command::new("kill").args([&format!("-{name}"), &id.to_string()]).stderr(Stdio::null()).status();
    sent.expect("`kill` starts");
}

/// Waits for something; says whether it came in time.
pub fn wait_until(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK);
    }
}

fn children(id: u32) -> Vec<u32> {
    // A child belongs to the thread that started it.
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

fn worker_word(id: u32) -> Option<&'static str> {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let words = ["__worker", "__compile"];
    words.into_iter().find(|known| line.split(|byte| *byte == 0).any(|word| word == known.as_bytes()))
}
