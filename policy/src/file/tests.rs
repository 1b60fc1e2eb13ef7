//! Policies that are right, and the sentence that each wrong one gets.

use std::collections::BTreeSet;

use super::*;
use crate::{
    Celsius, KilowattHours, Percent, Watts,
    policy::{HeatLimit, Supply, TemperatureLimits},
    schedule::Holiday,
};

const REFERENCE: &str = include_str!("../../policy.toml");

fn check(text: &str, expected: &str) {
    let error = Policy::parse(text).expect_err(text).to_string();
    assert!(error.contains(expected), "for {text:?}\n  got  {error}\n  want {expected}");
}

#[test]
fn nothing_at_all_is_a_policy() {
    assert_eq!(Policy::parse(""), Ok(Policy::default()));
}

#[test]
fn the_reference_reads() {
    let policy = Policy::parse(REFERENCE).expect("the reference");
    // What the reference calls defaults are the defaults.
    assert_eq!(policy.temperature, TemperatureLimits::default());
    assert_eq!(policy.owner.resume_after_s, Policy::default().owner.resume_after_s);
    assert_eq!(policy.owner.pause_at_most_s, Policy::default().owner.pause_at_most_s);
    assert_eq!(policy.shares.duty, Policy::default().shares.duty);
    // The rest is what is written.
    assert_eq!((policy.fan, policy.power.watts), (Some(Percent(60.0)), Some(Watts(250.0))));
    assert_eq!(policy.power.per_month, Some(KilowattHours(90.0)));
    assert_eq!(policy.power.overhead, Watts(60.0));
    let earnings = policy.earnings.expect("a rule");
    assert_eq!((earnings.xmr_price, earnings.margin, earnings.tariffs.len()), (Some(150.0), 1.1, 2));
    assert_eq!(policy.schedule.windows.len(), 2);
    assert_eq!(policy.schedule.windows[1].to_string(), "sat,sun 23:00-09:00");
    assert!(policy.schedule.holidays.contains(&Holiday::Yearly(12, 26)));
    let until = policy.schedule.until.expect("a moment");
    assert_eq!(until.to_string(), "2030-12-31T06:30:00Z");
    assert_eq!((policy.owner.idle_s, policy.owner.on_battery), (Some(300.0), Supply::Yield));
    assert!(policy.owner.programs.contains("obs"));
    assert_eq!(policy.devices.get("NVIDIA T400"), Some(&false));
    assert_eq!(policy.jobs.longest_task_s, Some(7200.0));
    let jobs = policy.jobs;
    assert_eq!((jobs.allowed_developers.len(), jobs.denied_developers.len()), (1, 1));
    assert_eq!((jobs.allowed_components.len(), jobs.denied_components.len()), (1, 1));
}

/// Keys of the schema's tables: the reader, the schema and the reference know the same.
#[test]
fn schema_reader_and_reference_agree() {
    let schema = schema().to_value();
    let table = |name: &str| -> BTreeSet<String> {
        let object = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        object["properties"].as_object().expect(name).keys().cloned().collect()
    };
    for (name, known) in [
        ("", keys::ROOT),
        ("TemperatureTable", keys::TEMPERATURE),
        ("HeatTable", keys::HEAT),
        ("FanTable", keys::FAN),
        ("PowerTable", keys::POWER),
        ("EarningsTable", keys::EARNINGS),
        ("TariffTable", keys::TARIFF),
        ("TimeTable", keys::TIME),
        ("OwnerTable", keys::OWNER),
        ("SharesTable", keys::SHARES),
        ("JobsTable", keys::JOBS),
    ] {
        assert_eq!(table(name), known.iter().map(|&key| key.to_owned()).collect(), "keys of {name:?}");
        for key in known {
            let written = [format!("{key} = "), format!("[{key}]")];
            assert!(written.iter().any(|text| REFERENCE.contains(text)), "{key} stands in the reference");
        }
    }
}

#[test]
fn a_part_of_a_table_keeps_the_other_defaults() {
    let policy = Policy::parse("[temperature.gpu]\nlimit = 90").expect("a policy");
    let default = TemperatureLimits::default().gpu;
    assert_eq!(policy.temperature.gpu, HeatLimit { limit: Celsius(90.0), ..default });
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    check("[temprature]", "line 1: unknown key `temprature` (did you mean `temperature`?)");
    check(
        "[owner]\n\nidle_minutes = 5",
        "line 3: unknown key `owner.idle_minutes` (did you mean `idle-minutes`?)",
    );
    check(
        "[temperature]\ngpu = { goal = 5 }",
        "unknown key `temperature.gpu.goal`; known here: target, limit",
    );
    check(
        "[earnings]\nprice-per-kwh = 1\nworking-watts = 1\ntariffs = [\n{ hours = \"sat\", price = 1 }]",
        "line 5: unknown key `earnings.tariffs[0].price`",
    );
}

#[test]
fn wrong_values_are_named_with_an_example() {
    check(
        "[temperature.gpu]\ntarget = 300",
        "`temperature.gpu.target` is the number 300, but must be a number from 20 to 120; for example `target = 72`",
    );
    check("[temperature.gpu]\ntarget = nan", "the number nan");
    check(
        "[temperature.gpu]\ntarget = 81",
        "line 2: `temperature.gpu.target` does not go with a target of 81 °C and a limit of 82 °C",
    );
    check("[temperature]\ngpu = 70", "must be a table; for example `gpu = { target = 72, limit = 82 }`");
    check("[fan]\nlimit-percent = 5", "a number from 20 to 100");
    check("[power]\nwatts = \"250 W\"", "the text \"250 W\"");
    check("[earnings]\nprice-per-kwh = 0.3", "line 1: `earnings.working-watts` is missing");
    check("[time]\nwindows = [\"22:00-07:00\"]", "line 2: `time.zone` is missing: whose clock");
    check("[time]\nzone = \"Berlin\"", "must be a time zone like \"Europe/Berlin\"");
    check(
        "[time]\nzone = \"UTC\"\nwindows = [\n\"sat\",\n\"sonntag\"]",
        "line 5: `time.windows[1]` is the text \"sonntag\"",
    );
    check("[time]\nzone = \"UTC\"\nwindows = \"sat\"", "must be a list; for example `windows = [\"mon-fri");
    check("[time]\nzone = \"UTC\"\nholidays = [\"2-30\"]", "a date like \"2026-12-25\", or \"12-25\"");
    check("[time]\nzone = \"UTC\"\nholidays = [\"02-30\"]", "a date like");
    check("[time]\nzone = \"UTC\"\nuntil = \"07:30\"", "a date and a time like \"2026-12-01 07:30\"");
    check("[owner]\nfullscreen = 1", "must be true or false; for example `fullscreen = true`");
    check("[owner]\nprograms = [\"/usr/bin/obs\"]", "a program's name without its folder");
    check("[owner]\nresume-after-seconds = 1", "a number from 5 to");
    check("[shares]\nduty = 0", "a number from 0.05 to 1");
    check("[shares]\nram = \"8 GB\"", "`shares.ram` is the text \"8 GB\"");
    check("[devices]\n\"NVIDIA T400\" = \"off\"", "must be true or false");
    check("[jobs]\nallowed-developers = []", "a list of at least one, or left out");
    check("[jobs]\ndenied-components = [\"xyz\"]", "64 hexadecimal digits");
    check("a b c", "line 1: ");
    check(&"x".repeat(POLICY_BYTES_MAX + 1), "1048577 bytes");
}

#[test]
fn every_leap_day_is_a_holiday() {
    let text = "[time]\nzone = \"UTC\"\nholidays = [\"02-29\"]";
    let policy = Policy::parse(text).expect(text);
    assert_eq!(policy.schedule.holidays, [Holiday::Yearly(2, 29)].into());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Policy::parse(&text);
    }

    /// A reference with one value replaced by another is read or refused, and never panics.
    #[test]
    fn no_value_panics(which in 0usize..60, value in "[-0-9a-z\":.\\[\\]{} ]{0,12}") {
        let lines: Vec<&str> = REFERENCE.lines().collect();
        let assigned: Vec<usize> =
            (0..lines.len()).filter(|&line| lines[line].contains(" = ") && !lines[line].starts_with('#')).collect();
        let chosen = assigned[which % assigned.len()];
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(line, content)| match content.split_once(" = ") {
                Some((key, _)) if line == chosen => format!("{key} = {value}"),
                _ => (*content).to_owned(),
            })
            .collect();
        let _ = Policy::parse(&text.join("\n"));
    }
}

/// As a manifest's: in every shape whose reading could cost the product of keys and bytes, which would take minutes.
#[test]
fn a_policy_of_any_size_is_read_in_linear_time() {
    let lines = |line: &dyn Fn(usize) -> String| {
        let (mut text, mut number) = (String::with_capacity(POLICY_BYTES_MAX), 0);
        while text.len() + 100 < POLICY_BYTES_MAX {
            text += &line(number);
            number += 1;
        }
        text
    };
    let unknown = lines(&|n| format!("k{n}=1\n"));
    assert!(unknown.lines().count() > 90_000);
    check(&unknown, "line 1: unknown key `k0`");
    for table in
        ["temperature", "temperature.gpu", "fan", "power", "earnings", "time", "owner", "shares", "jobs"]
    {
        check(&format!("[{table}]\n{unknown}"), &format!("line 2: unknown key `{table}.k0`"));
    }
    check(&format!("[devices]\n{unknown}"), "devices, but at most 64");
    check(&format!("[owner]\nprograms = [{}]", lines(&|_| "\"x\",".to_owned())), "programs, but at most 256");
    check(
        &format!("[time]\nzone = \"UTC\"\nwindows = [{}]", lines(&|_| "\"sun\",\n".to_owned())),
        "at most 64",
    );
    check(&format!("[jobs]\ndenied-developers = [{}]", lines(&|_| "\"x\",\n".to_owned())), "at most 10000");
    let parties = lines(&|n| format!("\"{n:064x}\",\n"));
    let parties: Vec<&str> = parties.lines().take(10_000).collect();
    let text = format!("[jobs]\ndenied-developers = [\n{}\n]", parties.join("\n"));
    assert_eq!(Policy::parse(&text).expect("the most").jobs.denied_developers.len(), 10_000);
}

/// What somebody has written there reaches nobody raw.
#[test]
fn keys_and_values_are_shown() {
    for text in [
        "\"\\u001b[31mred\\nresult 00\" = 1",
        "[devices]\n\"\\u202eabc\" = 1",
        "[devices]\n\"\\u0007\" = true",
        "[time]\nzone = \"\\u202e\\n\"",
        "[owner]\nprograms = [\"\\u202e/\"]",
    ] {
        let error = Policy::parse(text).expect_err(text).to_string();
        assert_eq!(anneal_job::shown(&error), error, "{text:?}");
    }
}
