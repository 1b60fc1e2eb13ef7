//! What is known of the machine and one of its devices at one moment. Who reads it is the host's.

use anneal_job::ByteCount;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Celsius, KilowattHours, Percent, Piconero, Sensor, SensorName, Watts};

/// A moment by two clocks: people's time, which may be set, and a count that only goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// People's time: windows, tariffs and budgets follow it.
    pub wall: Timestamp,
    /// Milliseconds of a clock that is never set; it may start again at a restart, and stand still or run in
    /// a suspend.
    pub steady_ms: u64,
}

/// One device and its machine, read together, once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readings {
    /// The device, as `[devices]` names it.
    pub device: String,
    /// The GPU's core temperature.
    pub gpu: Sensor<Celsius>,
    /// The GPU's hottest spot.
    pub hot_spot: Sensor<Celsius>,
    /// The GPU's memory.
    pub gpu_memory: Sensor<Celsius>,
    /// The processor.
    pub cpu: Sensor<Celsius>,
    /// The GPU's fan, of its full speed.
    pub fan: Sensor<Percent>,
    /// What the GPU draws, as a mean over about a second.
    pub gpu_watts: Sensor<Watts>,
    /// What the processor draws.
    pub cpu_watts: Sensor<Watts>,
    /// Seconds since the owner's last input.
    pub idle_s: Sensor<f64>,
    /// Whether a program covers the screen.
    pub fullscreen: Sensor<bool>,
    /// Names of running programs: all of them, or those that the policy lists.
    pub programs: Sensor<Vec<String>>,
    /// GPU memory that neither the system nor Anneal holds.
    pub memory_by_others: Sensor<ByteCount>,
    /// GPU time that others use.
    pub use_by_others: Sensor<Percent>,
    /// Whether the machine runs on its battery; a machine known to have none says no.
    pub on_battery: Sensor<bool>,
    /// Whether the network is paid by volume.
    pub metered: Sensor<bool>,
    /// What an hour at full duty is expected to earn, where that is known.
    pub earnings_per_hour: Option<Piconero>,
    /// Whether the device had nothing to do since the last reading: what is drawn then is not the work's.
    pub is_idle: bool,
    /// What the machine's other devices used of the same budgets.
    pub energy_elsewhere: EnergyUsed,
}

/// Energy of a day and of its month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EnergyUsed {
    /// Today.
    pub day: KilowattHours,
    /// This month, today included.
    pub month: KilowattHours,
}

impl Readings {
    /// The reading of a sensor that a controller can hold, as a bare number.
    pub(crate) fn channel(&self, name: SensorName) -> Sensor<f64> {
        match name {
            SensorName::GpuCore => self.gpu.map(|value| value.0),
            SensorName::HotSpot => self.hot_spot.map(|value| value.0),
            SensorName::GpuMemory => self.gpu_memory.map(|value| value.0),
            SensorName::Cpu => self.cpu.map(|value| value.0),
            SensorName::Fan => self.fan.map(|value| value.0),
            SensorName::GpuWatts => self.gpu_watts.map(|value| value.0),
            SensorName::CpuWatts => self.cpu_watts.map(|value| value.0),
            _ => Sensor::Absent,
        }
    }
}
