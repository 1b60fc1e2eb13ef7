//! What runs on this machine, by /proc: names of programs, which processes are our own, what they hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    gap::{Found, Gap},
    sysfs,
};

/// Generations between a worker and the provider that it is of.
const GENERATIONS_MAX: usize = 64;
/// Open files of one process that are looked at.
const FILES_MAX: usize = 4096;

/// The processes of a machine.
#[derive(Debug)]
pub(crate) struct Processes {
    folder: PathBuf,
    /// The process whose children are our own, and itself.
    own: u32,
}

impl Processes {
    pub(crate) fn new(root: &Path, own: u32) -> Processes {
        Processes { folder: root.join("proc"), own }
    }

    /// The names of what runs, as the kernel has them and as their files are called: the kernel cuts them
    /// after 15 bytes, and files of other users' programs are not told.
    pub(crate) fn programs(&self) -> Found<Vec<String>> {
        let processes = self.list()?;
        if !processes.contains(&1) {
            return Err(Gap::absent(format!(
                "{} hides other users' processes (`hidepid`), so programs may run unseen",
                self.folder.display()
            )));
        }
        let mut names = BTreeSet::new();
        for process in processes {
            let folder = self.folder.join(process.to_string());
            // One that ends while it is looked at does not run.
            names.extend(sysfs::text(&folder.join("comm")).ok());
            if let Ok(file) = fs::read_link(folder.join("exe")) {
                names.insert(sysfs::name(&file).trim_end_matches(" (deleted)").to_owned());
            }
        }
        names.remove("");
        Ok(names.into_iter().collect())
    }

    /// Whether a process is ours: this one, or started by one of ours. One that is not seen is not.
    pub(crate) fn is_ours(&self, process: u32) -> bool {
        let mut process = process;
        for _ in 0..GENERATIONS_MAX {
            if process == self.own {
                return true;
            }
            match self.parent(process) {
                Some(parent) if parent > 1 => process = parent,
                _ => return false,
            }
        }
        false
    }

    /// Bytes of a GPU's memory that our processes hold, as its driver tells it in `fdinfo`.
    pub(crate) fn video_memory_of_ours(&self, address: &str) -> Found<u64> {
        let mut clients = BTreeMap::new();
        for process in self.list()?.into_iter().filter(|process| self.is_ours(*process)) {
            let folder = self.folder.join(process.to_string()).join("fdinfo");
            match sysfs::entries(&folder, "") {
                Ok(files) => {
                    clients.extend(files.iter().take(FILES_MAX).filter_map(|file| client(file, address)))
                }
                // Ended meanwhile.
                Err(gap) if !gap.is_lost => {}
                Err(gap) => return Err(gap),
            }
        }
        Ok(clients.values().sum())
    }

    fn list(&self) -> Found<Vec<u32>> {
        let entries = sysfs::entries(&self.folder, "")?;
        Ok(entries.iter().filter_map(|entry| sysfs::name(entry).parse().ok()).collect())
    }

    /// The parent, from the fourth word of `stat`; the second is the name, which may hold anything.
    fn parent(&self, process: u32) -> Option<u32> {
        let stat = sysfs::text(&self.folder.join(process.to_string()).join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        after_name.split_whitespace().nth(1)?.parse().ok()
    }
}

/// A DRM client of a device and its bytes of memory there, if this open file is one. Files that were duplicated
/// are the same client.
fn client(file: &Path, address: &str) -> Option<(u64, u64)> {
    let text = sysfs::text(file).ok()?;
    let value =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim));
    if value("drm-pdev")? != address {
        return None;
    }
    let memory = ["drm-resident-vram", "drm-memory-vram", "drm-total-vram"].into_iter().find_map(value)?;
    let (number, unit) = memory.split_once(' ').unwrap_or((memory, ""));
    let unit_bytes = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    Some((value("drm-client-id")?.parse().ok()?, number.parse::<u64>().ok()?.checked_mul(unit_bytes)?))
}
