//! What would have to change for a reason to go away, as a sentence that tells the owner what to do.

use anneal_job::shown_name;

use super::{ChannelReason, EnergyReason, OwnerReason, Reason, SensorReason, TimeReason};
use crate::quantity::duration;

impl Reason {
    /// What would have to change.
    pub fn remedy(&self) -> String {
        match self {
            Reason::Channel(reason) => reason.remedy(),
            Reason::Sensor(reason) => reason.remedy(),
            Reason::Energy(reason) => reason.remedy(),
            Reason::Time(reason) => reason.remedy(),
            Reason::Owner(reason) => reason.remedy(),
        }
    }
}

impl ChannelReason {
    fn remedy(&self) -> String {
        let (sensor, resume) = match *self {
            ChannelReason::OverLimit { sensor, resume, .. }
            | ChannelReason::Cooling { sensor, resume, .. }
            | ChannelReason::OutOfReach { sensor, resume, .. } => (sensor, resume),
        };
        let key = sensor.key();
        format!("work goes on at {} or less; `{key}` in policy.toml sets it", sensor.show(resume))
    }
}

impl SensorReason {
    fn remedy(&self) -> String {
        match self {
            SensorReason::Missing { sensor } => format!(
                "install what reads it (`anneal doctor` names it), or take `{}` out of policy.toml \
                 (a temperature: `required = false`)",
                sensor.key()
            ),
            SensorReason::Lost { .. } | SensorReason::Implausible { .. } => {
                "work goes on when it reads again; if it does not, look at the driver with `anneal doctor`"
                    .to_owned()
            }
        }
    }
}

impl EnergyReason {
    fn remedy(&self) -> String {
        match self {
            EnergyReason::DaySpent { .. } => "midnight, or more in `power.kwh-per-day`".to_owned(),
            EnergyReason::MonthSpent { .. } => {
                "the first of the month, or more in `power.kwh-per-month`".to_owned()
            }
            EnergyReason::Unprofitable { profit } => format!(
                "earnings above {:.4} {}/h, cheaper hours in `earnings.tariffs`, or no `[earnings]`",
                profit.threshold(),
                profit.currency
            ),
            EnergyReason::EarningsUnknown => {
                "a price from the network, or no `xmr-price` in `[earnings]`".to_owned()
            }
        }
    }
}

impl TimeReason {
    fn remedy(&self) -> String {
        match self {
            TimeReason::Closed { opens_local: Some(opens), .. } => {
                format!("it is {opens}, or `time.windows` says otherwise")
            }
            TimeReason::Closed { opens_local: None, .. } => {
                "another `time.until`, or other `time.windows`".to_owned()
            }
            TimeReason::ClockWrong { .. } => "set the machine's clock".to_owned(),
            TimeReason::ClockSet { .. } | TimeReason::Gap { .. } => {
                "nothing: work goes on by itself when the readings have settled".to_owned()
            }
            TimeReason::Settling { remaining_s } => format!(
                "{} more without an obstacle; `owner.resume-after-seconds` sets it",
                duration(*remaining_s)
            ),
        }
    }
}

impl OwnerReason {
    fn remedy(&self) -> String {
        match self {
            OwnerReason::DeviceOff { device } => {
                format!("`\"{}\" = true` under `[devices]`", shown_name(device))
            }
            OwnerReason::Input { idle_s, wanted_s } => {
                format!("{} more without input; `owner.idle-minutes` sets it", duration(wanted_s - idle_s))
            }
            OwnerReason::Fullscreen => "close it, or `owner.fullscreen = false`".to_owned(),
            OwnerReason::Program { name } => {
                format!("close it, or take \"{}\" out of `owner.programs`", shown_name(name))
            }
            OwnerReason::MemoryByOthers { .. } => {
                "close what holds it, or more in `owner.gpu-memory-by-others`".to_owned()
            }
            OwnerReason::UseByOthers { .. } => {
                "close what uses it, or more in `owner.gpu-percent-by-others`".to_owned()
            }
            OwnerReason::OnBattery => "plug it in, or `owner.run-on-battery = true`".to_owned(),
            OwnerReason::Metered => "another network, or `owner.run-on-metered-network = true`".to_owned(),
        }
    }
}
