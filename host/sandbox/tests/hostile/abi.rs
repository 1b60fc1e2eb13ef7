//! Guests that break the canonical ABI: pointers, lengths, strings, variants, `realloc` and re-entrance.

use anneal_job::FailureCode;

use super::{
    End, Hostile,
    component::{Guest, body, with_data},
};

pub fn guests() -> Vec<Hostile> {
    let mut guests = arguments();
    guests.extend(answers());
    guests.extend(allocators());
    guests.extend(entrance());
    guests
}

fn trap(name: &'static str, component: Vec<u8>) -> Hostile {
    Hostile::new(name, component, End::Failure(FailureCode::Trap, "calling convention"))
}

fn arguments() -> Vec<Hostile> {
    let of = |code: &str| body(&format!("{code} (i32.const 0)"));
    let log = |at: &str, length: &str| of(&format!("(call $log (i32.const {at}) (i32.const {length}))"));
    let full = |dtype: i32, at: i32, length: i32, answer: i32| {
        of(&format!(
            "(call $full (i32.const {dtype}) (i32.const {at}) (i32.const {length}) (f64.const 0) (i32.const {answer}))"
        ))
    };
    let text = |data: &str| with_data("(call $log (i32.const 1024) (i32.const 4)) (i32.const 0)", data);
    let utf16 = |length: &str, at: &str, data: &str| {
        let code = format!("(call $log (i32.const {at}) (i32.const {length})) (i32.const 0)");
        Guest { body: &code, data, lower: "string-encoding=utf16", ..Guest::default() }.build()
    };
    let giant =
        "(drop (memory.grow (i32.const 3000))) (call $log (i32.const 0) (i32.const 150000000)) (i32.const 0)";
    vec![
        trap("a string outside the memory", log("65530", "100")),
        trap("a string longer than an address", log("1024", "-1")),
        trap("a string that wraps around", log("-4", "8")),
        trap("a lone continuation byte", text("a\\80bc")),
        trap("an overlong slash", text("\\c0\\afab")),
        trap("a surrogate in UTF-8", text("\\ed\\a0\\80a")),
        trap("beyond Unicode", text("\\f5\\80\\80\\80")),
        trap("a character cut off", text("abc\\f0")),
        trap("a lone surrogate in UTF-16", utf16("2", "1024", "\\00\\d8a\\00")),
        trap("UTF-16 at an odd address", utf16("2", "1025", "abcdef")),
        trap("UTF-16 longer than an address", utf16("0x7fffffff", "1024", "")),
        trap("a list at an odd address", full(0, 1, 1, 2048)),
        trap("a list outside the memory", full(0, 65_532, 2, 2048)),
        trap("a list longer than an address", full(0, 0, 0x7fff_ffff, 2048)),
        trap("an enumeration's unknown case", full(6, 0, 0, 2048)),
        trap("an enumeration's negative case", full(-1, 0, 0, 2048)),
        trap("an answer outside the memory", full(0, 0, 0, 65_534)),
        trap("an answer at an odd address", full(0, 0, 0, 2049)),
        Hostile::new(
            "more than a call may hand over",
            body(giant),
            End::Failure(FailureCode::Limit, "too much data"),
        )
        .memory(1 << 30),
    ]
}

fn answers() -> Vec<Hostile> {
    let words = |words: &[(u32, i64)]| {
        let code: String = words
            .iter()
            .map(|(at, word)| format!("(i32.store (i32.const {at}) (i32.const {word}))"))
            .collect();
        body(&format!("{code} (i32.const 0)"))
    };
    vec![
        trap("an answer's address outside the memory", body("(i32.const 65532)")),
        trap("an answer's address beyond everything", body("(i32.const -4)")),
        trap("an answer's odd address", body("(i32.const 1025)")),
        trap("an answer that is no case", words(&[(0, 2)])),
        trap("a state outside the memory", words(&[(4, 65_528), (8, 1)])),
        trap("a state at an odd address", words(&[(4, 65), (8, 1)])),
        trap("a state longer than an address", words(&[(4, 64), (8, -1)])),
        trap("an error outside the memory", words(&[(0, 1), (4, 65_530), (8, 100)])),
        trap(
            "an error that is no text",
            with_data(
                "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024))
             (i32.store (i32.const 8) (i32.const 2)) (i32.const 0)",
                "\\ff\\fe",
            ),
        ),
        Hostile::new(
            "an error that speaks to a terminal",
            with_data(
                "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024))
             (i32.store (i32.const 8) (i32.const 9)) (i32.const 0)",
                "\\1b[2J\\1b[1mx",
            ),
            End::Failure(FailureCode::Error, "[2J"),
        ),
    ]
}

fn allocators() -> Vec<Hostile> {
    // An error's message is what the host puts into the guest's memory.
    let wrong = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const nan) (i32.const 2048)) (i32.const 0)";
    let of = |realloc: &str| Guest { body: wrong, realloc, ..Guest::default() }.build();
    vec![
        trap("realloc gives what lies outside", of("(i32.const 65535)")),
        trap("realloc gives −1", of("(i32.const -1)")),
        Hostile::new("realloc traps", of("(unreachable)"), End::Failure(FailureCode::Trap, "unreachable")),
        Hostile::new(
            "realloc never ends",
            of("(loop $l (br $l)) (unreachable)"),
            End::Failure(FailureCode::Gas, "gas"),
        ),
        Hostile::new(
            "realloc grows",
            of("(drop (memory.grow (i32.const 4000))) (i32.const 4096)"),
            End::Failure(FailureCode::Memory, "limits.memory"),
        ),
        Hostile::new("realloc gives the answer's own place", of("(i32.const 2048)"), End::Harmless),
        Hostile::new(
            "realloc gives address 0",
            of("(i32.const 0)"),
            End::Failure(FailureCode::Trap, "discriminant"),
        ),
        Hostile::new(
            "realloc calls the host",
            of("(call $log (i32.const 1024) (i32.const 1)) (i32.const 4096)"),
            End::Failure(FailureCode::Trap, "cannot leave"),
        ),
        trap(
            "realloc gives an odd address for a list",
            Guest {
                body: "(call $commit (i32.const 2052) (i32.const 1) (i32.const 2060)) (i32.const 0)",
                realloc: "(i32.const 4097)",
                functions: "",
                ..Guest::default()
            }
            .build(),
        ),
    ]
}

fn entrance() -> Vec<Hostile> {
    let nested = "
(component $b (import \"f\" (func $f)) (core func $f' (canon lower (func $f)))
  (core module $m (import \"\" \"f\" (func $f)) (func (export \"g\") (call $f)))
  (core instance $i (instantiate $m (with \"\" (instance (export \"f\" (func $f'))))))
  (func (export \"g\") (canon lift (core func $i \"g\"))))
(core module $fm (func (export \"f\"))) (core instance $fi (instantiate $fm))
(func $f (canon lift (core func $fi \"f\")))
(instance $b (instantiate $b (with \"f\" (func $f))))";
    let re_entered = Guest {
        imports: nested,
        lowered: "(core func $g (canon lower (func $b \"g\")))",
        given: "(export \"g\" (func $g))",
        taken: "(import \"host\" \"g\" (func $g))",
        body: "(call $g) (i32.const 0)",
        ..Guest::default()
    };
    let own = Guest {
        imports: "(core module $fm (func (export \"f\"))) (core instance $fi (instantiate $fm))
            (func $f (canon lift (core func $fi \"f\")))",
        lowered: "(core func $g (canon lower (func $f)))",
        given: "(export \"g\" (func $g))",
        taken: "(import \"host\" \"g\" (func $g))",
        body: "(call $g) (i32.const 0)",
        ..Guest::default()
    };
    let post = |code: &str| {
        let functions = format!("(func (export \"post\") (param i32) {code})");
        Guest { functions: &functions, lift: "(post-return (core func $guest \"post\"))", ..Guest::default() }
            .build()
    };
    let trapped = |name, component| Hostile::new(name, component, End::Failure(FailureCode::Trap, ""));
    vec![
        trapped("a component that is entered again by its child", re_entered.build()),
        trapped("a component that calls itself", own.build()),
        trapped("the host called after the answer", post("(call $log (i32.const 1024) (i32.const 1))")),
        trapped("a trap after the answer", post("(unreachable)")),
        Hostile::new(
            "a loop after the answer",
            post("(loop $l (br $l))"),
            End::Failure(FailureCode::Gas, "gas"),
        ),
    ]
}
