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
    /// The last things that happened, the newest last.
    pub lines: Vec<String>,
}

/// What a device does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// As its driver calls it.
    pub name: String,
    /// What it is at.
    pub work: Option<WorkStatus>,
    /// What its owner's policy lets it do; `None` where nobody watches.
    #[serde(default)]
    pub limits: Option<DeviceLimits>,
}

/// What a policy lets a device do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceLimits {
    /// `run`, `pause`, `release` or `refuse`.
    pub doing: String,
    /// Why it does not run, the weightiest first.
    pub reasons: Vec<String>,
    /// The busy fraction, where it runs.
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
            let surplus = status.lines.len().saturating_sub(LINES_MAX);
            status.lines.drain(..surplus);
        });
    }
}
