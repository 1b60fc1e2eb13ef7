//! What an agent tells its owner, and what the owner wants of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anneal_job::{AttemptId, Entry, Place};
use serde::{Deserialize, Serialize};

/// What the owner wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// Work.
    #[default]
    Run,
    /// No new leases; what runs goes on.
    Pause,
    /// No new leases; end once everything that was leased is judged.
    Finish,
    /// Give back what is not finished, and end now. Finished work is kept for the next start.
    Leave,
}

/// How an agent does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The coordinator's address.
    pub coordinator: String,
    /// This provider.
    pub identity: String,
    /// What its owner wants.
    pub wish: Wish,
    /// Why the coordinator cannot be reached just now.
    pub trouble: Option<String>,
    /// By number.
    pub devices: BTreeMap<u32, DeviceStatus>,
    /// Attempts that were run and committed to, since the start.
    pub finished: u64,
    /// Attempts that failed for this machine's sake, since the start.
    pub faults: u64,
    /// Gas of finished attempts, since the start.
    pub gas: u64,
    /// Attempts that were run and wait for their verdict.
    pub waiting: u64,
    /// The last things that happened, the newest last.
    pub lines: Vec<String>,
    /// All that ever happened: who has read so many has read the last one of `lines`.
    pub lines_total: u64,
}

/// What a device does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// As its driver calls it.
    pub name: String,
    /// What it is at.
    pub work: Option<WorkStatus>,
    /// Why it gets no lease, where it waits for one: the coordinator's word, like `no-tasks`.
    #[serde(default)]
    pub no_lease: Option<String>,
    /// What its owner's limits let it do now; `None` where nobody has decided yet.
    #[serde(default)]
    pub limits: Option<DeviceLimits>,
}

/// What an owner's limits say of a device just now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceLimits {
    /// `run`, `pause`, `release` or `refuse`.
    pub doing: String,
    /// Why it does not run, the weightiest first, and what would have to change.
    pub reasons: Vec<String>,
    /// The busy fraction from 0 to 1, where it runs.
    pub duty: Option<f64>,
}

/// An attempt under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkStatus {
    /// Which.
    pub attempt: AttemptId,
    /// The exported function.
    pub entry: Entry,
    /// Where it stands in training.
    pub place: Place,
    /// Whether it is run again for a dispute.
    pub traced: bool,
    /// Done and of how much, as the guest says.
    pub progress: Option<(u64, u64)>,
}

/// Lines that are kept.
const LINES_MAX: usize = 50;

/// The status, shared between who knows and who shows.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<Status>>);

impl StatusBoard {
    /// The status as it is now.
    pub fn read(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it.
    pub fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Something happened.
    pub fn line(&self, line: String) {
        tracing::info!("{line}");
        self.change(|status| {
            status.lines.push(line);
            status.lines_total += 1;
            let surplus = status.lines.len().saturating_sub(LINES_MAX);
            status.lines.drain(..surplus);
        });
    }
}

impl Status {
    /// The lines that came after so many were read, and how many there are now.
    pub fn lines_after(&self, read: u64) -> (&[String], u64) {
        let new = self.lines_total.saturating_sub(read);
        let new = usize::try_from(new).unwrap_or(usize::MAX).min(self.lines.len());
        (&self.lines[self.lines.len() - new..], self.lines_total)
    }
}

impl WorkStatus {
    /// In words: `train 3/10, 45 %`.
    pub fn describe(&self) -> String {
        let Place { segment, segments, round, worker, workers } = self.place;
        let mut words = self.entry.to_string();
        if workers > 1 {
            words += &format!(" round {} worker {}/{workers}", round + 1, worker + 1);
        } else if segments > 1 {
            words += &format!(" {}/{segments}", segment + 1);
        }
        if self.traced {
            words += ", again for a dispute";
        }
        if let Some((done, total)) = self.progress.filter(|&(_, total)| total > 0) {
            words += &format!(", {} %", u128::from(done.min(total)) * 100 / u128::from(total));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use anneal_job::{Digest, plan::place_alone};

    use super::*;

    #[test]
    fn a_reader_gets_every_line_once_as_long_as_it_is_kept() {
        let board = StatusBoard::default();
        let mut read = 0;
        for batch in [0_usize, 1, 7, LINES_MAX, LINES_MAX + 9, 2] {
            (0..batch).for_each(|number| board.line(format!("{batch}.{number}")));
            let status = board.read();
            let (lines, total) = status.lines_after(read);
            let first = batch.saturating_sub(LINES_MAX);
            let expected: Vec<String> = (first..batch).map(|number| format!("{batch}.{number}")).collect();
            assert_eq!((lines, total), (&expected[..], read + batch as u64));
            read = total;
        }
    }

    #[test]
    fn work_is_told_in_words() {
        let alone = WorkStatus {
            attempt: AttemptId(Digest::of(b"attempt")),
            entry: Entry::Train,
            place: place_alone(),
            traced: false,
            progress: None,
        };
        let third = Place { segment: 2, segments: 10, ..place_alone() };
        let worker = Place { round: 1, worker: 1, workers: 4, ..place_alone() };
        for (work, words) in [
            (alone.clone(), "train"),
            (WorkStatus { place: third, progress: Some((9, 20)), ..alone.clone() }, "train 3/10, 45 %"),
            (WorkStatus { progress: Some((7, 0)), ..alone.clone() }, "train"),
            (WorkStatus { progress: Some((u64::MAX, 3)), ..alone.clone() }, "train, 100 %"),
            (
                WorkStatus { place: worker, traced: true, ..alone },
                "train round 2 worker 2/4, again for a dispute",
            ),
        ] {
            assert_eq!(work.describe(), words);
        }
    }
}
