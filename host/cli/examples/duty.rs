//! Measures how a duty is held: a training of the digits in a real worker, ten seconds at each duty, on the CPU
//! and on every GPU (the tests' one is a program). Not a test: what is measured depends on what else runs here.
//!
//! `cargo run --release -p anneal-cli --example duty [COMPONENT]` in the workspace, once `anneal` is built; prints
//! a table. Without a component it builds the digits.
#![expect(clippy::print_stdout, reason = "a table for people is what this program is for")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anneal_cli::{arguments::JobArguments, backends::Backend, host::Host, job::Job, terminal::Terminal};
use anneal_job::{Outcome, PlannedTask};
use anneal_sandbox::{AttemptRequest, Event, Machine, PaceHandle, PaceReport, StopFlag};
use anneal_tensor::{Duty, Pace};
use anyhow::{Context, Result, bail};

/// Before a measurement begins.
const WARMING: Duration = Duration::from_secs(3);
/// How long each lasts.
const MEASURED: Duration = Duration::from_secs(10);
const DUTIES: [f64; 4] = [1.0, 0.8, 0.5, 0.2];

fn main() -> Result<()> {
    let this = std::env::current_exe()?;
    let program = this.ancestors().nth(2).context("an example lies below the build's folder")?.join("anneal");
    let host = Host { program, ..Host::here()? };
    let arguments = JobArguments {
        job: std::env::args_os().nth(1).map_or_else(|| "examples/digits".into(), PathBuf::from),
        manifest: Some("examples/digits/job.toml".into()),
        inputs: Vec::new(),
        parameters: vec!["epochs=1000000".to_owned()],
        seed: None,
        workers: None,
        segments: Some(1),
    };
    let job =
        Job::load(&arguments, &host, &Terminal::new(false)).map_err(|_| anyhow::anyhow!("no digits"))?;
    println!("{:<40} {:>5} {:>6} {:>9} {:>9}", "device", "duty", "busy", "steps/s", "of full");
    for backend in [Backend::cpu(None)].into_iter().chain(Backend::gpus(&host)) {
        let mut full = None;
        for duty in DUTIES {
            let measured = measure(&job, &mut host.worker(&backend, None), Duty::of_fraction(duty))?;
            let full = *full.get_or_insert(measured.steps_per_s);
            println!(
                "{:<40} {duty:>5.2} {:>6.3} {:>9.1} {:>9.3}",
                backend.name(),
                measured.busy,
                measured.steps_per_s,
                measured.steps_per_s / full
            );
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

fn measure(job: &Job, machine: &mut dyn Machine, duty: Duty) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state");
    let [init, train]: [PlannedTask; 2] =
        [0, 1].map(|index| job.report.plan.task(index)).map(|task| task.expect("a training has these"));
    let request =
        job.attempt(job.task(&init, Vec::new()), Vec::new(), Some(state.clone()), &StopFlag::default());
    let Outcome::Completed(begun) = machine.attempt(&request, &mut |_| {}) else { bail!("init failed") };
    let (stop, pace) = (StopFlag::default(), PaceHandle::new(Pace::Run { duty }));
    let request = job.attempt(job.task(&train, vec![begun.state]), vec![state], None, &stop);
    let request = AttemptRequest { pace: Some(pace), ..request };
    let (mut window, mut steps, mut first) = (Window::default(), 0, None);
    machine.attempt(&request, &mut |event: Event| match event {
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
    });
    let (Some(begin), Some(end)) = (window.begin, window.end) else { bail!("the training ended too soon") };
    let busy_ms = (end.1.busy_ms - begin.1.busy_ms) as f64;
    let held_ms = (end.1.held_ms - begin.1.held_ms) as f64;
    Ok(Measured {
        busy: busy_ms / (busy_ms + held_ms),
        steps_per_s: (end.2 - begin.2) as f64 / (end.0 - begin.0).as_secs_f64(),
    })
}
