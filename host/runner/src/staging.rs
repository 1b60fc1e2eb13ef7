//! Folders for what a run stages: canonical inputs, states that are compared, what a replay downloads. Each is its
//! user's alone (0700), below the user's cache, and goes with the run.
//!
//! A run that ends by itself or by SIGINT or SIGTERM removes its folder. What one leaves that was killed is removed
//! by the next command that stages something: a folder is in use as long as its lock is held, and the system gives
//! a lock back with the process that held it. One lock over all of them orders making and sweeping.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anneal_files::LockFile;
use cap_std::fs::Dir;

use crate::launcher::Launcher;

const LOCK: &str = "lock";

/// The folders of this process that are in use.
static IN_USE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder that goes when this is dropped.
#[derive(Debug)]
pub struct StagingFolder {
    path: PathBuf,
    /// The system gives the lock back with it.
    _lock: LockFile,
}

impl StagingFolder {
    /// A new one; those of processes that are gone are removed.
    ///
    /// # Errors
    /// The operating system's, or where others than the user may enter the folder of them all.
    pub fn make(launcher: &Launcher) -> io::Result<StagingFolder> {
        StagingFolder::below(&launcher.cache.with_file_name("staging"))
    }

    fn below(base: &Path) -> io::Result<StagingFolder> {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let all = anneal_files::private_folder(base)?;
        let _one_at_a_time = LockFile::take(&all, LOCK.as_ref())?;
        sweep(&all, base)?;
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("{}-{number}", std::process::id()));
        let folder = anneal_files::private_folder(&path)?;
        let lock = LockFile::try_take(&folder, LOCK.as_ref())?;
        let lock = lock.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
        IN_USE.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
        Ok(StagingFolder { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        remove(&self.path);
        IN_USE.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| *path != self.path);
    }
}

/// Removes the folders of this process, which ends.
pub fn remove_all() {
    // The thread that holds the list may be the one that does not end.
    if let Ok(paths) = IN_USE.try_lock() {
        paths.iter().for_each(|path| remove(path));
    }
}

/// What cannot be removed now is removed by the next sweep.
fn remove(path: &Path) {
    let _swept_later = fs::remove_dir_all(path);
}

/// Removes every folder whose lock nobody holds.
fn sweep(all: &Dir, base: &Path) -> io::Result<()> {
    for entry in all.entries()? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let name = entry.file_name();
        match all.open_dir(&name).and_then(|folder| LockFile::try_take(&folder, LOCK.as_ref())) {
            Ok(None) => {}
            // One that cannot be removed is in nobody's way.
            Ok(Some(_)) | Err(_) => remove(&base.join(name)),
        }
    }
    Ok(())
}

#[cfg(test)]
impl StagingFolder {
    /// For tests, which have no host.
    pub(crate) fn for_test() -> StagingFolder {
        let base = std::env::temp_dir().join(format!("anneal-staging-{}", std::process::id()));
        StagingFolder::below(&base).expect("a folder")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_private_and_goes_and_what_a_dead_process_left_goes_next() {
        let place = tempfile::tempdir().expect("a folder");
        let base = place.path().join("staging");
        let folder = StagingFolder::below(&base).expect("a folder");
        fs::write(folder.path().join("inputs"), "secret").expect("written");
        for path in [&base, folder.path()] {
            let mode = fs::metadata(path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
        // As a process leaves it that was killed: nobody holds its lock.
        let left = base.join("1-0");
        fs::create_dir(&left).expect("made");
        fs::write(left.join("inputs"), "secret").expect("written");
        let path = folder.path().to_owned();
        let second = StagingFolder::below(&base).expect("a second one");
        assert!(!left.exists() && path.exists() && second.path() != path);
        drop(folder);
        assert!(!path.exists() && second.path().exists());
    }

    #[test]
    fn a_folder_that_others_may_enter_is_not_used() {
        let place = tempfile::tempdir().expect("a folder");
        let base = place.path().join("staging");
        fs::create_dir(&base).expect("made");
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).expect("ours");
        let refused = StagingFolder::below(&base).expect_err("others may enter");
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
