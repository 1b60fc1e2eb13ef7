//! Every row is doubted beyond its bounds and not within them; what is sold and what is written here is not doubted.

use std::collections::BTreeMap;

use super::*;
use crate::preset::PRESETS;

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().expect("a time")
}

/// A small machine, and one that says nothing of itself.
fn machines() -> [Capacity; 2] {
    let small =
        Capacity { threads: Some(2), ram: Some(ByteCount(24 << 30)), gpu_memory: Some(ByteCount(8 << 30)) };
    [small, Capacity::default()]
}

fn keys(text: &str, capacity: &Capacity) -> Vec<String> {
    let policy = Policy::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    policy.doubts(now(), capacity).into_iter().map(|doubt| doubt.key).collect()
}

#[test]
fn what_can_be_meant_is_not_doubted() {
    let reference = Policy::parse(include_str!("../../policy.toml")).expect("the reference");
    let usual = Capacity { threads: Some(8), ram: Some(ByteCount(16 << 30)), ..machines()[0] };
    for capacity in machines().into_iter().chain([usual]) {
        assert_eq!(Policy::default().doubts(now(), &capacity), []);
        for preset in PRESETS {
            let policy = Policy::parse(&preset.text("Europe/Berlin")).expect("a preset");
            assert_eq!(policy.doubts(now(), &capacity), [], "{}", preset.name);
        }
    }
    assert_eq!(reference.doubts(now(), &usual), []);
}

/// A policy with this number, and with what its table must have beside it. A number is written as an integer where it
/// is one: sizes and counts are.
fn with(key: &str, value: f64) -> String {
    let (table, key) = key.split_once('.').expect("a table and a key");
    let mut keys: BTreeMap<&str, String> = match table {
        "earnings" => [("price-per-kwh", "0.3".to_owned()), ("working-watts", "300".to_owned())].into(),
        _ => BTreeMap::new(),
    };
    let is_whole = value.fract() == 0.0 && value.abs() < 1e18;
    keys.insert(key, if is_whole { format!("{}", value as i64) } else { format!("{value}") });
    let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
    lines.fold(format!("[{table}]\n"), |text, line| text + &line)
}

/// The last number that is not doubted is the bound. The next one is a whole one for counts and sizes.
#[test]
fn each_number_is_doubted_beyond_its_bounds_and_not_at_them() {
    for capacity in &machines() {
        for number in NUMBERS {
            let is_counted =
                ["cpu-threads", "concurrent-tasks", "minimum-price", "gpu-memory", "ram", "disk"]
                    .iter()
                    .chain(&["bandwidth", "gpu-memory-by-others"])
                    .any(|counted| number.key.ends_with(counted));
            let sides = [(&number.low, -1.0), (&number.high, 1.0)];
            for (bound, side) in sides {
                let Some(bound) = bound else { continue };
                let at = (bound.at)(capacity);
                let beyond = if is_counted { at + side } else { at * (1.0 + 0.01 * side) };
                assert_eq!(keys(&with(number.key, at), capacity), [""; 0], "{} = {at}", number.key);
                assert_eq!(keys(&with(number.key, beyond), capacity), [number.key], "{beyond}");
                let policy = Policy::parse(&with(number.key, beyond)).expect("it reads");
                let words = policy.doubts(now(), capacity)[0].words.clone();
                assert!(words.contains(&(number.shown)(beyond)) && words.contains(bound.words), "{words}");
            }
            assert!(number.low.is_some() || number.high.is_some(), "{}", number.key);
        }
    }
}

/// Every key of the reference that is a number has a row, or is one of the few that any number may be meant for.
#[test]
fn every_number_of_the_reference_has_a_row() {
    const ANY: [&str; 1] = ["earnings.xmr-price"];
    let mut table = "";
    let mut found = 0;
    for line in include_str!("../../policy.toml").lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']');
        }
        let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with(['#', ' ', '"']))
        else {
            continue;
        };
        let is_size = value.starts_with('"') && value.ends_with("iB\"");
        if !is_size && value.parse::<f64>().is_err() {
            continue;
        }
        found += 1;
        let key = format!("{table}.{key}");
        let has_row = NUMBERS.iter().any(|number| number.key == key);
        assert!(has_row || ANY.contains(&key.as_str()), "{key} = {value} has no row in NUMBERS");
    }
    assert!(found > 15, "{found} numbers were found");
}

#[test]
fn what_limits_nothing_or_everything_is_doubted() {
    let developer = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let both =
        format!("[jobs]\nallowed-developers = [\"{developer}\"]\ndenied-developers = [\"{developer}\"]");
    let earnings = "price-per-kwh = 0.3\nworking-watts = 300";
    let tariffs = format!("[earnings]\n{earnings}\ntariffs = [{{ hours = \"sat\", price-per-kwh = 0.01 }}]");
    for (text, expected) in [
        ("[temperature]\ngpu = { target = 110, limit = 120 }", &["temperature.gpu.limit"][..]),
        ("[temperature]\ngpu = { target = 72, limit = 100 }", &["temperature.gpu.limit"]),
        ("[temperature]\ncpu = { target = 104, limit = 120 }", &["temperature.cpu.limit"]),
        ("[temperature]\nhot-spot = { target = 115, limit = 120 }", &["temperature.hot-spot.limit"]),
        ("[temperature]\ngpu-memory = { target = 90, limit = 115 }", &["temperature.gpu-memory.limit"]),
        ("[temperature]\ngpu = { target = 92.5, limit = 95.5 }", &["temperature.gpu.limit"]),
        ("[temperature]\ngpu-memory = { target = 107, limit = 110 }", &[]),
        ("[temperature]\ncpu = { target = 102, limit = 105 }", &[]),
        ("[temperature]\ncpu = { target = 25, limit = 60 }", &["temperature.cpu.target"]),
        ("[temperature]\ngpu = { target = 60, hysteresis = 30 }", &["temperature.gpu.target"]),
        ("[power]\nwatts = 100\nkwh-per-day = 50", &["power.kwh-per-day"]),
        ("[power]\nkwh-per-day = 5\nkwh-per-month = 4", &["power.kwh-per-month"]),
        ("[power]\nkwh-per-day = 0.01", &["power.kwh-per-day"]),
        (
            "[owner]\nidle-minutes = 10080\nresume-after-seconds = 86400",
            &["owner.idle-minutes", "owner.resume-after-seconds"],
        ),
        ("[owner]\ngpu-percent-by-others = 100", &["owner.gpu-percent-by-others"]),
        ("[fan]\nlimit-percent = 20", &["fan.limit-percent"]),
        (
            "[shares]\ncpu-threads = 1024\nram = \"1000 TiB\"\nconcurrent-tasks = 64",
            &["shares.cpu-threads", "shares.ram", "shares.concurrent-tasks"],
        ),
        ("[earnings]\nprice-per-kwh = 0\nworking-watts = 300", &[]),
        (&tariffs, &["earnings.price-per-kwh"]),
        (&both, &["jobs.allowed-developers"]),
        ("[jobs]\ndenied-developers = []\n[owner]\nprograms = []", &[]),
        ("[time]\nzone = \"UTC\"\nwindows = []", &["time.windows"]),
        ("[time]\nzone = \"UTC\"\nuntil = \"2020-01-01 00:00\"", &["time"]),
    ] {
        assert_eq!(keys(text, &machines()[0]), expected, "{text}");
    }
}

/// Each rule about several things is doubted by something above.
#[test]
fn keys_of_rules_are_keys_of_a_policy() {
    let reference = include_str!("../../policy.toml");
    for key in RULES.iter().map(|rule| rule.key).chain(NUMBERS.iter().map(|number| number.key)) {
        let mut parts = key.split('.');
        let table = parts.next().expect("a table");
        assert!(reference.contains(&format!("\n[{table}]\n")), "{key}");
        assert!(parts.all(|part| reference.contains(&format!("{part} = "))), "{key}");
    }
}
