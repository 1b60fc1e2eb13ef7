//! Limits that can be written and can hardly be meant: they protect nothing, or leave nothing to do. A policy with
//! doubts is a policy; its owner is told of them. Nothing here decides anything.

use std::{collections::BTreeSet, fmt};

use anneal_job::ByteCount;
use jiff::Timestamp;

use crate::{
    Policy,
    policy::{HeatLimit, PowerLimits, Shares},
    schedule::Opening,
};

/// A limit that can hardly be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Which.
    pub key: String,
    /// What is strange about it, and what to do.
    pub words: String,
}

/// At these the parts themselves slow down or switch off: a limit above protects nothing. From the highest that
/// makers name for parts that are sold: graphics cards, their hottest spot, their memory, processors.
const OWN_PROTECTION_C: [(&str, f64); 4] =
    [("gpu", 95.0), ("hot-spot", 110.0), ("gpu-memory", 110.0), ("cpu", 105.0)];
/// Devices that do nothing are about as warm in a warm room.
const IDLE_C: f64 = 35.0;
/// No fan is told from one at full speed above it.
const FAN_PERCENT_FULL: f64 = 95.0;
/// Cards that do nothing draw about as much.
const IDLE_WATTS: f64 = 30.0;
/// No card that is sold draws more.
const CARD_WATTS_MAX: f64 = 1000.0;
const PRICE_PER_KWH_MAX: f64 = 100.0;
const MARGIN_MAX: f64 = 20.0;
const GPU_MEMORY_MIN: ByteCount = ByteCount(256 << 20);
const RAM_MIN: ByteCount = ByteCount(512 << 20);
const DISK_MIN: ByteCount = ByteCount(256 << 20);
const BANDWIDTH_MIN: ByteCount = ByteCount(16 << 10);
const TASK_S_MIN: f64 = 120.0;
/// Credits for 10^9 gas that nobody offers.
const GAS_PRICE_MAX: u64 = 1_000_000_000_000;

impl Policy {
    /// What of it can hardly be meant, at this time.
    pub fn doubts(&self, now: Timestamp) -> Vec<Doubt> {
        let mut doubts = Doubts(Vec::new());
        let heat = &self.temperature;
        for ((name, own), limit) in
            OWN_PROTECTION_C.iter().zip([heat.gpu, heat.hot_spot, heat.gpu_memory, heat.cpu])
        {
            doubts.heat(&format!("temperature.{name}"), *own, limit);
        }
        if let Some(fan) = self.fan.filter(|fan| fan.0 >= FAN_PERCENT_FULL) {
            doubts.add("fan.limit-percent", format!("{fan} is a fan at full speed: it limits nothing"));
        }
        doubts.power(&self.power);
        doubts.earnings(self);
        doubts.shares(&self.shares);
        doubts.jobs(self);
        if matches!(self.schedule.at(now), Opening::Closed { opens: None }) {
            doubts.add("time", "these hours are over for good, or do not come within a year");
        }
        doubts.0
    }
}

struct Doubts(Vec<Doubt>);

impl Doubts {
    fn add(&mut self, key: &str, words: impl Into<String>) {
        self.0.push(Doubt { key: key.to_owned(), words: words.into() });
    }

    fn heat(&mut self, key: &str, own: f64, limit: HeatLimit) {
        if limit.limit.0 > own {
            let words = format!(
                "{} is above {own} °C, at which such parts protect themselves: it limits nothing; take less",
                limit.limit
            );
            self.add(&format!("{key}.limit"), words);
        } else if limit.target.0 > own - 3.0 {
            let words = format!("{} is where such parts slow down by themselves; take less", limit.target);
            self.add(&format!("{key}.target"), words);
        }
        let resumes = limit.target.0 - limit.hysteresis.0;
        if resumes < IDLE_C {
            let words = format!(
                "after a stop, work waits for less than {resumes} °C, which a device that rests may never be"
            );
            self.add(&format!("{key}.target"), words);
        }
    }

    fn power(&mut self, power: &PowerLimits) {
        if let Some(watts) = power.watts {
            if watts.0 < IDLE_WATTS {
                self.add(
                    "power.watts",
                    format!("{watts} is what a card draws that rests: nothing would run"),
                );
            } else if watts.0 > CARD_WATTS_MAX {
                self.add("power.watts", format!("{watts} is more than any card draws: it limits nothing"));
            }
            let day = 24.0 * (watts.0 + power.overhead.0) / 1000.0;
            if let Some(allowed) = power.per_day.filter(|allowed| allowed.0 > day) {
                let words = format!("{allowed} cannot be used up at {watts}: it limits nothing");
                self.add("power.kwh-per-day", words);
            }
        }
        if let (Some(day), Some(month)) = (power.per_day, power.per_month)
            && month.0 < day.0
        {
            self.add("power.kwh-per-month", format!("{month} a month is less than {day} a day"));
        }
    }

    fn earnings(&mut self, policy: &Policy) {
        let Some(rule) = &policy.earnings else { return };
        let prices = rule.tariffs.iter().map(|tariff| tariff.price_per_kwh);
        let highest = prices.fold(rule.price_per_kwh, f64::max);
        if highest > PRICE_PER_KWH_MAX {
            let words = format!("{highest} {} for a kilowatt-hour: is it in cents?", rule.currency);
            self.add("earnings.price-per-kwh", words);
        }
        if rule.margin > MARGIN_MAX {
            let words = format!("earnings of {} times the cost are not to be had", rule.margin);
            self.add("earnings.margin", words);
        }
        if rule.working_watts.0 < IDLE_WATTS {
            let words = format!("{} is less than a machine draws that works", rule.working_watts);
            self.add("earnings.working-watts", words);
        }
    }

    fn shares(&mut self, shares: &Shares) {
        let small = [
            ("gpu-memory", shares.gpu_memory, GPU_MEMORY_MIN),
            ("ram", shares.ram, RAM_MIN),
            ("disk", shares.disk, DISK_MIN),
            ("bandwidth", shares.bandwidth, BANDWIDTH_MIN),
        ];
        for (key, share, least) in small {
            if let Some(share) = share.filter(|share| *share < least) {
                let words = format!("{share} is too little for nearly every task; {least} is little");
                self.add(&format!("shares.{key}"), words);
            }
        }
    }

    fn jobs(&mut self, policy: &Policy) {
        let jobs = &policy.jobs;
        if let Some(longest) = jobs.longest_task_s.filter(|longest| *longest < TASK_S_MIN) {
            let words = format!("{} minutes are too little for nearly every task", longest / 60.0);
            self.add("jobs.longest-task-minutes", words);
        }
        if jobs.minimum_price.0 > GAS_PRICE_MAX {
            let words = format!("nobody pays {} for 10^9 gas", jobs.minimum_price.0);
            self.add("jobs.minimum-price", words);
        }
        if all_denied(&jobs.allowed_developers, &jobs.denied_developers) {
            self.add("jobs.allowed-developers", "all of them are denied, too, and denying wins");
        }
        if all_denied(&jobs.allowed_components, &jobs.denied_components) {
            self.add("jobs.allowed-components", "all of them are denied, too, and denying wins");
        }
    }
}

fn all_denied<T: Ord>(allowed: &BTreeSet<T>, denied: &BTreeSet<T>) -> bool {
    !allowed.is_empty() && allowed.is_subset(denied)
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` can hardly be meant: {}", self.key, self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset::PRESETS;

    fn now() -> Timestamp {
        "2026-12-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn what_can_be_meant_is_not_doubted() {
        let reference = Policy::parse(include_str!("../policy.toml")).expect("the reference");
        assert_eq!(reference.doubts(now()), []);
        assert_eq!(Policy::default().doubts(now()), []);
        for preset in PRESETS {
            let policy = Policy::parse(&preset.text("Europe/Berlin")).expect("a preset");
            assert_eq!(policy.doubts(now()), [], "{}", preset.name);
        }
    }

    #[test]
    fn what_limits_nothing_or_everything_is_doubted() {
        let developer = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let both =
            format!("[jobs]\nallowed-developers = [\"{developer}\"]\ndenied-developers = [\"{developer}\"]");
        let earnings = "price-per-kwh = 0.3\nworking-watts = 300";
        for (text, key) in [
            ("[temperature]\ngpu = { target = 110, limit = 120 }", "temperature.gpu.limit"),
            ("[temperature]\ngpu = { target = 72, limit = 100 }", "temperature.gpu.limit"),
            ("[temperature]\ncpu = { target = 104, limit = 120 }", "temperature.cpu.limit"),
            ("[temperature]\nhot-spot = { target = 115, limit = 120 }", "temperature.hot-spot.limit"),
            ("[temperature]\ngpu-memory = { target = 90, limit = 115 }", "temperature.gpu-memory.limit"),
            ("[temperature]\ngpu = { target = 92.5, limit = 95.5 }", "temperature.gpu.limit"),
            ("[temperature]\ncpu = { target = 25, limit = 60 }", "temperature.cpu.target"),
            ("[temperature]\ngpu = { target = 60, hysteresis = 30 }", "temperature.gpu.target"),
            ("[fan]\nlimit-percent = 100", "fan.limit-percent"),
            ("[power]\nwatts = 20", "power.watts"),
            ("[power]\nwatts = 2500", "power.watts"),
            ("[power]\nwatts = 100\nkwh-per-day = 50", "power.kwh-per-day"),
            ("[power]\nkwh-per-day = 5\nkwh-per-month = 4", "power.kwh-per-month"),
            (&format!("[earnings]\n{}", earnings.replace("0.3", "3000")), "earnings.price-per-kwh"),
            (&format!("[earnings]\nmargin = 100\n{earnings}"), "earnings.margin"),
            (&format!("[earnings]\n{}", earnings.replace("300", "1")), "earnings.working-watts"),
            ("[shares]\ngpu-memory = \"1 MiB\"", "shares.gpu-memory"),
            ("[shares]\nram = 1024", "shares.ram"),
            ("[shares]\ndisk = \"1 MiB\"", "shares.disk"),
            ("[shares]\nbandwidth = \"1 KiB\"", "shares.bandwidth"),
            ("[jobs]\nlongest-task-minutes = 1", "jobs.longest-task-minutes"),
            ("[jobs]\nminimum-price = 1000000000000000", "jobs.minimum-price"),
            (&both, "jobs.allowed-developers"),
            ("[time]\nzone = \"UTC\"\nuntil = \"2020-01-01 00:00\"", "time"),
        ] {
            let doubts = Policy::parse(text).expect(text).doubts(now());
            let keys: Vec<&str> = doubts.iter().map(|doubt| doubt.key.as_str()).collect();
            assert_eq!(keys, [key], "{text}");
        }
    }
}
