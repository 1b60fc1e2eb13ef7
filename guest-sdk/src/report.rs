//! What the developer hears while a task runs. Only the metrics become part of its result.

use std::fmt::Display;

use crate::bindings::report as raw;

/// How much is done of how much: the progress bar.
pub fn progress(done: impl Into<u64>, total: impl Into<u64>) {
    raw::progress(done.into(), total.into());
}

/// A named number at a step, part of the result. It must be finite and below 2^62 in magnitude, or the task
/// fails; names are at most 64 bytes; at most 10,000 a task.
pub fn metric(name: &str, step: impl Into<u64>, value: impl Into<f64>) {
    raw::metric(name, step.into(), value.into());
}

/// A line for the developer; cut at 4 KiB, and after 1 MiB a task.
pub fn log(message: impl Display) {
    raw::log(&message.to_string());
}
