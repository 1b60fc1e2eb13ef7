//! A panic's last words: its message and place go to the developer before the guest traps.

use std::panic::PanicHookInfo;
use std::sync::Once;

use crate::bindings::report;

/// Sends every later panic to the host. The export macros do this; calling it again changes nothing.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| std::panic::set_hook(Box::new(tell)));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a panic without a message");
    match panic.location() {
        Some(place) => report::panic(message, place.file(), place.line(), place.column()),
        None => report::panic(message, "", 0, 0),
    }
}
