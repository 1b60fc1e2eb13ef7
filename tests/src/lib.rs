//! What the end-to-end tests share: where things are, and how the command is run; a network of real processes,
//! those who kill them, and a bad line between them.

pub mod attack;
pub mod browser;
pub mod campaign;
pub mod clock;
pub mod desktop;
pub mod float_mode;
pub mod flood;
pub mod machine;
pub mod network;
pub mod nvml;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod random;
pub mod s3;
pub mod siege;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use tempfile::TempDir;

/// The root of the checkout.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

/// The `anneal` command, built in the profile of the tests.
///
/// # Panics
/// Where it was not built.
pub fn command() -> Command {
    let tests = std::env::current_exe().expect("a test knows its own path");
    // Tests are in target/PROFILE/deps, examples in target/PROFILE/examples.
    let built = tests.ancestors().nth(2).expect("tests run in target/PROFILE/deps").join("anneal");
    assert!(
        built.exists(),
        "{} is missing; run tests/run, or cargo build --release -p anneal-cli",
        built.display()
    );
    let mut command = Command::new(built);
    command.current_dir(workspace());
    command
}

/// Runs the command with these arguments to its end.
pub fn anneal<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I) -> Finished {
    let mut command = command();
    command.args(arguments);
    finish(command)
}

/// Runs a prepared command to its end.
pub fn finish(mut command: Command) -> Finished {
    let output = command.output().expect("the command starts");
    Finished { line: format!("{command:?}"), output }
}

/// A command that has ended.
pub struct Finished {
    line: String,
    output: Output,
}

impl Finished {
    /// The exit status; a signal is a failure of the test.
    pub fn status(&self) -> i32 {
        self.output
            .status
            .code()
            .unwrap_or_else(|| panic!("{} died of a signal:\n{}", self.line, self.stderr()))
    }

    /// What it said to people.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Its data.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// It succeeded.
    pub fn success(self) -> Finished {
        assert_eq!(self.status(), 0, "{} failed:\n{}\n{}", self.line, self.stdout(), self.stderr());
        self
    }

    /// It ended with this status, and not with a panic of ours.
    pub fn failure(self, status: i32) -> Finished {
        assert_eq!(self.status(), status, "{}:\n{}\n{}", self.line, self.stdout(), self.stderr());
        assert!(!self.stderr().contains("RUST_BACKTRACE"), "{} panicked:\n{}", self.line, self.stderr());
        self
    }

    /// Its one JSON object.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout())
            .unwrap_or_else(|error| panic!("{}: {error} in\n{}\n{}", self.line, self.stdout(), self.stderr()))
    }
}

/// The component of a guest in the checkout, built once for all tests.
pub fn component(guest: &str) -> PathBuf {
    static BUILT: OnceLock<std::sync::Mutex<std::collections::BTreeMap<String, PathBuf>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Default::default).lock().expect("no build panicked");
    built
        .entry(guest.to_owned())
        .or_insert_with(|| {
            let done = anneal(["build", guest, "--json"]).success().json();
            PathBuf::from(done["path"].as_str().expect("build names the component"))
        })
        .clone()
}

/// A folder of a test's own.
pub fn scratch() -> TempDir {
    tempfile::tempdir().expect("there is room for a folder")
}
