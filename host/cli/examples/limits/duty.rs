//! How a duty is held.

use std::time::{Duration, Instant};

use anneal_cli::host::Host;
use anneal_runner::Backend;
use anneal_sandbox::{Event, PaceHandle, PaceReport, StopFlag};
use anneal_tensor::{Duty, Pace};
use anyhow::{Result, bail};

use crate::training::Training;

/// Before a measurement begins.
const WARMING: Duration = Duration::from_secs(3);
/// How long each lasts.
const MEASURED: Duration = Duration::from_secs(10);
const DUTIES: [f64; 4] = [1.0, 0.8, 0.5, 0.2];

/// Prints a row for each device and duty.
pub fn run(training: &Training, host: &Host, backends: &[Backend]) -> Result<()> {
    println!("\n## The busy fraction over {} s\n", MEASURED.as_secs());
    println!("| device | duty | busy | steps/s | of full |\n| --- | --- | --- | --- | --- |");
    for backend in backends {
        // The first training compiles shaders, which the driver keeps for the next.
        measure(training, host, backend, Duty::FULL)?;
        let mut full = None;
        for duty in DUTIES {
            let measured = measure(training, host, backend, Duty::of_fraction(duty))?;
            let full = *full.get_or_insert(measured.steps_per_s);
            let (name, Measured { busy, steps_per_s }) = (backend.name(), measured);
            println!("| {name} | {duty:.2} | {busy:.3} | {steps_per_s:.1} | {:.3} |", steps_per_s / full);
        }
    }
    Ok(())
}

struct Measured {
    busy: f64,
    steps_per_s: f64,
}

/// The first reports after so long, with the steps that were done by then.
#[derive(Default)]
struct Window {
    begin: Option<(Instant, PaceReport, u64)>,
    end: Option<(Instant, PaceReport, u64)>,
}

fn measure(training: &Training, host: &Host, backend: &Backend, duty: Duty) -> Result<Measured> {
    let (stop, pace) = (StopFlag::default(), PaceHandle::new(Pace::Run { duty }));
    let (mut window, mut steps, mut first) = (Window::default(), 0, None);
    training.run(host, backend, pace, &stop, |event| match event {
        Event::Step { steps: done } => steps = done,
        Event::Paced(report) => {
            let now = Instant::now();
            let first = *first.get_or_insert(now);
            if window.begin.is_none() && now >= first + WARMING {
                window.begin = Some((now, report, steps));
            }
            if window.end.is_none() && window.begin.is_some_and(|(begin, ..)| now >= begin + MEASURED) {
                window.end = Some((now, report, steps));
                stop.stop();
            }
        }
        _ => {}
    })?;
    let (Some(begin), Some(end)) = (window.begin, window.end) else { bail!("the training ended too soon") };
    let busy_ms = (end.1.busy_ms - begin.1.busy_ms) as f64;
    let held_ms = (end.1.held_ms - begin.1.held_ms) as f64;
    Ok(Measured {
        busy: busy_ms / (busy_ms + held_ms),
        steps_per_s: (end.2 - begin.2) as f64 / (end.0 - begin.0).as_secs_f64(),
    })
}
