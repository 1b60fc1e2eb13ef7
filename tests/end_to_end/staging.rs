//! The files a job is made of: what is read, what is refused, what would be uploaded, and what is staged meanwhile.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anneal_tests::{
    Finished, command, component, finish,
    process::{Process, signal, wait_until},
    scratch, workspace,
};

/// Nothing here takes so long: a test that hangs shall say where.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command with a cache and data of its own in this folder.
fn in_folder(folder: &Path) -> Command {
    let mut command = command();
    command.env("ANNEAL_DATA", folder.join("data")).env("ANNEAL_CACHE", folder.join("cache"));
    command.env_remove("ANNEAL_COORDINATOR");
    command
}

fn anneal_in(folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = in_folder(folder);
    command.args(arguments);
    finish(command)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A job that ends by no limit soon, with an input that is staged.
fn endless(folder: &Path) -> PathBuf {
    fs::write(folder.join("secret.csv"), "1,2\n3,4\n").expect("written");
    let manifest = folder.join("job.toml");
    let text = "[plan]\nkind = \"train\"\n[inputs]\ndigits = \"secret.csv\"\n[parameters]\nmode = \"infinite-loop\"\n\
                [limits]\ngas = 1_000_000_000_000_000\n";
    fs::write(&manifest, text).expect("written");
    manifest
}

fn staged(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("cache/staging")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Starts the endless job, and waits until its worker runs.
fn running(folder: &Path, more: &[&str]) -> Process {
    let manifest = endless(folder);
    let guest = component("tests/guests/misbehave");
    let out = folder.join("out");
    let mut command = in_folder(folder);
    command.args([
        "run",
        text(&guest),
        "--manifest",
        text(&manifest),
        "--out",
        text(&out),
        "--backend",
        "cpu",
    ]);
    command.args(more);
    let run = Process::start(command, &folder.join("run.log"));
    let is_there =
        || !staged(folder).is_empty() && run.said().contains("computing on") && !run.workers().is_empty();
    assert!(wait_until(PATIENCE, is_there), "it runs: {}", run.said());
    run
}

#[test]
fn inputs_are_staged_for_their_user_alone_and_go_with_the_run() {
    let folder = scratch();
    for name in ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "ALRM"] {
        let mut run = running(folder.path(), &[]);
        for path in
            staged(folder.path()).iter().flat_map(|path| [path.clone(), path.parent().expect("below").into()])
        {
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
        signal(run.id(), name);
        assert!(wait_until(PATIENCE, || !run.runs()), "it hears {name}");
        assert_eq!(staged(folder.path()), Vec::<PathBuf>::new(), "after {name}: {}", run.said());
    }
    // One that is killed leaves its folder to the next command that stages something.
    let mut run = running(folder.path(), &[]);
    let left = staged(folder.path());
    run.kill();
    assert_eq!(staged(folder.path()), left);
    let hello = component("examples/hello");
    anneal_in(
        folder.path(),
        &[
            "run",
            text(&hello),
            "--manifest",
            "examples/hello/job.toml",
            "--backend",
            "cpu",
            "--out",
            text(&folder.path().join("hello")),
        ],
    )
    .success();
    assert_eq!(staged(folder.path()), Vec::<PathBuf>::new());
}

/// To open a pipe waits for its writer, a device may never end: none of them is opened, whatever it stands for.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = scratch();
    let path = |name: &str| folder.path().join(name);
    let made = Command::new("mkfifo").arg(path("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    let _listener = UnixListener::bind(path("socket")).expect("a socket");
    symlink(path("pipe"), path("link.csv")).expect("a link");
    fs::create_dir_all(path("job")).expect("a folder");
    symlink(path("pipe"), path("job/job.toml")).expect("a link");
    fs::create_dir_all(path("provider")).expect("a folder");
    fs::set_permissions(path("provider"), fs::Permissions::from_mode(0o700)).expect("ours");
    symlink(path("pipe"), path("provider/provider.toml")).expect("a link");
    let coordinator = path("coordinator");
    fs::create_dir_all(&coordinator).expect("a folder");
    let (log, pem) = (path("log"), path("pem"));
    fs::write(&log, format!("{{\"coordinator\":\"{}\"}}\n", "ab".repeat(32))).expect("written");
    fs::write(&pem, "none").expect("written");
    let guest = component("tests/guests/misbehave");
    let refused = |arguments: &[&str]| {
        let refused = anneal_in(folder.path(), arguments);
        let status = refused.status();
        assert!(status == 2 || status == 1, "{arguments:?} ended with {status}: {}", refused.stderr());
        assert!(refused.stderr().contains("error: "), "{arguments:?}: {}", refused.stderr());
        refused.stderr()
    };
    for name in ["pipe", "socket", "link.csv", "/dev/null", "/dev/zero", "job"] {
        let path = text(&path(name)).to_owned();
        let input = format!("digits={path}");
        let manifest = workspace().join("tests/guests/misbehave/job.toml");
        let said = refused(&["run", text(&guest), "--manifest", text(&manifest), "--input", &input]);
        assert!(said.contains("name a file"), "{name}: {said}");
        if name != "job" {
            refused(&["run", &path]);
            refused(&["inspect", &path]);
        }
        let said = refused(&["run", text(&guest), "--manifest", &path]);
        assert!(said.contains("is no file"), "{name}: {said}");
        refused(&["policy", "check", &path]);
        refused(&["policy", "explain", &path]);
        refused(&["run", "examples/hello", "--entry", "evaluate", "--state", &path]);
        refused(&[
            "policy",
            "simulate",
            "policy/policy.toml",
            "--trace",
            &path,
            "--out",
            text(&folder.path().join("x.svg")),
        ]);
        refused(&["provide", "--coordinator", "http://127.0.0.1:1", "--policy", &path, "--no-page"]);
        refused(&["audit", &path]);
        refused(&["audit", text(&log), "--receipts", &path]);
        let serve = ["coordinator", "--listen", "127.0.0.1:0", "--folder", text(&coordinator)];
        for flag in ["--settings", "--rules"] {
            refused(&[&serve[..], &[flag, &path]].concat());
        }
        refused(&[&serve[..], &["--certificate", &path, "--key", text(&pem)]].concat());
        refused(&[&serve[..], &["--certificate", text(&pem), "--key", &path]].concat());
    }
    let said = refused(&["run", text(&path("job"))]);
    assert!(said.contains("is no file"), "{said}");
    symlink(path("pipe"), coordinator.join("coordinator.toml")).expect("a link");
    refused(&["coordinator", "--listen", "127.0.0.1:0", "--folder", text(&coordinator)]);
    refused(&["provide", "--folder", text(&path("provider"))]);
}

/// Two runs in one directory would write over each other; and what a killed one left is in nobody's way.
#[test]
fn a_directory_is_one_runs_at_a_time() {
    let folder = scratch();
    let mut run = running(folder.path(), &[]);
    let (guest, manifest, out) =
        (component("tests/guests/misbehave"), folder.path().join("job.toml"), folder.path().join("out"));
    let again = ["run", text(&guest), "--manifest", text(&manifest), "--out", text(&out), "--backend", "cpu"];
    for second in [
        &again[..],
        &["run", text(&guest), "--manifest", text(&manifest), "--resume", text(&out), "--backend", "cpu"],
    ] {
        let said = anneal_in(folder.path(), second).failure(2).stderr();
        assert!(said.contains("another `anneal run` works in") && said.contains("--out"), "{said}");
    }
    run.kill();
    // As a run leaves it that is killed before its first report.
    fs::remove_file(out.join("result.json")).expect("it was there");
    let _there_may_be_none = fs::remove_dir_all(out.join("segments"));
    fs::write(out.join(".result.json.1-0.part"), "{").expect("written");
    let hello = component("examples/hello");
    let line = [
        "run",
        text(&hello),
        "--manifest",
        "examples/hello/job.toml",
        "--backend",
        "cpu",
        "--out",
        text(&out),
    ];
    anneal_in(folder.path(), &line).success();
    assert!(!out.join(".result.json.1-0.part").exists());
}

/// A disk that is full makes no success, whatever was computed.
#[test]
fn output_that_is_lost_is_an_error() {
    let folder = scratch();
    for line in [&["devices", "--json"][..], &["policy", "preset"], &["--version"], &["schema", "job"]] {
        let mut command = in_folder(folder.path());
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
        let output = command.args(line).stdout(full).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line:?}: {said}");
        assert!(said.contains("the output could not be written"), "{line:?}: {said}");
    }
}

#[test]
fn an_empty_table_is_an_error() {
    let folder = scratch();
    for (name, bytes) in [("empty.csv", ""), ("blank.csv", "\n\n"), ("header.csv", "x,y\n")] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        let input = format!("digits={}", path.display());
        let said =
            anneal_in(folder.path(), &["run", "examples/digits", "--input", &input]).failure(2).stderr();
        assert!(said.contains("no row of numbers") && said.contains(name), "{said}");
    }
}

/// A manifest may be a stranger's: what it names outside of its folder is neither read nor uploaded for `submit` and
/// `quote`, unless the owner says so.
#[test]
fn a_manifest_uploads_nothing_from_outside_of_its_folder() {
    let folder = scratch();
    let job = folder.path().join("job");
    fs::create_dir_all(job.join("data")).expect("a folder");
    fs::write(folder.path().join("secret.csv"), "1\n").expect("written");
    fs::write(job.join("data/own.csv"), "1\n").expect("written");
    symlink("../secret.csv", job.join("link.csv")).expect("a link");
    symlink(folder.path(), job.join("up")).expect("a link");
    symlink("data/own.csv", job.join("inner.csv")).expect("a link");
    let guest = component("tests/guests/misbehave");
    fs::copy(&guest, job.join("guest.wasm")).expect("copied");
    fs::copy(&guest, folder.path().join("guest.wasm")).expect("copied");
    // It is no coordinator: who gets as far as asking it has read everything.
    let url = crate::strangers::coordinator_that_says(200, "none".to_owned());
    let submit = |manifest: &str, more: &[&str]| {
        fs::write(job.join("job.toml"), manifest).expect("written");
        let at = ["--yes", "--coordinator", &url, "--json"];
        ["submit", "quote"].map(|command| {
            let line = [&[command, text(&job)][..], &at, more].concat();
            anneal_in(folder.path(), &line).json()["error"].clone()
        })
    };
    let secret = text(&folder.path().join("secret.csv")).to_owned();
    for path in
        [&secret, "../secret.csv", "link.csv", "up/secret.csv", "data/../../secret.csv", "/etc/hostname"]
    {
        for input in [format!("x = \"{path}\""), format!("x = {{ path = \"{path}\", format = \"raw\" }}")] {
            let manifest = format!("component = \"guest.wasm\"\n[inputs]\n{input}\n");
            for error in submit(&manifest, &[]) {
                let message = error["message"].as_str().expect("words");
                assert_eq!(error["kind"], "bad-input", "{path}: {error}");
                assert!(message.contains("--allow-outside") && message.contains("`x`"), "{path}: {error}");
            }
            for error in submit(&manifest, &["--allow-outside"]) {
                assert!(error["kind"] == "network" || path == "/etc/hostname", "{path}: {error}");
            }
        }
    }
    for component in ["../guest.wasm", "up/guest.wasm", text(&folder.path().join("guest.wasm"))] {
        for error in submit(&format!("component = \"{component}\"\n"), &[]) {
            assert!(
                error["message"].as_str().is_some_and(|words| words.contains("--allow-outside")),
                "{error}"
            );
        }
    }
    for path in ["data/own.csv", "inner.csv", "./data/own.csv", "up/job/data/own.csv"] {
        let manifest = format!("component = \"guest.wasm\"\n[inputs]\nx = \"{path}\"\n");
        for error in submit(&manifest, &[]) {
            assert_eq!(error["kind"], "network", "{path}: {error}");
        }
    }
    // Whoever names a file on the command line means it.
    let manifest = "component = \"guest.wasm\"\n[inputs]\nx = \"data/own.csv\"\n";
    for error in submit(manifest, &["--input", &format!("x={secret}")]) {
        assert_eq!(error["kind"], "network", "{error}");
    }
}
