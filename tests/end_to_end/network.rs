//! A whole network on this machine, in the real command: a coordinator, honest providers, a liar and a copier.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anneal_tests::{Finished, anneal, command, component, finish, scratch, workspace};
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

    let job = report["summary"]["id"].as_str().expect("the job's id");
    let coordinator = Served::start(&folder.join("coordinator"));
    the_log_holds(&coordinator, &folder);
    verdicts_can_be_repeated(&coordinator, &folder, job);
}

/// A coordinator that goes on with what the demo left.
struct Served {
    process: Child,
    url: String,
}

impl Served {
    fn start(folder: &Path) -> Served {
        let mut serve = command();
        serve.args(["coordinator", "--listen", "127.0.0.1:0", "--folder"]).arg(folder);
        let mut process = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        let said = process.stdout.take().expect("its stdout");
        BufReader::new(said).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("listening on ").expect("its address").to_owned();
        Served { process, url }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command as somebody with this data folder.
fn as_owner_of(data: &Path, arguments: &[&str]) -> Finished {
    let mut run: Command = command();
    run.env("ANNEAL_DATA", data).args(arguments);
    finish(run)
}

/// The log is checked live and from a file, the kept receipts are in it, and what is changed is named.
fn the_log_holds(coordinator: &Served, folder: &Path) {
    let text = |path: &Path| path.to_str().expect("plain paths").to_owned();
    let (saved, changed) = (text(&folder.join("log.jsonl")), text(&folder.join("changed.jsonl")));
    let receipts = text(&folder.join("out/receipts.json"));
    let live = as_owner_of(
        folder,
        &["audit", &coordinator.url, "--save", &saved, "--receipts", &receipts, "--json"],
    );
    let log = live.success().json()["logs"][0].clone();
    assert!(log["verdicts"].as_u64().is_some_and(|verdicts| verdicts >= 10), "{log}");
    assert!(log["commitments"].as_u64().is_some_and(|commitments| commitments >= 20), "{log}");
    assert!(log["receipts_found"].as_u64().is_some_and(|found| found >= 20), "{log}");

    let mirrors = as_owner_of(folder, &["audit", &saved, &coordinator.url, "--json"]).success().json();
    assert!(mirrors["mirrors"][0]["agree_to"].as_u64() >= log["entries"].as_u64(), "{mirrors}");
    assert_eq!(mirrors["mirrors"][0]["fork"], Value::Null);

    // One credit more for somebody: the chain shows where.
    let kept = std::fs::read_to_string(&saved).expect("the saved log");
    let forged = kept.replacen(r#"\"credits\":"#, r#"\"credits\":1"#, 1);
    assert_ne!(kept, forged);
    std::fs::write(&changed, forged).expect("a file");
    let refused = as_owner_of(folder, &["audit", &changed, "--json"]).failure(1);
    let error = refused.json()["error"].clone();
    assert_eq!(error["kind"], "does-not-hold", "{error}");
    assert!(error["message"].as_str().is_some_and(|words| words.contains("it was changed")), "{error}");
}

/// Every verdict that faults somebody is repeated down to its operation; a stranger needs the owner's grant.
fn verdicts_can_be_repeated(coordinator: &Served, folder: &Path, job: &str) {
    let at = ["--coordinator", &coordinator.url, "--json"];
    let run = |data: &Path, arguments: &[&str]| as_owner_of(data, &[arguments, &at[..]].concat());
    let report = run(folder, &["replay", job]).success().json();
    let tasks = report["tasks"].as_array().expect("tasks");
    let faults: Vec<&Value> =
        tasks.iter().flat_map(|task| task["faults"].as_array().into_iter().flatten()).collect();
    let operation = faults.iter().find(|fault| fault["finding"] == "operation").expect("the lie");
    assert_eq!((&operation["here"], &operation["holds"]), (&operation["expected"], &Value::Bool(true)));

    let stranger = scratch();
    let verdict = format!("{job}/0");
    let refused = run(stranger.path(), &["replay", &verdict]).failure(2);
    assert_eq!(refused.json()["error"]["code"], "not-found");
    let grant = run(folder, &["grant", job]).success().json()["grant"].clone();
    let granted = run(stranger.path(), &["replay", &verdict, "--grant", grant.as_str().expect("a grant")]);
    // A stranger's component is run where the worker can be confined, and nowhere else.
    if anneal(["doctor", "--json"]).status() == 0 {
        assert_eq!(granted.success().json()["tasks"][0]["verdict"][0]["holds"], true);
    } else {
        granted.failure(1);
    }
}

/// The demo says who is who before it begins.
fn is_cheat(said: &str, provider: &str) -> bool {
    said.lines()
        .any(|line| (line.starts_with("liar") || line.starts_with("copier")) && line.contains(provider))
}
