//! The tables that are numbers: `[temperature]`, `[fan]`, `[power]`, `[shares]`, `[devices]`.

use std::collections::BTreeMap;

use anneal_job::{
    ByteCount, ManifestError,
    manifest::section::{Field, Section},
};

use super::keys;
use crate::{
    Celsius, Duty, KilowattHours, Percent, Watts,
    policy::{DUTY_MIN, HeatLimit, PowerLimits, Shares, TemperatureLimits},
};

/// No part of a computer lives beyond it.
const CELSIUS_MAX: f64 = 120.0;
const CELSIUS_MIN: f64 = 20.0;
/// A controller needs room between target and limit, or noise alone stops work.
const TARGET_ROOM_MIN: f64 = 3.0;
const FAN_PERCENT_MIN: f64 = 20.0;
const WATTS_MAX: f64 = 2500.0;
const KWH_PER_DAY_MAX: f64 = 1000.0;
const BYTES_MAX: ByteCount = ByteCount(1 << 50);
const CPU_THREADS_MAX: u64 = 4096;
const CONCURRENT_TASKS_MAX: u64 = 64;
const DEVICES_MAX: usize = 64;
const DEVICE_NAME_BYTES_MAX: usize = 128;

pub(super) fn temperature(
    section: &Section<'_>,
    limits: &mut TemperatureLimits,
) -> Result<(), ManifestError> {
    for (name, limit) in [
        ("gpu", &mut limits.gpu),
        ("hot-spot", &mut limits.hot_spot),
        ("gpu-memory", &mut limits.gpu_memory),
        ("cpu", &mut limits.cpu),
    ] {
        let Some(field) = section.get(name) else { continue };
        heat(&field.section(keys::HEAT, "gpu = { target = 72, limit = 82 }")?, limit)?;
    }
    Ok(())
}

fn heat(section: &Section<'_>, limit: &mut HeatLimit) -> Result<(), ManifestError> {
    let (target, highest) = (section.get("target"), section.get("limit"));
    if let Some(field) = &target {
        limit.target = Celsius(field.number(CELSIUS_MIN, CELSIUS_MAX, "72")?);
    }
    if let Some(field) = &highest {
        limit.limit = Celsius(field.number(CELSIUS_MIN, CELSIUS_MAX, "82")?);
    }
    if let Some(field) = section.get("hysteresis") {
        limit.hysteresis = Celsius(field.number(1.0, 30.0, "5")?);
    }
    if let Some(field) = section.get("required") {
        limit.is_required = field.boolean("true")?;
    }
    if limit.target.0 + TARGET_ROOM_MIN > limit.limit.0
        && let Some(field) = highest.or(target)
    {
        return Err(ManifestError::Conflict {
            line: field.line(),
            key: field.key().to_owned(),
            with: format!("a target of {} and a limit of {}", limit.target, limit.limit),
            advice: format!("keep the target at least {TARGET_ROOM_MIN} °C below the limit"),
        });
    }
    Ok(())
}

pub(super) fn fan(section: &Section<'_>) -> Result<Option<Percent>, ManifestError> {
    let field = section.get("limit-percent");
    field.map(|field| Ok(Percent(field.number(FAN_PERCENT_MIN, 100.0, "60")?))).transpose()
}

pub(super) fn power(section: &Section<'_>) -> Result<PowerLimits, ManifestError> {
    let number = |key: &str, low, high, example| -> Result<Option<f64>, ManifestError> {
        section.get(key).map(|field| field.number(low, high, example)).transpose()
    };
    Ok(PowerLimits {
        watts: number("watts", 20.0, WATTS_MAX, "250")?.map(Watts),
        per_day: number("kwh-per-day", 0.01, KWH_PER_DAY_MAX, "4.0")?.map(KilowattHours),
        per_month: number("kwh-per-month", 0.01, 31.0 * KWH_PER_DAY_MAX, "90")?.map(KilowattHours),
        overhead: Watts(number("overhead-watts", 0.0, WATTS_MAX, "60")?.unwrap_or(0.0)),
    })
}

pub(super) fn shares(section: &Section<'_>) -> Result<Shares, ManifestError> {
    let size = |key: &str, example| -> Result<Option<ByteCount>, ManifestError> {
        section.get(key).map(|field| field.size(ByteCount(1 << 10), BYTES_MAX, example)).transpose()
    };
    let mut shares = Shares {
        gpu_memory: size("gpu-memory", "\"8 GiB\"")?,
        ram: size("ram", "\"8 GiB\"")?,
        disk: size("disk", "\"50 GiB\"")?,
        bandwidth: size("bandwidth", "\"2 MiB\"")?,
        ..Shares::default()
    };
    if let Some(field) = section.get("duty") {
        shares.duty = Duty::new(field.number(DUTY_MIN, 1.0, "0.8")?);
    }
    if let Some(field) = section.get("cpu-threads") {
        shares.cpu_threads = Some(field.integer(1, CPU_THREADS_MAX, "4")? as u32);
    }
    if let Some(field) = section.get("concurrent-tasks") {
        shares.concurrent_tasks = field.integer(1, CONCURRENT_TASKS_MAX, "1")? as u32;
    }
    Ok(shares)
}

pub(super) fn devices(section: &Section<'_>) -> Result<BTreeMap<String, bool>, ManifestError> {
    section.count("devices", DEVICES_MAX)?;
    section.fields().map(|field| Ok((device_name(&field)?, field.boolean("false")?))).collect()
}

fn device_name(field: &Field<'_>) -> Result<String, ManifestError> {
    let name = field.name();
    if name.is_empty() || name.len() > DEVICE_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(field.invalid("a device's name as `anneal devices` shows it", "\"NVIDIA T400\" = false"));
    }
    Ok(name.to_owned())
}
