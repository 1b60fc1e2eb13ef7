//! Too much talk, and numbers that are none.

use anneal_sdk::prelude::*;

use crate::count;
use crate::states::good;

/// A name that colours a terminal, forges a line, turns the direction of writing and hides. It is legal: whoever shows
/// it must not be led astray.
pub const HOSTILE: &str = "\u{1b}[31mred\nresult 00\u{202e}\u{9b}7m\u{200b}\u{2028}\u{7f}\u{2066}\r\t";

/// Metrics and lines of that kind, and a state.
pub fn hostile_names(_: &Task) -> Result<State> {
    report::metric(HOSTILE, 0_u64, 0.5);
    report::log(HOSTILE);
    Ok(State::from([(HOSTILE, Tensor::ones(&[4])), ("weight", Tensor::ones(&[4]))]))
}

pub fn hostile_error(_: &Task) -> Result<State> {
    Err(Failure::new(format!("no {HOSTILE}")))
}

pub fn hostile_panic(_: &Task) -> Result<State> {
    panic!("no {HOSTILE}")
}

/// One line of 20 MB.
pub fn giant_log(_: &Task) -> Result<State> {
    report::log("x".repeat(20_000_000));
    Ok(good())
}

/// A hundred thousand lines of 1 KB.
pub fn endless_log(task: &Task) -> Result<State> {
    let line = "x".repeat(1_000);
    for _ in 0..count(task, 100_000)? {
        report::log(&line);
    }
    Ok(good())
}

pub fn giant_metric_name(_: &Task) -> Result<State> {
    report::metric(&"n".repeat(1 << 20), 0_u64, 0.0);
    Ok(good())
}

pub fn too_many_metrics(task: &Task) -> Result<State> {
    for step in 0..count(task, 20_000)? {
        report::metric("loss", step, 0.0);
    }
    Ok(good())
}

pub fn nan_metric(_: &Task) -> Result<State> {
    report::metric("loss", 0_u64, f64::NAN);
    Ok(good())
}

pub fn overflow_metric(_: &Task) -> Result<State> {
    report::metric("loss", 0_u64, 1e30);
    Ok(good())
}

/// Done of nothing, and more than there is: harmless.
pub fn strange_progress(_: &Task) -> Result<State> {
    report::progress(0_u64, 0_u64);
    report::progress(u64::MAX, 1_u64);
    report::progress(0_u64, u64::MAX);
    Ok(good())
}
