//! Why work does not run, as values: each has a sentence ([`Reason`]'s `Display`) and says what would have to
//! change ([`Reason::remedy`]). What is no obstacle but the owner should know is a [`Note`].

mod remedy;
mod sentence;

use anneal_job::ByteCount;
use jiff::Timestamp;
use serde::Serialize;

use crate::{KilowattHours, Percent, Profit, SensorName};

/// Why work does not run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum Reason {
    /// A temperature, the fan or the power.
    Channel(ChannelReason),
    /// A sensor says nothing that can be believed.
    Sensor(SensorReason),
    /// Energy and what it costs.
    Energy(EnergyReason),
    /// Hours and clocks.
    Time(TimeReason),
    /// The owner.
    Owner(OwnerReason),
}

/// A temperature, the fan or the power.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named for what they are, in the sensor's unit")]
pub enum ChannelReason {
    /// At its limit or over.
    OverLimit { sensor: SensorName, value: f64, limit: f64, resume: f64 },
    /// It was over its limit and has not fallen far enough.
    Cooling { sensor: SensorName, value: f64, resume: f64 },
    /// Even the least duty keeps it above its target.
    OutOfReach { sensor: SensorName, value: f64, target: f64, resume: f64 },
}

/// A sensor says nothing that can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum SensorReason {
    /// The machine has none, and a rule needs it.
    Missing { sensor: SensorName },
    /// It gave readings, and gives none now.
    Lost { sensor: SensorName },
    /// It says what cannot be.
    Implausible { sensor: SensorName, value: f64 },
}

/// Energy and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum EnergyReason {
    /// The day's energy is used up.
    DaySpent { used: KilowattHours, allowed: KilowattHours },
    /// The month's energy is used up.
    MonthSpent { used: KilowattHours, allowed: KilowattHours },
    /// It would not earn what its energy costs.
    Unprofitable { profit: Profit },
    /// What it would earn is not known.
    EarningsUnknown,
}

/// Hours and clocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum TimeReason {
    /// Outside the hours of the policy; `opens_local` is by the owner's clock.
    Closed { opens: Option<Timestamp>, opens_local: Option<String> },
    /// The clock shows a time before this program was written.
    ClockWrong { wall: Timestamp },
    /// The clock was set.
    ClockSet { seconds: f64 },
    /// Nothing was decided for a while.
    Gap { seconds: f64 },
    /// Nothing is in the way any more, but not for long enough.
    Settling { remaining_s: f64 },
}

/// The owner.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named for what they are")]
pub enum OwnerReason {
    /// The device is off in the policy.
    DeviceOff { device: String },
    /// Keyboard or mouse was used.
    Input { idle_s: f64, wanted_s: f64 },
    /// A program covers the screen.
    Fullscreen,
    /// A program of the list runs.
    Program { name: String },
    /// Others hold GPU memory.
    MemoryByOthers { used: ByteCount, limit: ByteCount },
    /// Others use GPU time.
    UseByOthers { used: Percent, limit: Percent },
    /// The machine runs on its battery.
    OnBattery,
    /// The network is paid by volume.
    Metered,
}

/// What the owner should know though it is no obstacle: a rule that cannot do anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Note {
    /// A sensor that may be missing is, so its rule is off.
    RuleOff {
        /// The sensor.
        sensor: SensorName,
    },
    /// There is a rule for earnings but no price of XMR.
    NoXmrPrice,
}

macro_rules! from_parts {
    ($($part:ident => $variant:ident),*) => {
        $(impl From<$part> for Reason {
            fn from(part: $part) -> Reason {
                Reason::$variant(part)
            }
        })*
    };
}

from_parts!(
    ChannelReason => Channel,
    SensorReason => Sensor,
    EnergyReason => Energy,
    TimeReason => Time,
    OwnerReason => Owner
);
