//! Small guests in WebAssembly text, and tasks for them: what the tests of this crate share. The SDK's guests
//! are tested end to end, elsewhere.

use std::collections::BTreeMap;

use anneal_job::{Digest, Entry, Limits, Place, Task};
use anneal_tensor::{Executor, Reference};

use crate::VERSIONS;

/// Types and imports of a guest of world `function`.
const PREAMBLE: &str = r#"
(import "anneal:job/tensors@0.1.0" (instance $tensors
  (export "tensor" (type $tensor (sub resource)))
  (type $dtype' (enum "f32" "i32" "u8" "boolean" "bf16" "f16"))
  (export "dtype" (type $dtype (eq $dtype')))
  (type $code' (enum "shape" "dtype" "argument" "limit" "no-gradient" "not-found" "overflow"))
  (export "error-code" (type $code (eq $code')))
  (type $error' (record (field "code" $code) (field "message" string)))
  (export "error" (type $error (eq $error')))
  (export "full" (func (param "dtype" $dtype) (param "shape" (list u32)) (param "value" f64)
    (result (result (own $tensor) (error $error)))))
  (export "exp" (func (param "x" (borrow $tensor)) (result (result (own $tensor) (error $error)))))
  (export "commit" (func (param "xs" (list (borrow $tensor))) (result (list (own $tensor)))))
))
(alias export $tensors "tensor" (type $tensor))
(import "anneal:job/context@0.1.0" (instance $context
  (export "tensor" (type $tensor' (eq $tensor)))
  (type $value' (variant (case "text" string) (case "integer" s64) (case "number" f64) (case "boolean" bool)))
  (export "value" (type $value (eq $value')))
  (type $task' (record (field "seed" u64) (field "round" u32) (field "segment" u32) (field "segments" u32)
    (field "worker" u32) (field "workers" u32) (field "parameters" (list (tuple string $value)))))
  (export "task" (type $task (eq $task')))
  (type $named' (record (field "name" string) (field "tensor" (own $tensor'))))
  (export "named-tensor" (type $named (eq $named')))
))
(alias export $context "task" (type $task'))
(import "task" (type $task (eq $task')))
(alias export $context "named-tensor" (type $named))
(import "anneal:job/report@0.1.0" (instance $report
  (export "log" (func (param "message" string)))
  (export "metric" (func (param "name" string) (param "step" u64) (param "value" f64)))
  (export "panic" (func (param "message" string) (param "file" string) (param "line" u32)
    (param "column" u32)))
))
"#;

/// A guest of world `function` with one core module.
pub(crate) struct Guest<'a> {
    /// Core instructions of `run`, ending with the address of the answer. Address 0 holds an answer `ok`
    /// without tensors.
    pub body: &'a str,
    /// What lies at 1024.
    pub data: &'a str,
    /// The core module's memory.
    pub memory: &'a str,
    /// More imports of the component.
    pub imports: &'a str,
    /// Core functions made of them; `$memory` and `$realloc` are there.
    pub lowered: &'a str,
    /// Those functions as exports of a core instance.
    pub given: &'a str,
    /// And as imports `host` of the core module.
    pub taken: &'a str,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Guest {
            body: "(i32.const 0)",
            data: "",
            memory: "(memory (export \"memory\") 1 4096)",
            imports: "",
            lowered: "",
            given: "",
            taken: "",
        }
    }
}

/// A guest with this body and these data.
pub(crate) fn guest(body: &str, data: &str) -> Vec<u8> {
    Guest { body, data, ..Guest::default() }.build()
}

impl Guest<'_> {
    /// The component's bytes.
    pub(crate) fn build(&self) -> Vec<u8> {
        let Guest { body, data, memory, imports, lowered, given, taken } = self;
        let text = format!(
            r#"(component {PREAMBLE}
{imports}
(core module $libc
  {memory}
  (global $next (mut i32) (i32.const 32768))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at)))
(core instance $libc (instantiate $libc))
(alias core export $libc "memory" (core memory $memory))
(alias core export $libc "realloc" (core func $realloc))
(core func $full (canon lower (func $tensors "full") (memory $memory) (realloc $realloc)))
(core func $exp (canon lower (func $tensors "exp") (memory $memory) (realloc $realloc)))
(core func $commit (canon lower (func $tensors "commit") (memory $memory) (realloc $realloc)))
(core func $drop (canon resource.drop $tensor))
(core func $log (canon lower (func $report "log") (memory $memory)))
(core func $metric (canon lower (func $report "metric") (memory $memory)))
(core func $panic (canon lower (func $report "panic") (memory $memory)))
{lowered}
(core module $guest
  (import "libc" "memory" (memory 1))
  (import "host" "full" (func $full (param i32 i32 i32 f64 i32)))
  (import "host" "exp" (func $exp (param i32 i32)))
  (import "host" "commit" (func $commit (param i32 i32 i32)))
  (import "host" "drop" (func $drop (param i32)))
  (import "host" "log" (func $log (param i32 i32)))
  (import "host" "metric" (func $metric (param i32 i32 i64 f64)))
  (import "host" "panic" (func $panic (param i32 i32 i32 i32 i32 i32)))
  {taken}
  (data (i32.const 1024) "{data}")
  (func $deep (param i32) (result i32)
    (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func (export "run") (param i64 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $i i32)
    {body}))
(core instance $guest (instantiate $guest
  (with "libc" (instance $libc))
  (with "host" (instance
    (export "full" (func $full)) (export "exp" (func $exp)) (export "commit" (func $commit))
    (export "drop" (func $drop)) (export "log" (func $log)) (export "metric" (func $metric))
    (export "panic" (func $panic)) {given}))))
(func (export "run") (param "task" $task) (result (result (list $named) (error string)))
  (canon lift (core func $guest "run") (memory $memory) (realloc $realloc))))"#
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("the test's guest is WAT: {error}"))
    }
}

/// A task that calls `run` of a component.
pub(crate) fn task(component: &[u8], limits: Limits) -> Task {
    Task {
        component: Digest::of(component),
        entry: Entry::Run,
        place: Place { round: 0, segment: 0, segments: 1, worker: 0, workers: 1 },
        job_seed: 1,
        parameters: BTreeMap::new(),
        inputs: BTreeMap::new(),
        states: Vec::new(),
        limits,
        versions: VERSIONS,
    }
}

/// The reference interpreter.
pub(crate) fn reference() -> Box<dyn Executor> {
    Box::new(Reference::new())
}
