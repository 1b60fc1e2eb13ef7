//! How a temperature is held by duty: the device is warmed at full duty, then a policy whose target lies between
//! its coolest and its hottest holds it, with the sensors and the decisions that `anneal provide` has. Targets are
//! neared from below within some minutes, so only the last third of the time counts.

use std::{
    thread,
    time::{Duration, Instant},
};

use anneal_cli::{devices::sensed, host::Host, policy::for_device};
use anneal_policy::{History, Moment, Policy, Readings, decide};
use anneal_runner::Backend;
use anneal_sandbox::{PaceHandle, StopFlag};
use anneal_sensors::{DeviceKind, Sensors};
use anneal_tensor::{Duty, Pace};
use anyhow::{Result, anyhow};
use jiff::Timestamp;

use crate::training::Training;

/// Until it is as hot as it gets, nearly.
const WARMED_S: u32 = 60;
/// A device that warms by less has nothing to hold.
const WARMTH_MIN: f64 = 5.0;
/// The limit of the policy, above its target.
const LIMIT_ABOVE: f64 = 15.0;

/// Prints a row for each device.
pub fn run(training: &Training, host: &Host, backends: &[Backend], held_s: usize) -> Result<()> {
    println!("\n## A temperature held by duty, over the last {} s of {held_s} s\n", held_s / 3);
    println!("| device | idle °C | at full duty °C | target °C | mean | least | most | mean duty |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for backend in backends {
        let name = backend.name();
        match measure(training, host, backend, held_s)? {
            Held::NoSensor => println!("| {name} | no sensor |"),
            Held::StaysCool { idle, hottest } => {
                println!("| {name} | {idle:.0} | {hottest:.0} | stays cool: nothing to hold |");
            }
            Held::At { idle, hottest, target, seconds } => {
                let last = &seconds[seconds.len() * 2 / 3..];
                let mean =
                    |value: fn(&(f64, f64)) -> f64| last.iter().map(value).sum::<f64>() / last.len() as f64;
                let heats = || last.iter().map(|(heat, _)| *heat);
                println!(
                    "| {name} | {idle:.0} | {hottest:.0} | {target:.0} | {:.1} | {:.1} | {:.1} | {:.2} |",
                    mean(|second| second.0),
                    heats().fold(f64::INFINITY, f64::min),
                    heats().fold(f64::NEG_INFINITY, f64::max),
                    mean(|second| second.1)
                );
            }
        }
    }
    Ok(())
}

enum Held {
    NoSensor,
    StaysCool {
        idle: f64,
        hottest: f64,
    },
    /// Each second's temperature and duty.
    At {
        idle: f64,
        hottest: f64,
        target: f64,
        seconds: Vec<(f64, f64)>,
    },
}

fn measure(training: &Training, host: &Host, backend: &Backend, held_s: usize) -> Result<Held> {
    let device = sensed(backend);
    let kind = device.kind;
    let mut sensors = Sensors::open(&host.sensors, vec![device]);
    let Some(idle) = heat(&sensors.read(0).readings, kind) else { return Ok(Held::NoSensor) };
    let (stop, pace) = (StopFlag::default(), PaceHandle::new(Pace::FULL));
    let owner = {
        let (stop, pace) = (stop.clone(), pace.clone());
        move || {
            let held = hold(&mut sensors, kind, idle, &pace, held_s);
            stop.stop();
            held
        }
    };
    let owner = thread::spawn(owner);
    training.run(host, backend, pace, &stop, |_| {})?;
    owner.join().map_err(|_| anyhow!("the owner panicked"))?
}

fn hold(
    sensors: &mut Sensors,
    kind: DeviceKind,
    idle: f64,
    pace: &PaceHandle,
    held_s: usize,
) -> Result<Held> {
    let mut hottest = idle;
    for _ in 0..WARMED_S {
        thread::sleep(Duration::from_secs(1));
        hottest = heat(&sensors.read(0).readings, kind).map_or(hottest, |now| now.max(hottest));
    }
    if hottest - idle < WARMTH_MIN {
        return Ok(Held::StaysCool { idle, hottest });
    }
    let target = ((idle + hottest) / 2.0).round();
    let channel = if matches!(kind, DeviceKind::Processor) { "cpu" } else { "gpu" };
    let limit = target + LIMIT_ABOVE;
    let policy =
        Policy::parse(&format!("[temperature]\n{channel} = {{ target = {target}, limit = {limit} }}"))?;
    let policy = for_device(&policy, kind);
    let (began, mut history, mut seconds) = (Instant::now(), History::default(), Vec::new());
    for _ in 0..held_s {
        let readings = sensors.read(0).readings;
        let now = Moment { wall: Timestamp::now(), steady_ms: began.elapsed().as_millis() as u64 };
        let decided = decide(&policy, &readings, &history, now);
        let duty = decided.decision.duty().fraction();
        pace.set(if decided.decision.runs() {
            Pace::Run { duty: Duty::of_fraction(duty) }
        } else {
            Pace::Pause
        });
        history = decided.history;
        // In a second without a reading the policy took the safe side, and there is nothing to count.
        seconds.extend(heat(&readings, kind).map(|heat| (heat, duty)));
        thread::sleep(Duration::from_secs(1));
    }
    Ok(if seconds.is_empty() { Held::NoSensor } else { Held::At { idle, hottest, target, seconds } })
}

/// The temperature that is held: the GPU's core, or the processor's.
fn heat(readings: &Readings, kind: DeviceKind) -> Option<f64> {
    let sensor = if matches!(kind, DeviceKind::Processor) { &readings.cpu } else { &readings.gpu };
    sensor.value().map(|celsius| celsius.0)
}
