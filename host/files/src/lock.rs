//! Locks: a file that one process holds at a time. The system gives a lock back with the process that held it,
//! however it ends; the file stays.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use cap_std::fs::{Dir, OpenOptions};

/// A file whose lock is held as long as this lives.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

impl LockFile {
    /// Takes the lock of a file in a folder, which is made where it is missing; `None` where another holds it.
    ///
    /// # Errors
    /// The operating system's, or where no regular file has the name.
    pub fn try_take(folder: &Dir, name: &Path) -> io::Result<Option<LockFile>> {
        let file = open(folder, name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(LockFile { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            // Some network filesystems have no locks: better unguarded than unusable.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(LockFile { _file: file }))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// As [`LockFile::try_take`], and waits for another to give it back.
    ///
    /// # Errors
    /// As there.
    pub fn take(folder: &Dir, name: &Path) -> io::Result<LockFile> {
        let file = open(folder, name)?;
        file.lock()?;
        Ok(LockFile { _file: file })
    }
}

fn open(folder: &Dir, name: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
    let file = folder.open_with(name, &options)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the lock is not a regular file"));
    }
    Ok(file.into_std())
}
