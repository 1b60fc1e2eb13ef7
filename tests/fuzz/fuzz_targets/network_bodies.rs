//! Any bytes as bodies of requests and replies. What is checked is in `entry`, beside the property tests.
#![no_main]

#[path = "../../../host/api/tests/parsers/entry.rs"]
#[allow(dead_code, reason = "each target is about one of them")]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::bodies(bytes));
