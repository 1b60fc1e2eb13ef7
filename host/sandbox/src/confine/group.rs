//! The layer of the control group: memory and threads counted by the kernel for the whole worker, what it
//! shares and maps included. It needs a folder of the control group tree that the machine's administrator
//! gave to anneal; without one the layer is unavailable.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

use super::report::{Enforced, Unavailable};

/// Threads of a worker: its pools, a driver's, a shader compiler's.
const THREADS_MAX: u64 = 512;
const ADVICE: &str = "give anneal a folder of the control group tree, as host/sandbox/CONFINEMENT.md says";

/// Folders of the control group tree in which anneal may make groups: one with both controllers (version 2),
/// or one for each (version 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFolders(pub Vec<PathBuf>);

/// A worker's groups, as it is told them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Its folders.
    folders: Vec<PathBuf>,
    /// What they limit; or why there are none.
    limits: Result<String, String>,
}

/// A group made for one worker; removed when this is dropped, which must be after the worker ended.
#[derive(Debug)]
pub(crate) struct OwnedGroup(pub Group);

impl Group {
    /// No group, and why.
    pub(crate) fn none(why: impl Into<String>) -> Group {
        Group { folders: Vec::new(), limits: Err(why.into()) }
    }
}

impl GroupFolders {
    /// Makes a group for a worker with so many bytes of memory; `None` leaves them to the system.
    pub(crate) fn make(&self, memory_bytes: Option<u64>) -> OwnedGroup {
        let mut group = OwnedGroup(Group::none("no folder of the control group tree was given to anneal"));
        if !self.0.is_empty() {
            let made: Result<String, String> =
                self.0.iter().map(|folder| group.make_in(folder, memory_bytes)).collect();
            group.0.limits = made.and_then(|limits| complete(&limits));
        }
        group
    }
}

impl OwnedGroup {
    /// Makes a group here; what it limits.
    fn make_in(&mut self, folder: &Path, memory_bytes: Option<u64>) -> Result<String, String> {
        static GROUPS: AtomicU64 = AtomicU64::new(0);
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        let group = folder.join(format!("anneal-{}-{number}", std::process::id()));
        let failed = |error: io::Error| format!("{} cannot be used ({error})", folder.display());
        fs::create_dir(&group).map_err(failed)?;
        self.0.folders.push(group.clone());
        let mut limits = String::new();
        for (file, value, what) in [
            ("memory.max", memory_bytes, "memory"),
            ("memory.limit_in_bytes", memory_bytes, "memory"),
            ("memory.swap.max", Some(0), ""),
            ("pids.max", Some(THREADS_MAX), "threads"),
        ] {
            if let Some(value) = value
                && group.join(file).exists()
            {
                fs::write(group.join(file), value.to_string()).map_err(failed)?;
                limits += what;
                limits += if what.is_empty() { "" } else { " " };
            }
        }
        Ok(limits)
    }
}

fn complete(limits: &str) -> Result<String, String> {
    match (limits.contains("memory"), limits.contains("threads")) {
        (true, true) => Ok(format!("memory and {THREADS_MAX} threads")),
        (true, false) => Err("threads are not counted there: the controller pids is missing".to_owned()),
        (false, true) => Err("memory is not counted there: no limit, or no controller".to_owned()),
        (false, false) => Err("the folder given to anneal has no controller of memory or pids".to_owned()),
    }
}

impl Drop for OwnedGroup {
    fn drop(&mut self) {
        for folder in &self.0.folders {
            // A worker that hangs in a driver is still in it: then the folder stays, and is empty of meaning.
            if let Err(error) = fs::remove_dir(folder) {
                tracing::warn!(folder = %folder.display(), %error, "a control group was left behind");
            }
        }
    }
}

/// Moves this process into the groups that its parent made.
#[cfg(target_os = "linux")]
pub(super) fn join(group: &Group) -> Enforced {
    for folder in &group.folders {
        // 0 is the one who writes.
        fs::write(folder.join("cgroup.procs"), "0").map_err(|error| {
            Unavailable::new(format!("{} cannot be entered ({error})", folder.display()), ADVICE)
        })?;
    }
    match &group.limits {
        Ok(limits) => Ok(limits.clone()),
        Err(reason) => Err(Unavailable::new(reason, ADVICE)),
    }
}
