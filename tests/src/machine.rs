//! A machine's `/sys` and `/proc` as a test describes them: a folder of the same shape, to be read as root.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{nvml::replace, scratch};

/// A folder that looks like `/`.
#[derive(Debug)]
pub struct MachineStandIn {
    root: TempDir,
}

impl MachineStandIn {
    /// A machine with these files, a `path text` a line, with `\\n` and `\\t` in the text.
    pub fn new(files: &str) -> MachineStandIn {
        let machine = MachineStandIn { root: scratch() };
        machine.write(files);
        machine
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path below the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes more files, or the same anew.
    ///
    /// # Panics
    /// Where there is no room for them.
    pub fn write(&self, files: &str) {
        for line in files.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (path, text) = line.split_once(' ').unwrap_or((line, ""));
            let path = self.path(path);
            fs::create_dir_all(path.parent().expect("a file is in a folder"))
                .expect("there is room for folders");
            replace(&path, &format!("{}\n", text.replace("\\n", "\n").replace("\\t", "\t")));
        }
    }

    /// Takes a file or a folder away.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("what is removed is there");
    }

    /// Makes a file that is there and cannot be read: it is a folder now.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn break_file(&self, path: &str) {
        self.remove(path);
        fs::create_dir(self.path(path)).expect("there is room for a folder");
    }
}
