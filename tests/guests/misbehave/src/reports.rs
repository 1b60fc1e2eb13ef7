//! Too much talk, and numbers that are none.

use anneal_sdk::prelude::*;

use crate::count;
use crate::states::good;

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
