//! `anneal policy`: the real command, on a machine whose sensors a test writes.

use std::{fs, path::Path, time::Duration};

use anneal_tests::{
    Finished, command, finish,
    machine::MachineStandIn,
    process::{Process, wait_until},
    scratch,
};

/// A laptop at its charger.
const LAPTOP: &str = "
    sys/class/hwmon/hwmon1/name coretemp
    sys/class/hwmon/hwmon1/temp1_input 52000
    sys/class/power_supply/AC/type Mains
    sys/class/power_supply/AC/online 1
    sys/class/power_supply/BAT0/type Battery
    sys/class/power_supply/BAT0/status Charging
    proc/1/comm systemd
";

/// `anneal policy` on a machine, in a folder of its own.
fn policy(machine: &MachineStandIn, folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = command();
    command
        .current_dir(folder)
        .env("ANNEAL_SENSORS_ROOT", machine.root())
        .env("ANNEAL_DATA", folder)
        .env("TZ", "Europe/Berlin")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .arg("policy")
        .args(arguments);
    finish(command)
}

#[test]
fn what_can_hardly_be_meant_is_doubted() {
    let (machine, folder) = (MachineStandIn::new(LAPTOP), scratch());
    let text = "[temperature]\ngpu = { target = 110, limit = 120 }\n[shares]\nram = \"1 MiB\"\n";
    fs::write(folder.path().join("policy.toml"), text).expect("there is room for a file");
    let said = policy(&machine, folder.path(), &["check", "policy.toml"]).success().stderr();
    for key in ["`temperature.gpu.limit` can hardly be meant", "`shares.ram` can hardly be meant"] {
        assert!(said.contains(&format!("warning: {key}")), "{said}");
    }
    let report = policy(&machine, folder.path(), &["check", "policy.toml", "--json"]).success().json();
    assert_eq!(report["doubts"].as_array().map(Vec::len), Some(2), "{report}");
    // A provider with such limits is told of them before it begins.
    let mut provide = command();
    provide.env("ANNEAL_DATA", folder.path()).args([
        "provide",
        "--no-page",
        "--device",
        "cpu",
        "--threads",
        "1",
    ]);
    provide.args(["--coordinator", "http://127.0.0.1:9", "--policy"]).arg(folder.path().join("policy.toml"));
    let provide = Process::start(provide, &folder.path().join("provide.log"));
    let told = wait_until(Duration::from_secs(120), || {
        provide.said().contains("`temperature.gpu.limit` can hardly")
    });
    assert!(told, "{}", provide.said());
}

/// What the processor would do now.
fn explained(machine: &MachineStandIn, folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let report = policy(machine, folder, &[&["explain", "--json"], arguments].concat()).success().json();
    let devices = report["devices"].as_array().expect("devices");
    devices.last().expect("the processor is the last of them").clone()
}

#[test]
fn every_preset_can_be_checked_as_it_is() {
    let (machine, folder) = (MachineStandIn::new(LAPTOP), scratch());
    let listed = policy(&machine, folder.path(), &["preset"]).success().stdout();
    for name in ["quiet-night", "solar", "gamer", "dedicated", "laptop"] {
        assert!(listed.contains(name), "{listed}");
        let text = policy(&machine, folder.path(), &["preset", name]).success().stdout();
        fs::write(folder.path().join("policy.toml"), &text).expect("there is room for a file");
        let checked = policy(&machine, folder.path(), &["check", "policy.toml"]).success().stdout();
        assert!(checked.contains("policy.toml is a policy."), "{checked}");
        assert!(checked.contains("the processor's temperature: held at"), "{checked}");
        assert!(checked.contains("now 52 °C"), "{checked}");
        if text.contains("zone = ") {
            assert!(text.contains("zone = \"Europe/Berlin\"") && checked.contains("Europe/Berlin"), "{text}");
        }
    }
    let wrong = policy(&machine, folder.path(), &["preset", "quietnight"]).failure(2).stderr();
    assert!(wrong.contains("did you mean `quiet-night`?"), "{wrong}");
    let wrong = policy(&machine, folder.path(), &["preset", "solar", "--zone", "Berlin"]).failure(2).stderr();
    assert!(wrong.contains("no time zone"), "{wrong}");
}

#[test]
fn a_wrong_policy_is_told_by_file_line_and_key() {
    let (machine, folder) = (MachineStandIn::new(LAPTOP), scratch());
    fs::write(folder.path().join("policy.toml"), "[temperature]\ngpu = { targt = 70 }\n").expect("room");
    let told = policy(&machine, folder.path(), &["check", "policy.toml"]).failure(2).stderr();
    for part in ["policy.toml", "line 2", "targt", "`target`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    fs::write(folder.path().join("policy.toml"), "[devices]\n\"No such card\" = false\n").expect("room");
    let told = policy(&machine, folder.path(), &["check", "policy.toml"]).success().stderr();
    assert!(told.contains("no device here is called \"No such card\""), "{told}");
}

#[test]
fn what_would_happen_now_follows_the_sensors() {
    let (machine, folder) = (MachineStandIn::new(LAPTOP), scratch());
    let check = |change: &str, expected: &str, words: &str| {
        machine.write(LAPTOP);
        machine.write(change);
        let told = explained(&machine, folder.path(), &[]);
        assert_eq!(told["decided"]["decision"]["do"], expected, "{change}: {told}");
        assert!(told["words"].as_str().expect("words").contains(words), "{change}: {told}");
    };
    check("", "run", "Runs at a duty of");
    check("sys/class/hwmon/hwmon1/temp1_input 95000", "pause", "at 95 °C, and its limit is 90 °C");
    check("sys/class/hwmon/hwmon1/temp1_input 0", "pause", "reads 0 °C, which cannot be");
    check("sys/class/hwmon/hwmon1/temp1_input 255000", "pause", "reads 255 °C, which cannot be");
    check("sys/class/hwmon/hwmon1/temp1_input", "pause", "can no longer be read");
    check("sys/class/power_supply/AC/online 0", "pause", "runs on its battery");
}

#[test]
fn the_provider_s_own_policy_is_explained() {
    let (machine, folder) = (MachineStandIn::new(LAPTOP), scratch());
    machine.write("proc/77/comm blender");
    fs::create_dir(folder.path().join("provider")).expect("room");
    let text = "[owner]\nprograms = [\"blender\"]\nfullscreen = true\n";
    fs::write(folder.path().join("provider/policy.toml"), text).expect("room");
    let told = explained(&machine, folder.path(), &[]);
    assert_eq!(told["decided"]["decision"]["do"], "refuse", "{told}");
    let words = told["words"].as_str().expect("words");
    assert!(words.contains("\"blender\" runs") && words.contains("covers the screen"), "{words}");
    // For people: the same, and why a sensor says nothing.
    let told = policy(&machine, folder.path(), &["explain"]).success();
    assert!(told.stderr().contains("provider/policy.toml"), "{}", told.stderr());
    assert!(told.stdout().contains("Takes no work, because"), "{}", told.stdout());
    assert!(told.stdout().contains("name your games and players in `owner.programs`"), "{}", told.stdout());
    // Another one may be asked about.
    fs::write(folder.path().join("other.toml"), "").expect("room");
    let told = explained(&machine, folder.path(), &["other.toml"]);
    assert_eq!(told["decided"]["decision"]["do"], "run", "{told}");
}

#[test]
fn a_recorded_day_is_drawn() {
    let (machine, folder) = (MachineStandIn::new(""), scratch());
    let mut trace = String::from("time,ambient_c,idle_s,on_battery,metered\n");
    for minute in 0..24 * 60 {
        let (hour, minute) = (minute / 60, minute % 60);
        let idle_s = if (8..22).contains(&hour) { 5 } else { 3600 };
        trace += &format!("2026-11-23T{hour:02}:{minute:02}:00Z,21,{idle_s},false,false\n");
    }
    fs::write(folder.path().join("day.csv"), trace).expect("room");
    fs::write(folder.path().join("policy.toml"), "[owner]\nidle-minutes = 5\n").expect("room");
    let arguments = ["simulate", "policy.toml", "--trace", "day.csv", "--out", "day.svg"];
    let told = policy(&machine, folder.path(), &arguments).success().stdout();
    assert!(told.contains("for you: you used the machine"), "{told}");
    let svg = fs::read_to_string(folder.path().join("day.svg")).expect("the picture is there");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    let report = policy(&machine, folder.path(), &[&arguments[..], &["--json"]].concat()).success().json();
    let ran_s = report["summary"]["ran_s"].as_f64().expect("a number");
    assert!((9.0..10.5).contains(&(ran_s / 3600.0)), "it runs in the ten hours of the night: {report}");
}

#[test]
fn the_schema_of_a_policy_is_printed() {
    let mut command = command();
    command.args(["schema", "policy"]);
    let schema = finish(command).success().json();
    assert!(schema["properties"]["temperature"].is_object(), "{schema}");
}
