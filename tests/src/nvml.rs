//! A stand-in for the library of NVIDIA's driver, whose readings a test writes. What it can is in `nvml.c`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::{scratch, workspace};

/// A driver with one GPU.
#[derive(Debug)]
pub struct NvmlStandIn {
    folder: TempDir,
}

impl NvmlStandIn {
    /// A driver that reads this script; each test has one of its own.
    ///
    /// # Panics
    /// Where there is no C compiler. Rust links with it, so it is there.
    pub fn new(script: &str) -> NvmlStandIn {
        static BUILT: OnceLock<TempDir> = OnceLock::new();
        let built = BUILT.get_or_init(|| {
            let folder = scratch();
            let done = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
                .arg(folder.path().join("nvml.so"))
                .arg(workspace().join("tests/src/nvml.c"))
                .output()
                .expect("cc, which Rust links with, starts");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            folder
        });
        let stand_in = NvmlStandIn { folder: scratch() };
        stand_in.script(script);
        fs::copy(built.path().join("nvml.so"), stand_in.library()).expect("there is room for a library");
        stand_in
    }

    /// The library, in place of `libnvidia-ml.so.1`.
    pub fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// What it reads from now on.
    ///
    /// # Panics
    /// Where there is no room for it.
    pub fn script(&self, script: &str) {
        let path = self.library().with_extension("1.script");
        replace(&path, script);
    }
}

/// Writes a file whole or not at all: somebody may be reading it.
pub(crate) fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("there is room for a file");
    fs::rename(&new, path).expect("a file takes the place of another");
}
