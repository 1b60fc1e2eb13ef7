//! Whole files, read with a limit and written all or nothing.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions},
};
use thiserror::Error;

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Larger than allowed; it was not read.
    #[error("it has {bytes} bytes, at most {limit} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The operating system's word.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The bytes of a file of at most `bytes_max`; a larger one is not read.
///
/// # Errors
/// Where it is larger, no regular file, or unreadable.
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    // Links are followed here, where the path is the user's own; below a folder they do not lead out of it.
    let path = std::fs::canonicalize(path)?;
    let (folder, name) = folder_and_name(&path)?;
    read_bounded_in(&folder, name.as_ref(), bytes_max)
}

/// As [`read_bounded`], in a folder.
///
/// # Errors
/// As there.
pub fn read_bounded_in(folder: &Dir, name: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    // Before it is opened: opening a pipe would wait for a writer.
    if !folder.metadata(name)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file").into());
    }
    let file = folder.open(name)?;
    let bytes = file.metadata()?.len();
    let too_large = |bytes| ReadError::TooLarge { bytes, limit: bytes_max };
    if bytes > bytes_max {
        return Err(too_large(bytes));
    }
    let mut contents = Vec::with_capacity(usize::try_from(bytes).map_err(|_| too_large(bytes))?);
    file.take(bytes_max + 1).read_to_end(&mut contents)?;
    // It may have grown meanwhile.
    if contents.len() as u64 > bytes_max { Err(too_large(contents.len() as u64)) } else { Ok(contents) }
}

/// Writes a file so that others see the old one or the new one, never a part, also after a crash.
///
/// # Errors
/// The operating system's.
pub fn write_whole(folder: &Dir, name: &Path, contents: &[u8]) -> io::Result<()> {
    let part = part_name(name)?;
    let written = write_new(folder, &part, contents).and_then(|()| folder.rename(&part, folder, name));
    if written.is_err() {
        let _the_first_error_counts = folder.remove_file(&part);
    }
    written
}

fn write_new(folder: &Dir, name: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = folder.open_with(name, OpenOptions::new().write(true).create_new(true))?;
    file.write_all(contents)?;
    file.sync_all()
}

/// A name for the unfinished file that no other process or thread takes.
fn part_name(name: &Path) -> io::Result<PathBuf> {
    static PARTS: AtomicU64 = AtomicU64::new(0);
    let mut part = OsString::from(".");
    part.push(name.file_name().ok_or_else(no_name)?);
    part.push(format!(".{}-{}.part", std::process::id(), PARTS.fetch_add(1, Ordering::Relaxed)));
    Ok(name.with_file_name(part))
}

/// The open folder of a path, and the name in it.
///
/// # Errors
/// Where the folder cannot be opened or the path names no file.
pub fn folder_and_name(path: &Path) -> io::Result<(Dir, PathBuf)> {
    let name = path.file_name().ok_or_else(no_name)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok((Dir::open_ambient_dir(folder, ambient_authority())?, PathBuf::from(name)))
}

/// A folder that only this user can enter, made where it is missing.
///
/// # Errors
/// Where it cannot be made, or others can write it: what is in it is executed.
#[cfg(unix)]
pub fn private_folder(path: &Path) -> io::Result<Dir> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = std::fs::metadata(path)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o077 != 0 {
        let message =
            "others than you can enter it, and compiled code is executed; remove it, or chmod 700 it";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Dir::open_ambient_dir(path, ambient_authority())
}

/// A folder, made where it is missing.
///
/// # Errors
/// Where it cannot be made.
#[cfg(not(unix))]
pub fn private_folder(path: &Path) -> io::Result<Dir> {
    std::fs::create_dir_all(path)?;
    Dir::open_ambient_dir(path, ambient_authority())
}

fn no_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")
}
