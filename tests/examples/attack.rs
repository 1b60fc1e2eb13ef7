//! The long attack, by hand: `tests/soak attack` runs this and keeps its table. Not a test: what it shows is in the
//! tests of the market and its simulations.

use std::{env, process::ExitCode};

use anneal_tests::siege::Siege;

/// A segment takes about two seconds.
const STEPS: u32 = 40_000;
/// Jobs go on until it has lied so often.
const LIES: u64 = 5;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program, and its table is its output")]
fn main() -> ExitCode {
    let arguments: Result<Vec<usize>, _> = env::args().skip(1).map(|text| text.parse()).collect();
    let (jobs, only) = match arguments.as_deref() {
        Ok([]) => (4, None),
        Ok([jobs]) => (*jobs, None),
        Ok([jobs, keys]) => (*jobs, Some(*keys)),
        Ok(_) | Err(_) => {
            eprintln!("usage: attack [JOBS [KEYS]]");
            return ExitCode::from(2);
        }
    };
    println!(
        "| fresh keys at a time | prefixes | anchors listed | jobs | keys used | shadows | lies | caught | final lies | honest \
         caught / unpaid | paid for lies | suspended | profit | a job in peace, s | slowest under attack, s (times) |"
    );
    println!("|{}", " --- |".repeat(15));
    for keys in [20, 100, 500].into_iter().filter(|keys| only.is_none_or(|only| only == *keys)) {
        for (prefixes, listed) in [(1, false), (5, false), (5, true), (0, true)] {
            eprintln!("{keys} keys, {prefixes} prefixes, listed: {listed}");
            let after = Siege { keys, prefixes, listed, jobs: jobs as u64, lies: LIES, steps: STEPS }.run();
            println!(
                "| {keys} | {} | {} | {} | {} | {} | {} | {} | {} | {} / {} | {} | {} | {} | {:.1} | {:.1} ({:.2}) |",
                if prefixes == 0 { "loopback".to_owned() } else { prefixes.to_string() },
                if listed { "3" } else { "none" },
                after.jobs,
                after.keys,
                after.shadows,
                after.lies,
                after.caught,
                after.final_lies,
                after.honest_caught,
                after.honest_starved,
                after.paid,
                after.suspended,
                after.profit(),
                after.peace.as_secs_f64(),
                after.slowest.as_secs_f64(),
                after.slowest.as_secs_f64() / after.peace.as_secs_f64(),
            );
        }
    }
    ExitCode::SUCCESS
}
