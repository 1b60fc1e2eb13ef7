//! Starts this program's processes: workers, compilers, and those that ask and test the GPUs' drivers. Whatever a
//! driver prints or breaks stays in them.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anneal_job::report::DeviceReport;
use anneal_policy::policy::Shares;
use anneal_sandbox::{
    BackendRequest, Machine, WorkerMachine,
    compile::CompileLimits,
    confine::{Confinement, GroupFolders, Requirement},
};
use anyhow::{Context, Result, ensure};

use crate::{
    backends::Backend,
    failure::{Failure, Outcome},
    selftest::{self, Tested, TestedOne},
    work::Compiler,
};

/// Memory of a machine that does not say.
const MEMORY_UNKNOWN_BYTES: u64 = 4 << 30;

/// What starts processes, and where they keep what they compile.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The binary `anneal`.
    pub program: PathBuf,
    /// Where compiled components are kept.
    pub cache: PathBuf,
    /// Where GPU drivers keep compiled shaders.
    pub shaders: PathBuf,
    /// What a worker inherits.
    pub environment: Vec<(OsString, OsString)>,
    /// Where a worker's control group is made.
    pub groups: GroupFolders,
}

impl Launcher {
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

    /// How strangers' components are compiled.
    pub fn compiler_for(&self, requirement: Requirement) -> Compiler {
        let confinement = Confinement::new(requirement.for_compiler());
        let limits = CompileLimits { confinement, ..CompileLimits::DEFAULT };
        Compiler { command: self.compiler(), cache: self.cache.clone(), limits }
    }

    /// A worker for strangers' components: with what of the confinement is insisted on.
    pub fn worker_for(&self, backend: &Backend, requirement: Requirement) -> WorkerMachine {
        let confinement = Confinement::new(requirement);
        WorkerMachine { confinement, ..self.worker(backend, Some(worker_memory_bytes())) }
    }

    /// The same within the owner's shares of main memory and of a GPU's.
    pub fn worker_within(
        &self,
        backend: &Backend,
        requirement: Requirement,
        shares: &Shares,
    ) -> WorkerMachine {
        let mut worker = self.worker_for(backend, requirement);
        let share = shares.ram.map_or(u64::MAX, |share| share.0);
        worker.memory_bytes = worker.memory_bytes.map(|bytes| bytes.min(share));
        if worker.gpu {
            worker.backend.device_memory_bytes = shares.gpu_memory.map(|share| share.0);
        }
        worker
    }

    /// Runs the conformance vectors on a backend and measures it. A process of its own does: what a driver prints
    /// or breaks stays there.
    ///
    /// # Errors
    /// Where a vector fails, or the backend breaks down or takes too long.
    pub fn test_and_measure(&self, backend: &Backend) -> Outcome<Tested> {
        let tested = self.test_one(backend).map_err(Failure::host)?;
        selftest::judge(backend, tested)
    }

    fn test_one(&self, backend: &Backend) -> Result<TestedOne> {
        let mut command = Command::new(&self.program);
        command.args(["__selftest", &backend.address]);
        if let Some(threads) = backend.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().context("cannot start the process that tests a device")?;
        ensure!(
            output.status.success(),
            "{} broke down in its test ({}), or took longer than {} s; update its driver, or leave it out",
            backend.name(),
            output.status,
            selftest::TEST_TIME.as_secs()
        );
        serde_json::from_slice(&output.stdout).context("a driver wrote where it should not")
    }

    /// A machine that makes each attempt in a process of its own, within the memory that a stranger's gets: what
    /// runs here runs there.
    pub fn machine(&self, backend: &Backend) -> Box<dyn Machine> {
        Box::new(self.worker(backend, Some(worker_memory_bytes())))
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
            hardware: backend.device.backend == "gpu" && !backend.device.software,
            confinement: Confinement::default(),
            groups: self.groups.clone(),
            shaders: Some(self.shaders.clone()),
        }
    }
}

/// What a worker may use of this machine's memory: three quarters of it.
fn worker_memory_bytes() -> u64 {
    memory_bytes().map_or(MEMORY_UNKNOWN_BYTES, |bytes| bytes / 4 * 3)
}

/// This machine's memory, where it says so.
pub fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    kib.checked_mul(1 << 10)
}
