//! Going through a recorded day under a policy: what would have been decided at each reading, and what it
//! would have earned and cost. A day of readings a second takes about a second.
//!
//! A recorded temperature does not change because a policy lets the device rest: a trace with `gpu_c` shows
//! when limits would have acted, not what they would have brought. A trace with `ambient_c` instead is gone
//! through with a simulated device that warms as it works.

mod plant;
mod summary;
mod trace;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{Celsius, Decided, Decision, History, Moment, Policy, Readings, Reason, Sensor, Watts, decide};

pub use plant::ThermalPlant;
pub use summary::{Standstill, Summary};
pub use trace::{COLUMNS, TRACE_ROWS_MAX, TraceError, TraceRow, read_trace};

/// Rows that are further apart are a machine that slept; between nearer ones the readings stay as they were.
const ROW_SPAN_MAX_S: i64 = 900;
/// A decision is made this often.
const PERIOD_S: i64 = 1;
/// Decisions of one simulation: a month of one a second, so that a trace of any span ends.
const DECISIONS_MAX: usize = 2_700_000;
/// A simulated device draws so much of its working power when it rests.
const REST_SHARE: f64 = 0.12;
/// What a simulated device draws at work where the policy does not say.
const WORKING_WATTS: f64 = 300.0;

/// What would have been decided at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulatedRow {
    /// When.
    pub time: Timestamp,
    /// The GPU's temperature, recorded or simulated, where it can be believed.
    pub temperature: Option<Celsius>,
    /// What to do.
    pub decision: Decision,
    /// The weightiest reason not to run.
    pub reason: Option<Reason>,
    /// What it would have earned until then, in XMR.
    pub earned_xmr: f64,
    /// What its energy would have cost until then, in the owner's currency; nothing without `[earnings]`.
    pub cost: f64,
}

/// A day gone through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulation {
    /// One for each row of the trace that was gone through.
    pub rows: Vec<SimulatedRow>,
    /// Rows at the end that were left out, because the trace is longer than a month.
    pub rows_left_out: usize,
    /// All of it together.
    pub summary: Summary,
}

/// A day as it is being gone through.
struct Walk<'a> {
    policy: &'a Policy,
    plant: Option<ThermalPlant>,
    history: History,
    steady_ms: u64,
    decisions_left: usize,
    summary: Summary,
    last: Option<Decided>,
}

/// Goes through a trace, from its first row to its last.
pub fn simulate(policy: &Policy, trace: &[TraceRow]) -> Simulation {
    simulate_with(policy, trace, ThermalPlant::card())
}

/// The same with a simulated device of one's own, where the trace has no GPU temperature.
pub fn simulate_with(policy: &Policy, trace: &[TraceRow], plant: ThermalPlant) -> Simulation {
    simulate_at_most(policy, trace, plant, DECISIONS_MAX)
}

fn simulate_at_most(
    policy: &Policy,
    trace: &[TraceRow],
    plant: ThermalPlant,
    decisions_max: usize,
) -> Simulation {
    let is_simulated = trace.iter().any(|row| row.ambient.is_some() && row.readings.gpu == Sensor::Absent);
    let mut walk = Walk {
        policy,
        plant: is_simulated.then_some(plant),
        history: History::default(),
        steady_ms: 0,
        decisions_left: decisions_max,
        summary: Summary::new(policy),
        last: None,
    };
    let mut rows = Vec::with_capacity(trace.len());
    for (index, row) in trace.iter().enumerate() {
        if walk.decisions_left == 0 {
            break;
        }
        rows.push(walk.row(row));
        if let Some(next) = trace.get(index + 1) {
            walk.until(row, next.time);
        }
    }
    Simulation { rows_left_out: trace.len() - rows.len(), rows, summary: walk.summary }
}

impl Walk<'_> {
    fn row(&mut self, row: &TraceRow) -> SimulatedRow {
        let temperature = self.decide(row, row.time);
        let decision = self.last.as_ref().map_or(Decision::Pause, |decided| decided.decision);
        SimulatedRow {
            time: row.time,
            temperature,
            decision,
            reason: self.last.as_ref().and_then(|decided| decided.reasons.first().cloned()),
            earned_xmr: self.summary.earned_xmr,
            cost: self.summary.cost,
        }
    }

    /// Once a second with the same readings, up to the next row; or asleep.
    fn until(&mut self, row: &TraceRow, next: Timestamp) {
        let span = next.duration_since(row.time);
        if span.as_secs() > ROW_SPAN_MAX_S {
            self.steady_ms = self.steady_ms.saturating_add(span.as_millis().max(0) as u64);
            self.work(SignedDuration::ZERO, row.time);
            return;
        }
        let mut now = row.time;
        let period = SignedDuration::from_secs(PERIOD_S);
        while next.duration_since(now) > period && self.decisions_left > 0 {
            self.work(period, now);
            now = now.checked_add(period).unwrap_or(next);
            let row = self.waited(row, now);
            self.decide(&row, now);
        }
        if self.decisions_left > 0 {
            self.work(next.duration_since(now), now);
        }
    }

    /// The row a little later: the time without input goes on by itself.
    fn waited(&self, row: &TraceRow, now: Timestamp) -> TraceRow {
        let mut row = row.clone();
        let passed_s = now.duration_since(row.time).as_secs_f64();
        row.readings.idle_s = row.readings.idle_s.map(|idle_s| idle_s + passed_s);
        row
    }

    fn decide(&mut self, row: &TraceRow, now: Timestamp) -> Option<Celsius> {
        self.decisions_left = self.decisions_left.saturating_sub(1);
        let mut readings = row.readings.clone();
        if let (Some(plant), Some(ambient)) = (&self.plant, row.ambient) {
            readings.gpu = Sensor::Value(Celsius(plant.temperature(ambient.0)));
            if readings.gpu_watts == Sensor::Absent {
                readings.gpu_watts = Sensor::Value(self.simulated_watts());
            }
        }
        let moment = Moment { wall: now, steady_ms: self.steady_ms };
        let decided = decide(self.policy, &readings, &self.history, moment);
        self.summary.decided(self.last.as_ref(), &decided, &readings);
        self.history = decided.history.clone();
        self.last = Some(decided);
        believed_temperature(&readings)
    }

    /// Time goes by as it was decided.
    fn work(&mut self, span: SignedDuration, from: Timestamp) {
        let seconds = span.as_secs_f64();
        self.steady_ms = self.steady_ms.saturating_add(span.as_millis().max(0) as u64);
        let Some(decided) = &self.last else { return };
        let duty = decided.decision.duty().fraction();
        if let Some(plant) = &mut self.plant {
            plant.advance(duty, seconds);
        }
        self.summary.worked(self.policy, decided, from, seconds);
    }

    fn simulated_watts(&self) -> Watts {
        let rule = self.policy.earnings.as_ref();
        let working = rule.map_or(WORKING_WATTS, |rule| rule.working_watts.0);
        let duty = self.history.duty().fraction();
        Watts(working * (REST_SHARE + (1.0 - REST_SHARE) * duty))
    }
}

fn believed_temperature(readings: &Readings) -> Option<Celsius> {
    let range = crate::SensorName::GpuCore.believed();
    readings.gpu.value().copied().filter(|value| range.contains(&value.0))
}

#[cfg(test)]
mod tests;
