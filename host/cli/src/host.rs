//! This machine, as jobs need it: the program that plays worker and compiler, its caches, its environment.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anneal_job::report::DeviceReport;
use anneal_sandbox::{
    BackendRequest, Machine, WorkerMachine,
    confine::{Confinement, GroupFolders},
    worker::{ENVIRONMENT_KEPT, ENVIRONMENT_PREFIXES},
};
use anyhow::{Context, Result, ensure};

use crate::backends::Backend;

/// What starts processes and keeps compiled components.
#[derive(Clone, Debug)]
pub struct Host {
    /// The binary `anneal`.
    pub program: PathBuf,
    /// Where compiled components are kept.
    pub cache: PathBuf,
    /// Where keys and a provider's work are kept.
    pub data: PathBuf,
    /// The coordinator that is meant where none is named: ANNEAL_COORDINATOR.
    pub coordinator: Option<String>,
    /// What a worker inherits.
    pub environment: Vec<(OsString, OsString)>,
    /// Where a worker's control group is made.
    pub groups: GroupFolders,
}

impl Host {
    /// The host as this process sees it.
    ///
    /// # Errors
    /// Where this program's own file cannot be found.
    pub fn here() -> Result<Host> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        Ok(Host {
            program,
            cache: cache_folder().join("components"),
            data: data_folder(),
            coordinator: env::var("ANNEAL_COORDINATOR").ok().filter(|url| !url.is_empty()),
            environment: environment(),
            groups: group_folders(),
        })
    }

    /// The command of the compiling process.
    pub fn compiler(&self) -> Vec<OsString> {
        vec![self.program.clone().into(), "__compile".into()]
    }

    /// The GPUs that the drivers show, real ones first.
    ///
    /// # Errors
    /// Where a driver breaks the process that asks.
    pub fn ask_drivers(&self) -> Result<Vec<DeviceReport>> {
        let output = Command::new(&self.program)
            .arg("__drivers")
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .context("cannot start the process that asks the GPU drivers")?;
        ensure!(output.status.success(), "a GPU driver broke down when it was asked for its devices");
        serde_json::from_slice(&output.stdout).context("a GPU driver wrote where it should not")
    }

    /// A machine that makes each attempt in a process of its own.
    pub fn machine(&self, backend: &Backend) -> Box<dyn Machine> {
        Box::new(self.worker(backend, None))
    }

    /// The same, with so many bytes of memory. It is confined as well as this machine can: the component is
    /// the user's own.
    pub fn worker(&self, backend: &Backend, memory_bytes: Option<u64>) -> WorkerMachine {
        WorkerMachine {
            name: backend.name(),
            command: vec![self.program.clone().into(), "__worker".into()],
            environment: self.environment.clone(),
            backend: BackendRequest {
                backend: backend.address.clone(),
                threads: backend.threads,
                ..BackendRequest::default()
            },
            memory_bytes,
            gpu: backend.device.backend == "gpu",
            confinement: Confinement::default(),
            groups: self.groups.clone(),
        }
    }
}

/// A variable that names a folder.
fn given(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder for what must not be lost.
fn data_folder() -> PathBuf {
    let xdg = || given("XDG_DATA_HOME").filter(|path| path.is_absolute()).map(|path| path.join("anneal"));
    let home = || env::home_dir().map(|home| home.join(".local/share/anneal"));
    given("ANNEAL_DATA").or_else(xdg).or_else(home).unwrap_or_else(|| PathBuf::from("anneal-data"))
}

/// The folders of the control group tree that the owner gave to anneal, with colons between them.
fn group_folders() -> GroupFolders {
    let given = env::var_os("ANNEAL_CGROUP").unwrap_or_default();
    GroupFolders(env::split_paths(&given).filter(|path| path.is_absolute()).collect())
}

/// The folder for what can be made again.
fn cache_folder() -> PathBuf {
    let base = given("ANNEAL_CACHE")
        .or_else(|| given("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("anneal")))
        .or_else(|| env::home_dir().map(|home| home.join(".cache/anneal")));
    base.unwrap_or_else(|| env::temp_dir().join("anneal-cache"))
}

fn environment() -> Vec<(OsString, OsString)> {
    let kept = |name: &OsString| {
        let name = name.to_string_lossy();
        ENVIRONMENT_KEPT.contains(&&*name)
            || ENVIRONMENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    env::vars_os().filter(|(name, _)| kept(name)).collect()
}
