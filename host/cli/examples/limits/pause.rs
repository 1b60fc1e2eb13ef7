//! How soon work stands after the word to pause.

use std::{
    thread,
    time::{Duration, Instant},
};

use anneal_cli::host::Host;
use anneal_runner::Backend;
use anneal_sandbox::{Event, PaceHandle, StopFlag};
use anneal_tensor::Pace;
use anyhow::{Context, Result, anyhow};

use crate::training::Training;

/// Before the first pause, and after the last.
const WARMING: Duration = Duration::from_secs(3);
const PAUSES: u32 = 20;
/// How long each lasts: a worker reports once a second.
const PAUSED: Duration = Duration::from_millis(1500);

/// Prints a row for each device.
pub fn run(training: &Training, host: &Host, backends: &[Backend]) -> Result<()> {
    println!("\n## From the word to pause until work stands, its report's way included\n");
    println!("| device | pauses | least ms | median ms | most ms |\n| --- | --- | --- | --- | --- |");
    for backend in backends {
        let mut stood_after = measure(training, host, backend)?;
        stood_after.sort_by(f64::total_cmp);
        let [least, median, most] =
            [0, stood_after.len() / 2, stood_after.len() - 1].map(|index| stood_after[index]);
        println!("| {} | {} | {least:.0} | {median:.0} | {most:.0} |", backend.name(), stood_after.len());
    }
    Ok(())
}

/// Milliseconds from each word until the worker stood, its queued work on the device done; with the time that
/// its report took to come here.
fn measure(training: &Training, host: &Host, backend: &Backend) -> Result<Vec<f64>> {
    let (stop, pace) = (StopFlag::default(), PaceHandle::new(Pace::FULL));
    let owner = {
        let (stop, pace) = (stop.clone(), pace.clone());
        move || {
            thread::sleep(WARMING);
            let mut paused = Vec::new();
            for number in 0..PAUSES {
                // At another moment of a step each time.
                thread::sleep(Duration::from_millis(400 + 37 * u64::from(number)));
                pace.set(Pace::Pause);
                let begin = Instant::now();
                thread::sleep(PAUSED);
                pace.set(Pace::FULL);
                paused.push((begin, Instant::now()));
            }
            thread::sleep(WARMING);
            stop.stop();
            paused
        }
    };
    let mut reports = Vec::new();
    let owner = thread::spawn(owner);
    training.run(host, backend, pace, &stop, |event| {
        if let Event::Paced(report) = event {
            reports.push((Instant::now(), report));
        }
    })?;
    let paused = owner.join().map_err(|_| anyhow!("the owner panicked"))?;
    let stood_after = |&(begin, end): &(Instant, Instant)| {
        // At full pace nothing is held.
        let before = reports.iter().rev().find(|(at, _)| *at < begin)?;
        let last = reports.iter().rev().find(|(at, _)| (begin..end).contains(at))?;
        let held_ms = (last.1.held_ms - before.1.held_ms) as f64;
        (held_ms > 0.0).then(|| (last.0 - begin).as_secs_f64() * 1000.0 - held_ms)
    };
    paused.iter().map(|pause| stood_after(pause).context("no report came in a pause")).collect()
}
