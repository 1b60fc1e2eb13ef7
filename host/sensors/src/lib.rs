//! Reads a provider's machine and devices once a second: the [`Readings`] that `anneal_policy` decides by.
//!
//! [`Sensors::open`] is told which devices there are, [`Sensors::read`] reads one of them and its machine. It
//! blocks, for a few milliseconds mostly, and belongs on a thread of its own: a driver that dies can hold a
//! call for good, and the library of NVIDIA's driver, which is foreign code, is called in a process of its own
//! ([`serve_nvml`]). What cannot be read is [`Missing`], with words for the owner, and is never guessed; what a
//! sensor says is given on as it is, 0 °C and 255 °C too: what can be believed is policy's to say.
//!
//! Not here: deciding, obeying, earnings, energy of other devices, printing, the environment.
//!
//! | reading | source | module |
//! | --- | --- | --- |
//! | an NVIDIA GPU | the driver's library | `nvml` |
//! | another GPU | hwmon and DRM in /sys | `drm` |
//! | processor | hwmon, RAPL | `processor` |
//! | battery | power_supply | `supply` |
//! | idle | logind | `session` |
//! | metered | NetworkManager | `network` |
//! | programs | /proc | `processes` |
//! | fullscreen | the window manager of an X server | `screen` |

mod bus;
mod drm;
mod energy;
mod gap;
mod gpu;
mod network;
mod nvml;
mod pci;
mod processes;
mod processor;
mod screen;
mod session;
mod supply;
mod sysfs;
mod wait;

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, Instant},
};

use anneal_policy::{Readings, SensorName};
use serde::Serialize;

use bus::Bus;
use drm::DrmSource;
use energy::EnergyMeter;
use gap::sensor;
use gpu::GpuReadings;
use nvml::NvmlSource;
use processes::Processes;
use processor::{ProcessorHeat, ProcessorPower};
use screen::ScreenSource;
use supply::Supplies;

pub use gap::Missing;
pub use gpu::GpuIdentity;
pub use nvml::serve as serve_nvml;
pub use pci::{PciAddress, PciError, PciId};
pub use screen::Screen;

/// Devices of a machine that are read within this time share what is the machine's own.
const MACHINE_SPAN: Duration = Duration::from_millis(500);

/// Where sensors are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorsConfig {
    /// The folder that holds `sys`, `proc` and `run`: `/`, or one of the same shape.
    pub root: PathBuf,
    /// A program and its arguments that calls [`serve_nvml`]: it is started where a GPU of NVIDIA's is to be read.
    pub nvml_process: Vec<OsString>,
    /// The library of NVIDIA's driver; where nothing is said, `libnvidia-ml.so.1` where the system has it.
    pub nvml: Option<PathBuf>,
    /// The process that is ours: it and what it starts are not others.
    pub process: u32,
    /// The owner's screen.
    pub screen: Screen,
}

/// A device to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensedDevice {
    /// As `[devices]` in a policy names it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor, or a program on it that plays a GPU. Its temperature is the processor's, and its power
    /// stands where a GPU's would, since budgets of energy need the device's.
    Processor,
    /// A GPU.
    Gpu(GpuIdentity),
}

/// What was read, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// For policy. Earnings and energy elsewhere are left to the caller.
    pub readings: Readings,
    /// Sensors without a value.
    pub missing: Vec<Missing>,
}

/// The sensors of a machine and its devices.
#[derive(Debug)]
pub struct Sensors {
    nvml: NvmlSource,
    drm: DrmSource,
    machine: Machine,
    devices: Vec<(SensedDevice, EnergyMeter)>,
}

/// What all devices share.
#[derive(Debug)]
struct Machine {
    heat: ProcessorHeat,
    power: ProcessorPower,
    supplies: Supplies,
    processes: Processes,
    bus: Bus,
    screen: ScreenSource,
    last: Option<(Instant, Reading)>,
}

impl Sensors {
    /// Gets ready to read these devices. Nothing is opened before it is read, so this cannot fail.
    pub fn open(config: &SensorsConfig, devices: Vec<SensedDevice>) -> Sensors {
        Sensors {
            nvml: NvmlSource::new(
                config.nvml_process.clone(),
                config.nvml.clone(),
                &config.root,
                config.process,
            ),
            drm: DrmSource::new(&config.root),
            machine: Machine {
                heat: ProcessorHeat::new(&config.root),
                power: ProcessorPower::new(&config.root),
                supplies: Supplies::new(&config.root),
                processes: Processes::new(&config.root, config.process),
                bus: Bus::new(&config.root),
                screen: ScreenSource::new(&config.root, config.screen.clone()),
                last: None,
            },
            devices: devices.into_iter().map(|device| (device, EnergyMeter::default())).collect(),
        }
    }

    /// The devices, in the order of [`Sensors::read`].
    pub fn devices(&self) -> impl Iterator<Item = &SensedDevice> {
        self.devices.iter().map(|(device, _)| device)
    }

    /// Reads a device, by its place in the list, and its machine. One that is not in the list has no sensors.
    pub fn read(&mut self, device: usize) -> Reading {
        let now = Instant::now();
        let Reading { mut readings, mut missing } = self.machine.read(now);
        let Some((device, meter)) = self.devices.get_mut(device) else {
            return Reading::default();
        };
        readings.device.clone_from(&device.name);
        match device.kind {
            DeviceKind::Processor => {
                readings.gpu_watts = std::mem::take(&mut readings.cpu_watts);
                for gap in missing.iter_mut().filter(|gap| gap.sensor == SensorName::CpuWatts) {
                    gap.sensor = SensorName::GpuWatts;
                }
            }
            DeviceKind::Gpu(gpu) => {
                let processes = &self.machine.processes;
                let card = self.drm.card(&gpu);
                let is_nvidia = match (&card, gpu.id) {
                    // Its free driver has files in /sys like the others.
                    (Ok(card), _) if card.driver == "nouveau" => false,
                    (_, Some(id)) => id.vendor == pci::VENDOR_NVIDIA,
                    (Ok(card), None) => card.id.is_some_and(|id| id.vendor == pci::VENDOR_NVIDIA),
                    (Err(_), None) => true,
                };
                let found = match card {
                    _ if is_nvidia => self.nvml.read(&gpu),
                    Ok(card) => self.drm.read(&card, meter, now, processes),
                    Err(gap) => GpuReadings::none(&gap),
                };
                fill(&mut readings, found, &mut missing);
            }
        }
        Reading { readings, missing }
    }
}

fn fill(readings: &mut Readings, found: GpuReadings, missing: &mut Vec<Missing>) {
    readings.gpu = sensor(SensorName::GpuCore, found.core, missing);
    readings.hot_spot = sensor(SensorName::HotSpot, found.hot_spot, missing);
    readings.gpu_memory = sensor(SensorName::GpuMemory, found.memory, missing);
    readings.fan = sensor(SensorName::Fan, found.fan, missing);
    readings.gpu_watts = sensor(SensorName::GpuWatts, found.watts, missing);
    readings.memory_by_others = sensor(SensorName::MemoryByOthers, found.memory_by_others, missing);
    readings.use_by_others = sensor(SensorName::UseByOthers, found.use_by_others, missing);
}

impl Machine {
    /// What is the machine's own, read now or a moment ago.
    fn read(&mut self, now: Instant) -> Reading {
        if let Some((when, reading)) = &self.last
            && now.saturating_duration_since(*when) < MACHINE_SPAN
        {
            return reading.clone();
        }
        let mut missing = Vec::new();
        let readings = Readings {
            cpu: sensor(SensorName::Cpu, self.heat.read(), &mut missing),
            cpu_watts: sensor(SensorName::CpuWatts, self.power.read(), &mut missing),
            idle_s: sensor(SensorName::Idle, session::idle_s(&mut self.bus), &mut missing),
            fullscreen: sensor(SensorName::Fullscreen, self.screen.is_covered(), &mut missing),
            programs: sensor(SensorName::Programs, self.processes.programs(), &mut missing),
            on_battery: sensor(SensorName::Battery, self.supplies.on_battery(), &mut missing),
            metered: sensor(SensorName::Metered, network::metered(&mut self.bus), &mut missing),
            ..Readings::default()
        };
        let reading = Reading { readings, missing };
        self.last = Some((now, reading.clone()));
        reading
    }
}
