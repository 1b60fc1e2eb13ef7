//! The commands without a machine: what they read, write and refuse.

use anneal_policy::{Celsius, Sensor, SensorName};

use super::*;
use crate::arguments::Output;

fn scratch(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("there is room for a file");
    }
    folder
}

#[test]
fn a_policy_that_is_wrong_is_refused_with_file_line_and_key() {
    let folder = scratch(&[("wrong.toml", "[owner]\nidle-minute = 5\n"), ("binary.toml", "\u{0}")]);
    fs::write(folder.path().join("latin.toml"), b"# \xe4").expect("there is room for a file");
    let check = |name: &str, parts: &[&str]| {
        let error = read(&folder.path().join(name)).expect_err(name);
        let message = Failure::from(error).to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{name}: {message}");
    };
    check("wrong.toml", &["wrong.toml", "line 2", "idle-minute", "idle-minutes"]);
    check("binary.toml", &["binary.toml", "line 1"]);
    check("latin.toml", &["latin.toml", "not UTF-8"]);
    check("none.toml", &["none.toml"]);
    let large = "#".repeat(POLICY_BYTES_MAX + 1);
    fs::write(folder.path().join("large.toml"), large).expect("there is room for a file");
    check("large.toml", &["large.toml", "1048577"]);
}

#[test]
fn a_day_is_gone_through_and_drawn() {
    let trace = "time,gpu_c,gpu_watts,on_battery,metered\n2026-11-23T12:00:00Z,50,200,false,false\n\
                 2026-11-23T12:10:00Z,50,200,false,false\n2026-11-23T12:20:00Z,,200,false,false\n";
    let folder =
        scratch(&[("policy.toml", "[shares]\nduty = 0.5\n"), ("day.csv", trace), ("bad.csv", "tme\n1\n")]);
    let simulation = |trace: &str, out: &str| Simulate {
        file: folder.path().join("policy.toml"),
        trace: folder.path().join(trace),
        out: folder.path().join(out),
        output: Output { json: true },
    };
    let terminal = Terminal::new(true);
    let report = simulate(&simulation("day.csv", "day.svg"), &terminal).expect("it is gone through");
    assert_eq!((report.rows, report.rows_left_out), (3, 0));
    assert!(report.summary.ran_s > 1000.0, "{:?}", report.summary);
    let svg = fs::read_to_string(&report.picture).expect("the picture is there");
    assert!(svg.starts_with("<svg ") && svg.contains("duty, %"), "{svg}");
    for (trace, out, expected) in [
        ("bad.csv", "x.svg", "did you mean `time`?"),
        ("none.csv", "x.svg", "none.csv"),
        ("day.csv", "x.png", "the picture is SVG"),
        ("day.csv", "no/folder/x.svg", "cannot write"),
    ] {
        let message = simulate(&simulation(trace, out), &terminal).expect_err(trace).to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn every_sensor_has_a_row_with_what_it_says() {
    let missing = |sensor, lost| Missing { sensor, lost, why: "it is so".to_owned() };
    let readings = Readings {
        gpu: Sensor::Value(Celsius(45.5)),
        cpu: Sensor::Lost,
        on_battery: Sensor::Value(false),
        idle_s: Sensor::Value(61.4),
        programs: Sensor::Value(vec!["sh".to_owned()]),
        ..Readings::default()
    };
    let rows = sensors::rows(&readings, &[missing(SensorName::Cpu, true), missing(SensorName::Fan, false)]);
    assert_eq!(rows.len(), 14);
    let row = |sensor: SensorName| {
        let name = format!("  {sensor}");
        let found = rows.iter().find(|row| row[0] == name).expect("a row");
        (found[1].as_str(), found[2].as_str())
    };
    assert_eq!(row(SensorName::GpuCore), ("45.5 °C", ""));
    assert_eq!(row(SensorName::Cpu), ("failed", "it is so"));
    assert_eq!(row(SensorName::Fan), ("-", "it is so"));
    assert_eq!(row(SensorName::Battery), ("no", ""));
    assert_eq!(row(SensorName::Idle), ("61 s", ""));
    assert_eq!(row(SensorName::Programs), ("1 programs", ""));
}
