//! The decision: each rule by itself, the controllers on simulated devices, properties over generated days.

mod days;
mod holding;
mod properties;
mod rules;

use anneal_job::ByteCount;
use jiff::{Timestamp, ToSpan};

use crate::{
    Celsius, Decided, Decision, History, Moment, Percent, Piconero, Policy, Readings, Sensor, Watts, decide,
};

/// Readings of an idle machine that stands in nobody's way.
fn calm() -> Readings {
    Readings {
        device: "GPU 0".to_owned(),
        gpu: Sensor::Value(Celsius(45.0)),
        hot_spot: Sensor::Value(Celsius(52.0)),
        gpu_memory: Sensor::Value(Celsius(50.0)),
        cpu: Sensor::Value(Celsius(45.0)),
        fan: Sensor::Value(Percent(30.0)),
        gpu_watts: Sensor::Value(Watts(100.0)),
        cpu_watts: Sensor::Value(Watts(40.0)),
        idle_s: Sensor::Value(100_000.0),
        fullscreen: Sensor::Value(false),
        programs: Sensor::Value(vec!["init".to_owned()]),
        memory_by_others: Sensor::Value(ByteCount(100 << 20)),
        use_by_others: Sensor::Value(Percent(1.0)),
        on_battery: Sensor::Value(false),
        metered: Sensor::Value(false),
        earnings_per_hour: Some(Piconero(1_000_000_000)),
        ..Readings::default()
    }
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Noon of Monday 2026-11-23, UTC.
fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a time")
}

/// A moment so many seconds after noon, by both clocks.
fn after(seconds: f64) -> Moment {
    let ms = (seconds * 1000.0) as i64;
    Moment { wall: noon() + ms.milliseconds(), steady_ms: 1_000_000 + ms as u64 }
}

/// A machine that is decided about once a second.
struct Running {
    policy: Policy,
    history: History,
    now: Moment,
}

impl Running {
    fn new(text: &str) -> Running {
        Running { policy: policy(text), history: History::default(), now: after(0.0) }
    }

    /// A machine that has run for a while with these readings.
    fn warm(text: &str, readings: &Readings) -> Running {
        let mut running = Running::new(text);
        for _ in 0..60 {
            running.step(readings);
        }
        running
    }

    fn step(&mut self, readings: &Readings) -> Decided {
        self.step_by(readings, 1.0)
    }

    fn step_by(&mut self, readings: &Readings, seconds: f64) -> Decided {
        let ms = (seconds * 1000.0) as i64;
        self.now =
            Moment { wall: self.now.wall + ms.milliseconds(), steady_ms: self.now.steady_ms + ms as u64 };
        self.decide(readings)
    }

    fn decide(&mut self, readings: &Readings) -> Decided {
        let decided = decide(&self.policy, readings, &self.history, self.now);
        let is_explained = decided.decision.runs() == decided.reasons.is_empty();
        assert!(is_explained, "a reason exactly where it does not run: {decided:?}");
        self.history = decided.history.clone();
        decided
    }
}

/// Numbers that look random and are the same every time.
struct Noise(u64);

impl Noise {
    /// From −1 to 1, about normal with a deviation of 0.4.
    fn next(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..2 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (self.0 >> 33) as f64 / f64::from(1u32 << 31) - 0.5;
        }
        sum
    }
}

fn kind(decision: Decision) -> &'static str {
    match decision {
        Decision::Run { .. } => "run",
        Decision::Pause => "pause",
        Decision::CheckpointAndRelease => "release",
        Decision::Refuse => "refuse",
    }
}
