//! What a guest must not do, each in the real command with the real worker: one clear error, exit status 1,
//! no panic of ours, no hang. The guest is `tests/guests/misbehave`; its parameter `mode` names the deed.

use anneal_tests::{anneal, component, scratch};

/// A deed, the code of the failure it must end in, and a word that its message must have.
struct Deed(&'static str, &'static str, &'static str);

#[test]
fn refused_calls_end_in_errors() {
    for deed in [
        Deed("wrong-shape", "panic", "[2, 3]"),
        Deed("wrong-shape", "panic", "src/calls.rs:"),
        Deed("wrong-dtype", "error", "cast"),
        Deed("wrong-axis", "error", "axes"),
        Deed("nan-scalar", "error", "NaN"),
        Deed("nan-bytes", "error", "NaN"),
        Deed("short-bytes", "error", "bytes"),
        Deed("rank-9", "error", "rank"),
        Deed("too-large", "error", "split"),
        Deed("size-overflow", "error", "elements"),
        Deed("concat-65", "error", "64"),
        Deed("read-too-much", "error", ""),
        Deed("no-gradient", "error", "derivative"),
        Deed("gradient-of-vector", "error", "mean or sum"),
        Deed("unknown-input", "error", "no-such-input"),
        Deed("row-out-of-range", "error", "row"),
        Deed("bytes-out-of-range", "error", "bytes"),
        Deed("open-state-outside-merge", "error", ""),
        Deed("overflow-read", "error", "2^62"),
        Deed("rows-bomb", "error", "fewer"),
    ] {
        check(&deed);
    }
}

#[test]
fn a_job_that_ends_itself_is_quoted() {
    for deed in [
        Deed("error", "error", "the job says no"),
        Deed("giant-error", "error", "no no"),
        Deed("panic", "panic", "the job panics on purpose"),
        Deed("panic", "panic", "src/calls.rs:"),
        Deed("giant-panic", "panic", "no no"),
        Deed("trap", "trap", "unreachable"),
    ] {
        check(&deed);
    }
}

#[test]
fn bombs_end_at_their_limits() {
    for deed in [
        Deed("infinite-loop", "gas", "limits.gas"),
        Deed("call-loop", "step-nodes", "commit"),
        Deed("deep-history", "step-nodes", "commit"),
        Deed("memory-bomb", "memory", "limits.memory"),
        Deed("tensor-bomb", "tensor-memory", "limits.tensor-memory"),
        Deed("handle-bomb", "handles", "limits.handles"),
        Deed("never-commits", "step-nodes", "commit"),
        Deed("broadcast-bomb", "tensor-memory", ""),
        Deed("history-without-bytes", "tensor-memory", "limits.tensor-memory"),
        Deed("long-walks", "gas", "limits.gas"),
        Deed("computed-again", "gas", "limits.gas"),
    ] {
        check(&deed);
    }
}

#[test]
fn reports_are_bounded() {
    for mode in ["giant-log", "endless-log", "strange-progress", "ok"] {
        run(mode).success();
    }
    for deed in [
        Deed("giant-metric-name", "limit", "64"),
        Deed("too-many-metrics", "limit", "10000"),
        Deed("nan-metric", "overflow", ""),
        Deed("overflow-metric", "overflow", ""),
    ] {
        check(&deed);
    }
}

#[test]
fn what_is_no_state_is_refused() {
    for deed in [
        Deed("state-overflow", "overflow", "2^62"),
        Deed("state-duplicate", "state", ""),
        Deed("state-unnamed", "state", ""),
        Deed("state-giant-name", "state", "256"),
        Deed("state-too-many", "state", "4096"),
        Deed("evaluate-nan", "overflow", ""),
        Deed("evaluate-overflow", "overflow", ""),
        Deed("evaluate-unnamed", "limit", ""),
    ] {
        check(&deed);
    }
}

/// The guest's stack lies in its own memory and runs over there, the same on every machine; where the native
/// stack runs over first, the sandbox's own tests hold that it is a fault of the host.
#[test]
fn deep_recursion_ends_in_a_trap() {
    check(&Deed("recursion", "trap", "deep recursion"));
}

#[test]
fn a_failure_is_the_same_on_both_backends() {
    let on = |backend: &str| {
        let (component, out) = (component("tests/guests/misbehave"), scratch());
        let report = anneal([
            "run".as_ref(),
            component.as_os_str(),
            "--backend".as_ref(),
            backend.as_ref(),
            "--param".as_ref(),
            "mode=overflow-read".as_ref(),
            "--out".as_ref(),
            out.path().as_os_str(),
            "--json".as_ref(),
        ])
        .failure(1)
        .json();
        report["error"].clone()
    };
    assert_eq!(on("cpu"), on("gpu"));
}

fn check(Deed(mode, code, word): &Deed) {
    let finished = run(mode).failure(1);
    let report = finished.json();
    let error = &report["error"];
    assert_eq!(error["kind"], "job-failed", "{mode}: {report}");
    assert_eq!(error["code"], *code, "{mode}: {report}");
    let message = error["message"].as_str().expect("an error has a message");
    assert!(message.contains(word), "{mode}: `{word}` is not in: {message}");
    assert!(message.len() < 10_000, "{mode}: the message has {} bytes", message.len());
}

/// Runs the guest's mode on the CPU, within limits that keep a bomb small.
fn run(mode: &str) -> anneal_tests::Finished {
    let (component, out) = (component("tests/guests/misbehave"), scratch());
    let manifest = anneal_tests::workspace().join("tests/guests/misbehave/job.toml");
    anneal([
        "run".as_ref(),
        component.as_os_str(),
        "--manifest".as_ref(),
        manifest.as_os_str(),
        "--backend".as_ref(),
        "cpu".as_ref(),
        "--param".as_ref(),
        format!("mode={mode}").as_ref(),
        "--out".as_ref(),
        out.path().as_os_str(),
        "--json".as_ref(),
    ])
}
