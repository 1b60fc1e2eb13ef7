//! Guests that go wrong by themselves: at the start, by every kind of trap, and by never ending or growing.

use anneal_job::{Entry, FailureCode, FaultCode};

use super::{
    End, Hostile,
    component::{Guest, body},
};

const FOREVER: &str = "(loop $forever (br $forever)) (unreachable)";

pub fn guests() -> Vec<Hostile> {
    let mut guests = starts();
    guests.extend(traps());
    guests.extend(growth());
    guests.extend(endless());
    guests
}

fn functions(functions: &str, body: &str) -> Vec<u8> {
    Guest { functions, body, ..Guest::default() }.build()
}

fn trap(name: &'static str, component: Vec<u8>, words: &'static str) -> Hostile {
    Hostile::new(name, component, End::Failure(FailureCode::Trap, words))
}

fn starts() -> Vec<Hostile> {
    let start = |code: &str| functions(&format!("(func $start {code}) (start $start)"), "(i32.const 0)");
    let gas = End::Failure(FailureCode::Gas, "20000000 gas");
    vec![
        Hostile::new("a start that loops", start("(loop $l (br $l))"), gas),
        trap("a start that traps", start("(unreachable)"), "unreachable"),
        Hostile::new(
            "a start that overflows the stack",
            start("(call $start)"),
            End::Fault(FaultCode::StackOverflow),
        ),
        Hostile::new(
            "a start that calls the host for ever",
            start("(loop $l (call $log (i32.const 1024) (i32.const 1)) (br $l))"),
            gas,
        ),
        trap(
            "data outside the memory",
            functions("(data (i32.const 65530) \"0123456789\")", "(i32.const 0)"),
            "outside its memory",
        ),
        trap(
            "elements outside the table",
            functions("(table 1 funcref) (func $f) (elem (i32.const 1) $f)", "(i32.const 0)"),
            "table",
        ),
    ]
}

fn traps() -> Vec<Hostile> {
    let gas = End::Failure(FailureCode::Gas, "gas");
    let of = |code: &str| body(&format!("{code} (i32.const 0)"));
    let table =
        "(table 2 2 funcref) (func $other (param i64)) (elem (i32.const 1) $other) (type $plain (func))";
    let indirect = |index: &str| {
        functions(table, &format!("(call_indirect (type $plain) (i32.const {index})) (i32.const 0)"))
    };
    vec![
        trap("unreachable", body("(unreachable)"), "unreachable"),
        trap("division by zero", of("(drop (i64.div_u (i64.const 1) (i64.const 0)))"), "divide by zero"),
        trap("remainder by zero", of("(drop (i32.rem_s (i32.const 1) (local.get $i)))"), "divide by zero"),
        trap("the least integer over −1", of("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"), "integer overflow"),
        trap("NaN as an integer", of("(drop (i32.trunc_f32_s (f32.const nan)))"), "invalid conversion"),
        trap("infinity as an integer", of("(drop (i64.trunc_f64_u (f64.const inf)))"), "integer overflow"),
        trap("a read outside the memory", of("(drop (i64.load offset=4294967295 (i32.const -1)))"), "outside its memory"),
        trap("a write across the memory's end", of("(i64.store (i32.const 65529) (i64.const 1))"), "outside its memory"),
        trap("a vector across the memory's end", of("(v128.store (i32.const 65521) (v128.const i64x2 0 0))"), "outside its memory"),
        Hostile::new("a copy of everything", of("(memory.copy (i32.const 1) (i32.const 0) (i32.const -1))"), gas),
        Hostile::new("a fill of everything", of("(memory.fill (i32.const 0) (i32.const 0) (i32.const -1))"), gas),
        trap("an indirect call of nothing", indirect("0"), "uninitialized element"),
        trap("an indirect call of another type", indirect("1"), "indirect call type mismatch"),
        trap("an indirect call outside the table", indirect("-1"), "table"),
        trap("a table read outside", functions("(table 1 funcref)", "(drop (table.get (i32.const 1))) (i32.const 0)"), "table"),
        Hostile::new("recursion", functions("(func $deep (param i32) (result i32)
            (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
            "(drop (call $deep (i32.const 0))) (i32.const 0)"), End::Fault(FaultCode::StackOverflow)),
        Hostile::new("recursion of two through a table", functions(
            "(table 2 2 funcref) (elem (i32.const 0) $a $b) (type $plain (func))
             (func $a (call_indirect (type $plain) (i32.const 1))) (func $b (call_indirect (type $plain) (i32.const 0)))",
            "(call $a) (i32.const 0)"), End::Fault(FaultCode::StackOverflow)),
    ]
}

fn growth() -> Vec<Hostile> {
    let memory = End::Failure(FailureCode::Memory, "limits.memory");
    let limit = End::Failure(FailureCode::Limit, "function tables");
    let grown = |code: &str| body(&format!("{code} (i32.const 0)"));
    let large = |memory| Guest { memory, ..Guest::default() }.build();
    let memories = "(core module $large (memory 32)) (core instance (instantiate $large)) (core instance (instantiate $large))";
    let none = "(if (i32.ne (memory.grow (i32.const 65536)) (i32.const -1)) (then (unreachable)))";
    vec![
        Hostile::new(
            "memory page by page",
            body("(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (unreachable)"),
            memory,
        ),
        Hostile::new("memory at once", grown("(drop (memory.grow (i32.const 4000)))"), memory),
        Hostile::new("4 GiB from the start", large("(memory (export \"memory\") 65536)"), memory),
        Hostile::new(
            "memory over several instances",
            Guest { imports: memories, ..Guest::default() }.build(),
            memory,
        ),
        Hostile::new("more than 32 bits of memory", grown(none), End::Harmless),
        Hostile::new("a table from the start", functions("(table 10000000 funcref)", "(i32.const 0)"), limit),
        Hostile::new(
            "a table row by row",
            functions(
                "(table 1 funcref)",
                "(loop $l (drop (table.grow (ref.null func) (i32.const 65536))) (br $l)) (unreachable)",
            ),
            limit,
        ),
    ]
}

fn endless() -> Vec<Hostile> {
    let gas = End::Failure(FailureCode::Gas, "gas");
    let mut guests: Vec<Hostile> = [
        ("no gas left in run", Entry::Run),
        ("no gas left in init", Entry::Init),
        ("no gas left in train", Entry::Train),
        ("no gas left in merge", Entry::Merge),
        ("no gas left in evaluate", Entry::Evaluate),
    ]
    .map(|(name, entry)| Hostile::new(name, body(FOREVER), gas).entry(entry))
    .into();
    let forever = |code: &str| body(&format!("(loop $l {code} (br $l)) (unreachable)"));
    let full = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const 1) (i32.const 2048))";
    guests.extend([
        Hostile::new("copies for ever", forever("(memory.copy (i32.const 0) (i32.const 1) (i32.const 60000))"), gas),
        Hostile::new("a flood of progress", forever("(call $progress (i64.const -1) (i64.const 0))"), gas),
        Hostile::new("a flood of the log", forever("(call $log (i32.const 0) (i32.const 4000))"), gas),
        Hostile::new("a flood of panics", forever("(call $panic (i32.const 0) (i32.const 4000) (i32.const 0) (i32.const 4000) (i32.const -1) (i32.const -1))"), gas),
        Hostile::new("a flood of metrics", forever("(call $metric (i32.const 1024) (i32.const 1) (i64.const -1) (f64.const 0))"),
            End::Failure(FailureCode::Limit, "metrics")),
        Hostile::new("a flood of commits", forever("(call $commit (i32.const 0) (i32.const 0) (i32.const 2060))"), gas),
        Hostile::new("a flood of tensors", forever(full), End::Failure(FailureCode::Handles, "limits.handles")),
        Hostile::new("no step ever", forever(&format!("{full} (call $drop (i32.load (i32.const 2052)))")),
            End::Failure(FailureCode::StepNodes, "commit")).gas(1_000_000_000),
        Hostile::new("no gas at all", body("(i32.const 0)"), gas).gas(1),
        Hostile::new("a call that costs more than is left", forever("(call $commit (i32.const 0) (i32.const 0) (i32.const 2060))"), gas).gas(1500),
    ]);
    guests
}
