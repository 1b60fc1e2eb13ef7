//! The processor: its temperature by hwmon, its power by the counters of RAPL.
//!
//! The temperature is the hottest that coretemp (Intel), k10temp or zenpower (AMD) or cpu_thermal (ARM) gives.
//! AMD's `Tctl` stands up to 27 °C above the real one on some models, so it counts only where there is no `Tdie`.
//!
//! Kernels let only root read RAPL since CVE-2020-8694. Where it may not be read it counts as not there, or
//! every provider with a budget of energy would stand still; `power.overhead-watts` is for that.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anneal_policy::{Celsius, Watts};

use crate::{
    energy::{EnergyMeter, SPAN_MIN},
    gap::{Found, Gap},
    sysfs,
};

/// Drivers whose sensors are the processor's.
const DRIVERS: [&str; 4] = ["coretemp", "k10temp", "zenpower", "cpu_thermal"];
/// Cores of one socket have a sensor each.
const CHANNELS_MAX: usize = 1024;

/// The processor's temperature.
#[derive(Debug)]
pub(crate) struct ProcessorHeat {
    folder: PathBuf,
}

/// The processor's power.
#[derive(Debug)]
pub(crate) struct ProcessorPower {
    folder: PathBuf,
    meters: Vec<(PathBuf, EnergyMeter)>,
}

impl ProcessorHeat {
    pub(crate) fn new(root: &Path) -> ProcessorHeat {
        ProcessorHeat { folder: root.join("sys/class/hwmon") }
    }

    /// The hottest sensor of all sockets.
    pub(crate) fn read(&self) -> Found<Celsius> {
        let mut highest: Option<f64> = None;
        for hwmon in sysfs::entries(&self.folder, "hwmon")? {
            let is_processor =
                sysfs::text(&hwmon.join("name")).is_ok_and(|name| DRIVERS.contains(&name.as_str()));
            if !is_processor {
                continue;
            }
            for value in temperatures(&hwmon)? {
                highest = Some(highest.map_or(value, |highest| highest.max(value)));
            }
        }
        let none = || Gap::absent(format!("{} has none of {}", self.folder.display(), DRIVERS.join(", ")));
        highest.map(Celsius).ok_or_else(none)
    }
}

fn temperatures(hwmon: &Path) -> Found<Vec<f64>> {
    let inputs: Vec<PathBuf> = sysfs::entries(hwmon, "temp")?
        .into_iter()
        .filter(|path| sysfs::name(path).ends_with("_input"))
        .take(CHANNELS_MAX)
        .collect();
    let labelled: Vec<(String, PathBuf)> = inputs
        .into_iter()
        .map(|input| {
            let label = sysfs::name(&input).replace("_input", "_label");
            (sysfs::text(&hwmon.join(label)).unwrap_or_default(), input)
        })
        .collect();
    let has_die = labelled.iter().any(|(label, _)| label == "Tdie");
    let counted = labelled.iter().filter(|(label, _)| !(has_die && label == "Tctl"));
    counted.map(|(_, input)| Ok(sysfs::number::<f64>(input)? / 1000.0)).collect()
}

impl ProcessorPower {
    pub(crate) fn new(root: &Path) -> ProcessorPower {
        ProcessorPower { folder: root.join("sys/class/powercap"), meters: Vec::new() }
    }

    /// The mean of all sockets since the last reading. The first reading takes a tenth of a second.
    pub(crate) fn read(&mut self) -> Found<Watts> {
        let packages = self.packages()?;
        if let Some(watts) = self.mean(&packages)? {
            return Ok(watts);
        }
        std::thread::sleep(SPAN_MIN);
        let again = self.mean(&packages)?;
        again.ok_or_else(|| Gap::lost(format!("{}: the counters of energy fell", self.folder.display())))
    }

    /// One zone for each socket. Its parts (cores, memory) are below it, and `psys` is the whole machine; the
    /// same socket may be there again as `intel-rapl-mmio`.
    fn packages(&self) -> Found<Vec<PathBuf>> {
        let is_zone = |path: &PathBuf| sysfs::name(path).matches(':').count() == 1;
        let zones = sysfs::entries(&self.folder, "intel-rapl:")?.into_iter().filter(is_zone);
        let packages: Vec<PathBuf> = zones
            .filter(|zone| sysfs::text(&zone.join("name")).is_ok_and(|name| name.starts_with("package")))
            .collect();
        if packages.is_empty() {
            return Err(Gap::absent(format!(
                "{} has no counter of a processor's energy",
                self.folder.display()
            )));
        }
        Ok(packages)
    }

    fn mean(&mut self, packages: &[PathBuf]) -> Found<Option<Watts>> {
        self.meters.retain(|(package, _)| packages.contains(package));
        let mut sum = Some(0.0);
        for package in packages {
            let energy_uj = readable(&package.join("energy_uj"))?;
            let wraps_at = sysfs::number_if_there(&package.join("max_energy_range_uj"))?;
            let meter = match self.meters.iter_mut().find(|(known, _)| known == package) {
                Some((_, meter)) => meter,
                None => {
                    self.meters.push((package.clone(), EnergyMeter::default()));
                    let last = self.meters.len() - 1;
                    &mut self.meters[last].1
                }
            };
            let watts = meter.read(Instant::now(), energy_uj, wraps_at);
            sum = sum.zip(watts).map(|(sum, watts)| sum + watts.0);
        }
        Ok(sum.map(Watts))
    }
}

fn readable(path: &Path) -> Found<u64> {
    if let Err(error) = anneal_files::open_regular(path)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        return Err(Gap::absent(format!(
            "{} is for root only; say the processor's power in `power.overhead-watts`, or let this user read the file",
            path.display()
        )));
    }
    sysfs::number(path)
}
