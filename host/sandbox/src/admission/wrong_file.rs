//! Names what a file is that is no component: an empty file, text, a core module, compiled code, garbage.
//! Looks at the first bytes only.

use wasmtime::{Engine, Precompiled};

use super::AdmissionError;

const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];
const BUILD: &str = "build the job with `anneal build`, or with `cargo component build --release`";

/// The bytes begin as a component does.
pub(super) fn check(bytes: &[u8]) -> Result<(), AdmissionError> {
    let refuse = |found: String, remedy| Err(AdmissionError::NotAComponent { found, remedy });
    if bytes.is_empty() {
        return refuse("an empty file".to_owned(), BUILD);
    }
    if let Some(kind) = Engine::detect_precompiled(bytes) {
        let found = match kind {
            Precompiled::Module => "a core module compiled by wasmtime",
            Precompiled::Component => "a component compiled by wasmtime",
        };
        let remedy = "compiled code cannot be checked, so nobody's is taken: give the .wasm it was made from";
        return refuse(found.to_owned(), remedy);
    }
    let Some(version) = bytes.strip_prefix(MAGIC) else {
        return refuse(describe(bytes), BUILD);
    };
    if version.starts_with(COMPONENT) {
        return Ok(());
    }
    if version.starts_with(CORE_MODULE) {
        return refuse("a WebAssembly core module".to_owned(), BUILD);
    }
    if version.len() < 4 {
        return refuse(
            format!("a WebAssembly file cut off after {} bytes", bytes.len()),
            "build or copy it again",
        );
    }
    refuse(format!("WebAssembly of an unknown version ({})", hex(&version[..4])), BUILD)
}

fn describe(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(1024)];
    if let Some(text) = text(head) {
        let text = text.trim_start();
        return match text.starts_with("(component") || text.starts_with("(module") {
            true => "WebAssembly as text".to_owned(),
            false => format!("text (\"{}\" …)", text.chars().take(24).collect::<String>().escape_debug()),
        };
    }
    let known: [(&[u8], &str); 5] = [
        (b"\x7fELF", "a native program"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b", "a gzip file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"\x93NUMPY", "a NumPy array"),
    ];
    match known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("no WebAssembly file (its first bytes are {})", hex(&bytes[..bytes.len().min(8)])),
    }
}

/// The bytes as text without control characters; a character cut off at the end is forgiven.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let printable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(printable).then_some(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
