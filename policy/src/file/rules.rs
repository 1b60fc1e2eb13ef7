//! The tables that are rules: `[time]`, `[earnings]`, `[owner]`, `[jobs]`.

use std::collections::BTreeSet;

use anneal_job::{
    ByteCount, Digest, ManifestError,
    manifest::section::{Field, Section},
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};

use super::{keys, texts};
use crate::{
    Percent, Watts,
    admit::{DeveloperKey, GasPrice},
    decide::program_key,
    policy::{EarningsRule, JobRules, OwnerRules, Supply, Tariff},
    schedule::{HOLIDAYS_MAX, Holiday, Schedule, WINDOWS_MAX, Window, zone},
};

const PROGRAMS_MAX: usize = 256;
const PARTIES_MAX: usize = 10_000;
const CURRENCY_BYTES_MAX: usize = 12;
const PRICE_MAX: f64 = 1e9;
const MINUTES_MAX: f64 = 7.0 * 24.0 * 60.0;
/// Work that came back sooner could be made to flicker by anything that flickers.
const RESUME_AFTER_MIN_S: f64 = 5.0;

pub(super) fn time(section: &Section<'_>) -> Result<Schedule, ManifestError> {
    let mut schedule = Schedule::default();
    if let Some(field) = section.get("zone") {
        let expected = "a time zone like \"Europe/Berlin\"";
        let name = field.text(expected, "\"Europe/Berlin\"")?;
        schedule.zone = zone(name).ok_or_else(|| field.invalid(expected, "\"Europe/Berlin\""))?;
    } else if let Some(field) = ["windows", "holidays", "until"].iter().find_map(|key| section.get(key)) {
        return Err(ManifestError::Missing {
            line: field.line(),
            key: "time.zone".to_owned(),
            expected: "whose clock the hours are by".to_owned(),
            example: "zone = \"Europe/Berlin\"".to_owned(),
        });
    }
    if let Some(field) = section.get("windows") {
        schedule.windows = windows(&field)?;
        schedule.has_empty_list = schedule.windows.is_empty();
    }
    if let Some(field) = section.get("holidays") {
        let example = "[\"12-25\", \"2027-03-26\"]";
        schedule.holidays = texts(&field, "holidays", HOLIDAYS_MAX, example, holiday)?.into_iter().collect();
    }
    if let Some(field) = section.get("holiday-windows") {
        schedule.holiday_windows = windows(&field)?;
    }
    if let Some(field) = section.get("until") {
        schedule.until = Some(until(&field, &schedule)?);
    }
    Ok(schedule)
}

fn windows(field: &Field<'_>) -> Result<Vec<Window>, ManifestError> {
    texts(field, "windows", WINDOWS_MAX, "[\"mon-fri 22:00-07:30\", \"sat,sun\"]", window)
}

fn window(text: &str) -> Result<Window, String> {
    text.parse().map_err(|_| {
        "days and hours like \"mon-fri 22:00-07:30\", \"sat,sun\", \"until 07:30\" or \"fri from 18:00\""
            .to_owned()
    })
}

fn holiday(text: &str) -> Result<Holiday, String> {
    let expected = || "a date like \"2026-12-25\", or \"12-25\" for every year".to_owned();
    if let Ok(date) = text.parse::<Date>() {
        return Ok(Holiday::Once(date));
    }
    // A leap year knows every day there is.
    let date: Date = format!("2024-{text}").parse().map_err(|_| expected())?;
    if text.len() == 5 { Ok(Holiday::Yearly(date.month(), date.day())) } else { Err(expected()) }
}

fn until(field: &Field<'_>, schedule: &Schedule) -> Result<Timestamp, ManifestError> {
    let (expected, example) = ("a date and a time like \"2026-12-01 07:30\"", "\"2026-12-01 07:30\"");
    let text = field.text(expected, example)?;
    let moment: DateTime = text.parse().map_err(|_| field.invalid(expected, example))?;
    // A time that comes twice ends work the first time.
    let ambiguous = schedule.zone.to_ambiguous_timestamp(moment);
    ambiguous.earlier().map_err(|_| field.invalid(expected, example))
}

pub(super) fn earnings(section: &Section<'_>) -> Result<EarningsRule, ManifestError> {
    let price = |field: &Field<'_>| field.number(0.0, PRICE_MAX, "0.32");
    let needed = "what a kilowatt-hour costs you";
    let kwh = section.required("price-per-kwh", needed, "price-per-kwh = 0.32")?;
    let drawn = "what the machine draws from the wall while it works";
    let watts = section.required("working-watts", drawn, "working-watts = 330")?;
    let mut rule = EarningsRule {
        currency: "EUR".to_owned(),
        xmr_price: None,
        price_per_kwh: price(&kwh)?,
        tariffs: Vec::new(),
        working_watts: Watts(watts.number(1.0, 5000.0, "330")?),
        margin: 1.1,
    };
    if let Some(field) = section.get("currency") {
        let text = field.text("a currency", "\"EUR\"")?;
        if text.is_empty() || text.len() > CURRENCY_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(field.invalid("a currency of at most 12 letters", "\"EUR\""));
        }
        rule.currency = text.to_owned();
    }
    if let Some(field) = section.get("xmr-price") {
        rule.xmr_price = Some(field.number(1e-6, PRICE_MAX, "150.0")?);
    }
    if let Some(field) = section.get("margin") {
        rule.margin = field.number(1.0, 100.0, "1.1")?;
    }
    if let Some(field) = section.get("tariffs") {
        rule.tariffs = tariffs(&field)?;
    }
    Ok(rule)
}

fn tariffs(field: &Field<'_>) -> Result<Vec<Tariff>, ManifestError> {
    let example = "tariffs = [{ hours = \"22:00-06:00\", price-per-kwh = 0.21 }]";
    let items = field.items("tariffs", WINDOWS_MAX, example)?;
    let tariff = |item: &Field<'_>| {
        let table = item.section(keys::TARIFF, example)?;
        let hours = table.required("hours", "when it holds", "hours = \"22:00-06:00\"")?;
        let price = table.required("price-per-kwh", "what it costs then", "price-per-kwh = 0.21")?;
        let text = hours.text("hours", "\"22:00-06:00\"")?;
        Ok(Tariff {
            window: window(text).map_err(|expected| hours.invalid(expected, "\"22:00-06:00\""))?,
            price_per_kwh: price.number(0.0, PRICE_MAX, "0.21")?,
        })
    };
    items.iter().map(tariff).collect()
}

pub(super) fn owner(section: &Section<'_>) -> Result<OwnerRules, ManifestError> {
    let mut owner = OwnerRules::default();
    if let Some(field) = section.get("idle-minutes") {
        owner.idle_s = Some(field.number(0.1, MINUTES_MAX, "5")? * 60.0);
    }
    if let Some(field) = section.get("programs") {
        let read = |text: &str| {
            let is_name = !text.is_empty() && text.len() <= 128 && !text.contains(['/', '\\', '\0']);
            if is_name {
                Ok(program_key(text))
            } else {
                Err("a program's name without its folder".to_owned())
            }
        };
        let names = texts(&field, "programs", PROGRAMS_MAX, "[\"blender\", \"obs\"]", read)?;
        owner.programs = names.into_iter().collect();
    }
    if let Some(field) = section.get("gpu-memory-by-others") {
        let high = ByteCount(1 << 44);
        owner.memory_by_others = Some(field.size(ByteCount(1 << 20), high, "\"2 GiB\"")?);
    }
    if let Some(field) = section.get("gpu-percent-by-others") {
        owner.use_by_others = Some(Percent(field.number(1.0, 100.0, "20")?));
    }
    if let Some(field) = section.get("fullscreen") {
        owner.yields_to_fullscreen = field.boolean("true")?;
    }
    supplies(section, &mut owner)?;
    if let Some(field) = section.get("resume-after-seconds") {
        owner.resume_after_s = field.number(RESUME_AFTER_MIN_S, MINUTES_MAX * 60.0, "30")?;
    }
    if let Some(field) = section.get("pause-at-most-minutes") {
        owner.pause_at_most_s = field.number(0.0, MINUTES_MAX, "10")? * 60.0;
    }
    Ok(owner)
}

fn supplies(section: &Section<'_>, owner: &mut OwnerRules) -> Result<(), ManifestError> {
    for (key, supply) in
        [("run-on-battery", &mut owner.on_battery), ("run-on-metered-network", &mut owner.on_metered)]
    {
        if let Some(field) = section.get(key) {
            *supply = if field.boolean("false")? { Supply::Run } else { Supply::Yield };
        }
    }
    Ok(())
}

pub(super) fn jobs(section: &Section<'_>) -> Result<JobRules, ManifestError> {
    let mut jobs = JobRules::default();
    if let Some(field) = section.get("minimum-price") {
        jobs.minimum_price = GasPrice(field.integer(0, u64::MAX >> 1, "1000")?);
    }
    if let Some(field) = section.get("longest-task-minutes") {
        jobs.longest_task_s = Some(field.number(1.0, MINUTES_MAX, "60")? * 60.0);
    }
    jobs.allowed_developers = parties::<DeveloperKey>(section, "allowed-developers")?;
    jobs.denied_developers = parties::<DeveloperKey>(section, "denied-developers")?;
    jobs.allowed_components = parties::<Digest>(section, "allowed-components")?;
    jobs.denied_components = parties::<Digest>(section, "denied-components")?;
    Ok(jobs)
}

/// A list of keys or digests. An empty list to allow from would allow everything, so it is refused.
fn parties<T: std::str::FromStr + Ord>(
    section: &Section<'_>,
    key: &str,
) -> Result<BTreeSet<T>, ManifestError> {
    let Some(field) = section.get(key) else { return Ok(BTreeSet::new()) };
    let example = "[\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]";
    let read = |text: &str| text.parse().map_err(|_| "64 hexadecimal digits".to_owned());
    let parties = texts(&field, "entries", PARTIES_MAX, example, read)?;
    if parties.is_empty() && key.starts_with("allowed") {
        return Err(field.invalid("a list of at least one, or left out to allow every one", example));
    }
    Ok(parties.into_iter().collect())
}
