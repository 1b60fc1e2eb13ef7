//! Reasons and notes as sentences, the same in the log, on the status page and in `anneal policy explain`.

use std::fmt;

use anneal_job::shown_name;

use super::{ChannelReason, EnergyReason, Note, OwnerReason, Reason, SensorReason, TimeReason};
use crate::quantity::duration;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Channel(reason) => reason.fmt(f),
            Reason::Sensor(reason) => reason.fmt(f),
            Reason::Energy(reason) => reason.fmt(f),
            Reason::Time(reason) => reason.fmt(f),
            Reason::Owner(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for ChannelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ChannelReason::OverLimit { sensor, value, limit, .. } => {
                write!(f, "{sensor} is at {}, and its limit is {}", sensor.show(value), sensor.show(limit))
            }
            ChannelReason::Cooling { sensor, value, resume } => write!(
                f,
                "{sensor} reached its limit and has to fall from {} to {}",
                sensor.show(value),
                sensor.show(resume)
            ),
            ChannelReason::OutOfReach { sensor, value, target, .. } => write!(
                f,
                "{sensor} stays at {} even at the least duty, and its target is {}",
                sensor.show(value),
                sensor.show(target)
            ),
        }
    }
}

impl fmt::Display for SensorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SensorReason::Missing { sensor } => {
                write!(f, "this machine cannot tell {sensor}, which `{}` needs", sensor.key())
            }
            SensorReason::Lost { sensor } => write!(f, "{sensor} can no longer be read"),
            SensorReason::Implausible { sensor, value } => {
                write!(f, "{sensor} reads {}, which cannot be", sensor.show(value))
            }
        }
    }
}

impl fmt::Display for EnergyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnergyReason::DaySpent { used, allowed } => {
                write!(f, "today used {used} of its {allowed}")
            }
            EnergyReason::MonthSpent { used, allowed } => {
                write!(f, "this month used {used} of its {allowed}")
            }
            EnergyReason::Unprofitable { profit } => {
                write!(f, "an hour would not earn what its energy costs: {profit}")
            }
            EnergyReason::EarningsUnknown => {
                f.write_str("what an hour would earn is not known, so it cannot be compared with its energy")
            }
        }
    }
}

impl fmt::Display for TimeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeReason::Closed { opens_local: Some(opens), .. } => {
                write!(f, "your hours are over until {opens}")
            }
            TimeReason::Closed { opens_local: None, .. } => f.write_str("your hours are over for good"),
            TimeReason::ClockWrong { wall } => {
                write!(f, "the clock shows {wall}, so hours and budgets cannot be kept")
            }
            TimeReason::ClockSet { seconds } if *seconds < 0.0 => {
                write!(f, "the clock was set back by {}", duration(-seconds))
            }
            TimeReason::ClockSet { seconds } => {
                write!(f, "the clock was set forward by {}, or the machine slept", duration(*seconds))
            }
            TimeReason::Gap { seconds: 0.0 } => f.write_str("the machine was restarted"),
            TimeReason::Gap { seconds } => {
                write!(f, "nothing was read for {}: the machine slept or stalled", duration(*seconds))
            }
            TimeReason::Settling { remaining_s } => {
                write!(f, "nothing is in the way any more; work waits {} in case", duration(*remaining_s))
            }
        }
    }
}

impl fmt::Display for OwnerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnerReason::DeviceOff { device } => {
                write!(f, "the device \"{}\" is off in your policy", shown_name(device))
            }
            OwnerReason::Input { idle_s, wanted_s } => write!(
                f,
                "you used the machine {} ago, and work waits for {} without input",
                duration(*idle_s),
                duration(*wanted_s)
            ),
            OwnerReason::Fullscreen => f.write_str("a program covers the screen"),
            OwnerReason::Program { name } => write!(f, "\"{}\" runs, and it comes first", shown_name(name)),
            OwnerReason::MemoryByOthers { used, limit } => {
                write!(f, "other programs hold {used} of GPU memory, and {limit} are left to them")
            }
            OwnerReason::UseByOthers { used, limit } => {
                write!(f, "other programs use {used} of the GPU, and {limit} are left to them")
            }
            OwnerReason::OnBattery => f.write_str("the machine runs on its battery"),
            OwnerReason::Metered => f.write_str("the network is paid by volume"),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::RuleOff { sensor } => {
                write!(f, "this machine cannot tell {sensor}, so `{}` does nothing here", sensor.key())
            }
            Note::NoXmrPrice => f.write_str(
                "`earnings` does nothing: it needs `xmr-price`, what one XMR is worth in your currency",
            ),
        }
    }
}
