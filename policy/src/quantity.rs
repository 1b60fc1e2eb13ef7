//! Temperatures, powers, shares of time and money, each a type of its own. No arithmetic of any rule.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A temperature in degrees Celsius.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Celsius(pub f64);

/// A power in watts.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watts(pub f64);

/// A share in percent.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub f64);

/// An energy in kilowatt-hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KilowattHours(pub f64);

/// Money: 1e-12 XMR, the only unit of it in code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Piconero(pub u64);

/// The busy fraction of a device, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Duty(f64);

/// Piconero of one XMR.
pub const PICONERO_PER_XMR: f64 = 1e12;

impl Duty {
    /// Idle.
    pub const ZERO: Duty = Duty(0.0);
    /// Busy all the time.
    pub const FULL: Duty = Duty(1.0);

    /// The nearest duty to a number; what is no number is idle, the safe side.
    pub fn new(fraction: f64) -> Duty {
        if fraction.is_nan() { Duty::ZERO } else { Duty(fraction.clamp(0.0, 1.0)) }
    }

    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        self.0
    }

    /// The next hundredth below: finer steps mean nothing to a device and make every reading a change.
    pub(crate) fn in_hundredths(self) -> Duty {
        // The small term keeps 0.29 from becoming 0.28 because 0.29 * 100.0 is 28.999999999999996.
        Duty(((self.0 * 100.0 + 1e-9).floor() / 100.0).min(1.0))
    }
}

impl<'de> Deserialize<'de> for Duty {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duty, D::Error> {
        f64::deserialize(deserializer).map(Duty::new)
    }
}

impl Piconero {
    /// In XMR, to show and to multiply with a price; never back into an amount.
    pub fn xmr(self) -> f64 {
        self.0 as f64 / PICONERO_PER_XMR
    }
}

impl fmt::Display for Celsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} °C", tenths(self.0))
    }
}

impl fmt::Display for Watts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} W", tenths(self.0))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", tenths(self.0))
    }
}

impl fmt::Display for KilowattHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} kWh", self.0)
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} %", self.0 * 100.0)
    }
}

/// One digit behind the point, and none where it is zero.
pub(crate) fn tenths(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// A stretch of time as a person says it.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).ceil() as u64;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duty_is_from_0_to_1() {
        for (given, kept) in [(-1.0, 0.0), (0.3, 0.3), (7.0, 1.0), (f64::NAN, 0.0), (f64::INFINITY, 1.0)] {
            assert_eq!(Duty::new(given).fraction(), kept, "{given}");
        }
        let read: Duty = serde_json::from_str("12.5").expect("a number");
        assert_eq!(read, Duty::FULL);
    }

    #[test]
    fn hundredths_never_rise_and_lose_less_than_one() {
        for step in 0..=1000 {
            let duty = Duty::new(f64::from(step) / 1000.0);
            let kept = duty.in_hundredths();
            assert!(kept.fraction() <= duty.fraction() + 1e-12 && duty.fraction() - kept.fraction() < 0.01);
            assert_eq!(kept.in_hundredths(), kept, "{step}");
        }
    }

    #[test]
    fn quantities_read_like_a_person_writes() {
        assert_eq!(Celsius(83.0).to_string(), "83 °C");
        assert_eq!(Watts(250.25).to_string(), "250.2 W");
        assert_eq!(duration(29.2), "30 s");
        assert_eq!(duration(299.0), "5 min");
        assert_eq!(duration(9000.0), "2 h 30 min");
    }
}
