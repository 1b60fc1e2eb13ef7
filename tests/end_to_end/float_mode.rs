//! A library in our processes that changes how they compute, as one that was linked with -ffast-math does: the real
//! command gives the right digest, or says loudly that the machine is at fault and what changed it.

use anneal_tensor::FloatMode;
use anneal_tests::{Finished, command, component, finish, float_mode::ModeChanger, scratch, workspace};
use serde_json::Value;

/// Runs a guest whose state is made of its own arithmetic.
fn run(backend: &str, prepare: impl Fn(&mut std::process::Command)) -> Finished {
    let out = scratch();
    let mut command = command();
    command.arg("run").arg(component("tests/guests/misbehave"));
    command.arg("--manifest").arg(workspace().join("tests/guests/misbehave/job.toml"));
    command.args(["--backend", backend, "--param", "mode=own-floats", "--json", "--out"]).arg(out.path());
    prepare(&mut command);
    finish(command)
}

fn selftest(prepare: impl Fn(&mut std::process::Command)) -> Finished {
    let mut command = command();
    command.args(["selftest", "--json"]);
    prepare(&mut command);
    finish(command)
}

/// The machine is at fault, and these words are said.
#[track_caller]
fn check_fault(finished: Finished, words: &[&str]) -> Value {
    let report = finished.failure(1).json();
    assert_eq!(report["error"]["kind"], "host-fault", "{report}");
    let message = report["error"]["message"].as_str().expect("an error has a message");
    for words in words {
        assert!(message.contains(words), "`{words}` is not in: {message}");
    }
    report
}

#[test]
fn a_preloaded_library_changes_no_digest_and_no_test_passes_with_it() {
    let changer = ModeChanger::new();
    let expected = run("cpu", |_| {}).success().json()["result"].clone();
    for mode in FloatMode::others_for_tests() {
        let preloaded = run("cpu", |command| changer.preload(command, "load", mode.bits())).success();
        assert_eq!(preloaded.json()["result"], expected, "{mode}");
        let said = preloaded.stderr();
        let words = format!(
            "warning: the floating-point mode of a thread was changed by a library that was loaded \
                             with the program: {mode}"
        );
        assert!(said.contains(&words), "{said}");
        let tested = selftest(|command| changer.preload(command, "load", mode.bits()));
        check_fault(tested, &["a library that was loaded with the program", &mode.to_string()]);
    }
    selftest(|command| changer.preload(command, "load", FloatMode::CANONICAL.bits())).success();
}

#[test]
fn a_layer_of_vulkan_that_changes_the_mode_is_named_by_the_call_and_computes_nothing() {
    let changer = ModeChanger::new();
    let expected = run("cpu", |_| {}).success().json()["result"].clone();
    let harmless = run("gpu", |command| changer.layer(command, "load", FloatMode::CANONICAL.bits()));
    assert_eq!(harmless.success().json()["result"], expected);
    let opening = "the opening of a GPU (wgpu::Adapter::request_device)";
    for (call, culprit) in [
        ("load", "the loading of GPU drivers (wgpu::Instance::new)"),
        ("vkCreateInstance", "the loading of GPU drivers (wgpu::Instance::new)"),
        ("vkCreateDevice", opening),
        ("vkQueueSubmit", "to a GPU (wgpu::Queue::submit)"),
    ] {
        for mode in FloatMode::others_for_tests() {
            let words = [culprit, &mode.to_string()];
            check_fault(run("gpu", |command| changer.layer(command, call, mode.bits())), &words);
            // The processor computes in the same process, and as it must.
            let on_cpu = run("cpu", |command| changer.layer(command, call, mode.bits()));
            assert_eq!(on_cpu.success().json()["result"], expected, "{call} {mode}");
        }
        let mode = FloatMode::others_for_tests().next().expect("there is one");
        let report = check_fault(selftest(|command| changer.layer(command, call, mode.bits())), &[culprit]);
        let backends = report["report"]["backends"].as_array().or(report["backends"].as_array());
        let backends = backends.expect("each backend was tested");
        for backend in backends {
            let failed = !backend["failures"].as_array().expect("a list").is_empty();
            assert_eq!(failed, backend["device"]["backend"] == "gpu", "{backend}");
        }
    }
}
