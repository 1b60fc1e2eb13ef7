//! This machine as its environment tells of it: folders, proxy, sensors, and what starts processes. The only place that
//! reads the environment.

use std::{env, ffi::OsString, path::PathBuf, thread};

use anneal_job::ByteCount;
use anneal_policy::Capacity;
use anneal_runner::{Launcher, launcher};
use anneal_sandbox::{
    confine::GroupFolders,
    worker::{ENVIRONMENT_KEPT, ENVIRONMENT_PREFIXES},
};
use anneal_sensors::{PciAddress, Screen, SensorsConfig};
use anyhow::{Context, Result, ensure};

/// What the environment says of this machine and its user.
#[derive(Clone, Debug)]
pub struct Host {
    /// What starts the processes that compile, compute and test.
    pub launcher: Launcher,
    /// Where keys and a provider's work are kept.
    pub data: PathBuf,
    /// Where services are kept: `~/.config`.
    pub config: PathBuf,
    /// The coordinator that is meant where none is named: ANNEAL_COORDINATOR.
    pub coordinator: Option<String>,
    /// The SOCKS 5 proxy to coordinators that are not on this machine, as `host:port`: ANNEAL_PROXY.
    pub proxy: Option<String>,
    /// How storage that is no folder is reached: `AWS_…`.
    pub storage: Vec<(String, String)>,
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
            launcher: Launcher {
                program: program.clone(),
                cache: cache_folder().join("components"),
                shaders: cache_folder().join("shaders"),
                environment: environment(),
                groups: group_folders(),
            },
            data: data_folder(),
            config: config_folder(),
            coordinator: env::var("ANNEAL_COORDINATOR").ok().filter(|url| !url.is_empty()),
            proxy: proxy()?,
            storage: storage(),
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
        Capacity { threads, ram: launcher::memory_bytes().map(ByteCount), gpu_memory: None }
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
