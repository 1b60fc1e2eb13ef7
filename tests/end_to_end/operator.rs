//! Operating a coordinator: the guide for failing machines is followed word for word, and what may go wrong ends with
//! a word that says what to do.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anneal_tests::{
    Finished, command, component, finish,
    postgres::Cluster,
    process::{Process, wait_until},
    scratch, workspace,
};

const START_TIME: Duration = Duration::from_secs(60);
const GUIDE: &str = "host/coordinator/FAILOVER.md";

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// The commands of a section of the guide, in order.
fn commands(section: &str) -> String {
    let guide = fs::read_to_string(workspace().join(GUIDE)).expect("the guide");
    let section = guide.split("\n## ").find(|part| part.starts_with(section)).expect("the section");
    let blocks = section.split("```sh\n").skip(1);
    let commands: Vec<&str> = blocks.map(|block| block.split("```").next().expect("its end")).collect();
    assert!(commands.len() >= 3, "{commands:?}");
    commands.concat()
}

/// Runs commands as one who follows the guide, with these variables; everything that they start ends with them.
fn follow(commands: &str, folder: &Path, variables: &[(&str, &str)]) -> Finished {
    let program = command().get_program().to_owned();
    let programs = Path::new(&program).parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").expect("a path");
    // What is in the background when a command fails must not outlive the test.
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{commands}");
    let mut bash = Command::new("timeout");
    bash.args(["300", "bash", "-c", &script]).env("PATH", format!("{programs}:{path}"));
    bash.env("ANNEAL_DATA", folder.join("data")).env("ANNEAL_CACHE", folder.join("cache"));
    bash.envs(variables.iter().copied()).stdin(Stdio::null());
    finish(bash)
}

#[test]
fn the_guide_for_two_machines_holds() {
    let folder = scratch();
    let cluster = Cluster::shared();
    let (store, first, second) = (cluster.database(), free_address(), free_address());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (one, two, blobs) = (at("one"), at("two"), at("blobs"));
    let variables = [
        ("ONE", one.as_str()),
        ("TWO", &two),
        ("STORE", &store),
        ("BLOBS", &blobs),
        ("FIRST", &first),
        ("SECOND", &second),
    ];
    let done = follow(&commands("Two machines"), folder.path(), &variables).success();
    assert!(done.stdout().contains("0 blobs"), "it was checked:\n{}", done.stdout());
}

#[test]
fn the_guide_for_one_machine_holds() {
    let folder = scratch();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (own, backup, new, address) = (at("own"), at("backup"), at("new"), free_address());
    let variables = [("FOLDER", own.as_str()), ("BACKUP", &backup), ("NEW", &new), ("ADDRESS", &address)];
    let done = follow(&commands("One machine"), folder.path(), &variables).success();
    assert!(done.stdout().contains("goes on after entry"), "it was restored:\n{}", done.stdout());
    let key = |folder: &str| fs::read(Path::new(folder).join("key")).expect("a key");
    assert_eq!(key(&own), key(&new));
}

/// The command with data of the test's own.
fn anneal_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut anneal = command();
    anneal.env("ANNEAL_DATA", folder.join("data")).env("ANNEAL_CACHE", folder.join("cache")).args(arguments);
    anneal
}

/// A coordinator in this folder, once it listens; and its address.
fn serve(folder: &Path, own: &str) -> (Process, String) {
    let serve = anneal_in(folder, &["coordinator", "--listen", "127.0.0.1:0", "--folder", own]);
    let process = Process::start(serve, &folder.join("coordinator.log"));
    let url =
        || process.said().lines().find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    assert!(wait_until(START_TIME, || url().is_some()), "{}", process.said());
    let url = url().expect("it listens");
    (process, url)
}

#[test]
fn a_second_process_ends_with_a_word_and_a_damaged_state_is_found_at_start() {
    let folder = scratch();
    let own = folder.path().join("own").display().to_string();
    let (mut running, _) = serve(folder.path(), &own);
    let second = ["coordinator", "--listen", "127.0.0.1:0", "--folder", &own];
    let refused = finish(anneal_in(folder.path(), &second)).failure(1);
    assert!(refused.stderr().contains("another coordinator works in"), "{}", refused.stderr());
    running.kill();

    // Somebody's disk puts another page where one of ours was.
    let check = ["coordinator", "check", "--folder", &own, "--json"];
    let whole = finish(anneal_in(folder.path(), &check)).success().json();
    assert!(whole["rows"].as_u64().is_some_and(|rows| rows > 0), "{whole}");
    let state = Path::new(&own).join("state.sqlite");
    let mut bytes = fs::read(&state).expect("its state");
    // What was in the journal is in the file by now: the check opened and closed it.
    assert!(bytes.len() > 8 * 4096, "{} bytes", bytes.len());
    bytes[4096..8 * 4096].fill(0xa5);
    fs::write(&state, bytes).expect("written");
    let damaged = finish(anneal_in(folder.path(), &check)).failure(1);
    assert_eq!(damaged.json()["error"]["code"], "damaged", "{}", damaged.stdout());
    let refused = finish(anneal_in(folder.path(), &second)).failure(1);
    assert!(
        refused.stderr().contains("damaged") || refused.stderr().contains("database"),
        "{}",
        refused.stderr()
    );
}

#[test]
fn a_ban_is_set_by_the_command_and_stands_in_the_log() {
    let folder = scratch();
    let own = folder.path().join("own").display().to_string();
    let (_running, url) = serve(folder.path(), &own);
    let jobs = ["jobs", "--coordinator", &url, "--json"];
    finish(anneal_in(folder.path(), &jobs)).success();
    let key = fs::read_to_string(folder.path().join("data/developer/key")).expect("the developer's key");
    let identity = anneal_api::SecretKey::parse(&key).expect("a key").identity().to_string();
    let set = |word: &str, reason: &str| {
        let arguments = ["coordinator", word, &identity, "--reason", reason, "--folder", &own, "--json"];
        finish(anneal_in(folder.path(), &arguments))
    };
    assert_eq!(set("ban", "it floods").success().json()["banned"], true);
    let refused = finish(anneal_in(folder.path(), &jobs)).failure(2);
    assert_eq!(refused.json()["error"]["code"], "banned", "{}", refused.stdout());
    assert_eq!(set("unban", "it was mended").success().json()["banned"], false);
    finish(anneal_in(folder.path(), &jobs)).success();
    let log = folder.path().join("log.jsonl").display().to_string();
    finish(anneal_in(folder.path(), &["audit", &url, "--save", &log])).success();
    let log = fs::read_to_string(log).expect("the log");
    assert!(log.contains("it floods") && log.contains("it was mended"));
    // Who has not the coordinator's key is told so.
    let other = folder.path().join("nobody").display().to_string();
    let refused =
        ["coordinator", "ban", &identity, "--reason", "x", "--folder", &other, "--coordinator", &url];
    let refused = finish(anneal_in(folder.path(), &refused)).failure(2);
    assert!(refused.stderr().contains("it has no key"), "{}", refused.stderr());
}

#[test]
fn settings_come_from_the_folder_and_what_means_nothing_is_refused() {
    let folder = scratch();
    let own = folder.path().join("own");
    let listen = free_address();
    fs::create_dir(&own).expect("a folder");
    #[cfg(unix)]
    fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("its rights");
    let text =
        format!("listen = \"{listen}\"\n[limits]\nidentity_bytes_max = 12345\n[grants]\ndeveloper = 7\n");
    fs::write(own.join("coordinator.toml"), text).expect("a file");
    let own = own.display().to_string();
    let serve = anneal_in(folder.path(), &["coordinator", "--folder", &own]);
    let running = Process::start(serve, &folder.path().join("log"));
    let url = format!("http://{listen}");
    assert!(wait_until(START_TIME, || running.said().contains(&url)), "{}", running.said());
    let about = finish(curl(&format!("{url}/v1/about"))).success().json();
    assert_eq!(about["limits"]["identity_bytes_max"], 12345);
    drop(running);
    fs::write(Path::new(&own).join("coordinator.toml"), "[limits]\nblobs = 1\n").expect("a file");
    let refused = finish(anneal_in(folder.path(), &["coordinator", "--folder", &own])).failure(2);
    assert!(
        refused.stderr().contains("coordinator.toml") && refused.stderr().contains("blobs"),
        "{}",
        refused.stderr()
    );
}

fn curl(url: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-fsS", url]);
    curl
}

/// A component that no provider would run ends its job, with the reason and without a lease.
#[test]
fn a_component_that_cannot_be_admitted_ends_its_job() {
    let folder = scratch();
    let own = folder.path().join("own").display().to_string();
    let (_running, url) = serve(folder.path(), &own);
    // A real job, whose component is then another file: what a developer's own client would send.
    let good = fs::read(component("examples/hello")).expect("a component");
    let mut bad = good.clone();
    // In the middle of its code.
    let middle = bad.len() / 2;
    bad[middle..middle + 64].fill(0xff);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let view = runtime.block_on(async {
        let key = std::sync::Arc::new(anneal_api::SecretKey::generate().expect("random"));
        let options = anneal_api::ClientOptions::new(url.parse().expect("a URL"), key);
        let client = anneal_api::Client::connect(options).await.expect("it answers");
        let about = client.about().await.expect("about");
        let path = folder.path().join("bad.wasm");
        fs::write(&path, &bad).expect("a file");
        let blob = anneal_job::Blob { digest: anneal_job::Digest::of(&bad), bytes: bad.len() as u64 };
        client.upload(blob, &path, None, &mut |_, _| {}).await.expect("uploaded");
        let spec = serde_json::json!({
            "component": blob, "inputs_blob": null, "inputs": {}, "seed": 1,
            "plan": { "kind": "train", "segments": 2, "workers": 1 }, "parameters": {},
            "limits": anneal_job::Limits::DEFAULT, "versions": about.versions.task,
            "redundancy": 2, "requirements": {}, "price_cap": 2000, "gas_expected": null,
            "allow": [], "private": true, "test": false, "component_signature": null,
        });
        let spec = serde_json::from_value(spec).expect("a job");
        let job = anneal_api::wire::SubmitJob { name: "bad".to_owned(), nonce: 1, spec };
        let id = client.submit(&job).await.expect("submitted").job;
        let mut query = anneal_api::wire::JobQuery { wait_ms: Some(10_000), ..Default::default() };
        loop {
            let view = client.job(id, &query).await.expect("the job");
            if view.summary.ended.is_some() {
                break view;
            }
            query.revision = Some(view.revision);
        }
    });
    assert_eq!(view.summary.state, anneal_api::wire::JobState::Failed);
    let reason = view.reason.expect("it says why");
    assert!(reason.contains("cannot be admitted"), "{reason}");
    assert_eq!(view.summary.spent.0, 0);
}
