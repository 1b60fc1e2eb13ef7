//! A library that changes the floating-point mode of whoever loads or calls it. What it can is in `float_mode.c`.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::{scratch, workspace};

/// A library that does so at one call; as a layer of Vulkan it also sees its calls.
#[derive(Debug)]
pub struct ModeChanger {
    folder: TempDir,
}

impl ModeChanger {
    /// Builds it, with the description of a layer beside it.
    ///
    /// # Panics
    /// Where there is no C compiler. Rust links with it, so it is there.
    pub fn new() -> ModeChanger {
        let changer = ModeChanger { folder: scratch() };
        let done = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(changer.library())
            .arg(workspace().join("tests/src/float_mode.c"))
            .output()
            .expect("cc, which Rust links with, starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let layer = serde_json::json!({
            "file_format_version": "1.1.2",
            "layer": {
                "name": "VK_LAYER_ANNEAL_mode",
                "type": "GLOBAL",
                "library_path": changer.library(),
                "api_version": "1.3.239",
                "implementation_version": "1",
                "description": "changes the floating-point mode",
            },
        });
        fs::write(changer.folder.path().join("layer.json"), layer.to_string())
            .expect("there is room for a file");
        changer
    }

    /// The library.
    pub fn library(&self) -> PathBuf {
        self.folder.path().join("mode.so")
    }

    /// The command's processes load it with themselves, but not workers, whose environment is cleared.
    pub fn preload(&self, command: &mut Command, call: &str, mode: u64) {
        command.env("LD_PRELOAD", self.library());
        self.changes(command, call, mode);
    }

    /// Whoever makes an instance of Vulkan has it for a layer.
    pub fn layer(&self, command: &mut Command, call: &str, mode: u64) {
        command.env("VK_LAYER_PATH", self.folder.path()).env("VK_INSTANCE_LAYERS", "VK_LAYER_ANNEAL_mode");
        self.changes(command, call, mode);
    }

    fn changes(&self, command: &mut Command, call: &str, mode: u64) {
        command.env("VK_ANNEAL_TEST_CALL", call).env("VK_ANNEAL_TEST_MODE", mode.to_string());
    }
}

impl Default for ModeChanger {
    fn default() -> ModeChanger {
        ModeChanger::new()
    }
}
