//! Opening and reading: regular files only, with a limit.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use cap_std::fs::{Dir, OpenOptions};
use thiserror::Error;

use crate::folder_and_name;

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Larger than allowed; no more than a byte over the limit was read.
    #[error("it has {bytes} bytes or more, at most {limit} are read")]
    TooLarge {
        /// Its size, as far as it is known.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It gave more bytes than it has: somebody writes it, or the kernel makes it up.
    #[error(
        "it gave more bytes than its size says: it is being written, or no file on a disk; copy it first"
    )]
    Grew,
    /// Its bytes are no UTF-8.
    #[error("the file is not UTF-8 text")]
    NoText,
    /// The operating system's error.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        match error {
            ReadError::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Opens a regular file for reading. Links are followed: the path is the user's own.
///
/// # Errors
/// Where it is a pipe, a device, a socket or a folder, or cannot be opened.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Below a folder that is open, links do not lead out of it; so they are resolved first.
    let path = std::fs::canonicalize(path)?;
    if path.is_dir() {
        return Err(irregular(true));
    }
    let (folder, name) = folder_and_name(&path)?;
    Ok(open_regular_in(&folder, &name)?.into_std())
}

/// As [`open_regular`], in a folder, out of which no link leads.
///
/// # Errors
/// As there.
pub fn open_regular_in(folder: &Dir, name: &Path) -> io::Result<cap_std::fs::File> {
    // Before it is opened: opening alone makes some devices act.
    check_regular(&folder.metadata(name)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // Another file may have been put there meanwhile: a pipe must not make us wait for its writer.
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
    let file = folder.open_with(name, &options)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

fn check_regular(metadata: &cap_std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(irregular(metadata.is_dir())) }
}

fn irregular(is_folder: bool) -> io::Error {
    let what = match is_folder {
        true => "it is a directory; name a file",
        false => "it is a pipe, a socket or a device; name a regular file",
    };
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// The bytes of a regular file of at most `bytes_max`; a larger one is not read.
///
/// # Errors
/// Where it is larger, no regular file, or unreadable.
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let file = open_regular(path)?;
    let bytes = file.metadata()?.len();
    read(file, bytes, bytes_max)
}

/// As [`read_bounded`], in a folder, out of which no link leads.
///
/// # Errors
/// As there.
pub fn read_bounded_in(folder: &Dir, name: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let file = open_regular_in(folder, name)?;
    let bytes = file.metadata()?.len();
    read(file, bytes, bytes_max)
}

/// As [`read_bounded`], where the file is text.
///
/// # Errors
/// As there, and where it is no UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, ReadError> {
    String::from_utf8(read_bounded(path, bytes_max)?).map_err(|_| ReadError::NoText)
}

/// As [`read_bounded`], of a file that is open, from where it stands on.
///
/// # Errors
/// As there.
pub fn read_rest(mut file: &File, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let bytes = file.metadata()?.len();
    let read_already = io::Seek::stream_position(&mut file)?;
    read(file, bytes.saturating_sub(read_already), bytes_max)
}

fn read(file: impl Read, bytes: u64, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let too_large = || ReadError::TooLarge { bytes, limit: bytes_max };
    if bytes > bytes_max {
        return Err(too_large());
    }
    let mut contents = Vec::with_capacity(usize::try_from(bytes).map_err(|_| too_large())?);
    file.take(bytes + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > bytes { Err(ReadError::Grew) } else { Ok(contents) }
}

/// What the kernel says in a small file of its own, which has no size before it is read.
///
/// # Errors
/// Where it is no regular file, has more than `bytes_max`, would make us wait, or is unreadable.
pub fn read_kernel_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let mut contents = Vec::new();
    open_regular(path)?.take(bytes_max + 1).read_to_end(&mut contents)?;
    let bytes = contents.len() as u64;
    if bytes > bytes_max { Err(ReadError::TooLarge { bytes, limit: bytes_max }) } else { Ok(contents) }
}
