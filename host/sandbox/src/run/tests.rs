//! Every way a run can end, each by a guest of a few instructions.

use std::time::{Duration, Instant};

use anneal_job::{FailureCode, FaultCode, Limits, Outcome, Versions};
use anneal_tensor::Pace;

use super::*;
use crate::{
    VERSIONS,
    compile::in_process,
    testing::{Guest, guest, reference, task},
};

/// An answer `ok` without tensors.
const OK: &str = "(i32.const 0)";
const FOREVER: &str = "(loop $forever (br $forever)) (unreachable)";
/// A tensor without axes, its handle at 2052.
const FULL: &str = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const 100) (i32.const 2048))";

fn run(component: &[u8], limits: Limits, options: RunOptions) -> (Outcome, Vec<Event>) {
    let (compiled, _info) = in_process(component).expect("the test's guest compiles");
    let mut events = Vec::new();
    let mut observer = |event| events.push(event);
    let task = task(component, limits);
    let (outcome, _state) =
        run_task(&compiled, &task, &Inputs::default(), Vec::new(), &mut reference(), &mut observer, options);
    (outcome, events)
}

fn ends(component: &[u8], limits: Limits) -> Outcome {
    run(component, limits, RunOptions::default()).0
}

#[track_caller]
fn check_failure(component: &[u8], limits: Limits, code: FailureCode, words: &str) {
    match ends(component, limits) {
        Outcome::GuestFailure(failure) => {
            assert_eq!(failure.code, code, "{}", failure.message);
            assert!(failure.message.contains(words), "\"{}\" does not say \"{words}\"", failure.message);
        }
        other => panic!("expected {code:?}, got {other:?}"),
    }
}

#[track_caller]
fn check_completed(component: &[u8], limits: Limits) -> Completed {
    match ends(component, limits) {
        Outcome::Completed(completed) => completed,
        other => panic!("expected a result, got {other:?}"),
    }
}

#[track_caller]
fn check_fault(component: &[u8], options: RunOptions, code: FaultCode) {
    let limits = Limits { gas: u64::MAX / 2, ..Limits::DEFAULT };
    match run(component, limits, options).0 {
        Outcome::HostFault(fault) => assert_eq!(fault.code, code, "{}", fault.message),
        other => panic!("expected {code:?}, got {other:?}"),
    }
}

fn forever(body: &str) -> String {
    format!("(loop $forever {body} (br $forever)) (unreachable)")
}

#[test]
fn a_result_is_the_same_every_time_with_its_gas() {
    let component = guest(&format!("{FULL} (call $drop (i32.load (i32.const 2052))) {OK}"), "");
    let completed = check_completed(&component, Limits::DEFAULT);
    assert_eq!(completed, check_completed(&component, Limits::DEFAULT));
    // One operation that writes 4 bytes and computes one element, a drop, and the guest's instructions. A change
    // means another gas version.
    assert_eq!(completed.gas, 1002 + 100 + 25);
}

#[test]
fn gas_runs_out() {
    let limits = Limits { gas: 1_000_000, ..Limits::DEFAULT };
    check_failure(&guest(FOREVER, ""), limits, FailureCode::Gas, "1000000 gas");
    // Far fewer instructions than gas: it is the tensors that cost.
    let drops = "(call $drop (i32.load (i32.const 2052)))";
    let component = guest(&forever(&format!("{FULL} {drops}")), "");
    let limits = Limits { gas: 100_000, ..Limits::DEFAULT };
    check_failure(&component, limits, FailureCode::Gas, "100000 gas");
}

#[test]
fn time_runs_out_and_is_no_result() {
    let started = Instant::now();
    let options = RunOptions { time: Duration::from_millis(100), ..RunOptions::default() };
    check_fault(&guest(FOREVER, ""), options, FaultCode::TimeOut);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn time_that_is_held_does_not_run() {
    let pace = PaceHandle::new(Pace::Pause);
    let options =
        RunOptions { time: Duration::from_millis(100), pace: Some(pace.clone()), ..RunOptions::default() };
    let component = guest(FOREVER, "");
    let (compiled, _info) = in_process(&component).expect("the test's guest compiles");
    let mut last = None;
    let mut observer = |event: Event| {
        let Event::Paced(report) = event else { return };
        // Held for longer than it may take, it has not ended: now it may run.
        if report.held_ms > 200 {
            pace.set(Pace::FULL);
        }
        last = Some(report);
    };
    let limits = Limits { gas: u64::MAX / 2, ..Limits::DEFAULT };
    let (task, inputs) = (task(&component, limits), Inputs::default());
    let (outcome, _) =
        run_task(&compiled, &task, &inputs, Vec::new(), &mut reference(), &mut observer, options);
    assert!(matches!(&outcome, Outcome::HostFault(fault) if fault.code == FaultCode::TimeOut), "{outcome:?}");
    let last = last.expect("it says how it was held");
    assert!(last.held_ms > 200 && last.busy_ms >= 99 && last.holds == 1, "{last:?}");
}

/// A task with each part of its versions changed, one after the other.
fn doctored(component: &[u8]) -> Vec<Task> {
    let with = |versions| Task { versions, ..task(component, Limits::DEFAULT) };
    let Versions { contract: [major, minor, patch], numerics, gas } = VERSIONS;
    let mut doctored: Vec<Task> =
        [[major + 1, minor, patch], [major, minor + 1, patch], [major, minor, patch + 1]]
            .map(|contract| with(Versions { contract, ..VERSIONS }))
            .into();
    doctored.push(with(Versions { numerics: numerics + 1, ..VERSIONS }));
    doctored.push(with(Versions { numerics: numerics - 1, ..VERSIONS }));
    doctored.push(with(Versions { gas: gas + 1, ..VERSIONS }));
    doctored
}

#[test]
fn a_task_of_other_versions_is_not_run() {
    let component = guest(OK, "");
    let (compiled, _info) = in_process(&component).expect("the test's guest compiles");
    for task in doctored(&component) {
        let mut heard = Vec::new();
        let mut observer = |event| heard.push(event);
        let (inputs, options) = (Inputs::default(), RunOptions::default());
        let (outcome, state) =
            run_task(&compiled, &task, &inputs, Vec::new(), &mut reference(), &mut observer, options);
        match outcome {
            Outcome::HostFault(fault) => {
                assert_eq!(fault.code, FaultCode::Versions);
                assert!(fault.message.contains(&task.versions.to_string()), "{}", fault.message);
            }
            other => panic!("{other:?} of {}", task.versions),
        }
        assert!(state.is_none() && heard.is_empty());
    }
}

#[test]
fn one_who_is_held_is_stopped() {
    let options = RunOptions { pace: Some(PaceHandle::new(Pace::Pause)), ..RunOptions::default() };
    options.stop.stop();
    check_fault(&guest(FOREVER, ""), options, FaultCode::WorkerDied);
}

#[test]
fn an_attempt_is_stopped_from_outside() {
    let options = RunOptions::default();
    options.stop.stop();
    check_fault(&guest(FOREVER, ""), options, FaultCode::WorkerDied);
}

#[test]
fn deep_recursion_is_no_result() {
    let component = guest(&format!("(drop (call $deep (i32.const 0))) {OK}"), "");
    check_fault(&component, RunOptions::default(), FaultCode::StackOverflow);
}

#[test]
fn linear_memory_runs_out() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::DEFAULT };
    let grow = format!("(drop (memory.grow (i32.const 16))) {OK}");
    check_failure(&guest(&grow, ""), limits, FailureCode::Memory, "limits.memory");
    let large = Guest { memory: "(memory (export \"memory\") 17)", ..Guest::default() }.build();
    check_failure(&large, limits, FailureCode::Memory, "limits.memory");
    // 15 pages more are just the limit.
    check_completed(&guest(&format!("(drop (memory.grow (i32.const 15))) {OK}"), ""), limits);
}

#[test]
fn growing_beyond_the_memory_s_own_type_gives_minus_one() {
    let body = |pages: u32| {
        format!("(if (i32.ne (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable))) {OK}")
    };
    check_completed(&guest(&body(4096), ""), Limits::DEFAULT);
    let without_maximum =
        Guest { memory: "(memory (export \"memory\") 1)", body: &body(65_536), ..Guest::default() }.build();
    check_completed(&without_maximum, Limits::DEFAULT);
}

#[test]
fn a_trap_is_named() {
    check_failure(&guest("(unreachable)", ""), Limits::DEFAULT, FailureCode::Trap, "unreachable");
    let divided = format!("(drop (i32.div_u (i32.const 1) (local.get $i))) {OK}");
    check_failure(&guest(&divided, ""), Limits::DEFAULT, FailureCode::Trap, "divide by zero");
    let outside = format!("(drop (i32.load (i32.const -8))) {OK}");
    check_failure(&guest(&outside, ""), Limits::DEFAULT, FailureCode::Trap, "outside its memory");
}

#[test]
fn a_panic_has_its_place() {
    let panic = "(call $panic (i32.const 1024) (i32.const 4) (i32.const 1028) (i32.const 4) (i32.const 7) \
                 (i32.const 9)) (unreachable)";
    check_failure(&guest(panic, "oh noa.rs"), Limits::DEFAULT, FailureCode::Panic, "oh n at oa.r:7:9");
    // Words alone are no end.
    let survived = panic.replace("(unreachable)", OK);
    check_completed(&guest(&survived, "oh noa.rs"), Limits::DEFAULT);
}

#[test]
fn tensors_run_out() {
    let hoard = guest(&forever(FULL), "");
    let limits = Limits { handles: 10, ..Limits::DEFAULT };
    check_failure(&hoard, limits, FailureCode::Handles, "limits.handles");
    let limits = Limits { tensor_bytes: 10, ..Limits::DEFAULT };
    check_failure(&hoard, limits, FailureCode::TensorMemory, "limits.tensor-memory");
    let forgetful = guest(&forever(&format!("{FULL} (call $drop (i32.load (i32.const 2052)))")), "");
    check_failure(&forgetful, Limits::DEFAULT, FailureCode::StepNodes, "commit");
}

#[test]
fn reports_have_limits() {
    let metric = |length: u32, value: &str| {
        let body =
            format!("(call $metric (i32.const 1024) (i32.const {length}) (i64.const 3) (f64.const {value}))");
        guest(&format!("{body} {OK}"), "loss")
    };
    check_failure(&metric(4, "nan"), Limits::DEFAULT, FailureCode::Overflow, "\"loss\" at step 3 is NaN");
    check_failure(&metric(4, "0x1p62"), Limits::DEFAULT, FailureCode::Overflow, "2^62");
    check_failure(&metric(65, "1"), Limits::DEFAULT, FailureCode::Limit, "65 bytes");
    let completed = check_completed(&metric(4, "0.1"), Limits::DEFAULT);
    assert_eq!(completed.metrics, [anneal_job::Metric { name: "loss".to_owned(), step: 3, value: 0.1 }]);
    let metric = "(call $metric (i32.const 1024) (i32.const 4) (i64.const 3) (f64.const 1))";
    check_failure(&guest(&forever(metric), "loss"), Limits::DEFAULT, FailureCode::Limit, "10000 metrics");
}

#[test]
fn a_failure_says_the_gas_it_used() {
    let limits = Limits { gas: 1_000_000, ..Limits::DEFAULT };
    let gas = |body: &str| match run(&guest(body, "a"), limits, RunOptions::default()).0 {
        Outcome::GuestFailure(failure) => failure.gas,
        other => panic!("expected a failure, got {other:?}"),
    };
    let log = "(call $log (i32.const 1024) (i32.const 1))";
    let (once, twice) = (gas(&format!("{log} (unreachable)")), gas(&format!("{log} {log} (unreachable)")));
    assert!(0 < once && once < twice && twice < limits.gas, "{once}, {twice}");
    assert_eq!(once, gas(&format!("{log} (unreachable)")));
    assert_eq!(gas(&forever("")), limits.gas);
}

#[test]
fn the_log_is_cut_and_clean() {
    let log = |length: u32| format!("(call $log (i32.const 1024) (i32.const {length}))");
    let (_, events) =
        run(&guest(&format!("{} {OK}", log(7)), "a\\1b[31m\\n"), Limits::DEFAULT, RunOptions::default());
    assert_eq!(events, [Event::Log { line: "a\u{fffd}[31m\n".to_owned() }]);
    let limits = Limits { gas: 20_000_000, ..Limits::DEFAULT };
    let (outcome, events) = run(&guest(&forever(&log(8000)), "a"), limits, RunOptions::default());
    assert!(matches!(outcome, Outcome::GuestFailure(failure) if failure.code == FailureCode::Gas));
    let bytes: usize =
        events.iter().map(|event| if let Event::Log { line } = event { line.len() } else { 0 }).sum();
    assert!((limits::LOG_BYTES_MAX..limits::LOG_BYTES_MAX + 10_000).contains(&bytes), "{bytes} bytes of log");
}

#[test]
fn what_is_handed_over_is_checked() {
    let invalid = guest(&format!("(call $log (i32.const 1024) (i32.const 1)) {OK}"), "\\ff");
    check_failure(&invalid, Limits::DEFAULT, FailureCode::Trap, "calling convention");
    let limits = Limits { memory_bytes: 1 << 30, ..Limits::DEFAULT };
    let grown = "(drop (memory.grow (i32.const 3000)))";
    let giant = guest(&format!("{grown} (call $log (i32.const 0) (i32.const 150000000)) {OK}"), "");
    check_failure(&giant, limits, FailureCode::Limit, "too much data");
    let stale = guest(&format!("(call $drop (i32.const 77)) {OK}"), "");
    check_failure(&stale, limits, FailureCode::Trap, "calling convention");
}

#[test]
fn handles_of_other_kinds_have_a_limit_too() {
    // The store's own limit lies above the contract's: a guest meets it only with handles that are no
    // tensors.
    let error = wasmtime::Error::msg("cannot allocate another handle: store handle limit exceeded");
    let Ending::Failure(failure) = classify(&error, Phase::Call, 0, None) else { panic!("{error}") };
    assert_eq!(failure.code, FailureCode::Handles);
}

#[test]
fn an_error_is_the_guest_s_own() {
    let body = "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024)) \
                (i32.store (i32.const 8) (i32.const 9)) (i32.const 0)";
    check_failure(&guest(body, "no images"), Limits::DEFAULT, FailureCode::Error, "no images");
}

/// Returns one tensor, named by four bytes at 1024.
fn returning(make: &str) -> Vec<u8> {
    let body = format!(
        "{make} (i32.store (i32.const 4) (i32.const 64)) (i32.store (i32.const 8) (i32.const 1)) \
         (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const 4)) \
         (i32.store (i32.const 72) (i32.load (i32.const 2052))) (i32.const 0)"
    );
    guest(&body, "loss")
}

#[test]
fn a_state_comes_back_and_overflow_does_not() {
    let component = returning(FULL);
    let (compiled, _info) = in_process(&component).expect("the test's guest compiles");
    let task = task(&component, Limits::DEFAULT);
    let mut executor = reference();
    let mut silent = |_| {};
    let options = RunOptions::default();
    let (outcome, state) =
        run_task(&compiled, &task, &Inputs::default(), Vec::new(), &mut executor, &mut silent, options);
    let (Outcome::Completed(completed), Some(state)) = (outcome, state) else { panic!("it completes") };
    assert_eq!(state.digest(), completed.state);
    assert_eq!(state.get("loss").and_then(|value| Some(value.elements()?.word(0))), Some(100f32.to_bits()));
    assert_eq!(executor.device().backend, "reference", "the executor comes back");

    let overflow = format!("{FULL} (call $exp (i32.load (i32.const 2052)) (i32.const 2048))");
    check_failure(&returning(&overflow), Limits::DEFAULT, FailureCode::Overflow, "\"loss\" is ±2^62");
}

#[test]
fn a_trace_names_every_operation_of_a_step() {
    let commit = "(call $commit (i32.const 2052) (i32.const 1) (i32.const 2060)) \
                  (i32.store (i32.const 2052) (i32.load (i32.load (i32.const 2060))))";
    let component =
        returning(&format!("{FULL} (call $exp (i32.load (i32.const 2052)) (i32.const 2048)) {commit}"));
    let traced = |trace| {
        let options = RunOptions { trace, ..RunOptions::default() };
        let (_, events) = run(&component, Limits::DEFAULT, options);
        events.into_iter().filter(|event| !matches!(event, Event::Step { .. })).collect::<Vec<_>>()
    };
    assert!(traced(Trace::Off).is_empty());
    let steps = traced(Trace::Steps);
    let [Event::TracedStep(first), Event::TracedStep(last)] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!((first.step, last.step, first.tensors[0].digest), (0, 1, last.tensors[0].digest));
    let operations = traced(Trace::Operations { step: 0 });
    let [Event::TracedOperation(full), Event::TracedOperation(exp), Event::TracedStep(step), _] =
        &operations[..]
    else {
        panic!("{operations:?}")
    };
    assert_eq!((full.operation.as_str(), exp.operation.as_str()), ("full", "exp"));
    assert_eq!(exp.digest, step.tensors[0].digest);
    assert_eq!(exp.shapes, "f32 [] from f32 []");
    assert!(step.tensors[0].group.is_some());
}
