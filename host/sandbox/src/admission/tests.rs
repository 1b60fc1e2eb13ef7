//! One `check` over files of every kind: what is said about each that is refused.

use super::*;
use crate::testing::{Guest, guest};

#[track_caller]
fn check(bytes: &[u8], words: &str) {
    match inspect(bytes) {
        Ok(info) => panic!("admitted: {info:?}"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(words), "\"{message}\" does not say \"{words}\"");
            assert!(message.len() < 1000 && !message.contains('\n'), "\"{message}\" is no sentence");
        }
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's component is WAT")
}

/// A component that imports an empty interface of this name.
fn importing(name: &str) -> Vec<u8> {
    Guest { imports: &format!("(import \"{name}\" (instance))"), ..Guest::default() }.build()
}

#[test]
fn a_component_is_described() {
    let bytes = guest("(i32.const 0)", "");
    let info = inspect(&bytes).expect("it is admitted");
    assert_eq!(info.worlds, [World::Function]);
    assert!(info.has(Entry::Run) && !info.has(Entry::Train));
    assert_eq!(
        info.imports,
        ["anneal:job/tensors@0.1.0", "anneal:job/context@0.1.0", "anneal:job/report@0.1.0"]
    );
    assert_eq!(info.exports, ["run"]);
    assert_eq!((info.bytes, info.digest), (bytes.len() as u64, Digest::of(&bytes)));
    assert_eq!(info.contract.as_deref(), Some("0.1.0"));
    assert!(!info.uses_wasi && info.functions == 3);
    assert!(inspect(&importing("wasi:io/poll@0.2.3")).expect("WASI is admitted").uses_wasi);
}

#[test]
fn other_files_are_named() {
    let component = guest("(i32.const 0)", "");
    let code = crate::compile::in_process(&component).expect("it compiles").0;
    let code = code.component().serialize().expect("it has bytes");
    check(b"", "an empty file");
    check(b"(component)", "WebAssembly as text");
    check("# Ein Text über Bäume\n".as_bytes(), "text (\"# Ein Text über Bäume\\n\"");
    check(&wat("(module)"), "a WebAssembly core module");
    check(&code, "a component compiled by wasmtime");
    check(b"\x7fELF\x02\x01\x01\0\0\0\0\0", "a native program");
    check(b"\x1f\x8b\x08\0\0", "a gzip file");
    check(&[0x93; 100], "first bytes are 93 93");
    check(b"\0asm\x0d\0", "cut off after 6 bytes");
    check(b"\0asm\x0f\0\x01\0", "unknown version");
    check(&component[..component.len() - 10], "damaged at byte");
    check(&vec![0; COMPONENT_BYTES_MAX as usize + 1], "at most 16777216");
}

#[test]
fn no_cut_or_flipped_byte_panics() {
    let component = guest("(i32.const 0)", "data");
    for at in 0..component.len() {
        let _refused_or_not = inspect(&component[..at]);
        let mut flipped = component.clone();
        flipped[at] ^= 0xff;
        let _refused_or_not = inspect(&flipped);
    }
}

#[test]
fn imports_are_allowed_by_name() {
    check(&importing("wasi:sockets/tcp@0.2.0"), "no network");
    check(&importing("wasi:http/types@0.2.0"), "no network");
    check(&importing("wasi:io/poll@0.3.0"), "version 0.2");
    check(&importing("wasi:keyvalue/store@0.2.0"), "no job gets");
    check(&importing("anneal:job/data@0.2.0"), "version 0.1");
    check(&importing("anneal:job/secrets@0.1.0"), "does not know");
    check(&importing("my:own/thing"), "not part of the contract");
}

#[test]
fn missing_exports_are_named() {
    check(&wat("(component)"), "exports nothing, but a job exports init, train, merge and evaluate, or run");
    let two = "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i \"f\"))) (export \"init\" (func $f)) (export \"train\" (func $f)))";
    check(&wat(two), "missing: merge, evaluate");
}

#[test]
fn counts_have_limits() {
    let module = |inside: &str| wat(&format!("(component (core module {inside}))"));
    check(&module(&"(func)".repeat(50_001)), "50001 functions, at most 50000");
    check(&module(&"(table 1 funcref)".repeat(65)), "65 tables, at most 64");
    check(&module(&format!("(func {})", "nop ".repeat(1 << 20))), "bytes in one function");
    let nested = format!("{}{}", "(component ".repeat(20), ")".repeat(20));
    check(&wat(&nested), "levels of nesting");
    check(&wat(&format!("(component {})", "(core module)".repeat(101))), "modules and instances");
}

#[test]
fn large_files_are_not_read() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("large.wasm");
    let file = std::fs::File::create(&path).expect("a file can be made");
    // A hole: reading it would take this machine's memory.
    file.set_len(1 << 40).expect("a file can have a hole");
    assert!(matches!(read(&path), Err(AdmissionError::TooLarge { bytes }) if bytes == 1 << 40));
    assert!(matches!(read(folder.path()), Err(AdmissionError::Unreadable { .. })));
    assert!(matches!(read(&folder.path().join("missing")), Err(AdmissionError::Unreadable { .. })));
}
