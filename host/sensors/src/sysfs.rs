//! Small files of the kernel's: one value each. A file that is not there is a sensor that is not there; one
//! that cannot be read has failed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::gap::{Found, Gap};

/// Entries of a folder that are looked at: /proc may hold a process for each.
const ENTRIES_MAX: usize = 1 << 16;

/// Bytes of a file: /proc/stat says something of every interrupt.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text of a file, without the space around it.
pub(crate) fn text(path: &Path) -> Found<String> {
    match anneal_files::read_kernel_file(path, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
        Err(error) => Err(gap(path, &error.into())),
    }
}

/// The number in a file.
pub(crate) fn number<T: FromStr>(path: &Path) -> Found<T> {
    let text = text(path)?;
    let shown: String = text.chars().take(40).collect();
    text.parse().map_err(|_| Gap::lost(format!("{} reads {shown:?}, which is no number", path.display())))
}

/// The same, where a file may be missing: `None` then.
pub(crate) fn number_if_there<T: FromStr>(path: &Path) -> Found<Option<T>> {
    match number(path) {
        Ok(value) => Ok(Some(value)),
        Err(gap) if gap.is_lost => Err(gap),
        Err(_) => Ok(None),
    }
}

/// The entries of a folder whose name begins so, in order of their names.
pub(crate) fn entries(folder: &Path, prefix: &str) -> Found<Vec<PathBuf>> {
    let read = fs::read_dir(folder).map_err(|error| gap(folder, &error))?;
    let mut found: Vec<PathBuf> = read
        .take(ENTRIES_MAX)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    Ok(found)
}

/// The last part of a path.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn gap(path: &Path, error: &io::Error) -> Gap {
    let why = format!("{}: {error}", path.display());
    if error.kind() == io::ErrorKind::NotFound { Gap::absent(why) } else { Gap::lost(why) }
}
