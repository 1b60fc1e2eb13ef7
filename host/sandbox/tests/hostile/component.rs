//! Hostile components in WebAssembly text, from parts that a case replaces. What the parts have in common is a
//! whole and honest guest of either world; nothing here judges.

/// Types and imports: as much of the contract as the cases abuse.
const PREAMBLE: &str = r#"
(import "anneal:job/tensors@0.1.0" (instance $tensors
  (export "tensor" (type $tensor (sub resource)))
  (type $dtype' (enum "f32" "i32" "u8" "boolean" "bf16" "f16"))
  (export "dtype" (type $dtype (eq $dtype')))
  (type $code' (enum "shape" "dtype" "argument" "limit" "no-gradient" "not-found" "overflow"))
  (export "error-code" (type $code (eq $code')))
  (type $error' (record (field "code" $code) (field "message" string)))
  (export "error" (type $error (eq $error')))
  (type $one (result (own $tensor) (error $error)))
  (export "full" (func (param "dtype" $dtype) (param "shape" (list u32)) (param "value" f64) (result $one)))
  (export "from-bytes" (func (param "dtype" $dtype) (param "shape" (list u32)) (param "bytes" (list u8))
    (result $one)))
  (export "exp" (func (param "x" (borrow $tensor)) (result $one)))
  (export "add" (func (param "a" (borrow $tensor)) (param "b" (borrow $tensor)) (result $one)))
  (export "reshape" (func (param "x" (borrow $tensor)) (param "shape" (list u32)) (result $one)))
  (export "broadcast-to" (func (param "x" (borrow $tensor)) (param "shape" (list u32)) (result $one)))
  (export "concat" (func (param "xs" (list (borrow $tensor))) (param "axis" u32) (result $one)))
  (export "slice" (func (param "x" (borrow $tensor)) (param "starts" (list u32)) (param "ends" (list u32))
    (param "steps" (list u32)) (result $one)))
  (export "matmul" (func (param "a" (borrow $tensor)) (param "b" (borrow $tensor)) (param "transpose-a" bool)
    (param "transpose-b" bool) (result $one)))
  (export "gradients" (func (param "loss" (borrow $tensor)) (param "wrt" (list (borrow $tensor)))
    (result (result (list (own $tensor)) (error $error)))))
  (export "commit" (func (param "xs" (list (borrow $tensor))) (result (list (own $tensor)))))
  (export "[method]tensor.read" (func (param "self" (borrow $tensor)) (result (result (list u8) (error $error)))))
))
(alias export $tensors "tensor" (type $tensor))
(alias export $tensors "error" (type $error))
(import "anneal:job/context@0.1.0" (instance $context
  (export "tensor" (type $tensor' (eq $tensor)))
  (export "error" (type $error' (eq $error)))
  (type $value' (variant (case "text" string) (case "integer" s64) (case "number" f64) (case "boolean" bool)))
  (export "value" (type $value (eq $value')))
  (type $task' (record (field "seed" u64) (field "round" u32) (field "segment" u32) (field "segments" u32)
    (field "worker" u32) (field "workers" u32) (field "parameters" (list (tuple string $value)))))
  (export "task" (type $task (eq $task')))
  (type $named' (record (field "name" string) (field "tensor" (own $tensor'))))
  (export "named-tensor" (type $named (eq $named')))
  (export "open-state" (func (param "worker" u32) (result (result (list $named) (error $error')))))
))
(alias export $context "task" (type $task'))
(import "task" (type $task (eq $task')))
(alias export $context "named-tensor" (type $named))
(import "anneal:job/data@0.1.0" (instance $data
  (export "tensor" (type $tensor' (eq $tensor)))
  (export "error" (type $error' (eq $error)))
  (export "rows" (func (param "name" string) (param "indices" (list u32))
    (result (result (own $tensor') (error $error')))))
  (export "whole" (func (param "name" string) (result (result (own $tensor') (error $error')))))
  (export "bytes" (func (param "name" string) (param "offset" u64) (param "length" u32)
    (result (result (list u8) (error $error')))))
))
(import "anneal:job/report@0.1.0" (instance $report
  (export "progress" (func (param "done" u64) (param "total" u64)))
  (export "log" (func (param "message" string)))
  (export "metric" (func (param "name" string) (param "step" u64) (param "value" f64)))
  (export "panic" (func (param "message" string) (param "file" string) (param "line" u32)
    (param "column" u32)))
))
"#;

/// Each function of the host: its name here, its instance, its name there, its core type.
const FUNCTIONS: [(&str, &str, &str, &str); 20] = [
    ("full", "tensors", "full", "(param i32 i32 i32 f64 i32)"),
    ("from-bytes", "tensors", "from-bytes", "(param i32 i32 i32 i32 i32 i32)"),
    ("exp", "tensors", "exp", "(param i32 i32)"),
    ("add", "tensors", "add", "(param i32 i32 i32)"),
    ("reshape", "tensors", "reshape", "(param i32 i32 i32 i32)"),
    ("broadcast-to", "tensors", "broadcast-to", "(param i32 i32 i32 i32)"),
    ("concat", "tensors", "concat", "(param i32 i32 i32 i32)"),
    ("slice", "tensors", "slice", "(param i32 i32 i32 i32 i32 i32 i32 i32)"),
    ("matmul", "tensors", "matmul", "(param i32 i32 i32 i32 i32)"),
    ("gradients", "tensors", "gradients", "(param i32 i32 i32 i32)"),
    ("commit", "tensors", "commit", "(param i32 i32 i32)"),
    ("read", "tensors", "[method]tensor.read", "(param i32 i32)"),
    ("open-state", "context", "open-state", "(param i32 i32)"),
    ("rows", "data", "rows", "(param i32 i32 i32 i32 i32)"),
    ("whole", "data", "whole", "(param i32 i32 i32)"),
    ("bytes", "data", "bytes", "(param i32 i32 i64 i32 i32)"),
    ("progress", "report", "progress", "(param i64 i64)"),
    ("log", "report", "log", "(param i32 i32)"),
    ("metric", "report", "metric", "(param i32 i32 i64 f64)"),
    ("panic", "report", "panic", "(param i32 i32 i32 i32 i32 i32)"),
];

/// A bump allocator that never fails; `log` may be called from it.
const REALLOC: &str = "(local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at)";

/// A component that exports everything of both worlds.
pub struct Guest<'a> {
    /// Core instructions of every export, ending with the address of the answer. Address 0 holds an answer
    /// `ok` without tensors; parameters are `$task`, then numbers; a local `$i`.
    pub body: &'a str,
    /// What lies at 1024.
    pub data: &'a str,
    /// The core module's memory.
    pub memory: &'a str,
    /// The body of `realloc`.
    pub realloc: &'a str,
    /// More of the core module: functions, tables, a start.
    pub functions: &'a str,
    /// More imports of the component, or whatever else precedes its modules.
    pub imports: &'a str,
    /// Core functions made of them.
    pub lowered: &'a str,
    /// Those functions as exports of a core instance.
    pub given: &'a str,
    /// And as imports `host` of the core module.
    pub taken: &'a str,
    /// More options of the lowered functions.
    pub lower: &'a str,
    /// More options of the lifted exports.
    pub lift: &'a str,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Guest {
            body: "(i32.const 0)",
            data: "",
            memory: "(memory (export \"memory\") 1 4096)",
            realloc: REALLOC,
            functions: "",
            imports: "",
            lowered: "",
            given: "",
            taken: "",
            lower: "",
            lift: "",
        }
    }
}

/// An honest guest but for its body.
pub fn body(body: &str) -> Vec<u8> {
    Guest { body, ..Guest::default() }.build()
}

/// The same with these bytes at 1024.
pub fn with_data(body: &str, data: &str) -> Vec<u8> {
    Guest { body, data, ..Guest::default() }.build()
}

/// A component or module as text.
pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("the case is WAT: {error}"))
}

/// A section of a component as bytes.
pub fn section(id: u8, contents: &[u8]) -> Vec<u8> {
    let (mut section, mut length) = (vec![id], contents.len());
    while length > 0x7f {
        section.push(length as u8 | 0x80);
        length >>= 7;
    }
    section.push(length as u8);
    section.extend_from_slice(contents);
    section
}

impl Guest<'_> {
    /// The component's bytes.
    pub fn build(&self) -> Vec<u8> {
        wat(&self.text())
    }

    fn text(&self) -> String {
        let Guest { body, data, memory, realloc, functions, imports, lowered, given, taken, lower, lift } =
            self;
        let (mut lowers, mut gives, mut takes) = (String::new(), String::new(), String::new());
        for (name, instance, function, core) in FUNCTIONS {
            lowers += &format!(
                "(core func ${name} (canon lower (func ${instance} \"{function}\") (memory $memory)
                   (realloc $realloc) {lower}))\n"
            );
            gives += &format!("(export \"{name}\" (func ${name}))");
            takes += &format!("(import \"host\" \"{name}\" (func ${name} {core}))\n");
        }
        let task = "(param $task i64) (param i32 i32 i32 i32 i32 i32 i32)";
        let entry = |name: &str, more: &str| {
            format!("(func (export \"{name}\") {task} {more} (result i32) (local $i i32) {body})\n")
        };
        let entries: String = ["init", "merge", "run"].map(|name| entry(name, "")).concat()
            + &["train", "evaluate"].map(|name| entry(name, "(param i32 i32)")).concat();
        let lifted = |name: &str, more: &str, result: &str| {
            format!(
                "(func (export \"{name}\") (param \"task\" $task) {more} (result (result {result} (error string)))
                   (canon lift (core func $guest \"{name}\") (memory $memory) (realloc $realloc) {lift}))\n"
            )
        };
        let state = "(param \"state\" (list $named))";
        let exports = ["init", "merge", "run"].map(|name| lifted(name, "", "(list $named)")).concat()
            + &lifted("train", state, "(list $named)")
            + &lifted("evaluate", state, "(list (tuple string f64))");
        format!(
            r#"(component {PREAMBLE}
{imports}
(core module $mem {memory})
(core instance $mem (instantiate $mem))
(alias core export $mem "memory" (core memory $memory))
(core func $early-log (canon lower (func $report "log") (memory $memory)))
(core module $libc
  (import "mem" "memory" (memory 0))
  (import "host" "log" (func $log (param i32 i32)))
  (global $next (mut i32) (i32.const 32768))
  (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc}))
(core instance $libc (instantiate $libc (with "mem" (instance $mem))
  (with "host" (instance (export "log" (func $early-log))))))
(alias core export $libc "realloc" (core func $realloc))
{lowers}
(core func $drop (canon resource.drop $tensor))
{lowered}
(core module $guest
  (import "libc" "memory" (memory 0))
  {takes}
  (import "host" "drop" (func $drop (param i32)))
  {taken}
  (data (i32.const 1024) "{data}")
  {functions}
  {entries})
(core instance $guest (instantiate $guest
  (with "libc" (instance $mem))
  (with "host" (instance {gives} (export "drop" (func $drop)) {given}))))
{exports})"#
        )
    }
}
