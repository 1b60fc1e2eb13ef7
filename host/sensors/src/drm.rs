//! GPUs of AMD and Intel (and any whose kernel driver does the same): hwmon and DRM files in /sys.
//!
//! Which file says what is each driver's: `temp*_label` names `edge` (AMD) or `pkg` (Intel) for the core,
//! `junction` for the hottest spot, `mem` or `vram*` for the memory. AMD gives power as a mean
//! (`power1_average`), Intel as a counter of energy. A fan counts in its own `fan1_max`, else by its `pwm1`.
//! See the kernel's documentation: gpu/amdgpu/thermal.rst, ABI/testing/sysfs-driver-intel-{i915,xe}-hwmon.
//!
//! How busy others keep a GPU is not said here: the kernel counts it by process only for processes that the
//! asking user may look into, so what is missing from that sum is not known.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anneal_job::ByteCount;
use anneal_policy::{Celsius, Percent, Watts};

use crate::{
    energy::EnergyMeter,
    gap::{Found, Gap},
    gpu::{GpuIdentity, GpuReadings},
    pci::{PciAddress, PciId},
    processes::Processes,
    sysfs,
};

/// Sensors of a device that are looked at.
const CHANNELS_MAX: usize = 16;
/// What `pwm1` goes up to where its driver does not say.
const PWM_MAX: f64 = 255.0;

/// The DRM cards of a machine.
#[derive(Debug)]
pub(crate) struct DrmSource {
    cards: PathBuf,
}

/// A DRM card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) device: PathBuf,
    pub(crate) driver: String,
    pub(crate) address: Option<PciAddress>,
    pub(crate) id: Option<PciId>,
}

impl DrmSource {
    pub(crate) fn new(root: &Path) -> DrmSource {
        DrmSource { cards: root.join("sys/class/drm") }
    }

    /// The card of a GPU. Looked for at each reading: a driver that is loaded again numbers its cards anew.
    pub(crate) fn card(&self, gpu: &GpuIdentity) -> Found<Card> {
        let cards = self.cards()?;
        let same = cards.into_iter().filter(|card| gpu.is(card.address, card.id)).collect();
        gpu.only(same, &self.cards.display().to_string())
    }

    fn cards(&self) -> Found<Vec<Card>> {
        let entries = sysfs::entries(&self.cards, "card")?;
        // Connectors are there, too: card0-HDMI-A-1.
        let is_card = |path: &PathBuf| sysfs::name(path)[4..].bytes().all(|byte| byte.is_ascii_digit());
        let mut cards = Vec::new();
        for entry in entries.into_iter().filter(is_card) {
            match Card::read(entry.join("device")) {
                Ok(card) => cards.push(card),
                Err(gap) if gap.is_lost => return Err(gap),
                // A card of the kernel's own making sits nowhere.
                Err(_) => {}
            }
        }
        Ok(cards)
    }

    /// Everything that is known of a card.
    pub(crate) fn read(
        &self,
        card: &Card,
        meter: &mut EnergyMeter,
        now: Instant,
        processes: &Processes,
    ) -> GpuReadings {
        let memory_by_others = memory_by_others(card, processes);
        let use_by_others = Err(Gap::absent(format!(
            "the driver {} does not tell whose work keeps the GPU busy",
            card.driver
        )));
        let hwmon = match hwmon(&card.device) {
            Ok(hwmon) => hwmon,
            Err(gap) => {
                return GpuReadings { memory_by_others, use_by_others, ..GpuReadings::none(&gap) };
            }
        };
        let temperatures = temperatures(&hwmon);
        let hottest = |what: &str, is_it: fn(&str) -> bool| hottest(&hwmon, &temperatures, what, is_it);
        GpuReadings {
            core: hottest("core", |label| matches!(label, "edge" | "pkg" | "")),
            hot_spot: hottest("hottest spot", |label| label == "junction"),
            memory: hottest("memory", |label| label == "mem" || label.starts_with("vram")),
            fan: fan(&hwmon),
            watts: watts(&hwmon, meter, now),
            memory_by_others,
            use_by_others,
        }
    }
}

impl Card {
    fn read(device: PathBuf) -> Found<Card> {
        let uevent = sysfs::text(&device.join("uevent"))?;
        let value = |key: &str| {
            uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
        };
        Ok(Card {
            driver: value("DRIVER").to_owned(),
            address: value("PCI_SLOT_NAME").parse().ok(),
            id: value("PCI_ID").parse().ok(),
            device,
        })
    }
}

/// A device's folder of sensors.
fn hwmon(device: &Path) -> Found<PathBuf> {
    let folder = device.join("hwmon");
    let none = || Gap::absent(format!("{} holds no sensors", folder.display()));
    sysfs::entries(&folder, "hwmon")?.into_iter().next().ok_or_else(none)
}

/// Labels and what they read; the first one has no label on some drivers.
fn temperatures(hwmon: &Path) -> Vec<(String, Found<f64>)> {
    (1..=CHANNELS_MAX)
        .filter_map(|number| {
            let thousandths: f64 = match sysfs::number_if_there(&hwmon.join(format!("temp{number}_input"))) {
                Ok(None) => return None,
                Ok(Some(value)) => value,
                Err(gap) => return Some((label(hwmon, number), Err(gap))),
            };
            Some((label(hwmon, number), Ok(thousandths / 1000.0)))
        })
        .collect()
}

fn label(hwmon: &Path, number: usize) -> String {
    sysfs::text(&hwmon.join(format!("temp{number}_label"))).unwrap_or_default()
}

/// The highest of the temperatures that are meant; one that failed fails them.
fn hottest(
    hwmon: &Path,
    temperatures: &[(String, Found<f64>)],
    what: &str,
    is_it: fn(&str) -> bool,
) -> Found<Celsius> {
    let mut highest: Option<f64> = None;
    for (_, value) in temperatures.iter().filter(|(label, _)| is_it(label)) {
        let value = value.clone()?;
        highest = Some(highest.map_or(value, |highest| highest.max(value)));
    }
    let none = || Gap::absent(format!("{} has no temperature of the {what}", hwmon.display()));
    highest.map(Celsius).ok_or_else(none)
}

fn fan(hwmon: &Path) -> Found<Percent> {
    let speed: Option<f64> = sysfs::number_if_there(&hwmon.join("fan1_input"))?;
    let full: Option<f64> = sysfs::number_if_there(&hwmon.join("fan1_max"))?;
    if let (Some(speed), Some(full)) = (speed, full.filter(|full| *full > 0.0)) {
        return Ok(Percent(100.0 * speed / full));
    }
    let pwm: Option<f64> = sysfs::number_if_there(&hwmon.join("pwm1"))?;
    let full: Option<f64> = sysfs::number_if_there(&hwmon.join("pwm1_max"))?;
    let none =
        || Gap::absent(format!("{} does not say how fast the fan is of its full speed", hwmon.display()));
    let full = full.filter(|full| *full > 0.0).unwrap_or(PWM_MAX);
    pwm.map(|pwm| Percent(100.0 * pwm / full)).ok_or_else(none)
}

fn watts(hwmon: &Path, meter: &mut EnergyMeter, now: Instant) -> Found<Watts> {
    for name in ["power1_average", "power1_input"] {
        if let Some(microwatts) = sysfs::number_if_there::<f64>(&hwmon.join(name))? {
            return Ok(Watts(microwatts / 1e6));
        }
    }
    let energy = hwmon.join("energy1_input");
    let Some(energy_uj) = sysfs::number_if_there(&energy)? else {
        return Err(Gap::absent(format!("{} says nothing of power", hwmon.display())));
    };
    let first = || Gap::lost(format!("{}: a power needs two readings", energy.display()));
    meter.read(now, energy_uj, None).ok_or_else(first)
}

/// What is used of the device's memory less what our own processes hold.
fn memory_by_others(card: &Card, processes: &Processes) -> Found<ByteCount> {
    let used: u64 = sysfs::number(&card.device.join("mem_info_vram_used")).map_err(|gap| Gap {
        why: format!("{} (only AMD's driver tells how much memory is used)", gap.why),
        ..gap
    })?;
    let address = card.address.map(|address| address.to_string()).unwrap_or_default();
    let ours = processes.video_memory_of_ours(&address)?;
    Ok(ByteCount(used.saturating_sub(ours)))
}
