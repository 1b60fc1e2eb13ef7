//! Real training in the real worker: equal digests on every backend, the accuracy that is promised, resuming,
//! several workers, evaluating a kept state.

use anneal_tests::{Finished, anneal, component, scratch};

/// Epochs enough to be a training, few enough for a software GPU.
const SHORT: [&str; 4] = ["--param", "epochs=3", "--param", "hidden=64"];

#[test]
fn cpu_and_gpu_give_one_hash() {
    let cpu = digits(&["--backend", "cpu"]).success().json();
    let gpu = digits(&["--backend", "gpu"]).success().json();
    assert!(cpu["result"].as_str().is_some_and(|hash| hash.len() == 64), "{cpu}");
    assert_eq!(cpu["result"], gpu["result"]);
    assert_eq!(cpu["metrics"], gpu["metrics"]);
    let digests = |report: &serde_json::Value| -> Vec<serde_json::Value> {
        report["tasks"].as_array().expect("tasks").iter().map(|task| task["result"].clone()).collect()
    };
    assert_eq!(digests(&cpu), digests(&gpu));
}

#[test]
fn the_digits_are_learned() {
    let fold = |fold: usize| {
        let held_out = format!("fold={fold}");
        let component = component("examples/digits");
        let report = anneal([
            "run".as_ref(),
            component.as_os_str(),
            "--manifest".as_ref(),
            "examples/digits/job.toml".as_ref(),
            "--backend".as_ref(),
            "cpu".as_ref(),
            "--json".as_ref(),
            "--param".as_ref(),
            held_out.as_ref(),
        ])
        .success()
        .json();
        report["metrics"]["accuracy"].as_f64().expect("digits report their accuracy")
    };
    let accuracies: Vec<f64> = (0..5).map(fold).collect();
    let mean = accuracies.iter().sum::<f64>() / 5.0;
    assert!(mean >= 0.97, "a mean accuracy of {mean} over {accuracies:?}");
}

#[test]
fn a_seed_changes_the_hash_and_nothing_else_does() {
    let hash =
        |more: &[&str]| digits(&[&["--backend", "cpu"], more].concat()).success().json()["result"].clone();
    assert_eq!(hash(&[]), hash(&[]));
    assert_ne!(hash(&[]), hash(&["--seed", "1"]));
}

#[test]
fn an_interrupted_run_ends_with_the_same_hash() {
    let folder = scratch();
    let whole = folder.path().join("whole");
    let resumed = folder.path().join("resumed");
    let out = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let expected = digits(&["--backend", "cpu", "--out", &out(&whole)]).success().json();
    digits(&["--backend", "cpu", "--out", &out(&resumed)]).success();
    // As if it had been killed after the first segment: later states and the report of them are gone.
    let report = resumed.join("result.json");
    let text = std::fs::read_to_string(&report).expect("a run leaves its report");
    let mut kept: serde_json::Value = serde_json::from_str(&text).expect("the report is JSON");
    let tasks = kept["tasks"].as_array_mut().expect("tasks");
    for task in tasks.drain(2..) {
        if let Some(file) = task["file"].as_str() {
            std::fs::remove_file(resumed.join(file)).expect("a state was kept");
        }
    }
    kept["result"] = serde_json::Value::Null;
    std::fs::write(&report, kept.to_string()).expect("scratch is writable");
    let after = digits(&["--backend", "gpu", "--resume", &out(&resumed)]).success().json();
    assert_eq!(expected["result"], after["result"]);
    assert_eq!(expected["state"], after["state"]);
}

#[test]
fn several_workers_merge_to_one_hash() {
    let workers = ["--workers", "2"];
    let cpu = digits(&[&["--backend", "cpu"], &workers[..]].concat()).success().json();
    let gpu = digits(&[&["--backend", "gpu"], &workers[..]].concat()).success().json();
    assert_eq!(cpu["result"], gpu["result"]);
    let merges =
        cpu["tasks"].as_array().expect("tasks").iter().filter(|task| task["entry"] == "merge").count();
    assert!(merges >= 1, "{cpu}");
}

#[test]
fn a_kept_state_can_be_evaluated_again() {
    let folder = scratch();
    let out = folder.path().to_string_lossy().into_owned();
    let trained = digits(&["--backend", "cpu", "--out", &out]).success().json();
    let state = format!("{out}/state.safetensors");
    let again = digits(&["--backend", "cpu", "--entry", "evaluate", "--state", &state]).success().json();
    assert_eq!(trained["metrics"]["accuracy"], again["metrics"]["accuracy"]);
}

#[test]
fn hello_says_hello() {
    let report = anneal(["run", "examples/hello", "--backend", "cpu", "--json"]).success().json();
    assert!(report["result"].is_string(), "{report}");
}

/// A short training of the digits.
fn digits(more: &[&str]) -> Finished {
    let component = component("examples/digits").to_string_lossy().into_owned();
    let fixed = ["run", &component, "--manifest", "examples/digits/job.toml", "--json"];
    anneal(fixed.iter().chain(&SHORT).chain(more))
}
