//! A guard on free disk: below a reserve nothing that strangers send is written any more, so that what the coordinator
//! itself must write, its state and its log, always finds room.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anneal_api::{ErrorBody, ErrorCode};

/// How long what was found is taken for true.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches the disks of some folders.
pub(crate) struct Disk {
    folders: Vec<PathBuf>,
    reserve_bytes: u64,
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Disk {
    /// Below this many free bytes on the disk of any of these folders, nothing is taken.
    pub(crate) fn new(folders: Vec<PathBuf>, reserve_bytes: u64) -> Disk {
        Disk { folders, reserve_bytes, seen: Mutex::new(None) }
    }

    /// Whether so many more bytes may be written.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), ErrorBody> {
        let free = self.free();
        if free.saturating_sub(bytes) >= self.reserve_bytes {
            return Ok(());
        }
        tracing::error!(free, reserve = self.reserve_bytes, "the disk is nearly full: uploads are refused");
        Err(ErrorCode::DiskFull.body())
    }

    /// The free bytes of the fullest disk; where none can be asked, as many as one likes.
    pub(crate) fn free(&self) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, free)) = *seen
            && at.elapsed() < LOOK_EVERY
        {
            return free;
        }
        let free = self.folders.iter().filter_map(|folder| free_bytes(folder)).min().unwrap_or(u64::MAX);
        *seen = Some((Instant::now(), free));
        free
    }
}

fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    // A folder that is not there yet lies on the disk of the one above it.
    let there = folder.ancestors().find(|path| path.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_reserve_nothing_is_taken() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let disk = |reserve| Disk::new(vec![folder.join("not/there/yet")], reserve);
        let free = disk(0).free();
        assert!(free > 0 && free < u64::MAX, "{free}");
        assert!(disk(0).check(1).is_ok());
        let refused = disk(u64::MAX).check(1).expect_err("no disk is so large");
        assert!(refused.is(ErrorCode::DiskFull), "{refused}");
        assert!(disk(0).check(u64::MAX).is_ok(), "nothing is kept back");
        assert!(disk(1).check(u64::MAX).is_err());
    }
}
