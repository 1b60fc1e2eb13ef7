//! Guests that abuse handles: dropped twice, used after, forged, of another resource, hoarded, returned twice.

use anneal_job::{Entry, FailureCode};

use super::{
    End, Hostile,
    component::{Guest, body, with_data},
};

/// A tensor without axes, its handle at 2052.
const FULL: &str = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const 1) (i32.const 2048))";
const HANDLE: &str = "(i32.load (i32.const 2052))";

/// Returns this many tensors: handles at 3000, 3004 …, all named by four bytes at 1024, 1028 ….
fn returning(code: &str, count: u32, step: u32) -> String {
    let mut text = format!(
        "{code} (i32.store (i32.const 4) (i32.const 64)) (i32.store (i32.const 8) (i32.const {count}))"
    );
    for i in 0..count {
        let at = 64 + 12 * i;
        text += &format!(
            "(i32.store (i32.const {at}) (i32.const {})) (i32.store (i32.const {}) (i32.const 4))
             (i32.store (i32.const {}) (i32.load (i32.const {})))",
            1024 + step * i,
            at + 4,
            at + 8,
            3000 + 4 * i
        );
    }
    text + "(i32.const 0)"
}

fn kept(at: u32) -> String {
    format!("{FULL} (i32.store (i32.const {at}) {HANDLE})")
}

pub fn guests() -> Vec<Hostile> {
    let trap = |name, component| {
        Hostile::new(name, component, End::Failure(FailureCode::Trap, "calling convention"))
    };
    let of = |code: &str| body(&format!("{code} (i32.const 0)"));
    let handles = End::Failure(FailureCode::Handles, "handles");
    let both = kept(3000) + &kept(3004);
    let twice = format!("{} (i32.store (i32.const 3004) (i32.load (i32.const 3000)))", kept(3000));
    // One handle, 900,000 times in a list: each is a tensor that would come back.
    let many = format!(
        "(drop (memory.grow (i32.const 60))) {FULL}
         (loop $l (i32.store (i32.add (i32.const 65536) (i32.shl (local.get $i) (i32.const 2))) {HANDLE})
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const 900000))))"
    );
    let open = "(call $open-state (i32.const 0) (i32.const 2048))";
    vec![
        trap("a handle dropped twice", of(&format!("{FULL} (call $drop {HANDLE}) (call $drop {HANDLE})"))),
        trap(
            "a handle used after it was dropped",
            of(&format!("{FULL} (call $drop {HANDLE}) (call $exp {HANDLE} (i32.const 2048))")),
        ),
        trap("handle 0", of("(call $exp (i32.const 0) (i32.const 2048))")),
        trap("handle −1", of("(call $drop (i32.const -1))")),
        trap(
            "a handle never given",
            of(&format!("{FULL} (call $exp (i32.add {HANDLE} (i32.const 1)) (i32.const 2048))")),
        ),
        trap(
            "a list of forged handles",
            of("(call $commit (i32.const 1024) (i32.const 100) (i32.const 2060))"),
        ),
        trap(
            "a handle of another resource",
            other("(call $exp (call $subscribe (i64.const 0)) (i32.const 2048)) (i32.const 0)"),
        ),
        trap("another resource's drop", other("(call $drop (call $subscribe (i64.const 0))) (i32.const 0)")),
        trap("a tensor as another resource", other(&format!("{FULL} (call $block {HANDLE}) (i32.const 0)"))),
        trap("one tensor returned twice", with_data(&returning(&twice, 2, 4), "aaaabbbb")),
        trap(
            "a tensor returned after its drop",
            with_data(&returning(&format!("{} (call $drop {HANDLE})", kept(3000)), 1, 4), "aaaa"),
        ),
        Hostile::new(
            "one name returned twice",
            with_data(&returning(&both, 2, 0), "aaaa"),
            End::Failure(FailureCode::State, "no state"),
        ),
        Hostile::new("tensors left behind", of(&both), End::Harmless),
        Hostile::new(
            "one handle 900,000 times in a commit",
            of(&format!("{many} (call $commit (i32.const 65536) (i32.const 900000) (i32.const 2060))")),
            handles,
        ),
        Hostile::new(
            "one handle 900,000 times in a gradient",
            of(&format!(
                "{many} (call $gradients {HANDLE} (i32.const 65536) (i32.const 900000) (i32.const 2048))"
            )),
            End::Failure(FailureCode::Handles, "handles"),
        ),
        Hostile::new(
            "a hoard of another resource",
            other("(loop $l (drop (call $subscribe (i64.const 0))) (br $l)) (unreachable)"),
            End::Failure(FailureCode::Handles, "too many handles"),
        )
        .gas(1_000_000_000),
        Hostile::new(
            "a state opened where there is none",
            of(&format!("{open} {}", refused(5))),
            End::Harmless,
        ),
        Hostile::new("a state opened twice", of(&format!("{open} {open} {}", refused(5))), End::Harmless)
            .entry(Entry::Merge),
        Hostile::new(
            "a state that was not given",
            of(&format!("(call $open-state (i32.const -1) (i32.const 2048)) {}", refused(5))),
            End::Harmless,
        )
        .entry(Entry::Merge),
    ]
}

/// Traps unless the answer at 2048 is an error of this code.
pub fn refused(code: u32) -> String {
    format!(
        "(if (i32.ne (i32.load8_u (i32.const 2048)) (i32.const 1)) (then (unreachable)))
         (if (i32.ne (i32.load8_u (i32.const 2052)) (i32.const {code})) (then (unreachable)))"
    )
}

/// A guest that has pollables too.
fn other(body: &str) -> Vec<u8> {
    let imports =
        "(import \"wasi:io/poll@0.2.3\" (instance $poll (export \"pollable\" (type $pollable (sub resource)))
          (export \"[method]pollable.block\" (func (param \"self\" (borrow $pollable))))))
        (alias export $poll \"pollable\" (type $pollable))
        (import \"wasi:clocks/monotonic-clock@0.2.3\" (instance $clock
          (export \"pollable\" (type $pollable' (eq $pollable)))
          (export \"subscribe-duration\" (func (param \"when\" u64) (result (own $pollable'))))))";
    Guest {
        body,
        imports,
        lowered: "(core func $subscribe (canon lower (func $clock \"subscribe-duration\")))
            (core func $block (canon lower (func $poll \"[method]pollable.block\")))",
        given: "(export \"subscribe\" (func $subscribe)) (export \"block\" (func $block))",
        taken: "(import \"host\" \"subscribe\" (func $subscribe (param i64) (result i32)))
            (import \"host\" \"block\" (func $block (param i32)))",
        ..Guest::default()
    }
    .build()
}
