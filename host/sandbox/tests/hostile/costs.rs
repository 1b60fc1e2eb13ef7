//! Guests that would have the host work or remember for less than it costs: long lists, long walks, histories that
//! are never committed, results that are computed again. Those that are to run out of gas count their calls, and
//! trap where they are let to make more than they can have paid for.

use anneal_job::{FailureCode, Limits};

use super::{
    End, Hostile,
    component::{body, with_data},
};

/// A tensor without axes, its handle at 2052.
const FULL: &str = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const -1) (i32.const 2048))";
/// A tensor without elements.
const NOTHING: &str =
    "(call $full (i32.const 0) (i32.const 3000) (i32.const 1) (f64.const 0) (i32.const 2048))";
const HANDLE: &str = "(i32.load (i32.const 2052))";
/// Puts the next operation on top, and drops what was there.
const NEXT: &str = "(i32.store (i32.const 5004) (i32.load (i32.const 2052)))
    (call $exp (i32.load (i32.const 2052)) (i32.const 2048)) (call $drop (i32.load (i32.const 5004)))";
const COMMIT: &str = "(call $commit (i32.const 0) (i32.const 0) (i32.const 2060))";
/// 3.9 MB of zeros from 65536 on.
const GROWN: &str = "(drop (memory.grow (i32.const 60)))";

pub fn guests() -> Vec<Hostile> {
    let mut guests = histories();
    guests.extend(walks());
    guests.extend(lists());
    guests
}

/// Repeats code so many times.
fn times(count: u32, code: &str) -> String {
    format!(
        "(local.set $i (i32.const 0))
         (loop $times {code} (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $times (i32.lt_u (local.get $i) (i32.const {count}))))"
    )
}

/// Repeats code for ever, and traps where that is let to happen more than so many times.
fn at_most(count: u32, code: &str) -> String {
    format!(
        "(loop $more
           (i32.store (i32.const 5000) (i32.add (i32.load (i32.const 5000)) (i32.const 1)))
           (if (i32.gt_u (i32.load (i32.const 5000)) (i32.const {count})) (then (unreachable)))
           {code} (br $more)) (unreachable)"
    )
}

/// Runs out of gas before it has made so many calls.
fn paid(name: &'static str, before: &str, count: u32, code: &str) -> Hostile {
    Hostile::new(
        name,
        body(&format!("{before} {}", at_most(count, code))),
        End::Failure(FailureCode::Gas, "gas"),
    )
}

fn histories() -> Vec<Hostile> {
    let endless = |first: &str| {
        let step = format!("{} {COMMIT}", times(60_000, NEXT));
        body(&format!("{first} (loop $steps {step} (br $steps)) (unreachable)"))
    };
    let large =
        Limits { gas: 1_000_000_000_000, memory_bytes: 4 << 20, tensor_bytes: 1 << 30, handles: 10_000_000 };
    let hoard = body(&format!("(loop $l {FULL} (br $l)) (unreachable)"));
    let small = |limits: Limits| Limits { gas: large.gas, ..limits };
    let of = |name, component, code, words, limits| Hostile {
        limits,
        ..Hostile::new(name, component, End::Failure(code, words))
    };
    let defaults = Hostile::new("", Vec::new(), End::Harmless).limits;
    vec![
        of(
            "a history without bytes over all commits",
            endless(NOTHING),
            FailureCode::StepNodes,
            "the history that they need",
            large,
        ),
        of(
            "a history without bytes within the task's bytes",
            endless(NOTHING),
            FailureCode::TensorMemory,
            "limits.tensor-memory",
            small(defaults),
        ),
        of(
            "a history of scalars",
            endless(FULL),
            FailureCode::TensorMemory,
            "limits.tensor-memory",
            small(defaults),
        ),
        of(
            "a hoard of handles",
            hoard,
            FailureCode::TensorMemory,
            "limits.tensor-memory",
            Limits { handles: 10_000_000, ..small(defaults) },
        ),
    ]
}

fn walks() -> Vec<Hostile> {
    let chain = format!("{FULL} {}", times(5000, NEXT));
    let kept = format!("{chain} (i32.store (i32.const 3000) {HANDLE})");
    let gradient =
        "(call $gradients (i32.load (i32.const 3000)) (i32.const 3004) (i32.const 1) (i32.const 2048))
        (call $drop (i32.load (i32.load (i32.const 2052))))";
    let other = format!("{kept} {FULL} (i32.store (i32.const 3004) {HANDLE})");
    let read = "(call $reshape (i32.load (i32.const 3000)) (i32.const 0) (i32.const 0) (i32.const 2048))
        (i32.store (i32.const 5004) (i32.load (i32.const 2052)))
        (call $read (i32.load (i32.const 5004)) (i32.const 2048)) (call $drop (i32.load (i32.const 5004)))";
    let commit = "(call $reshape (i32.load (i32.const 3000)) (i32.const 0) (i32.const 0) (i32.const 2048))
        (i32.store (i32.const 5004) (i32.load (i32.const 2052)))
        (call $commit (i32.const 5004) (i32.const 1) (i32.const 2060))
        (call $drop (i32.load (i32.const 5004))) (call $drop (i32.load (i32.load (i32.const 2060))))";
    let leaf = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const -1) (i32.const 2048))
         (i32.store (i32.const 3000) (i32.load (i32.const 2052)))
         (call $exp (i32.load (i32.const 2052)) (i32.const 2048))";
    let one_call = |count: u32| {
        format!(
            "(drop (memory.grow (i32.const 400))) {leaf} {}
             {} (call $gradients {HANDLE} (i32.const 16000000) (i32.const {count}) (i32.const 2048))
             (if (i32.load8_u (i32.const 2048)) (then (unreachable))) (i32.const 0)",
            times(32_000, NEXT),
            times(
                count,
                "(i32.store (i32.add (i32.const 16000000) (i32.shl (local.get $i) (i32.const 2)))
                   (i32.load (i32.const 3000)))"
            ),
        )
    };
    let limits =
        Limits { gas: 2_000_000_000_000, memory_bytes: 64 << 20, tensor_bytes: 1 << 30, handles: 10_000_000 };
    vec![
        paid("gradients through one history", &other, 60, gradient).gas(20_000_000),
        paid("one result read again and again", &kept, 5, read).gas(75_000_000),
        paid("one result committed again and again", &kept, 5, commit).gas(75_000_000),
        Hostile {
            limits,
            ..Hostile::new("a gradient for two million handles", body(&one_call(2_000_000)), End::Harmless)
        },
        Hostile {
            limits: Limits { gas: 400_000_000, ..limits },
            ..Hostile::new(
                "a gradient for more handles than gas",
                body(&one_call(2_000_000)),
                End::Failure(FailureCode::Gas, "400000000 gas"),
            )
        },
    ]
}

fn lists() -> Vec<Hostile> {
    let kept = format!("{GROWN} {FULL} (i32.store (i32.const 3000) {HANDLE})");
    let named = |name, count, code: &str| {
        Hostile::new(
            name,
            with_data(&format!("{GROWN} {}", at_most(count, code)), "table"),
            End::Failure(FailureCode::Gas, "gas"),
        )
    };
    vec![
        paid(
            "shapes of 900,000 sizes",
            GROWN,
            100,
            "(call $full (i32.const 0) (i32.const 65536) (i32.const 900000) (f64.const 0) (i32.const 2048))",
        ),
        paid(
            "reshapes to 900,000 sizes",
            &kept,
            100,
            "(call $reshape (i32.load (i32.const 3000)) (i32.const 65536) (i32.const 900000) (i32.const 2048))",
        ),
        paid(
            "bytes that are no tensor",
            &kept,
            100,
            "(call $from-bytes (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 3900000)
               (i32.const 2048))",
        ),
        named(
            "rows of an input that is not there",
            8,
            "(call $rows (i32.const 1024) (i32.const 4) (i32.const 65536) (i32.const 900000) (i32.const 2048))",
        ),
        named(
            "a name of megabytes",
            100,
            "(call $whole (i32.const 65536) (i32.const 3900000) (i32.const 2048))",
        ),
        paid(
            "panics of megabytes",
            GROWN,
            100,
            "(call $panic (i32.const 65536) (i32.const 3900000) (i32.const 0) (i32.const 4) (i32.const 1)
               (i32.const 1))",
        ),
    ]
}
