//! Files that must never run: no WebAssembly, too much of it, forbidden features, or imports and exports that
//! are not the contract's.

use anneal_job::FailureCode;

use super::{
    End, Hostile,
    component::{Guest, body, section, wat},
};

pub fn guests() -> Vec<Hostile> {
    let mut guests = Vec::new();
    let mut refuse = |name, bytes, words| guests.push(Hostile::new(name, bytes, End::Refused(words)));
    files(&mut refuse);
    bombs(&mut refuse);
    features(&mut refuse);
    imports(&mut refuse);
    guests.extend(exports());
    guests
}

type Refuse<'a> = &'a mut dyn FnMut(&'static str, Vec<u8>, &'static str);

fn files(refuse: Refuse<'_>) {
    let honest = body("(i32.const 0)");
    let engine = wasmtime::Engine::default();
    refuse("nothing", Vec::new(), "an empty file");
    refuse("text", b"#!/bin/sh\nrm -rf /\n".to_vec(), "it is text");
    refuse("a native program", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec(), "a native program");
    refuse("a core module", wat("(module (func (export \"run\")))"), "core module");
    let compiled = engine.precompile_component(&wat("(component)")).expect("it compiles");
    refuse("a precompiled component", compiled, "nobody's is taken");
    let compiled = engine.precompile_module(&wat("(module)")).expect("it compiles");
    refuse("a precompiled module", compiled, "nobody's is taken");
    refuse("an unknown version", b"\0asm\x0e\0\x01\0".to_vec(), "unknown version");
    refuse("a cut", honest[..honest.len() / 2].to_vec(), "damaged at byte");
    refuse("garbage at the end", [&honest[..], &[0xff; 9]].concat(), "damaged at byte");
    let section = |id: u8, contents: &[u8]| [&b"\0asm\x0d\0\x01\0"[..], &[id], contents].concat();
    refuse("a section longer than the file", section(7, &[0xff, 0xff, 0xff, 0xff, 0x0f]), "damaged at byte");
    refuse("a length of too many bytes", section(7, &[0x80; 12]), "damaged at byte");
    refuse("four thousand million types", section(7, &[5, 0xff, 0xff, 0xff, 0xff, 0x0f]), "exports nothing");
    let mut module = wat("(component (core module (func (result i32) (i32.const 1))))");
    let at = module.iter().rposition(|&byte| byte == 0x41).expect("there is an i32.const");
    module[at] = 0x27;
    refuse("an unknown instruction", [&module[..], &honest[8..]].concat(), "the component is invalid");
}

fn bombs(refuse: Refuse<'_>) {
    let component = |inside: &str| wat(&format!("(component {inside})"));
    let module = |inside: &str| component(&format!("(core module {inside})"));
    refuse("a file too large", vec![0; (16 << 20) + 1], "at most 16777216");
    refuse("deep nesting", nested(1000), "levels of nesting");
    refuse("many modules", component(&"(core module)".repeat(101)), "modules and instances");
    refuse(
        "many instances",
        component(&format!("(core module $m){}", "(core instance (instantiate $m))".repeat(101))),
        "modules and instances",
    );
    refuse("instances of instances", component(&doubling()), "instances of components");
    refuse("many functions", module(&"(func)".repeat(50_001)), "50001 functions, at most 50000");
    refuse(
        "a giant function",
        module(&format!("(func {})", "nop ".repeat(1 << 20))),
        "bytes in one function",
    );
    refuse("many tables", module(&"(table 1 funcref)".repeat(65)), "65 tables");
    refuse("many memories", component(&"(core module (memory 1))".repeat(17)), "17 linear memories");
    let imports: String =
        (0..5000).map(|i| format!("(import \"anneal:job/data@0.1.{i}\" (instance))")).collect();
    refuse("many imports", component(&imports), "imports");
    let with = |imports: &str| Guest { imports, ..Guest::default() }.build();
    let types: String = (1..64).map(|i| format!("(type $t{i} (tuple $t{0} $t{0}))", i - 1)).collect();
    refuse("a type that doubles 63 times", with(&format!("(type $t0 (tuple u8 u8)) {types}")), "invalid");
    let types: String = (1..500).map(|i| format!("(type $t{i} (list $t{}))", i - 1)).collect();
    refuse("a type 500 deep", with(&format!("(type $t0 (list u8)) {types}")), "invalid");
    let fields: String = (0..20_000).map(|i| format!("(field \"f{i}\" u8)")).collect();
    refuse("a record of 20,000 fields", with(&format!("(type (record {fields}))")), "invalid");
    let flags: String = (0..33).map(|i| format!("\"f{i}\" ")).collect();
    refuse("flags of two words", with(&format!("(type (flags {flags}))")), "invalid");
    let of = |functions: &str| Guest { functions, ..Guest::default() }.build();
    refuse("a million locals", of(&format!("(func (local {}))", "i64 ".repeat(1_000_000))), "invalid");
    refuse(
        "a thousand results",
        of(&format!("(func (result {}) (unreachable))", "i64 ".repeat(1001))),
        "invalid",
    );
}

/// So many components in each other; as text they would be too deep for its parser.
fn nested(depth: usize) -> Vec<u8> {
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
    (0..depth).fold(EMPTY.to_vec(), |inner, _| [EMPTY, &section(4, &inner)].concat())
}

/// Components that each instantiate the one before twice: 2^12 instances of 12.
fn doubling() -> String {
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for level in 1..12 {
        let before = level - 1;
        text += &format!(
            "(component $c{level} (alias outer 1 $c{before} (component $c))
               (instance (instantiate $c)) (instance (instantiate $c)))"
        );
    }
    text + "(instance (instantiate $c11))"
}

fn features(refuse: Refuse<'_>) {
    let of = |functions: &str| Guest { functions, ..Guest::default() }.build();
    let with = |imports: &str| Guest { imports, ..Guest::default() }.build();
    refuse("two memories in a module", of("(memory 1)"), "invalid");
    refuse("a memory of 64 bits", with("(core module (memory i64 1))"), "invalid");
    refuse("a shared memory", with("(core module (memory 1 1 shared))"), "invalid");
    refuse("atomics", of("(func (drop (i32.atomic.load (i32.const 0))))"), "invalid");
    refuse("pages of one byte", with("(core module (memory 1 (pagesize 1)))"), "invalid");
    refuse("a tail call", of("(func $f (return_call $f))"), "invalid");
    refuse("exceptions", of("(tag $t) (func (throw $t))"), "invalid");
    refuse(
        "garbage collection",
        of("(type $s (struct (field i32))) (func (drop (struct.new_default $s)))"),
        "invalid",
    );
    refuse(
        "typed references",
        of("(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))"),
        "invalid",
    );
    refuse(
        "relaxed SIMD",
        of(
            "(func (param v128) (result v128) (f32x4.relaxed_madd (local.get 0) (local.get 0) (local.get 0)))",
        ),
        "invalid",
    );
    refuse(
        "wide arithmetic",
        of("(func (param i64) (drop (drop (i64.mul_wide_u (local.get 0) (local.get 0)))))").to_vec(),
        "invalid",
    );
    refuse("streams", with("(type (stream u8))"), "invalid");
    refuse("futures", with("(type (future u8))"), "invalid");
    refuse("error contexts", with("(type (func (param \"e\" error-context)))"), "invalid");
    refuse(
        "threads of the component model",
        with("(core func (canon thread.available_parallelism))"),
        "invalid",
    );
    refuse("an async lift", Guest { lift: "async", ..Guest::default() }.build(), "invalid");
}

fn imports(refuse: Refuse<'_>) {
    let with = |imports: &str| Guest { imports, ..Guest::default() }.build();
    let instance = |name: &str| with(&format!("(import \"{name}\" (instance))"));
    refuse("sockets", instance("wasi:sockets/tcp@0.2.0"), "no network");
    refuse("http", instance("wasi:http/outgoing-handler@0.2.0"), "no network");
    refuse("WASI of another version", instance("wasi:io/poll@0.3.0"), "version 0.2");
    refuse("a GPU of its own", instance("wasi:webgpu/webgpu@0.0.1"), "no job gets");
    refuse("a neural network API", instance("wasi:nn/graph@0.2.0"), "no job gets");
    refuse("the contract of tomorrow", instance("anneal:job/data@0.2.0"), "version 0.1");
    refuse("an interface that is not there", instance("anneal:job/secrets@0.1.0"), "does not know");
    refuse("a stranger's interface", instance("evil:host/shell"), "not part of the contract");
    refuse(
        "a function without interface",
        with("(import \"system\" (func (param \"c\" string)))"),
        "not part of the contract",
    );
    refuse("a core module of the host's", with("(import \"m\" (core module))"), "not part of the contract");
    refuse("a component of the host's", with("(import \"c\" (component))"), "not part of the contract");
    refuse(
        "a URL",
        with("(import \"url=<https://example.com/a.wasm>\" (component))"),
        "not part of the contract",
    );
    let report = |inside: &str| with(&format!("(import \"anneal:job/report@0.1.9\" (instance {inside}))"));
    refuse("a function that is not there", report("(export \"exec\" (func))"), "does not fit this host");
    refuse(
        "a function of another type",
        report("(export \"log\" (func (result string)))"),
        "does not fit this host",
    );
    refuse(
        "an interface as a function",
        with("(import \"anneal:job/report@0.1.9\" (func))"),
        "does not fit this host",
    );
    refuse(
        "a resource that is not there",
        report("(export \"file\" (type (sub resource)))"),
        "does not fit this host",
    );
    refuse(
        "WASI with another type",
        with(
            "(import \"wasi:random/random@0.2.3\" (instance (export \"get-random-u64\" (func (result string)))))",
        ),
        "does not fit this host",
    );
}

fn exports() -> Vec<Hostile> {
    let refuse = |name, text: &str, words| Hostile::new(name, wat(text), End::Refused(words));
    let lifted = "(core module $m (func (export \"f\") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))";
    let wrong = |name, text: String| {
        Hostile::new(name, wat(&text), End::Failure(FailureCode::Error, "exports no function run"))
    };
    vec![
        refuse("no export", "(component)", "exports nothing"),
        refuse(
            "half a world",
            &format!(
                "(component {lifted} (func $f (result u32) (canon lift (core func $i \"f\")))
            (export \"init\" (func $f)) (export \"train\" (func $f)))"
            ),
            "missing: merge, evaluate",
        ),
        wrong(
            "an export of another type",
            format!(
                "(component {lifted}
            (func $f (result u32) (canon lift (core func $i \"f\"))) (export \"run\" (func $f)))"
            ),
        ),
        wrong(
            "an export that is an instance",
            "(component (instance $i) (export \"run\" (instance $i)))".to_owned(),
        ),
        wrong(
            "an export that is a type",
            "(component (type $t (list u8)) (export \"run\" (type $t)))".to_owned(),
        ),
        wrong(
            "an export that is a module",
            "(component (core module $m) (export \"run\" (core module $m)))".to_owned(),
        ),
    ]
}
