//! A guest that looks around on its machine, and finds the same one on every host.

use anneal_job::{FailureCode, Limits, Metric, Outcome, Task};

use crate::{
    Event, Inputs, RunOptions,
    compile::in_process,
    run_task,
    testing::{Guest, reference, task},
};

const IMPORTS: &str = r#"
(import "wasi:io/error@0.2.3" (instance $ioerror (export "error" (type (sub resource)))))
(alias export $ioerror "error" (type $ioerr))
(import "wasi:io/streams@0.2.3" (instance $streams
  (export "output-stream" (type $out (sub resource)))
  (export "error" (type $err (eq $ioerr)))
  (type $failure' (variant (case "last-operation-failed" (own $err)) (case "closed")))
  (export "stream-error" (type $failure (eq $failure')))
  (export "[method]output-stream.blocking-write-and-flush" (func
    (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $failure)))))
))
(alias export $streams "output-stream" (type $out))
(import "wasi:cli/stdout@0.2.3" (instance $stdout
  (export "output-stream" (type $out' (eq $out))) (export "get-stdout" (func (result (own $out'))))))
(import "wasi:random/random@0.2.3" (instance $random (export "get-random-u64" (func (result u64)))))
(import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock (export "now" (func (result u64)))))
(import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))
(import "wasi:filesystem/types@0.2.3" (instance $files
  (export "descriptor" (type $file (sub resource)))
  (export "[method]descriptor.sync" (func (param "self" (borrow $file)) (result bool)))
  (export "open-anything" (func (result (own $file))))))
"#;

const LOWERED: &str = r#"
(core func $write (canon lower
  (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
(core func $stdout (canon lower (func $stdout "get-stdout")))
(core func $random (canon lower (func $random "get-random-u64")))
(core func $now (canon lower (func $clock "now")))
(core func $exit (canon lower (func $exit "exit")))
(core func $open (canon lower (func $files "open-anything")))
"#;

const GIVEN: &str = r#"(export "write" (func $write)) (export "stdout" (func $stdout))
(export "random" (func $random)) (export "now" (func $now))
(export "exit" (func $exit)) (export "open" (func $open))"#;

const TAKEN: &str = r#"
(import "host" "write" (func $write (param i32 i32 i32 i32)))
(import "host" "stdout" (func $stdout (result i32)))
(import "host" "random" (func $random (result i64)))
(import "host" "now" (func $now (result i64)))
(import "host" "exit" (func $exit (param i32)))
(import "host" "open" (func $open (result i32)))
"#;

fn run(body: &str, data: &str, seed: u64) -> (Outcome, Vec<Event>) {
    let guest = Guest {
        body,
        data,
        imports: IMPORTS,
        lowered: LOWERED,
        given: GIVEN,
        taken: TAKEN,
        ..Guest::default()
    };
    let component = guest.build();
    let (compiled, info) = in_process(&component).expect("the test's guest compiles");
    assert!(info.uses_wasi);
    let mut events = Vec::new();
    let mut observer = |event| events.push(event);
    let task = Task { job_seed: seed, ..task(&component, Limits::DEFAULT) };
    let options = RunOptions::default();
    let (outcome, _state) =
        run_task(&compiled, &task, &Inputs::default(), Vec::new(), &mut reference(), &mut observer, options);
    (outcome, events)
}

/// The numbers that a guest sees, by way of a metric's step.
fn numbers(call: &str, seed: u64) -> Vec<u64> {
    let metric = format!("(call $metric (i32.const 1024) (i32.const 1) (call {call}) (f64.const 0))");
    let (outcome, _) = run(&format!("{metric} {metric} (i32.const 0)"), "x", seed);
    let Outcome::Completed(completed) = outcome else { panic!("{outcome:?}") };
    completed.metrics.iter().map(|Metric { step, .. }| *step).collect()
}

#[test]
fn clocks_count_calls() {
    assert_eq!(numbers("$now", 1), [1_000_000, 2_000_000]);
}

#[test]
fn random_numbers_follow_from_the_seed() {
    let first = numbers("$random", 1);
    assert_eq!(first, numbers("$random", 1));
    let other = numbers("$random", 2);
    assert!(first[0] != first[1] && first[0] != other[0], "{first:?} {other:?}");
}

#[test]
fn what_is_printed_is_logged_line_by_line() {
    let write = |from: u32, length: u32| {
        format!(
            "(call $write (call $stdout) (i32.const {}) (i32.const {length}) (i32.const 2048))",
            1024 + from
        )
    };
    let (outcome, events) =
        run(&format!("{} {} (i32.const 0)", write(0, 6), write(6, 5)), "one\\ntwo\\nthr", 1);
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
    let lines: Vec<Event> = ["one", "two", "thr"].map(|line| Event::Log { line: line.to_owned() }).into();
    assert_eq!(events, lines);
}

#[test]
fn files_and_exits_are_the_guest_s_failure() {
    let check = |body: &str, words: &str| match run(body, "", 1).0 {
        Outcome::GuestFailure(failure) => {
            assert_eq!(failure.code, FailureCode::Trap);
            assert!(failure.message.contains(words), "{}", failure.message);
        }
        other => panic!("{other:?}"),
    };
    check("(drop (call $open)) (unreachable)", "the guest called open-anything of WASI");
    check("(call $exit (i32.const 0)) (unreachable)", "called exit (success)");
    check("(call $exit (i32.const 1)) (unreachable)", "called exit (failure)");
}
