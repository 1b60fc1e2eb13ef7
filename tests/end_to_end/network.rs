//! A whole network on this machine, in the real command: a coordinator, honest providers, a liar and a copier.

use anneal_tests::{anneal, component, scratch, workspace};
use serde_json::Value;

#[test]
fn a_network_with_cheats_gives_the_undisturbed_result() {
    let out = scratch();
    let alone = out.path().join("alone");
    let digits = component("examples/digits");
    let manifest = workspace().join("examples/digits/job.toml");
    let undisturbed = anneal([
        "run".as_ref(),
        digits.as_os_str(),
        "--manifest".as_ref(),
        manifest.as_os_str(),
        "--workers".as_ref(),
        "2".as_ref(),
        "--backend".as_ref(),
        "cpu".as_ref(),
        "--out".as_ref(),
        alone.as_os_str(),
        "--json".as_ref(),
    ])
    .success()
    .json();
    let folder = out.path().join("network");
    let network =
        anneal(["demo".as_ref(), "--folder".as_ref(), folder.as_os_str(), "--json".as_ref()]).success();
    let report = network.json();
    assert_eq!(report["end"]["result"], undisturbed["result"], "{}", network.stderr());
    assert_eq!(report["end"]["metrics"]["accuracy"], undisturbed["metrics"]["accuracy"]);

    let verdicts = || report["tasks"].as_array().into_iter().flatten();
    let faults: Vec<&Value> =
        verdicts().flat_map(|task| task["verdict"]["faults"].as_array().into_iter().flatten()).collect();
    let operation = faults.iter().find(|fault| fault["finding"] == "operation");
    let operation = operation.unwrap_or_else(|| panic!("the liar is named: {}", network.stderr()));
    assert_ne!(operation["expected"], operation["found"], "{operation}");
    assert!(operation["name"].as_str().is_some_and(|name| !name.is_empty()), "{operation}");

    // Whoever was faulted is no honest provider, and every receipt that counts has its provider's signature.
    for attempt in verdicts().flat_map(|task| task["attempts"].as_array().into_iter().flatten()) {
        if attempt["state"] == "faulted" {
            let provider = attempt["provider"].as_str().expect("a provider");
            assert!(is_cheat(&network.stderr(), &provider[..12]), "{provider}: {}", network.stderr());
        }
    }
    let weights = folder.join("out/state.safetensors");
    let kept = std::fs::read(&weights).expect("weights are fetched");
    assert_eq!(kept, std::fs::read(alone.join("state.safetensors")).expect("the undisturbed weights"));
    let receipts = std::fs::read(folder.join("out/receipts.json")).expect("receipts are kept");
    let receipts: Vec<Value> = serde_json::from_slice(&receipts).expect("receipts are JSON");
    assert!(receipts.len() >= 20, "{} receipts", receipts.len());
}

/// The demo says who is who before it begins.
fn is_cheat(said: &str, provider: &str) -> bool {
    said.lines()
        .any(|line| (line.starts_with("liar") || line.starts_with("copier")) && line.contains(provider))
}
