//! What a sensor says, or that it says nothing, and which values are believed. Reading sensors is the host's.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

/// What came from one sensor at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensor<T> {
    /// The machine has no such sensor. One that was seen before is taken as lost, whatever the host says.
    #[default]
    Absent,
    /// It is there, and reading it failed.
    Lost,
    /// A value, still to be believed or not.
    Value(T),
}

/// Which sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SensorName {
    /// The GPU's core temperature.
    GpuCore,
    /// The GPU's hottest spot.
    HotSpot,
    /// The GPU's memory temperature.
    GpuMemory,
    /// The processor's temperature.
    Cpu,
    /// The GPU's fan.
    Fan,
    /// What the GPU draws.
    GpuWatts,
    /// What the processor draws.
    CpuWatts,
    /// The time since the owner's last input.
    Idle,
    /// Whether a program covers the screen.
    Fullscreen,
    /// The programs that run.
    Programs,
    /// GPU memory that others hold.
    MemoryByOthers,
    /// GPU time that others use.
    UseByOthers,
    /// Whether the machine runs on its battery.
    Battery,
    /// Whether the network is paid by volume.
    Metered,
}

/// The sensors whose value a duty changes, and which a controller therefore can hold.
pub const CHANNELS: [SensorName; 6] = [
    SensorName::GpuCore,
    SensorName::HotSpot,
    SensorName::GpuMemory,
    SensorName::Cpu,
    SensorName::Fan,
    SensorName::GpuWatts,
];

/// Temperatures that a machine in use can have. 0 °C and 255 °C are what broken sensors and drivers say.
const CELSIUS_BELIEVED: RangeInclusive<f64> = 1.0..=130.0;
/// Powers that one device can draw; an idle device that is switched off draws none.
const WATTS_BELIEVED: RangeInclusive<f64> = 0.0..=2500.0;
/// Some drivers report a fan above its rating.
const FAN_PERCENT_BELIEVED: RangeInclusive<f64> = 0.0..=120.0;
const USE_PERCENT_BELIEVED: RangeInclusive<f64> = 0.0..=100.0;
/// Ten years without input: no sensor means that.
const IDLE_SECONDS_BELIEVED: RangeInclusive<f64> = 0.0..=315_360_000.0;

impl<T> Sensor<T> {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Sensor::Value(value) => Some(value),
            Sensor::Absent | Sensor::Lost => None,
        }
    }

    /// The same sensor with its value seen otherwise.
    pub fn map<U>(&self, see: impl FnOnce(&T) -> U) -> Sensor<U> {
        match self {
            Sensor::Absent => Sensor::Absent,
            Sensor::Lost => Sensor::Lost,
            Sensor::Value(value) => Sensor::Value(see(value)),
        }
    }
}

impl SensorName {
    /// The values that are believed. What is no number is in no range.
    pub(crate) fn believed(self) -> RangeInclusive<f64> {
        match self {
            SensorName::GpuCore | SensorName::HotSpot | SensorName::GpuMemory | SensorName::Cpu => {
                CELSIUS_BELIEVED
            }
            SensorName::Fan => FAN_PERCENT_BELIEVED,
            SensorName::GpuWatts | SensorName::CpuWatts => WATTS_BELIEVED,
            SensorName::UseByOthers => USE_PERCENT_BELIEVED,
            _ => IDLE_SECONDS_BELIEVED,
        }
    }

    /// A value of this sensor with its unit.
    pub(crate) fn show(self, value: f64) -> String {
        let unit = match self {
            SensorName::GpuCore | SensorName::HotSpot | SensorName::GpuMemory | SensorName::Cpu => "°C",
            SensorName::Fan | SensorName::UseByOthers => "%",
            SensorName::GpuWatts | SensorName::CpuWatts => "W",
            _ => "s",
        };
        format!("{} {unit}", crate::quantity::tenths(value))
    }

    /// The key of `policy.toml` whose rule needs this sensor.
    pub(crate) fn key(self) -> &'static str {
        match self {
            SensorName::GpuCore => "temperature.gpu",
            SensorName::HotSpot => "temperature.hot-spot",
            SensorName::GpuMemory => "temperature.gpu-memory",
            SensorName::Cpu => "temperature.cpu",
            SensorName::Fan => "fan.limit-percent",
            SensorName::GpuWatts | SensorName::CpuWatts => "power",
            SensorName::Idle => "owner.idle-minutes",
            SensorName::Fullscreen => "owner.fullscreen",
            SensorName::Programs => "owner.programs",
            SensorName::MemoryByOthers => "owner.gpu-memory-by-others",
            SensorName::UseByOthers => "owner.gpu-percent-by-others",
            SensorName::Battery => "owner.run-on-battery",
            SensorName::Metered => "owner.run-on-metered-network",
        }
    }
}

impl fmt::Display for SensorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SensorName::GpuCore => "the GPU's temperature",
            SensorName::HotSpot => "the GPU's hot spot",
            SensorName::GpuMemory => "the GPU memory's temperature",
            SensorName::Cpu => "the processor's temperature",
            SensorName::Fan => "the GPU's fan",
            SensorName::GpuWatts => "the GPU's power",
            SensorName::CpuWatts => "the processor's power",
            SensorName::Idle => "the time since your last input",
            SensorName::Fullscreen => "whether a program covers the screen",
            SensorName::Programs => "the list of running programs",
            SensorName::MemoryByOthers => "the GPU memory held by others",
            SensorName::UseByOthers => "the GPU time used by others",
            SensorName::Battery => "whether the machine is on battery",
            SensorName::Metered => "whether the network is metered",
        })
    }
}
