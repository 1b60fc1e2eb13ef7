//! SQLite's journal is written back by a thread of its own, so that the writer seldom has to: it only finishes what
//! little is left when the journal has reached its size, and begins it anew.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Works until it is dropped, and not a moment longer: who drops it may give back the lock, or remove the files.
pub(super) struct Checkpoints {
    /// Dropping it tells the thread to end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _a_panic_was_told = thread.join();
        }
    }
}

impl Checkpoints {
    /// Begins; `None` where there is no thread for it, and the writer does it alone.
    pub(super) fn begin(path: &Path) -> Option<Checkpoints> {
        let (stop, stopped) = channel();
        let path: PathBuf = path.to_owned();
        let work = move || {
            let connection = match Connection::open(&path) {
                Ok(connection) => connection,
                Err(error) => {
                    return tracing::warn!(%error, "the journal is written back by the writer alone");
                }
            };
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                // Passive: waits for nobody, and nobody waits for it.
                let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(error) = done {
                    tracing::debug!(%error, "the journal was not written back");
                }
            }
        };
        let thread = std::thread::Builder::new().name("anneal-journal".to_owned()).spawn(work);
        thread.ok().map(|thread| Checkpoints { stop: Some(stop), thread: Some(thread) })
    }
}
