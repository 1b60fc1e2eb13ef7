//! The command's own face: help, devices, selftest, inspect, and one JSON object where it is asked for.

use anneal_tests::{anneal, component};

#[test]
fn every_backend_passes_the_selftest() {
    let report = anneal(["selftest", "--json"]).success().json();
    let backends = report["backends"].as_array().expect("backends");
    let named = |name: &str| backends.iter().any(|backend| backend["device"]["backend"] == name);
    assert!(named("cpu") && named("gpu"), "{report}");
    for backend in backends {
        assert!(backend["vectors"].as_u64().is_some_and(|vectors| vectors > 50), "{backend}");
        assert_eq!(backend["failures"].as_array().map(Vec::len), Some(0), "{backend}");
    }
}

#[test]
fn devices_are_listed_and_a_software_gpu_is_called_one() {
    let report = anneal(["devices", "--json"]).success().json();
    let devices = report["devices"].as_array().expect("devices");
    assert!(devices.iter().any(|device| device["backend"] == "cpu"), "{report}");
    for device in devices {
        let name = device["name"].as_str().expect("a device has a name");
        assert_eq!(device["software"].as_bool().expect("told"), name.contains("llvmpipe"), "{device}");
    }
}

#[test]
fn the_doctor_says_what_holds_a_stranger() {
    let asked = anneal(["doctor", "--json"]);
    let report = asked.json();
    let strangers = report["strangers"].as_bool().expect("told");
    assert_eq!(asked.status(), i32::from(!strangers), "{report}");
    let minimum = report["minimum"].as_array().expect("named");
    for process in ["worker", "compiler"] {
        let layers = report[process]["layers"].as_array().expect("layers");
        let holds = |name: &serde_json::Value| {
            layers.iter().any(|layer| layer["layer"] == *name && layer["state"] == "enforced")
        };
        assert!(!strangers || minimum.iter().all(holds), "{report}");
        assert!(layers.iter().all(|layer| holds(&layer["layer"]) || layer["advice"].is_string()), "{report}");
    }
    for gpu in report["gpus"].as_array().expect("gpus") {
        assert!(gpu["fault"].is_null(), "it does not compute in a confined worker: {gpu}");
    }
}

#[test]
fn a_job_imports_nothing_but_the_contract() {
    for guest in ["examples/hello", "examples/digits", "examples/mnist"] {
        let component = component(guest);
        let report = anneal(["inspect".as_ref(), component.as_os_str(), "--json".as_ref()]).success().json();
        assert_eq!(report["wasi"], false, "{report}");
        for import in report["imports"].as_array().expect("imports") {
            assert!(import.as_str().is_some_and(|name| name.starts_with("anneal:job/")), "{report}");
        }
    }
}

#[test]
fn help_names_every_command() {
    let help = anneal(["--help"]).success().stdout();
    for command in [
        "new", "build", "inspect", "run", "verify", "selftest", "devices", "doctor", "setup", "provide",
        "status", "pause", "resume", "finish", "service",
    ] {
        assert!(help.contains(command), "{command} is not in: {help}");
    }
    assert!(!help.contains("__"), "{help}");
}
