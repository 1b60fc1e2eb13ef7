//! Folders: the open one of a path, and those that only this user may enter.

use std::{
    io,
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};

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
/// Where it cannot be made, or others can enter it: what is in it is executed or secret.
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

pub(crate) fn no_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")
}
