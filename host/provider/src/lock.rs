//! One process per provider's folder: a lock that the operating system holds, and gives up with the process.
//! Not for the folders of single coordinators, which lie below it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

const LOCK: &str = "lock";

/// Held as long as this process works in the folder.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder cannot be worked in.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process does.
    #[error(
        "another `anneal provide`{} works in {}: see `anneal status`, end it with `anneal finish`, or name \
         another folder with --folder", in_words(*.process), .folder.display()
    )]
    Held {
        /// The folder.
        folder: PathBuf,
        /// Its number, where it could be read.
        process: Option<u32>,
    },
    /// The operating system's word.
    #[error("{} cannot be locked; check the rights of the folder", .path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn in_words(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}

impl FolderLock {
    /// Takes the lock of a folder, which is there.
    ///
    /// # Errors
    /// Where another process has it.
    pub fn take(folder: &Path) -> Result<FolderLock, LockError> {
        let path = folder.join(LOCK);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).read(true).write(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _a_hint_only = (&mut file).take(16).read_to_string(&mut text);
                let process = text.trim().parse().ok();
                return Err(LockError::Held { folder: folder.to_owned(), process });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let written = file.set_len(0).and_then(|()| file.rewind());
        written.and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(FolderLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_until_its_lock_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..2 {
            let held = FolderLock::take(folder.path()).expect("it is free");
            let error = FolderLock::take(folder.path()).expect_err("it is held");
            assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
            drop(held);
        }
    }
}
