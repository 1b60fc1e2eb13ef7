//! SIGINT and SIGTERM, in whatever a command is at: it ends by itself, with the status that `anneal --help` names,
//! and says that it was interrupted.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anneal_tests::{
    anneal, command, component,
    process::{signal, wait_until},
    scratch,
};
use serde_json::Value;

/// Nothing here takes so long: a test that hangs shall say where.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command was that a signal ended.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command, sends it a signal once it is there, and waits for its end.
fn interrupted(command: Command, name: &str, is_there: impl Fn(u32) -> bool) -> Ended {
    let line = format!("{command:?}");
    let mut command = with_hangup("--default-signal=HUP", &command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the command starts");
    let id = child.id();
    // A signal before the command listens would kill it as any program.
    let hears = || hears_signals(id) && is_there(id);
    let is_ready = wait_until(PATIENCE, || hears() || child.try_wait().expect("a child").is_some());
    assert!(is_ready && hears(), "{line} is not there");
    signal(id, name);
    let has_ended = wait_until(PATIENCE, || child.try_wait().expect("a child").is_some());
    if !has_ended {
        let _it_is_ours = child.kill();
    }
    let output = child.wait_with_output().expect("its output");
    assert!(has_ended, "{line} does not hear {name}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// SIGHUP, SIGINT and SIGTERM in a process's masks of signals.
const HANGUP: u64 = 1;
const ENDING: u64 = HANGUP | 1 << 1 | 1 << 14;

/// One of a process's masks of signals.
fn mask(id: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Whether a process has handlers for the signals that end it; SIGHUP may be ignored.
fn hears_signals(id: u32) -> bool {
    (mask(id, "SigCgt") | (mask(id, "SigIgn") & HANGUP)) & ENDING == ENDING
}

/// The same command, started so that it has to hear SIGHUP, or so that it has to ignore it.
fn with_hangup(how: &str, command: &Command) -> Command {
    let mut wrapped = Command::new("env");
    wrapped.arg(how).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

fn in_folder(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command();
    command.env("ANNEAL_DATA", folder.join("data")).env("ANNEAL_CACHE", folder.join("cache"));
    command.env_remove("ANNEAL_COORDINATOR").args(arguments);
    command
}

/// It says so, to people and to programs, and ends as it must.
fn check(line: &[&str], folder: &Path, is_there: impl Fn(u32) -> bool) {
    for name in ["INT", "TERM", "HUP"] {
        let ended = interrupted(in_folder(folder, line), name, &is_there);
        assert_eq!(ended.status, Some(1), "{line:?} after {name}: {}", ended.stderr);
        assert!(ended.stderr.contains("error: interrupted"), "{line:?}: {}", ended.stderr);
        let json = [line, &["--json"]].concat();
        let ended = interrupted(in_folder(folder, &json), name, &is_there);
        let object: Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout));
        assert_eq!(object["error"]["kind"], "interrupted", "{json:?} after {name}: {object}");
        assert_eq!((ended.status, &object["command"]), (Some(1), &Value::from(line[0])), "{json:?}");
    }
}

/// Whether it has a worker by now.
fn works(id: u32) -> bool {
    anneal_tests::process::workers_of(id).iter().any(|(word, _)| *word == "__worker")
}

#[test]
fn a_run_and_a_verification_end_where_they_are() {
    let folder = scratch();
    let manifest = folder.path().join("job.toml");
    let text = "[plan]\nkind = \"train\"\n[parameters]\nmode = \"infinite-loop\"\n[limits]\ngas = 1_000_000_000_000_000\n";
    fs::write(&manifest, text).expect("written");
    let guest = component("tests/guests/misbehave");
    let (guest, manifest) = (guest.to_str().expect("text"), manifest.to_str().expect("text"));
    let out = folder.path().join("out");
    let run =
        ["run", guest, "--manifest", manifest, "--backend", "cpu", "--out", out.to_str().expect("text")];
    check(&run, folder.path(), works);
    check(&["verify", guest, "--manifest", manifest], folder.path(), works);
}

/// A server that takes every connection and never says a word.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        let _held: Vec<_> = listener.incoming().collect();
    });
    url
}

#[test]
fn whoever_waits_for_a_coordinator_ends() {
    let folder = scratch();
    let (url, job) = (silent(), "0".repeat(64));
    let hello = component("examples/hello");
    let hello = hello.to_str().expect("text");
    for line in [
        &["jobs", "--coordinator", &url][..],
        &["watch", &job, "--coordinator", &url],
        &["fetch", &job, "--coordinator", &url],
        &["submit", hello, "--manifest", "examples/hello/job.toml", "--yes", "--coordinator", &url],
        &["audit", &url],
    ] {
        check(line, folder.path(), |_| true);
    }
}

/// Where nothing looks at the signal, the process is ended over its head: here it waits for a disk that is a pipe.
#[test]
fn whoever_is_at_something_that_does_not_hear_ends() {
    let folder = scratch();
    let pipe = folder.path().join("out.svg");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let trace = folder.path().join("trace.csv");
    fs::write(&trace, "time,gpu_c\n2026-11-23T12:00:00Z,50\n").expect("written");
    let (trace, pipe) = (trace.to_str().expect("text"), pipe.to_str().expect("text"));
    let line = ["policy", "simulate", "policy/policy.toml", "--trace", trace, "--out", pipe];
    for name in ["INT", "TERM"] {
        let ended = interrupted(in_folder(folder.path(), &line), name, |_| true);
        assert_eq!(ended.status, Some(1), "after {name}: {}", ended.stderr);
        assert!(ended.stderr.contains("error: interrupted"), "{}", ended.stderr);
    }
}

#[test]
fn whoever_serves_leaves_in_good_order() {
    let folder = scratch();
    let place = folder.path().join("coordinator");
    let line = ["coordinator", "--listen", "127.0.0.1:0", "--folder", place.to_str().expect("text")];
    for name in ["INT", "TERM"] {
        let ready =
            || fs::read_to_string(folder.path().join("out")).unwrap_or_default().contains("listening on");
        let mut command = in_folder(folder.path(), &line);
        let said = fs::File::create(folder.path().join("out")).expect("a file");
        let mut child = command.stdout(said).stderr(Stdio::null()).spawn().expect("it starts");
        assert!(wait_until(PATIENCE, || ready() && hears_signals(child.id())));
        signal(child.id(), name);
        assert!(wait_until(PATIENCE, || child.try_wait().expect("a child").is_some()), "it hears {name}");
        assert_eq!(child.wait().expect("it ended").code(), Some(0), "after {name}");
    }
    // Under `nohup`, a terminal that is closed ends nothing.
    let mut ignoring = with_hangup("--ignore-signal=HUP", &in_folder(folder.path(), &line));
    let said = fs::File::create(folder.path().join("out")).expect("a file");
    let mut child = ignoring.stdout(said).stderr(Stdio::null()).spawn().expect("it starts");
    let ready = || fs::read_to_string(folder.path().join("out")).unwrap_or_default().contains("listening on");
    assert!(wait_until(PATIENCE, || ready() && hears_signals(child.id())));
    assert_eq!(mask(child.id(), "SigIgn") & HANGUP, HANGUP, "SIGHUP is left ignored");
    signal(child.id(), "HUP");
    signal(child.id(), "TERM");
    assert_eq!(child.wait().expect("it ended").code(), Some(0));
    let help = anneal(["--help"]).success().stdout();
    assert!(help.contains("SIGTERM") && help.contains("status 1"), "{help}");
}
