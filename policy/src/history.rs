//! What a decision must remember of the ones before it: explicit, bounded, serialisable, given back anew.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{Duty, EnergyUsed, KilowattHours, Moment, SensorName, controller::ChannelState};

/// Days whose energy is remembered: two months, and some to spare for clocks that were wrong.
pub const ENERGY_DAYS_MAX: usize = 70;
/// Joules of a kilowatt-hour.
const JOULES_PER_KWH: f64 = 3.6e6;
/// More than this between two decisions and the past says nothing about the present.
pub(crate) const GAP_S: f64 = 10.0;
/// People's time may differ from the steady clock by so much before it counts as set.
const CLOCK_SET_S: f64 = 5.0;

/// What a decision must remember. The default is a start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When the last decision was made.
    pub(crate) last: Option<Moment>,
    /// The duty it gave; nothing where it stopped.
    pub(crate) duty: Duty,
    /// The controllers, by what they hold.
    pub(crate) channels: BTreeMap<SensorName, ChannelState>,
    /// Since when work stands, and how.
    pub(crate) standing: Option<Standing>,
    /// Energy by day.
    pub(crate) energy: EnergyLedger,
    /// The last power that was believed, the whole machine's.
    pub(crate) watts: Option<f64>,
    /// Seconds since the owner's last input, as believed.
    pub(crate) idle_s: Option<f64>,
    /// Sensors that gave a reading once: when one of them is absent, it is lost.
    pub(crate) seen: BTreeSet<SensorName>,
}

/// How work stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// By the steady clock.
    pub(crate) since_ms: u64,
    /// Since when nothing holds it any more, by the steady clock.
    pub(crate) clear_since_ms: Option<u64>,
    /// Whether the task was given back.
    pub(crate) is_released: bool,
}

/// Energy used on each day of the owner's calendar, so that a clock that was set and set back neither loses
/// a day's use nor keeps a wrong one for good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnergyLedger {
    days: BTreeMap<Date, f64>,
}

/// What lies between the last decision and this one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    /// Seconds, never more than a gap.
    pub(crate) elapsed_s: f64,
    pub(crate) kind: StepKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum StepKind {
    /// There is no last decision.
    First,
    /// A sensor period.
    Period,
    /// Nothing was decided for so many seconds: a suspend, a stall, a restart (then 0).
    Gap(f64),
    /// People's time was set by so many seconds.
    ClockSet(f64),
}

impl History {
    /// Energy of a day and its month, to give to the machine's other devices.
    pub fn energy_on(&self, date: Date) -> EnergyUsed {
        self.energy.used(date)
    }

    /// Seconds since the owner's last input, as far as known.
    pub fn idle_s(&self) -> Option<f64> {
        self.idle_s
    }

    /// The duty of the last decision.
    pub fn duty(&self) -> Duty {
        self.duty
    }

    pub(crate) fn step(&self, now: Moment) -> Step {
        let Some(last) = self.last else { return Step { elapsed_s: 0.0, kind: StepKind::First } };
        let Some(steady_ms) = now.steady_ms.checked_sub(last.steady_ms) else {
            return Step { elapsed_s: 0.0, kind: StepKind::Gap(0.0) };
        };
        let steady_s = steady_ms as f64 / 1000.0;
        let wall_s = now.wall.duration_since(last.wall).as_secs_f64();
        let kind = if steady_s > GAP_S {
            StepKind::Gap(steady_s)
        } else if (wall_s - steady_s).abs() > CLOCK_SET_S {
            StepKind::ClockSet(wall_s - steady_s)
        } else {
            StepKind::Period
        };
        Step { elapsed_s: steady_s.min(GAP_S), kind }
    }
}

impl EnergyLedger {
    /// Counts what was used, on the day on which it was noticed.
    pub(crate) fn add(&mut self, date: Date, joules: f64) {
        let used = self.days.entry(date).or_insert(0.0);
        *used += joules.max(0.0);
        while self.days.len() > ENERGY_DAYS_MAX {
            let distance = |day: &Date| day.duration_since(date).abs();
            let Some(farthest) = self.days.keys().copied().max_by_key(distance) else { break };
            self.days.remove(&farthest);
        }
    }

    /// What a day and its month used.
    pub(crate) fn used(&self, date: Date) -> EnergyUsed {
        let is_same_month = |day: &Date| (day.year(), day.month()) == (date.year(), date.month());
        let month: f64 =
            self.days.iter().filter(|(day, _)| is_same_month(day)).map(|(_, joules)| joules).sum();
        let day = self.days.get(&date).copied().unwrap_or(0.0);
        EnergyUsed { day: KilowattHours(day / JOULES_PER_KWH), month: KilowattHours(month / JOULES_PER_KWH) }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 30);

    #[test]
    fn days_and_months_are_counted_apart() {
        let mut ledger = EnergyLedger::default();
        for (date, kwh) in [(TODAY, 1.0), (TODAY, 0.5), (Date::constant(2026, 11, 1), 2.0)] {
            ledger.add(date, kwh * JOULES_PER_KWH);
        }
        let kwh = |date| (ledger.used(date).day.0, ledger.used(date).month.0);
        assert_eq!(kwh(TODAY), (1.5, 3.5));
        // The month ends with its last day, and a year later November is another one.
        assert_eq!(kwh(Date::constant(2026, 12, 1)), (0.0, 0.0));
        assert_eq!(kwh(Date::constant(2027, 11, 30)), (0.0, 0.0));
    }

    #[test]
    fn it_stays_small_and_keeps_this_month() {
        let mut ledger = EnergyLedger::default();
        let mut date = TODAY;
        for _ in 0..400 {
            ledger.add(date, 1.0);
            date = date.checked_add(1.day()).expect("a date");
        }
        assert_eq!(ledger.days.len(), ENERGY_DAYS_MAX);
        // A clock that leaps ten years ahead and comes back finds its month as it was.
        let last = date.yesterday().expect("a date");
        let before = ledger.used(last);
        ledger.add(Date::constant(2036, 1, 1), 5.0);
        ledger.add(last, 0.0);
        assert_eq!(ledger.used(last), before);
        assert!(before.month.0 > 0.0);
    }

    #[test]
    fn steps_tell_gaps_from_set_clocks() {
        let moment = |wall: i64, steady_ms: u64| Moment {
            wall: jiff::Timestamp::from_second(1_800_000_000 + wall).expect("in range"),
            steady_ms,
        };
        let history = History { last: Some(moment(0, 50_000)), ..History::default() };
        for (now, kind) in [
            (moment(1, 51_000), StepKind::Period),
            (moment(0, 50_000), StepKind::Period),
            (moment(-3, 51_000), StepKind::Period),
            (moment(3600, 3_650_000), StepKind::Gap(3600.0)),
            (moment(20, 10), StepKind::Gap(0.0)),
            (moment(3601, 51_000), StepKind::ClockSet(3600.0)),
            (moment(-3599, 51_000), StepKind::ClockSet(-3600.0)),
        ] {
            assert_eq!(history.step(now).kind, kind, "{now:?}");
            assert!((0.0..=GAP_S).contains(&history.step(now).elapsed_s));
        }
        assert_eq!(History::default().step(moment(0, 0)).kind, StepKind::First);
    }
}
