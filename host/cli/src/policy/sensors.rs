//! What the sensors say, as rows of a table: every sensor, its value or why there is none.

use std::fmt::Display;

use anneal_policy::{Readings, Sensor, SensorName};
use anneal_sensors::Missing;

/// A row for each sensor: its name, what it reads, why it does not.
pub(super) fn rows(readings: &Readings, missing: &[Missing]) -> Vec<Vec<String>> {
    let cells = [
        (SensorName::GpuCore, shown(&readings.gpu)),
        (SensorName::HotSpot, shown(&readings.hot_spot)),
        (SensorName::GpuMemory, shown(&readings.gpu_memory)),
        (SensorName::Cpu, shown(&readings.cpu)),
        (SensorName::Fan, shown(&readings.fan)),
        (SensorName::GpuWatts, shown(&readings.gpu_watts)),
        (SensorName::CpuWatts, shown(&readings.cpu_watts)),
        (SensorName::Idle, shown(&readings.idle_s.map(|seconds| format!("{seconds:.0} s")))),
        (SensorName::Fullscreen, yes(&readings.fullscreen)),
        (SensorName::Programs, shown(&readings.programs.map(|names| format!("{} programs", names.len())))),
        (SensorName::MemoryByOthers, shown(&readings.memory_by_others)),
        (SensorName::UseByOthers, shown(&readings.use_by_others)),
        (SensorName::Battery, yes(&readings.on_battery)),
        (SensorName::Metered, yes(&readings.metered)),
    ];
    let because = |sensor: SensorName| missing.iter().find(|missing| missing.sensor == sensor);
    cells
        .into_iter()
        .map(|(sensor, cell)| {
            let why = because(sensor).map_or_else(String::new, |missing| missing.why.clone());
            vec![format!("  {sensor}"), cell, why]
        })
        .collect()
}

fn yes(sensor: &Sensor<bool>) -> String {
    shown(&sensor.map(|yes| if *yes { "yes" } else { "no" }))
}

fn shown<T: Display>(sensor: &Sensor<T>) -> String {
    match sensor {
        Sensor::Value(value) => value.to_string(),
        Sensor::Lost => "failed".to_owned(),
        Sensor::Absent => "-".to_owned(),
    }
}
