//! `anneal policy`: an owner's limits, checked, explained, simulated, and ones to begin with.
//!
//! What a policy means is `anneal_policy`'s, what the machine says is `anneal_sensors`'; here files are read and
//! answers told. Nothing here obeys a policy: that is `anneal provide`'s.

mod sensors;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anneal_job::{manifest::nearest, shown_name};
use anneal_policy::{
    Capacity, Decided, History, Moment, Policy, Readings, file::POLICY_BYTES_MAX, outline, picture,
    preset::PRESETS, schedule, simulate::Summary,
};
use anneal_runner::{
    Backend,
    failure::{Failure, Outcome},
};
use anneal_sensors::{DeviceKind, Missing, Sensors};
use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    arguments::Simulate,
    devices,
    host::Host,
    terminal::{Lines, Terminal, table},
};

/// The policy of this machine's provider, in its folder.
pub const POLICY_NAME: &str = "policy.toml";
/// Bytes of a trace: its most rows with every column.
const TRACE_BYTES_MAX: u64 = 256 << 20;
/// Powers are means between two readings, which are so far apart.
const SENSOR_PERIOD: Duration = Duration::from_secs(1);

/// What a policy means here.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// The policy's file.
    pub policy: PathBuf,
    /// Its rules, on each device.
    pub devices: Vec<Outlined>,
    /// Names under `[devices]` that no device of this machine has.
    pub unknown_devices: Vec<String>,
    /// Limits that can hardly be meant, in words.
    pub doubts: Vec<String>,
}

/// A policy's rules on a device.
#[derive(Debug, Serialize)]
pub struct Outlined {
    /// Its name.
    pub device: String,
    /// A rule a line.
    pub rules: Vec<String>,
}

/// What would happen now.
#[derive(Debug, Serialize)]
pub struct ExplainReport {
    /// The policy's file; none for the defaults.
    pub policy: Option<PathBuf>,
    /// Each device.
    pub devices: Vec<Explained>,
}

/// What a device would do now, and why.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// Its name.
    pub device: String,
    /// The decision and its reasons.
    pub decided: Decided,
    /// The same in words.
    pub words: String,
    /// What the sensors say.
    pub readings: Readings,
    /// Sensors that say nothing, and why.
    pub missing: Vec<Missing>,
}

/// A day gone through.
#[derive(Debug, Serialize)]
pub struct SimulateReport {
    /// In numbers.
    pub summary: Summary,
    /// Rows of the trace that were gone through.
    pub rows: usize,
    /// Rows at its end that were left out.
    pub rows_left_out: usize,
    /// The picture's file.
    pub picture: PathBuf,
}

/// Presets there are.
#[derive(Debug, Serialize)]
pub struct PresetReport {
    /// What was printed.
    pub preset: Option<String>,
}

/// Reads a policy.
///
/// # Errors
/// What is wrong with it, with file, line and key.
pub fn read(path: &Path) -> Result<Policy> {
    let context = || path.display().to_string();
    let text = text(path, POLICY_BYTES_MAX as u64).with_context(context)?;
    Policy::parse(&text).with_context(context)
}

fn text(path: &Path, bytes_max: u64) -> Result<String> {
    Ok(anneal_files::read_text(path, bytes_max)?)
}

/// The policy as it holds for a device.
pub fn for_device(policy: &Policy, kind: DeviceKind) -> Policy {
    match kind {
        DeviceKind::Processor => policy.for_processor(),
        DeviceKind::Gpu(_) => policy.clone(),
    }
}

/// Reads a policy and says what it means on this machine.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path, host: &Host, terminal: &Terminal) -> Outcome<CheckReport> {
    let policy = read(path)?;
    let backends = offered(host);
    let mut sensors = Sensors::open(&host.sensors, backends.iter().map(devices::sensed).collect());
    let kinds: Vec<DeviceKind> = sensors.devices().map(|device| device.kind).collect();
    let outlined = kinds.into_iter().enumerate().map(|(place, kind)| {
        let reading = sensors.read(place);
        let rules = outline(&for_device(&policy, kind), &reading.readings);
        Outlined { device: reading.readings.device, rules: rules.lines().map(str::to_owned).collect() }
    });
    let devices: Vec<Outlined> = outlined.collect();
    let is_here = |name: &&String| devices.iter().any(|outlined| outlined.device == **name);
    let unknown_devices = policy.devices.keys().filter(|name| !is_here(name)).cloned().collect();
    let gpu_memory = backends.iter().filter_map(Backend::gpu_memory).max();
    let capacity = Capacity { gpu_memory, ..host.capacity() };
    let doubts = policy.doubts(jiff::Timestamp::now(), &capacity).iter().map(ToString::to_string).collect();
    let report = CheckReport { policy: path.to_owned(), devices, unknown_devices, doubts };
    terminal.data(format!("{} is a policy. On this machine:", path.display()));
    for Outlined { device, rules } in &report.devices {
        terminal.data(vec![String::new(), device.clone()]);
        rules.iter().for_each(|rule| terminal.data(format!("  {rule}")));
    }
    for name in &report.unknown_devices {
        let name = shown_name(name);
        terminal
            .warn(format!("no device here is called \"{name}\", as `[devices]` says; see `anneal devices`"));
    }
    report.doubts.iter().for_each(|doubt| terminal.warn(doubt.as_str()));
    Ok(report)
}

/// Reads the sensors and says what would happen now, if work were offered.
///
/// # Errors
/// What is wrong with the policy.
pub fn explain(path: Option<&Path>, host: &Host, terminal: &Terminal) -> Outcome<ExplainReport> {
    let provider = host.data.join("provider").join(POLICY_NAME);
    let path = path.map(Path::to_owned).or_else(|| provider.exists().then_some(provider));
    let policy = path.as_deref().map(read).transpose()?.unwrap_or_default();
    match &path {
        Some(path) => terminal.note(format!("by {}", path.display())),
        None => terminal.note("by the defaults: `anneal policy preset` has policies to begin with"),
    }
    let backends = offered(host);
    let mut sensors = Sensors::open(&host.sensors, backends.iter().map(devices::sensed).collect());
    let kinds: Vec<DeviceKind> = sensors.devices().map(|device| device.kind).collect();
    for place in 0..kinds.len() {
        sensors.read(place);
    }
    thread::sleep(SENSOR_PERIOD);
    let now = Moment { wall: jiff::Timestamp::now(), steady_ms: 0 };
    let mut devices = Vec::new();
    for (place, kind) in kinds.into_iter().enumerate() {
        let reading = sensors.read(place);
        let (policy, readings) = (for_device(&policy, kind), reading.readings);
        let decided = anneal_policy::decide(&policy, &readings, &History::default(), now);
        let words = anneal_policy::explain_decided(&policy, &readings, &decided, now);
        let device = readings.device.clone();
        devices.push(Explained { device, decided, words, readings, missing: reading.missing });
    }
    for explained in &devices {
        let mut lines = vec![explained.device.clone()];
        lines.extend(explained.words.lines().map(|line| format!("  {line}")));
        lines.push(String::new());
        terminal.data(lines);
        let rows = sensors::rows(&explained.readings, &explained.missing);
        terminal.data(table(&["  SENSOR", "READS", "BECAUSE"], &rows));
        terminal.data("");
    }
    Ok(ExplainReport { policy: path, devices })
}

/// What `anneal provide` offers where nothing is said: every GPU that is none of a program's, and the processor.
fn offered(host: &Host) -> Vec<Backend> {
    let gpus = Backend::gpus(&host.launcher).into_iter().filter(|gpu| !gpu.device.software);
    gpus.chain([Backend::cpu(None)]).collect()
}

/// Goes through a recorded day and draws it.
///
/// # Errors
/// What is wrong with the policy or the trace; or the picture cannot be written.
pub fn simulate(arguments: &Simulate, terminal: &Terminal) -> Outcome<SimulateReport> {
    let out = &arguments.out;
    if out.extension().is_none_or(|extension| extension != "svg") {
        return Err(Failure::bad_input(format!("{}: the picture is SVG; name it so", out.display())));
    }
    let policy = read(&arguments.file)?;
    let context = || arguments.trace.display().to_string();
    let trace = text(&arguments.trace, TRACE_BYTES_MAX).with_context(context)?;
    let trace = anneal_policy::simulate::read_trace(&trace).with_context(context)?;
    let simulation = anneal_policy::simulate::simulate(&policy, &trace);
    fs::write(out, picture(&policy, &simulation))
        .with_context(|| format!("cannot write {}", out.display()))
        .map_err(Failure::host)?;
    terminal.data(Lines::of_own(&simulation.summary.to_string()));
    if simulation.rows_left_out > 0 {
        terminal.warn(format!(
            "the last {} rows were left out: a simulation is of a month at most",
            simulation.rows_left_out
        ));
    }
    terminal.note(format!("the picture is {}", out.display()));
    Ok(SimulateReport {
        summary: simulation.summary,
        rows: simulation.rows.len(),
        rows_left_out: simulation.rows_left_out,
        picture: out.clone(),
    })
}

/// Prints a policy to begin with, or which there are.
///
/// # Errors
/// Where there is none of that name, or no such time zone.
pub fn preset(
    name: Option<&str>,
    zone: Option<&str>,
    host: &Host,
    terminal: &Terminal,
) -> Outcome<PresetReport> {
    let Some(name) = name else {
        let row = |preset: &anneal_policy::preset::Preset| {
            vec![preset.name.to_owned(), preset.summary().to_owned()]
        };
        let rows: Vec<Vec<String>> = PRESETS.iter().map(row).collect();
        terminal.data(table(&["PRESET", "WHAT FOR"], &rows));
        return Ok(PresetReport { preset: None });
    };
    let names = PRESETS.map(|preset| preset.name);
    let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
        let meant =
            nearest(name, names).map_or_else(String::new, |meant| format!(" (did you mean `{meant}`?)"));
        return Err(Failure::bad_input(format!(
            "there is no preset `{name}`{meant}; there are {}",
            names.join(", ")
        )));
    };
    if let Some(zone) = zone.filter(|zone| schedule::zone(zone).is_none()) {
        return Err(Failure::bad_input(format!(
            "there is no time zone {zone:?}; they are called like Europe/Berlin: https://nodatime.org/TimeZones"
        )));
    }
    terminal.data(Lines::of_own(&preset.text(zone.unwrap_or(&host.zone))));
    Ok(PresetReport { preset: Some(name.to_owned()) })
}

#[cfg(test)]
mod tests;
