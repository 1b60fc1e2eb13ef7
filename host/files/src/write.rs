//! Writing: the old file or the new one, never a part.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use cap_std::fs::{Dir, File, OpenOptions};

use crate::folder::{folder_and_name, no_name};

/// Writes a file so that others see the old one or the new one, never a part, also after a crash.
///
/// # Errors
/// The operating system's, or where something other than a regular file has the name.
pub fn write_whole(folder: &Dir, name: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create_in(folder, name)?;
    file.write_all(contents)?;
    file.finish()
}

/// A file that appears under its name once it is whole; dropped before that, it leaves nothing.
///
/// It is written as `.NAME.PROCESS-NUMBER.part` beside its name. A process that is killed leaves that file.
#[derive(Debug)]
pub struct WholeFile {
    folder: Dir,
    name: PathBuf,
    part: PathBuf,
    /// None once it is finished.
    file: Option<File>,
}

impl WholeFile {
    /// Begins a file at a path of the user's. A link there is followed, so that it stays a link.
    ///
    /// # Errors
    /// The operating system's, or where the path is a pipe, a device, a socket or a folder.
    pub fn create(path: &Path) -> io::Result<WholeFile> {
        let path = match std::fs::canonicalize(path) {
            Ok(path) => path,
            // A link that leads nowhere is the user's, and says where the file goes: not our guess.
            Err(_) if std::fs::symlink_metadata(path).is_ok() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link that leads nowhere"));
            }
            Err(_) => path.to_owned(),
        };
        if path.is_dir() {
            return Err(irregular());
        }
        let (folder, name) = folder_and_name(&path)?;
        WholeFile::create_in(&folder, &name)
    }

    /// As [`WholeFile::create`], in a folder.
    ///
    /// # Errors
    /// As there.
    pub fn create_in(folder: &Dir, name: &Path) -> io::Result<WholeFile> {
        match folder.symlink_metadata(name) {
            Ok(metadata) if !metadata.is_file() && !metadata.is_symlink() => return Err(irregular()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let part = part_name(name)?;
        // New: no link that lies there is followed.
        let file = folder.open_with(&part, OpenOptions::new().write(true).create_new(true))?;
        Ok(WholeFile { folder: folder.try_clone()?, name: name.to_owned(), part, file: Some(file) })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The operating system's; the file is removed then.
    pub fn finish(mut self) -> io::Result<()> {
        self.open()?.sync_all()?;
        self.folder.rename(&self.part, &self.folder, &self.name)?;
        self.file = None;
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the file is finished"))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _the_first_error_counts = self.folder.remove_file(&self.part);
        }
    }
}

/// Whether this is the name of an unfinished file of ours: what a process leaves that was killed.
pub fn is_part(name: &OsStr) -> bool {
    let Some(middle) =
        name.to_str().and_then(|name| name.strip_prefix('.')).and_then(|name| name.strip_suffix(".part"))
    else {
        return false;
    };
    let numbers = middle.rsplit_once('.').and_then(|(name, numbers)| Some((name, numbers.split_once('-')?)));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(name, (process, part))| !name.is_empty() && number(process) && number(part))
}

/// A name for the unfinished file that no other process or thread takes.
fn part_name(name: &Path) -> io::Result<PathBuf> {
    static PARTS: AtomicU64 = AtomicU64::new(0);
    let mut part = OsString::from(".");
    part.push(name.file_name().ok_or_else(no_name)?);
    part.push(format!(".{}-{}.part", std::process::id(), PARTS.fetch_add(1, Ordering::Relaxed)));
    Ok(name.with_file_name(part))
}

fn irregular() -> io::Error {
    let what = "a directory, a pipe, a socket or a device has this name; name another file";
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
