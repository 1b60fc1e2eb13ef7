//! Limits that can be written and can hardly be meant: they protect nothing, or leave nothing to do. A policy with
//! doubts is a policy; its owner is told of them. Nothing here decides anything.
//!
//! A number by itself is a row of `numbers`; what is strange about several things together is a row of [`RULES`].

mod numbers;

use std::{collections::BTreeSet, fmt};

use anneal_job::ByteCount;
use jiff::Timestamp;

use crate::{Policy, policy::HeatLimit, schedule::Opening};
use numbers::NUMBERS;

/// A limit that can hardly be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Which.
    pub key: String,
    /// What is strange about it, and what to do.
    pub words: String,
}

/// What a machine has, where it says so: a limit above it limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Threads of the processor.
    pub threads: Option<u32>,
    /// Main memory.
    pub ram: Option<ByteCount>,
    /// Memory of the GPU that has most.
    pub gpu_memory: Option<ByteCount>,
}

/// A rule about several things of a policy.
struct Rule {
    key: &'static str,
    /// What is strange, where something is.
    doubt: fn(&Policy, Timestamp) -> Option<String>,
}

const RULES: &[Rule] = &[
    Rule { key: "temperature.gpu.limit", doubt: |policy, _| limit(policy.temperature.gpu, GPU_C) },
    Rule { key: "temperature.gpu.target", doubt: |policy, _| target(policy.temperature.gpu) },
    Rule {
        key: "temperature.hot-spot.limit",
        doubt: |policy, _| limit(policy.temperature.hot_spot, HOT_SPOT_C),
    },
    Rule { key: "temperature.hot-spot.target", doubt: |policy, _| target(policy.temperature.hot_spot) },
    Rule {
        key: "temperature.gpu-memory.limit",
        doubt: |policy, _| limit(policy.temperature.gpu_memory, GPU_MEMORY_C),
    },
    Rule { key: "temperature.gpu-memory.target", doubt: |policy, _| target(policy.temperature.gpu_memory) },
    Rule { key: "temperature.cpu.limit", doubt: |policy, _| limit(policy.temperature.cpu, CPU_C) },
    Rule { key: "temperature.cpu.target", doubt: |policy, _| target(policy.temperature.cpu) },
    Rule { key: "power.kwh-per-day", doubt: |policy, _| unused_energy(policy) },
    Rule { key: "power.kwh-per-month", doubt: |policy, _| short_month(policy) },
    Rule { key: "jobs.allowed-developers", doubt: |policy, _| denied_developers(policy) },
    Rule { key: "jobs.allowed-components", doubt: |policy, _| denied_components(policy) },
    Rule { key: "time.windows", doubt: |policy, _| no_window(policy) },
    Rule { key: "time", doubt: never_open },
];

/// At these the parts themselves slow down or switch off: a limit above protects nothing. From the highest that
/// makers name for parts that are sold: graphics cards, their hottest spot, their memory, processors.
const GPU_C: f64 = 95.0;
const HOT_SPOT_C: f64 = 110.0;
const GPU_MEMORY_C: f64 = 110.0;
const CPU_C: f64 = 105.0;
/// Devices that do nothing are about as warm in a warm room.
const IDLE_C: f64 = 35.0;

impl Policy {
    /// What of it can hardly be meant, at this time and on this machine.
    pub fn doubts(&self, now: Timestamp, capacity: &Capacity) -> Vec<Doubt> {
        let doubt = |key: &str, words: String| Doubt { key: key.to_owned(), words };
        let rules = RULES.iter().filter_map(|rule| Some(doubt(rule.key, (rule.doubt)(self, now)?)));
        let numbers =
            NUMBERS.iter().filter_map(|number| Some(doubt(number.key, number.doubt(self, capacity)?)));
        rules.chain(numbers).collect()
    }
}

fn limit(heat: HeatLimit, own: f64) -> Option<String> {
    let is_above = heat.limit.0 > own;
    let words = "at which such parts protect themselves: it limits nothing; take less";
    is_above.then(|| format!("{} is above {own} °C, {words}", heat.limit))
}

fn target(heat: HeatLimit) -> Option<String> {
    let resumes = heat.target.0 - heat.hysteresis.0;
    let words = "which a device that rests may never be";
    (resumes < IDLE_C).then(|| format!("after a stop, work waits for less than {resumes} °C, {words}"))
}

fn unused_energy(policy: &Policy) -> Option<String> {
    let (watts, allowed) = (policy.power.watts?, policy.power.per_day?);
    let day = 24.0 * (watts.0 + policy.power.overhead.0) / 1000.0;
    (allowed.0 > day).then(|| format!("{allowed} cannot be used up at {watts}: it limits nothing"))
}

fn short_month(policy: &Policy) -> Option<String> {
    let (day, month) = (policy.power.per_day?, policy.power.per_month?);
    (month.0 < day.0).then(|| format!("{month} a month is less than {day} a day"))
}

fn denied_developers(policy: &Policy) -> Option<String> {
    all_denied(&policy.jobs.allowed_developers, &policy.jobs.denied_developers)
}

fn denied_components(policy: &Policy) -> Option<String> {
    all_denied(&policy.jobs.allowed_components, &policy.jobs.denied_components)
}

fn all_denied<T: Ord>(allowed: &BTreeSet<T>, denied: &BTreeSet<T>) -> Option<String> {
    let is_nobody = !allowed.is_empty() && allowed.is_subset(denied);
    is_nobody.then(|| "all of them are denied, too, and denying wins".to_owned())
}

fn no_window(policy: &Policy) -> Option<String> {
    let words = "with no window in it, the list allows work at all hours; leave it out, or name the hours";
    policy.schedule.has_empty_list.then(|| words.to_owned())
}

fn never_open(policy: &Policy, now: Timestamp) -> Option<String> {
    let is_never = matches!(policy.schedule.at(now), Opening::Closed { opens: None });
    is_never.then(|| "these hours are over for good, or do not come within a year".to_owned())
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` can hardly be meant: {}", self.key, self.words)
    }
}

#[cfg(test)]
mod tests;
