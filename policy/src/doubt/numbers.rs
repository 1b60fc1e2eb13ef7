//! The numbers of a policy, a row each: between which bounds one can be meant, and what to tell its owner beyond them.
//! Bounds are the machine's where it has one; a machine that does not say is taken for a large one.

use anneal_job::ByteCount;

use super::Capacity;
use crate::{Duty, Percent, Policy, Watts, quantity::tenths};

/// A number that is written in a policy.
pub(super) struct Number {
    /// Its table and key.
    pub key: &'static str,
    /// As it is written, in the unit of its key; of several the one that counts.
    pub value: fn(&Policy) -> Option<f64>,
    /// As its owner reads it.
    pub shown: fn(f64) -> String,
    /// What is less can hardly be meant.
    pub low: Option<Bound>,
    /// What is more can hardly be meant.
    pub high: Option<Bound>,
}

/// Where a number begins to be doubtful.
pub(super) struct Bound {
    /// The last number that can be meant, on this machine.
    pub at: fn(&Capacity) -> f64,
    /// What is strange about the others.
    pub words: &'static str,
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;
const TIB: f64 = 1024.0 * GIB;

pub(super) const NUMBERS: &[Number] = &[
    Number {
        key: "fan.limit-percent",
        value: |policy| policy.fan.map(|fan| fan.0),
        shown: percent,
        low: bound(|_| 30.0, "fans of many cards turn faster where the card rests: nothing would run"),
        high: bound(|_| 94.0, "it is a fan at full speed: it limits nothing"),
    },
    Number {
        key: "power.watts",
        value: |policy| policy.power.watts.map(|watts| watts.0),
        shown: watts,
        low: bound(|_| 30.0, "it is what a card draws that rests: nothing would run"),
        high: bound(|_| 1000.0, "it is more than any card draws: it limits nothing"),
    },
    Number {
        key: "power.kwh-per-day",
        value: |policy| policy.power.per_day.map(|energy| energy.0),
        shown: kwh,
        low: bound(|_| 0.1, "a card at work uses it up within an hour"),
        high: None,
    },
    Number {
        key: "power.kwh-per-month",
        value: |policy| policy.power.per_month.map(|energy| energy.0),
        shown: kwh,
        low: bound(|_| 1.0, "a card at work uses it up within a day"),
        high: None,
    },
    Number {
        key: "power.overhead-watts",
        value: |policy| Some(policy.power.overhead.0),
        shown: watts,
        low: None,
        high: bound(|_| 1000.0, "no machine draws it beside its cards"),
    },
    Number {
        key: "earnings.price-per-kwh",
        value: |policy| prices(policy).reduce(f64::min),
        shown: plain,
        // Energy of one's own may cost nothing.
        low: bound(|_| 0.02, "a kilowatt-hour costs more: is it in another currency than `currency` says?"),
        high: None,
    },
    Number {
        key: "earnings.price-per-kwh",
        value: |policy| prices(policy).reduce(f64::max),
        shown: plain,
        low: None,
        high: bound(|_| 100.0, "a kilowatt-hour costs less: is it in cents?"),
    },
    Number {
        key: "earnings.margin",
        value: |policy| policy.earnings.as_ref().map(|rule| rule.margin),
        shown: plain,
        low: None,
        high: bound(|_| 20.0, "so many times the cost are not to be had"),
    },
    Number {
        key: "earnings.working-watts",
        value: |policy| policy.earnings.as_ref().map(|rule| rule.working_watts.0),
        shown: watts,
        low: bound(|_| 30.0, "it is less than a machine draws that works"),
        high: None,
    },
    Number {
        key: "owner.idle-minutes",
        value: |policy| policy.owner.idle_s.map(|idle| idle / 60.0),
        shown: minutes,
        low: None,
        high: bound(|_| 720.0, "who uses the machine every day is never away for so long: nothing would run"),
    },
    Number {
        key: "owner.gpu-memory-by-others",
        value: |policy| policy.owner.memory_by_others.map(bytes),
        shown: size,
        low: bound(|_| 64.0 * MIB, "any desktop holds more: nothing would run"),
        high: bound(gpu_memory, "no GPU here has more: it limits nothing"),
    },
    Number {
        key: "owner.gpu-percent-by-others",
        value: |policy| policy.owner.use_by_others.map(|percent| percent.0),
        shown: percent,
        low: None,
        high: bound(|_| 94.0, "others hardly use more: it limits nothing"),
    },
    Number {
        key: "owner.resume-after-seconds",
        value: |policy| Some(policy.owner.resume_after_s),
        shown: |seconds| format!("{} s", tenths(seconds)),
        low: None,
        high: bound(|_| 14_400.0, "after each thing that is in its way, work would wait for hours"),
    },
    Number {
        key: "owner.pause-at-most-minutes",
        value: |policy| Some(policy.owner.pause_at_most_s / 60.0),
        shown: minutes,
        low: None,
        high: bound(|_| 1440.0, "a task that stands for so long is long somebody else's"),
    },
    Number {
        key: "shares.gpu-memory",
        value: |policy| policy.shares.gpu_memory.map(bytes),
        shown: size,
        low: bound(|_| 256.0 * MIB, "it is too little for nearly every task"),
        high: bound(gpu_memory, "no GPU here has more: it limits nothing"),
    },
    Number {
        key: "shares.cpu-threads",
        value: |policy| policy.shares.cpu_threads.map(f64::from),
        shown: plain,
        low: None,
        high: bound(
            |capacity| f64::from(capacity.threads.unwrap_or(256)),
            "no more run here: it limits nothing",
        ),
    },
    Number {
        key: "shares.ram",
        value: |policy| policy.shares.ram.map(bytes),
        shown: size,
        low: bound(|_| 512.0 * MIB, "it is too little for nearly every task"),
        high: bound(
            |capacity| capacity.ram.map_or(4.0 * TIB, all_of),
            "this machine has less: it limits nothing",
        ),
    },
    Number {
        key: "shares.disk",
        value: |policy| policy.shares.disk.map(bytes),
        shown: size,
        low: bound(|_| 256.0 * MIB, "it is too little for nearly every task"),
        high: bound(|_| 64.0 * TIB, "no disk of one machine has more: it limits nothing"),
    },
    Number {
        key: "shares.bandwidth",
        value: |policy| policy.shares.bandwidth.map(bytes),
        shown: size,
        low: bound(|_| 16.0 * KIB, "it is too little for nearly every task"),
        high: bound(|_| 12.0 * GIB, "no line brings more: it limits nothing"),
    },
    Number {
        key: "shares.concurrent-tasks",
        value: |policy| Some(f64::from(policy.shares.concurrent_tasks)),
        shown: plain,
        low: None,
        high: bound(
            |capacity| f64::from(capacity.threads.unwrap_or(16).max(4)),
            "each needs a thread and memory of its own: they would slow each other down",
        ),
    },
    Number {
        key: "shares.duty",
        value: |policy| Some(policy.shares.duty.fraction()),
        shown: |fraction| Duty::new(fraction).to_string(),
        low: bound(|_| 0.1, "tasks would take ten times as long and more, and be given to others"),
        high: None,
    },
    Number {
        key: "jobs.longest-task-minutes",
        value: |policy| policy.jobs.longest_task_s.map(|longest| longest / 60.0),
        shown: minutes,
        low: bound(|_| 2.0, "it is too little for nearly every task"),
        high: None,
    },
    Number {
        key: "jobs.minimum-price",
        value: |policy| Some(policy.jobs.minimum_price.0 as f64),
        shown: plain,
        low: None,
        high: bound(|_| 1e12, "nobody pays so many piconero for 10^9 gas"),
    },
];

/// A row's bound.
const fn bound(at: fn(&Capacity) -> f64, words: &'static str) -> Option<Bound> {
    Some(Bound { at, words })
}

impl Number {
    /// What is strange about the number, on this machine.
    pub(super) fn doubt(&self, policy: &Policy, capacity: &Capacity) -> Option<String> {
        let value = (self.value)(policy)?;
        let low = self.low.as_ref().filter(|bound| value < (bound.at)(capacity));
        let high = self.high.as_ref().filter(|bound| value > (bound.at)(capacity));
        let bound = low.or(high)?;
        let (shown, at) = ((self.shown)(value), (self.shown)((bound.at)(capacity)));
        let side = if low.is_some() { "least" } else { "most" };
        Some(format!("{shown}: {}; {at} is the {side} that is usual", bound.words))
    }
}

/// What a kilowatt-hour costs at some hour, where it costs anything.
fn prices(policy: &Policy) -> impl Iterator<Item = f64> {
    let tariffs = |rule: &crate::policy::EarningsRule| {
        let others: Vec<f64> = rule.tariffs.iter().map(|tariff| tariff.price_per_kwh).collect();
        others.into_iter().chain([rule.price_per_kwh])
    };
    policy.earnings.as_ref().map(tariffs).into_iter().flatten().filter(|price| *price > 0.0)
}

fn gpu_memory(capacity: &Capacity) -> f64 {
    capacity.gpu_memory.map_or(TIB, all_of)
}

/// Parts of it are never seen: a bound that names the size on the box is no strange one.
fn all_of(count: ByteCount) -> f64 {
    (count.0 + count.0 / 8) as f64
}

fn bytes(count: ByteCount) -> f64 {
    count.0 as f64
}

fn size(bytes: f64) -> String {
    ByteCount(bytes as u64).to_string()
}

fn percent(value: f64) -> String {
    Percent(value).to_string()
}

fn watts(value: f64) -> String {
    Watts(value).to_string()
}

fn kwh(value: f64) -> String {
    format!("{value} kWh")
}

fn minutes(value: f64) -> String {
    format!("{} min", tenths(value))
}

fn plain(value: f64) -> String {
    value.to_string()
}
