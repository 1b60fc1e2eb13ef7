//! Guests that misuse WASI as it is played for them.

use anneal_job::FailureCode;

use super::{End, Hostile, component::Guest};

const IMPORTS: &str = r#"
(import "wasi:io/error@0.2.3" (instance $ioerror (export "error" (type (sub resource)))))
(alias export $ioerror "error" (type $ioerr))
(import "wasi:io/streams@0.2.3" (instance $streams
  (export "output-stream" (type $out (sub resource)))
  (export "error" (type $err (eq $ioerr)))
  (type $failure' (variant (case "last-operation-failed" (own $err)) (case "closed")))
  (export "stream-error" (type $failure (eq $failure')))
  (export "[method]output-stream.write" (func
    (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $failure)))))
))
(alias export $streams "output-stream" (type $out))
(import "wasi:cli/stderr@0.2.3" (instance $stderr
  (export "output-stream" (type $out' (eq $out))) (export "get-stderr" (func (result (own $out'))))))
(import "wasi:random/random@0.2.3" (instance $random
  (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
(import "wasi:clocks/wall-clock@0.2.3" (instance $clock
  (type $time' (record (field "seconds" u64) (field "nanoseconds" u32)))
  (export "datetime" (type $time (eq $time')))
  (export "now" (func (result $time)))))
(import "wasi:cli/exit@0.2.3" (instance $exit (export "exit" (func (param "status" (result))))))
(import "wasi:filesystem/types@0.2.3" (instance $files
  (export "descriptor" (type $file (sub resource)))
  (export "[method]descriptor.open-at" (func (param "self" (borrow $file)) (param "path" string)
    (result (own $file))))
  (export "steal" (func (result (own $file))))))
"#;

const LOWERED: &str = r#"
(core func $write (canon lower (func $streams "[method]output-stream.write") (memory $memory)))
(core func $stderr (canon lower (func $stderr "get-stderr")))
(core func $random (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))
(core func $now (canon lower (func $clock "now") (memory $memory)))
(core func $exit (canon lower (func $exit "exit")))
(core func $open (canon lower (func $files "[method]descriptor.open-at") (memory $memory)))
(core func $steal (canon lower (func $files "steal")))
"#;

const GIVEN: &str = r#"(export "write" (func $write)) (export "stderr" (func $stderr))
(export "random" (func $random)) (export "now" (func $now)) (export "exit" (func $exit))
(export "open" (func $open)) (export "steal" (func $steal))"#;

const TAKEN: &str = r#"
(import "host" "write" (func $write (param i32 i32 i32 i32)))
(import "host" "stderr" (func $stderr (result i32)))
(import "host" "random" (func $random (param i64 i32)))
(import "host" "now" (func $now (param i32)))
(import "host" "exit" (func $exit (param i32)))
(import "host" "open" (func $open (param i32 i32 i32) (result i32)))
(import "host" "steal" (func $steal (result i32)))
"#;

fn guest(code: &str) -> Vec<u8> {
    let body = format!("{code} (i32.const 0)");
    let wasi = Guest { imports: IMPORTS, lowered: LOWERED, given: GIVEN, taken: TAKEN, ..Guest::default() };
    Guest { body: &body, data: "/etc/passwd", ..wasi }.build()
}

pub fn guests() -> Vec<Hostile> {
    let trap = |name, code, words| Hostile::new(name, guest(code), End::Failure(FailureCode::Trap, words));
    let gas = End::Failure(FailureCode::Gas, "gas");
    vec![
        trap("exit with success", "(call $exit (i32.const 0))", "called exit"),
        trap("exit with an unknown case", "(call $exit (i32.const 2))", "calling convention"),
        trap(
            "a file opened without a folder",
            "(drop (call $open (i32.const 0) (i32.const 1024) (i32.const 11)))",
            "calling convention",
        ),
        trap("a file made up", "(drop (call $steal))", "which no job gets"),
        trap(
            "a write to no stream",
            "(call $write (i32.const 7) (i32.const 0) (i32.const 10) (i32.const 2048))",
            "calling convention",
        ),
        trap(
            "a write from outside the memory",
            "(call $write (call $stderr) (i32.const 65530) (i32.const 10) (i32.const 2048))",
            "calling convention",
        ),
        Hostile::new(
            "2^64 − 1 random bytes",
            guest("(call $random (i64.const -1) (i32.const 2048))"),
            End::Failure(FailureCode::Limit, "random bytes"),
        ),
        trap(
            "more random bytes than the memory holds",
            "(call $random (i64.const 1000000) (i32.const 2048))",
            "calling convention",
        ),
        Hostile::new(
            "a flood to stderr",
            guest(
                "(local.set $i (call $stderr))
            (loop $l (call $write (local.get $i) (i32.const 0) (i32.const 60000) (i32.const 2048)) (br $l))",
            ),
            gas,
        ),
        Hostile::new("a clock asked for ever", guest("(loop $l (call $now (i32.const 2048)) (br $l))"), gas),
        Hostile::new(
            "what is no text to stderr",
            guest(
                "(i64.store (i32.const 3000) (i64.const -1))
            (call $write (call $stderr) (i32.const 3000) (i32.const 8) (i32.const 2048))",
            ),
            End::Harmless,
        ),
    ]
}
