//! Where a GPU's software lies on this machine: the loader, the drivers and their descriptions, sysfs, device
//! nodes. Found by the parent, for it knows the environment; what is not there is left out.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What a process needs to drive a GPU: all of them, for the one is chosen by its place among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuPaths {
    /// Files and folders that are read: libraries, descriptions of drivers and layers, sysfs.
    pub readable: Vec<PathBuf>,
    /// Device nodes that are read, written and commanded.
    pub devices: Vec<PathBuf>,
}

/// Libraries, and how the dynamic loader finds them.
const LIBRARIES: [&str; 12] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/run/opengl-driver",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/opt/amdgpu",
];

/// Descriptions and tables of drivers.
const DRIVERS: [&str; 15] = [
    "/etc/vulkan",
    "/etc/xdg/vulkan",
    "/usr/local/etc/vulkan",
    "/usr/local/share/vulkan",
    "/usr/share/vulkan",
    "/etc/glvnd",
    "/usr/share/glvnd",
    "/usr/share/egl",
    "/etc/drirc",
    "/usr/share/drirc.d",
    "/usr/share/libdrm",
    "/etc/amd",
    "/etc/nvidia",
    "/usr/share/nvidia",
    "/proc/driver/nvidia",
];

/// What drivers ask the kernel about devices and memory.
const SYSTEM: [&str; 9] = [
    "/sys/bus/pci/devices",
    "/sys/class/drm",
    "/sys/dev/char",
    "/sys/module/nvidia",
    "/sys/module/amdgpu",
    "/proc/cpuinfo",
    "/proc/devices",
    "/proc/meminfo",
    "/proc/modules",
];

/// Variables that name more folders or files, several with colons between them.
const VARIABLES: [&str; 9] = [
    "LD_LIBRARY_PATH",
    "VK_ADD_DRIVER_FILES",
    "VK_ADD_LAYER_PATH",
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
    "VK_LAYER_PATH",
    "VK_IMPLICIT_LAYER_PATH",
    "LIBGL_DRIVERS_PATH",
    "__EGL_VENDOR_LIBRARY_FILENAMES",
];

impl GpuPaths {
    /// Looks for them; the environment is the one that the process will have.
    pub fn find(environment: &[(OsString, OsString)]) -> GpuPaths {
        let fixed = [&LIBRARIES[..], &DRIVERS, &SYSTEM].concat();
        let mut readable: Vec<PathBuf> = fixed.iter().map(PathBuf::from).collect();
        readable.extend(named(environment));
        readable.extend(pci_roots());
        readable.retain(|path| path.exists());
        readable.sort();
        readable.dedup();
        GpuPaths { readable, devices: devices() }
    }
}

/// What variables name: they are the owner's word.
fn named(environment: &[(OsString, OsString)]) -> Vec<PathBuf> {
    let value = |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let split = |name: &&str| value(name).map(|value| std::env::split_paths(value).collect::<Vec<_>>());
    let mut paths: Vec<PathBuf> = VARIABLES.iter().filter_map(split).flatten().collect();
    let data = value("XDG_DATA_DIRS").map(|value| std::env::split_paths(value).collect::<Vec<_>>());
    paths.extend(data.into_iter().flatten().map(|folder| folder.join("vulkan")));
    if let Some(home) = value("HOME").map(Path::new) {
        paths.extend([".local/share/vulkan", ".config/vulkan"].map(|below| home.join(below)));
    }
    // A relative or empty one would grant the folder that anneal happens to be run in.
    paths.retain(|path| path.is_absolute() && path.parent().is_some());
    paths
}

/// The trees of PCI devices: what the links of `/sys/class/drm` and `/sys/dev/char` lead to.
fn pci_roots() -> Vec<PathBuf> {
    entries("/sys/devices", |name| name.starts_with("pci"))
}

fn devices() -> Vec<PathBuf> {
    // Render nodes alone: a card's primary node can drive a screen.
    let mut devices = entries("/dev/dri", |name| name.starts_with("renderD"));
    let nvidia = |name: &str| {
        let rest = name.strip_prefix("nvidia");
        rest.is_some_and(|rest| {
            matches!(rest, "ctl" | "-modeset" | "-uvm" | "-uvm-tools")
                || !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    devices.extend(entries("/dev", nvidia));
    // What libraries expect to be there beside a GPU; harmless.
    let common = ["/dev/dxg", "/dev/null", "/dev/zero", "/dev/urandom"].map(PathBuf::from);
    devices.extend(common.into_iter().filter(|path| path.exists()));
    devices.sort();
    devices
}

fn entries(folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_absolute_paths_alone() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let here = folder.path().to_owned();
        let list = std::env::join_paths([here.clone(), "".into(), ".".into(), "/".into(), "/nowhere".into()]);
        let environment = [("LD_LIBRARY_PATH".into(), list.expect("no colon"))];
        let plain = GpuPaths::find(&[]);
        let found = GpuPaths::find(&environment);
        let new: Vec<&PathBuf> =
            found.readable.iter().filter(|path| !plain.readable.contains(path)).collect();
        assert_eq!(new, [&here]);
        assert_eq!(found.devices, plain.devices);
    }
}
