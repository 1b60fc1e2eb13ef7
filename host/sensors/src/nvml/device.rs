//! One GPU's sensors by NVML's calls. Each fails for itself.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anneal_job::ByteCount;
use anneal_policy::{Celsius, Percent, Watts};
use nvml_wrapper::{
    Device,
    enum_wrappers::device::TemperatureSensor,
    enums::device::{SampleValue, UsedGpuMemory},
    error::NvmlError,
    structs::device::FieldId,
};

use super::library::Watch;
use crate::{
    energy::EnergyMeter,
    gap::{Found, Gap},
    gpu::GpuReadings,
    processes::Processes,
};

/// Temperature of the memory, in °C. Numbers are those of nvml.h.
const FIELD_MEMORY_TEMPERATURE: u32 = 82;
/// Power as a mean over a second, in mW: Ampere and newer.
const FIELD_POWER_MEAN: u32 = 185;
/// Samples of use that are newer than this count: NVML takes about six a second.
const USE_SPAN: Duration = Duration::from_millis(1500);
/// Fans of one GPU.
const FANS_MAX: u32 = 16;

pub(super) fn read(
    device: &Device<'_>,
    meter: &mut EnergyMeter,
    now: Instant,
    processes: &Processes,
    watch: &mut Watch,
) -> GpuReadings {
    let core = watch.found("temperature", device.temperature(TemperatureSensor::Gpu));
    GpuReadings {
        core: core.map(|celsius| Celsius(celsius.into())),
        hot_spot: Err(Gap::absent("NVML does not tell the hottest spot")),
        memory: field(device, FIELD_MEMORY_TEMPERATURE, "temperature of the memory", watch).map(Celsius),
        fan: fan(device, watch),
        watts: watts(device, meter, now, watch),
        memory_by_others: memory_by_others(device, processes, watch),
        use_by_others: use_by_others(device, processes, watch),
    }
}

/// The fastest of its fans.
fn fan(device: &Device<'_>, watch: &mut Watch) -> Found<Percent> {
    let count = watch.found("number of fans", device.num_fans())?;
    let mut fastest: Option<u32> = None;
    for fan in 0..count.min(FANS_MAX) {
        let speed = watch.found("fan", device.fan_speed(fan))?;
        fastest = fastest.max(Some(speed));
    }
    fastest.map(|percent| Percent(percent.into())).ok_or_else(|| Gap::absent("NVML shows no fan"))
}

/// A mean over about a second: as the driver makes it, else by its counter of energy. What the driver calls its
/// power is a moment's on older cards, and counts only where there is nothing else.
fn watts(device: &Device<'_>, meter: &mut EnergyMeter, now: Instant, watch: &mut Watch) -> Found<Watts> {
    match field(device, FIELD_POWER_MEAN, "mean power", watch) {
        Ok(milliwatts) => return Ok(Watts(milliwatts / 1000.0)),
        Err(gap) if gap.is_lost => return Err(gap),
        Err(_) => {}
    }
    match watch.found("energy", device.total_energy_consumption()) {
        Ok(millijoules) => {
            if let Some(watts) = meter.read(now, millijoules.saturating_mul(1000), None) {
                return Ok(watts);
            }
        }
        Err(gap) if gap.is_lost => return Err(gap),
        Err(_) => {}
    }
    let milliwatts = watch.found("power", device.power_usage())?;
    Ok(Watts(f64::from(milliwatts) / 1000.0))
}

/// A value by its number in nvml.h.
fn field(device: &Device<'_>, field: u32, what: &str, watch: &mut Watch) -> Found<f64> {
    let values = match device.field_values_for(&[FieldId(field)]) {
        // A driver from before this field.
        Err(NvmlError::InvalidArg) => return Err(Gap::absent(format!("NVML does not know the {what}"))),
        values => watch.found(what, values)?,
    };
    let value = values.into_iter().next().ok_or_else(|| Gap::lost(format!("NVML, {what}: no value")))?;
    match value.and_then(|sample| sample.value) {
        Ok(value) => Ok(number(&value)),
        Err(NvmlError::InvalidArg) => Err(Gap::absent(format!("NVML does not know the {what}"))),
        Err(error) => Err(watch.gap(what, &error)),
    }
}

fn number(value: &SampleValue) -> f64 {
    match value {
        SampleValue::F64(value) => *value,
        SampleValue::U32(value) => f64::from(*value),
        SampleValue::U64(value) => *value as f64,
        SampleValue::I64(value) => *value as f64,
    }
}

/// What processes hold that are not our own.
fn memory_by_others(device: &Device<'_>, processes: &Processes, watch: &mut Watch) -> Found<ByteCount> {
    let computing = watch.found("computing processes", device.running_compute_processes())?;
    let drawing = watch.found("drawing processes", device.running_graphics_processes())?;
    // A process that does both is listed twice, with all that it holds.
    let mut held: BTreeMap<u32, u64> = BTreeMap::new();
    for process in computing.into_iter().chain(drawing) {
        if processes.is_ours(process.pid) {
            continue;
        }
        let UsedGpuMemory::Used(bytes) = process.used_gpu_memory else {
            return Err(Gap::lost(format!("NVML does not tell what process {} holds", process.pid)));
        };
        let known = held.entry(process.pid).or_default();
        *known = bytes.max(*known);
    }
    Ok(ByteCount(held.values().fold(0, |sum, bytes| sum.saturating_add(*bytes))))
}

/// How busy processes that are not our own keep it.
fn use_by_others(device: &Device<'_>, processes: &Processes, watch: &mut Watch) -> Found<Percent> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(USE_SPAN);
    let samples = match device.process_utilization_stats(since.as_micros() as u64) {
        // Nobody used it since.
        Err(NvmlError::NotFound) => Vec::new(),
        samples => watch.found("use by processes", samples)?,
    };
    let mut busy: BTreeMap<u32, u32> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| !processes.is_ours(sample.pid)) {
        let known = busy.entry(sample.pid).or_default();
        *known = sample.sm_util.max(*known);
    }
    // Each at its busiest; at different times that can be more than there is.
    let sum = busy.values().fold(0_u32, |sum, percent| sum.saturating_add(*percent));
    Ok(Percent(f64::from(sum.min(100))))
}
