//! This machine, as jobs need it: the program that plays worker and compiler, its caches, its environment.

use std::{
    env,
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use anneal_job::{ByteCount, report::DeviceReport};
use anneal_policy::{Capacity, policy::Shares};
use anneal_provider::Compiler;
use anneal_sandbox::{
    BackendRequest, Machine, WorkerMachine,
    compile::CompileLimits,
    confine::{Confinement, GroupFolders, Requirement},
    worker::{ENVIRONMENT_KEPT, ENVIRONMENT_PREFIXES},
};
use anneal_sensors::{PciAddress, Screen, SensorsConfig};
use anyhow::{Context, Result, ensure};

use crate::{
    backends::Backend,
    devices::{self, Tested, TestedOne},
    failure::{Failure, Outcome},
};

/// Memory of a machine that does not say.
const MEMORY_UNKNOWN_BYTES: u64 = 4 << 30;

/// What starts processes and keeps compiled components.
#[derive(Clone, Debug)]
pub struct Host {
    /// The binary `anneal`.
    pub program: PathBuf,
    /// Where compiled components are kept.
    pub cache: PathBuf,
    /// Where keys and a provider's work are kept.
    pub data: PathBuf,
    /// Where services are kept: `~/.config`.
    pub config: PathBuf,
    /// The coordinator that is meant where none is named: ANNEAL_COORDINATOR.
    pub coordinator: Option<String>,
    /// The SOCKS 5 proxy to coordinators that are not on this machine, as `host:port`: ANNEAL_PROXY.
    pub proxy: Option<String>,
    /// Where GPU drivers keep compiled shaders.
    pub shaders: PathBuf,
    /// How storage that is no folder is reached: `AWS_…`.
    pub storage: Vec<(String, String)>,
    /// What a worker inherits.
    pub environment: Vec<(OsString, OsString)>,
    /// Where a worker's control group is made.
    pub groups: GroupFolders,
    /// Where sensors are: ANNEAL_SENSORS_ROOT in place of `/`, ANNEAL_NVML in place of `libnvidia-ml.so.1`.
    pub sensors: SensorsConfig,
    /// The GPU whose sensors stand for those of a GPU that is a program: ANNEAL_SENSORS_GPU, a PCI address. For
    /// tests, which have no other: such a GPU is held to the policy as a real one would be.
    pub sensors_gpu: Option<PciAddress>,
    /// The time zone of this machine.
    pub zone: String,
}

impl Host {
    /// The host as this process sees it.
    ///
    /// # Errors
    /// Where this program's own file cannot be found.
    pub fn here() -> Result<Host> {
        let program = env::current_exe().context("cannot find this program's own file")?;
        Ok(Host {
            program: program.clone(),
            cache: cache_folder().join("components"),
            shaders: cache_folder().join("shaders"),
            data: data_folder(),
            config: config_folder(),
            coordinator: env::var("ANNEAL_COORDINATOR").ok().filter(|url| !url.is_empty()),
            proxy: proxy()?,
            storage: storage(),
            environment: environment(),
            groups: group_folders(),
            sensors: SensorsConfig {
                root: given("ANNEAL_SENSORS_ROOT").unwrap_or_else(|| PathBuf::from("/")),
                nvml_process: vec![program.clone().into(), "__nvml".into()],
                nvml: given("ANNEAL_NVML"),
                process: std::process::id(),
                screen: screen(),
            },
            sensors_gpu: env::var("ANNEAL_SENSORS_GPU").ok().and_then(|address| address.parse().ok()),
            zone: zone(),
        })
    }

    /// What this machine has, without its GPUs.
    pub fn capacity(&self) -> Capacity {
        let threads = thread::available_parallelism().ok().and_then(|count| u32::try_from(count.get()).ok());
        Capacity { threads, ram: memory_bytes().map(ByteCount), gpu_memory: None }
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
        devices::judge(backend, tested)
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
            devices::TEST_TIME.as_secs()
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
fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    kib.checked_mul(1 << 10)
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

/// The folder for settings.
fn config_folder() -> PathBuf {
    let xdg = || given("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let home = || env::home_dir().map(|home| home.join(".config"));
    xdg().or_else(home).unwrap_or_else(|| PathBuf::from(".config"))
}

/// The folders of the control group tree that the owner gave to anneal, with colons between them.
fn group_folders() -> GroupFolders {
    let given = env::var_os("ANNEAL_CGROUP").unwrap_or_default();
    GroupFolders(env::split_paths(&given).filter(|path| path.is_absolute()).collect())
}

/// The screen before which the owner sits. A Wayland compositor's own X server knows only some of its windows.
fn screen() -> Screen {
    if given("WAYLAND_DISPLAY").is_some()
        || env::var_os("XDG_SESSION_TYPE").is_some_and(|kind| kind == "wayland")
    {
        return Screen::Wayland;
    }
    let authority = || given("XAUTHORITY").or_else(|| env::home_dir().map(|home| home.join(".Xauthority")));
    env::var("DISPLAY").map_or(Screen::None, |display| Screen::X { display, authority: authority() })
}

/// The name of this machine's time zone: TZ, else where /etc/localtime leads, else UTC.
fn zone() -> String {
    let variable = env::var("TZ").ok().map(|name| name.trim_start_matches(':').to_owned());
    let link = || {
        let target = std::fs::read_link("/etc/localtime").ok()?;
        Some(target.to_str()?.split_once("zoneinfo/")?.1.to_owned())
    };
    let is_known = |name: &String| anneal_policy::schedule::zone(name).is_some();
    variable.filter(is_known).or_else(|| link().filter(is_known)).unwrap_or_else(|| "UTC".to_owned())
}

/// The folder for what can be made again.
fn cache_folder() -> PathBuf {
    let base = given("ANNEAL_CACHE")
        .or_else(|| given("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("anneal")))
        .or_else(|| env::home_dir().map(|home| home.join(".cache/anneal")));
    base.unwrap_or_else(|| env::temp_dir().join("anneal-cache"))
}

/// What ANNEAL_PROXY says.
fn proxy() -> Result<Option<String>> {
    let Some(text) = env::var("ANNEAL_PROXY").ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    let place =
        ["socks5h://", "socks5://"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(&text);
    let port =
        place.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    ensure!(
        !place.contains('/') && matches!(port, Some(Ok(_))),
        "ANNEAL_PROXY is `{text}`, but names a SOCKS 5 proxy as socks5h://HOST:PORT, like Tor's socks5h://127.0.0.1:9050"
    );
    Ok(Some(place.to_owned()))
}

/// Settings of storage elsewhere; what is no text is none.
fn storage() -> Vec<(String, String)> {
    let text = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| name.starts_with("AWS_")).collect()
}

fn environment() -> Vec<(OsString, OsString)> {
    let kept = |name: &OsString| {
        let name = name.to_string_lossy();
        ENVIRONMENT_KEPT.contains(&&*name)
            || ENVIRONMENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    env::vars_os().filter(|(name, _)| kept(name)).collect()
}
