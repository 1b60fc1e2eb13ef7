//! The table of error codes (`host/api/ERRORS.md`) is that of the code: made from it, and compared.

use std::{fmt::Write, path::Path};

use anneal_api::ErrorCode;

const HEAD: &str = "# Error codes

What a coordinator answers that does not do what it was asked. Every error has one shape,
`{\"status\", \"code\", \"message\", \"detail\", \"hint_ms\"}`: programs go by `code`, which does not change; people read
`message` and `detail`. In the replies of a batch each item has an error of its own, or null. This page is made from
the code and compared with it by a test (`host/coordinator/tests/service/errors.rs`).

An error with status 5xx or 429 may be gone later: send the same request again, signed anew, with the same
`anneal-command`. Any other stays.

## The service

| status | code | message | when |
| --- | --- | --- | --- |
";

const MARKET: &str = "
## The market

Reasons to refuse a command, always with status 409. A refused command has changed nothing.

| code | message |
| --- | --- |
";

#[test]
fn every_code_is_documented() {
    let mut expected = HEAD.to_owned();
    for code in ErrorCode::ALL {
        let (status, name) = (code.status(), code.name());
        writeln!(expected, "| {status} | `{name}` | {} | {} |", code.message(), code.meaning())
            .expect("a text grows");
    }
    expected += MARKET;
    let rejections = rejections();
    assert!(rejections.len() > 20, "{rejections:?}");
    for (code, sentence) in rejections {
        writeln!(expected, "| `{code}` | {sentence} |").expect("a text grows");
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates lie side by side");
    let kept = std::fs::read_to_string(crates.join("api/ERRORS.md")).unwrap_or_default();
    if kept != expected {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ERRORS.md");
        std::fs::write(&made, &expected).expect("a file");
        panic!("host/api/ERRORS.md is not the code's: copy {} there", made.display());
    }
}

/// The market's reasons as its source has them: code and sentence.
fn rejections() -> Vec<(String, String)> {
    let source = include_str!("../../../market/src/rejection.rs");
    let mut sentences = Vec::new();
    let mut codes = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(sentence) = line.strip_prefix("#[error(\"") {
            sentences.push(sentence.strip_suffix("\")]").expect("a sentence on one line").to_owned());
        }
        if let Some((_, code)) = line.split_once("=> \"") {
            codes.push(code.trim_end_matches("\",").to_owned());
        }
    }
    assert_eq!(codes.len(), sentences.len(), "a code and a sentence per reason, in the same order");
    codes.into_iter().zip(sentences).collect()
}
