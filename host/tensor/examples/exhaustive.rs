//! Walks the inputs of every unary function against its oracle, and against itself on a platform that flushes.
//!
//!     cargo run --release -p anneal-tensor --example exhaustive -- SHARE [FUNCTION …]
//!
//! SHARE n walks one in n runs of 4,096 neighbouring inputs; 1 walks all 2^32. Prints a Markdown table and
//! exits with 1 where a result moved or was not canonical. Not a test of the other operations: those are
//! compared on random graphs.

use std::{
    io::Write as _,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use anneal_tensor::numerics::proof::{UnaryFunction, WorstCase, worst_ulp};

/// Neighbouring inputs that are walked together.
const RUN: u64 = 4096;
const RUNS: u64 = (1 << 32) / RUN;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let share = arguments.next().and_then(|text| text.parse::<u64>().ok()).filter(|&share| share > 0);
    let Some(share) = share else {
        say("usage: exhaustive SHARE [FUNCTION …], SHARE from 1 (all inputs) up");
        return ExitCode::from(2);
    };
    let names: Vec<String> = arguments.collect();
    let chosen = |function: &UnaryFunction| {
        names.is_empty() || names.iter().any(|name| format!("{function:?}").eq_ignore_ascii_case(name))
    };
    say("| function | inputs | worst ULP | at | moved | not canonical | seconds |");
    say("|---|---|---|---|---|---|---|");
    let mut right = true;
    for function in UnaryFunction::ALL.into_iter().filter(chosen) {
        let start = Instant::now();
        let worst = walk(function, share);
        right &= worst.moved == 0 && worst.not_canonical == 0;
        say(&format!(
            "| {function:?} | {} | {:.3} | {:08x} | {} | {} | {:.0} |",
            worst.count,
            worst.ulp,
            worst.input,
            worst.moved,
            worst.not_canonical,
            start.elapsed().as_secs_f64()
        ));
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One in `share` runs, on every core.
fn walk(function: UnaryFunction, share: u64) -> WorstCase {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut worst = WorstCase::NONE;
        loop {
            let run = next.fetch_add(share, Ordering::Relaxed);
            if run >= RUNS {
                return worst;
            }
            let last = ((run + 1) * RUN).min(u64::from(u32::MAX)) as u32;
            worst = worst.merge(worst_ulp(function, (run * RUN) as u32..last));
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        handles
            .into_iter()
            .fold(WorstCase::NONE, |worst, handle| worst.merge(handle.join().expect("no panic")))
    })
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe has read enough.
    let _ = writeln!(out, "{line}");
}
