//! What sequences of host calls cost the host: bytes, allocations and time, beside the gas that the guest paid
//! for them. Bytes and allocations are counted and bounded; time is only told, by the fuzz target.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anneal_tensor::Executor;

use super::{Call, Played, allocator};

/// What one call cost.
#[derive(Clone, Debug)]
pub struct Cost<'a> {
    /// The call.
    pub call: &'a Call,
    /// What the guest paid for it.
    pub gas: u64,
    /// Bytes of the host's beyond those that it held before, at the worst moment of the call.
    pub bytes: u64,
    /// How often it asked for memory.
    pub allocations: u64,
    /// How long it took.
    pub time: Duration,
    /// It would end the run: whatever it cost, there is no next.
    pub ends: bool,
}

/// What is bounded of every sequence.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes that the host may keep after a call beyond those that the task's meter counts.
    pub kept_bytes: u64,
    /// Bytes that it may take within a call, for each gas that was paid since the start: an evaluation is paid for
    /// when it is recorded.
    pub bytes_per_gas: u64,
    /// The same for allocations, for 1000 gas.
    pub allocations_per_1000_gas: u64,
}

impl Bounds {
    /// What holds for an executor that keeps nothing of its own.
    pub const CONTRACT: Bounds =
        Bounds { kept_bytes: 512 << 10, bytes_per_gas: 64, allocations_per_1000_gas: 50 };
}

/// Bytes and allocations of a call that need no gas: those of an error's words, and of a table that doubles: what it
/// copies then was paid for when it grew.
const CALL_BYTES: u64 = 2 << 20;
const CALL_ALLOCATIONS: u64 = 100;

/// Makes the calls so many times over on one host, and gives what each cost. Needs [`allocator::Counting`] as the
/// global allocator, and a process in which nothing else runs.
///
/// # Errors
/// Names the call that went over a bound, and what [`super::play`] says.
pub fn measure<'a>(
    calls: &'a [Call],
    rounds: usize,
    executor: Box<dyn Executor>,
    bounds: Option<Bounds>,
) -> Result<Vec<Cost<'a>>, String> {
    let mut costs = Vec::with_capacity(calls.len() * rounds);
    let mut played = Played::new(executor);
    played.held.reserve(1 << 20);
    played.stale.reserve(1 << 20);
    let meter = played.host.graph.meter().clone();
    let counted = |live: usize| (live as u64).saturating_sub(meter.bytes_live());
    let (base, mut paid) = (counted(allocator::live()), 0);
    for call in std::iter::repeat_n(calls, rounds).flatten() {
        let before = allocator::live();
        allocator::take_peak();
        let started = Instant::now();
        let (gas, ends) = played.step(call)?;
        let time = started.elapsed();
        let (peak, allocations) = allocator::take_peak();
        let after = allocator::live();
        paid += gas;
        let cost = Cost {
            call,
            gas,
            bytes: (peak - before.min(peak)) as u64,
            allocations: allocations as u64,
            time,
            ends,
        };
        if let Some(bounds) = bounds {
            cost.check(paid, bounds)?;
            let kept = counted(after).saturating_sub(base);
            if kept > bounds.kept_bytes {
                return Err(format!("{cost}: the host keeps {kept} bytes that nothing counts"));
            }
        }
        costs.push(cost);
        played.forget_stale();
    }
    played.end()?;
    Ok(costs)
}

impl Cost<'_> {
    fn check(&self, paid: u64, bounds: Bounds) -> Result<(), String> {
        let bytes_max = CALL_BYTES + bounds.bytes_per_gas * paid;
        let allocations_max = CALL_ALLOCATIONS + bounds.allocations_per_1000_gas * paid / 1000;
        if self.bytes > bytes_max || self.allocations > allocations_max {
            return Err(format!(
                "{self}: over {bytes_max} bytes or {allocations_max} allocations for {paid} gas"
            ));
        }
        Ok(())
    }

    fn bytes_per_gas(&self) -> f64 {
        self.bytes as f64 / self.gas.max(1) as f64
    }

    fn nanoseconds_per_gas(&self) -> f64 {
        self.time.as_nanos() as f64 / self.gas.max(1) as f64
    }
}

impl fmt::Display for Cost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { call, gas, bytes, allocations, time, .. } = self;
        write!(f, "{bytes} bytes, {allocations} allocations and {time:?} for {gas} gas by {call:?}")
    }
}

/// The worst calls so far, for a person to read.
#[derive(Debug, Default)]
pub struct Worst {
    bytes: (f64, String),
    time: (f64, String),
}

impl Worst {
    /// Looks at rounds of so many calls; whether any is worse than all before. The time of a call is its shortest of
    /// all rounds: a machine does other things, too.
    pub fn add(&mut self, costs: &[Cost<'_>], calls: usize) -> bool {
        let mut is_worse = false;
        for at in 0..calls {
            let rounds = || costs.iter().skip(at).step_by(calls).filter(|cost| !cost.ends);
            let bytes = rounds().max_by(|a, b| a.bytes_per_gas().total_cmp(&b.bytes_per_gas()));
            let time = rounds().min_by(|a, b| a.nanoseconds_per_gas().total_cmp(&b.nanoseconds_per_gas()));
            let measures = [
                (&mut self.bytes, bytes.map(|cost| (cost.bytes_per_gas(), cost))),
                (&mut self.time, time.map(|cost| (cost.nanoseconds_per_gas(), cost))),
            ];
            for (worst, measure) in measures {
                if let Some((measure, cost)) = measure.filter(|(measure, _)| *measure > worst.0) {
                    *worst = (measure, cost.to_string());
                    is_worse = true;
                }
            }
        }
        is_worse
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:.1} bytes a gas: {}", self.bytes.0, self.bytes.1)?;
        write!(f, "{:.1} ns a gas: {}", self.time.0, self.time.1)
    }
}
