//! Any lines of JSON as the events of a log: an auditor reads what a hostile coordinator wrote, and never breaks. The
//! property test of the same is `host/market/tests/market/log.rs`.
#![no_main]

use anneal_market::{Event, audit::Auditor};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut auditor = Auditor::default();
    for line in bytes.split(|&byte| byte == b'\n') {
        if let Ok(event) = serde_json::from_slice::<Event>(line) {
            auditor.read(&event);
        }
    }
    auditor.finish();
});
