//! Guests that misuse the contract: shapes, numbers, indices, reads, gradients, reports and names of states.
//! Where the contract answers with an error, the guest itself checks its code and traps on another.

use anneal_job::{Entry, FailureCode};

use super::{
    End, Hostile,
    component::{body, with_data},
    handles::refused,
};

const SHAPE: u32 = 0;
const ARGUMENT: u32 = 2;
const LIMIT: u32 = 3;
const NOT_FOUND: u32 = 5;
const OVERFLOW: u32 = 6;
const FULL: &str = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const 1) (i32.const 2048))";
const HANDLE: &str = "(i32.load (i32.const 2052))";

pub fn guests() -> Vec<Hostile> {
    let mut guests = calls();
    guests.extend(data());
    guests.extend(reports());
    guests.extend(states());
    guests
}

/// The call is refused with this code, and the guest lives on.
fn error(name: &'static str, call: &str, code: u32) -> Hostile {
    Hostile::new(name, body(&format!("{call} {} (i32.const 0)", refused(code))), End::Harmless)
}

/// Words at 3000.
fn words(words: &[u32]) -> String {
    let store =
        |(i, word): (usize, &u32)| format!("(i32.store (i32.const {}) (i32.const {word}))", 3000 + 4 * i);
    words.iter().enumerate().map(store).collect()
}

/// `full` of this shape.
fn full(dtype: u32, shape: &[u32], value: &str) -> String {
    format!(
        "{} (call $full (i32.const {dtype}) (i32.const 3000) (i32.const {}) (f64.const {value}) (i32.const 2048))",
        words(shape),
        shape.len()
    )
}

fn calls() -> Vec<Hostile> {
    let max = u32::MAX;
    let bytes = |dtype: u32, shape: &[u32], length: u32| {
        format!(
            "{} (call $from-bytes (i32.const {dtype}) (i32.const 3000) (i32.const {}) (i32.const 1024)
               (i32.const {length}) (i32.const 2048))",
            words(shape),
            shape.len()
        )
    };
    let bits = |word: u32| format!("(i32.store (i32.const 1024) (i32.const {word})) {}", bytes(0, &[1], 4));
    let to = |function: &str, shape: &[u32]| {
        format!(
            "{FULL} {} (call ${function} {HANDLE} (i32.const 3000) (i32.const {}) (i32.const 2048))",
            words(shape),
            shape.len()
        )
    };
    let slice = |start: u32, end: u32, step: u32| {
        format!(
            "{} {} (call $slice {HANDLE} (i32.const 3000) (i32.const 1) (i32.const 3004) (i32.const 1)
               (i32.const 3008) (i32.const 1) (i32.const 2048))",
            full(0, &[4], "1"),
            words(&[start, end, step])
        )
    };
    vec![
        error("a shape whose product overflows", &full(0, &[max, max, max], "0"), LIMIT),
        error("a shape whose product overflows to 0", &full(0, &[1 << 31, 1 << 31, 4], "0"), LIMIT),
        error("a tensor over 128 MiB", &full(0, &[(32 << 20) + 1], "0"), LIMIT),
        error("nine axes", &full(0, &[1; 9], "0"), LIMIT),
        error("NaN as a number", &full(0, &[], "nan"), ARGUMENT),
        error("infinity as a number", &full(0, &[], "-inf"), ARGUMENT),
        error("half an integer", &full(1, &[], "0.5"), ARGUMENT),
        error("an integer out of range", &full(2, &[], "256"), ARGUMENT),
        error("a boolean that is 2", &full(3, &[], "2"), ARGUMENT),
        error("NaN as bytes", &bits(0x7fc0_0001), ARGUMENT),
        error("infinity as bytes", &bits(0xff80_0000), ARGUMENT),
        error("fewer bytes than elements", &bytes(0, &[2], 4), ARGUMENT),
        error("more bytes than elements", &bytes(2, &[2], 3), ARGUMENT),
        error("a reshape to more", &to("reshape", &[max, max]), LIMIT),
        error("a reshape to nothing", &to("reshape", &[0]), SHAPE),
        error("a broadcast to 2^64", &to("broadcast-to", &[max, max, 2]), LIMIT),
        error("a slice backwards", &slice(3, 1, 1), ARGUMENT),
        error("a slice beyond the end", &slice(0, max, 1), ARGUMENT),
        error("a slice of step 0", &slice(0, 4, 0), ARGUMENT),
        error(
            "nothing joined",
            "(call $concat (i32.const 3000) (i32.const 0) (i32.const 0) (i32.const 2048))",
            ARGUMENT,
        ),
        error(
            "a product of scalars",
            &format!("{FULL} (call $matmul {HANDLE} {HANDLE} (i32.const 7) (i32.const -1) (i32.const 2048))"),
            SHAPE,
        ),
        error(
            "a gradient of many elements",
            &format!(
                "{} (i32.store (i32.const 3000) {HANDLE})
            (call $gradients {HANDLE} (i32.const 3000) (i32.const 1) (i32.const 2048))",
                full(0, &[2], "1")
            ),
            SHAPE,
        ),
        error(
            "a gradient of integers",
            &format!(
                "{} (i32.store (i32.const 3000) {HANDLE})
            (call $gradients {HANDLE} (i32.const 3000) (i32.const 1) (i32.const 2048))",
                full(1, &[], "1")
            ),
            SHAPE,
        ),
        error(
            "a read over 4 MiB",
            &format!("{} (call $read {HANDLE} (i32.const 2048))", full(0, &[(1 << 20) + 1], "0")),
            LIMIT,
        ),
        error(
            "a read of what overflowed",
            &format!(
                "{} (call $exp {HANDLE} (i32.const 2048)) (call $read {HANDLE} (i32.const 2048))",
                full(0, &[], "100")
            ),
            OVERFLOW,
        ),
        Hostile::new(
            "tensors over their limit",
            body(&format!("{} {} (unreachable)", full(0, &[3 << 20], "0"), full(0, &[3 << 20], "0"))),
            End::Failure(FailureCode::TensorMemory, "limits.tensor-memory"),
        ),
        Hostile::new(
            "a history that doubles",
            body(&format!(
                "{FULL} (loop $l (call $add {HANDLE} {HANDLE} (i32.const 2048)) (br $l)) (unreachable)"
            )),
            End::Failure(FailureCode::Handles, "limits.handles"),
        ),
    ]
}

fn data() -> Vec<Hostile> {
    let rows = |name: &str, indices: &[u32]| {
        let code = format!(
            "{} (call $rows (i32.const 1024) (i32.const 5) (i32.const 3000) (i32.const {}) (i32.const 2048))",
            words(indices),
            indices.len()
        );
        (code, name.to_owned())
    };
    let error = |name, (code, data): (String, String), expected| {
        Hostile::new(
            name,
            with_data(&format!("{code} {} (i32.const 0)", refused(expected)), &data),
            End::Harmless,
        )
    };
    let bytes = |offset: &str, length: &str| {
        let code = format!(
            "(call $bytes (i32.const 1024) (i32.const 5) (i64.const {offset}) (i32.const {length}) (i32.const 2048))"
        );
        (code, "table".to_owned())
    };
    // Row 0 a million times: 4 MB of indices, as many bytes of rows.
    let grown = "(drop (memory.grow (i32.const 62)))";
    let million =
        "(call $rows (i32.const 1024) (i32.const 5) (i32.const 65536) (i32.const 1000000) (i32.const 2048))";
    vec![
        error("a row after the last", rows("table", &[3]), ARGUMENT),
        error("row 2^32 − 1", rows("table", &[0, u32::MAX]), ARGUMENT),
        error("rows of no input", rows("../..", &[0]), NOT_FOUND),
        error("bytes from 2^64 − 1", bytes("-1", "1"), ARGUMENT),
        error("bytes whose end wraps around", bytes("-1", "4000000"), ARGUMENT),
        error("bytes after the last", bytes("0", "13"), ARGUMENT),
        error("bytes over 4 MiB", bytes("0", "-1"), LIMIT),
        error(
            "the whole of no input",
            (
                "(call $whole (i32.const 1024) (i32.const 5) (i32.const 2048))".to_owned(),
                "\\00\\00\\00\\00\\00".to_owned(),
            ),
            NOT_FOUND,
        ),
        Hostile::new(
            "one row a million times",
            with_data(&format!("{grown} {million} (i32.const 0)"), "table"),
            End::Harmless,
        ),
        Hostile::new(
            "rows until memory ends",
            with_data(&format!("{grown} (loop $l {million} (br $l)) (unreachable)"), "table"),
            End::Failure(FailureCode::TensorMemory, "limits.tensor-memory"),
        )
        .gas(1_000_000_000),
    ]
}

fn reports() -> Vec<Hostile> {
    let metric = |length: &str, value: &str| {
        with_data(
            &format!(
                "(call $metric (i32.const 1024) (i32.const {length}) (i64.const 0) (f64.const {value})) (i32.const 0)"
            ),
            "loss",
        )
    };
    let overflow = |words| End::Failure(FailureCode::Overflow, words);
    // `evaluate` returns one metric, named by bytes at 1024, of this value at 80.
    let evaluated = |length: u32, value: &str| {
        with_data(
            &format!(
                "(i32.store (i32.const 4) (i32.const 64)) (i32.store (i32.const 8) (i32.const 1))
             (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const {length}))
             (f64.store (i32.const 72) (f64.const {value})) (i32.const 0)"
            ),
            "loss",
        )
    };
    let panic = "(call $panic (i32.const 1024) (i32.const 4) (i32.const 1024) (i32.const 4) (i32.const -1) (i32.const -1)) (unreachable)";
    vec![
        Hostile::new("a metric that is NaN", metric("4", "nan"), overflow("is NaN")),
        Hostile::new("a metric that is infinite", metric("4", "-inf"), overflow("is -inf")),
        Hostile::new("a metric of 2^62", metric("4", "0x1p62"), overflow("2^62")),
        Hostile::new(
            "a metric without a name",
            metric("0", "1"),
            End::Failure(FailureCode::Limit, "0 bytes"),
        ),
        Hostile::new(
            "a metric with a long name",
            metric("60000", "1"),
            End::Failure(FailureCode::Limit, "60000 bytes"),
        ),
        Hostile::new(
            "a metric named to a terminal",
            with_data(
                "(call $metric (i32.const 1024) (i32.const 4) (i64.const 0) (f64.const nan)) (i32.const 0)",
                "\\1b[2J",
            ),
            overflow("[2J"),
        ),
        Hostile::new("an evaluation that is NaN", evaluated(4, "nan"), overflow("is NaN"))
            .entry(Entry::Evaluate),
        Hostile::new(
            "an evaluation without a name",
            evaluated(0, "1"),
            End::Failure(FailureCode::Limit, "0 bytes"),
        )
        .entry(Entry::Evaluate),
        Hostile::new(
            "a panic with words for a terminal",
            with_data(panic, "\\1b]0;"),
            End::Failure(FailureCode::Panic, "]0;"),
        ),
    ]
}

fn states() -> Vec<Hostile> {
    let named = |data: &str, length: u32| {
        with_data(
            &format!(
                "{FULL} (i32.store (i32.const 4) (i32.const 64)) (i32.store (i32.const 8) (i32.const 1))
             (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const {length}))
             (i32.store (i32.const 72) {HANDLE}) (i32.const 0)"
            ),
            data,
        )
    };
    let state = |words| End::Failure(FailureCode::State, words);
    let harmless = |name, data: &str, length| Hostile::new(name, named(data, length), End::Harmless);
    // 4,097 tensors, whose names are the four bytes of a counter.
    let many = format!(
        "(drop (memory.grow (i32.const 4)))
         (loop $l {FULL}
           (i32.store (i32.add (i32.const 200000) (i32.shl (local.get $i) (i32.const 2)))
             (i32.or (i32.and (local.get $i) (i32.const 0x7f)) (i32.shl (i32.shr_u (local.get $i) (i32.const 7)) (i32.const 8))))
           (i32.store (i32.add (i32.const 100000) (i32.mul (local.get $i) (i32.const 12)))
             (i32.add (i32.const 200000) (i32.shl (local.get $i) (i32.const 2))))
           (i32.store offset=4 (i32.add (i32.const 100000) (i32.mul (local.get $i) (i32.const 12))) (i32.const 4))
           (i32.store offset=8 (i32.add (i32.const 100000) (i32.mul (local.get $i) (i32.const 12))) {HANDLE})
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $i) (i32.const 4097))))
         (i32.store (i32.const 4) (i32.const 100000)) (i32.store (i32.const 8) (i32.const 4097)) (i32.const 0)"
    );
    let mut many = Hostile::new("4,097 tensors in a state", body(&many), state("no state"));
    many.limits.handles = 10_000;
    let overflow = format!(
        "{} (call $exp {HANDLE} (i32.const 2048)) (i32.store (i32.const 4) (i32.const 64)) (i32.store (i32.const 8) (i32.const 1))
         (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const 4))
         (i32.store (i32.const 72) {HANDLE}) (i32.const 0)", full(0, &[], "100")
    );
    vec![
        harmless("a state named as a path", "../../../../tmp/state", 21),
        harmless("a state named as a root", "/etc/passwd", 11),
        harmless("a state named with zeros", "a\\00\\00b", 4),
        harmless("a state named as the format's own key", "__metadata__", 12),
        harmless("a state named to a terminal", "\\1b[2J", 4),
        harmless("a state named in JSON", "\\22}],{", 5),
        harmless("a state named from right to left", "\\e2\\80\\aea", 4),
        Hostile::new("a state without a name", named("", 0), state("no state")),
        Hostile::new("a state with a long name", named(&"n".repeat(257), 257), state("257 bytes")),
        Hostile::new(
            "a state that overflowed",
            with_data(&overflow, "loss"),
            End::Failure(FailureCode::Overflow, "±2^62"),
        ),
        many,
    ]
}
