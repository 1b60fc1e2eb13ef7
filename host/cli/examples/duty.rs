//! Measures how a duty is held and how soon a pause is: a training of the digits in a real worker, ten seconds at
//! each duty and twenty pauses, on the CPU and on every GPU (the tests' one is a program). Not a test: what is
//! measured depends on what else runs here.
//!
//! `cargo run --release -p anneal-cli --example duty [COMPONENT]` in the workspace, once `anneal` is built; prints
//! two tables. Without a component it builds the digits.
#![expect(clippy::print_stdout, reason = "a table for people is what this program is for")]

use std::{
    path::PathBuf,
    thread,
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
const PAUSES: u32 = 20;
/// How long each lasts: a worker reports once a second.
const PAUSED: Duration = Duration::from_millis(1500);

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
    println!("\n{:<40} {:>6} {:>9} {:>9} {:>9}", "device", "pauses", "least ms", "median", "most");
    for backend in [Backend::cpu(None)].into_iter().chain(Backend::gpus(&host)) {
        let mut stood_after = pauses(&job, &mut host.worker(&backend, None))?;
        stood_after.sort_by(f64::total_cmp);
        let [least, median, most] =
            [0, stood_after.len() / 2, stood_after.len() - 1].map(|index| stood_after[index]);
        let name = backend.name();
        println!("{name:<40} {:>6} {least:>9.0} {median:>9.0} {most:>9.0}", stood_after.len());
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
    let (stop, pace) = (StopFlag::default(), PaceHandle::new(Pace::Run { duty }));
    let (mut window, mut steps, mut first) = (Window::default(), 0, None);
    train(job, machine, pace, &stop, |event| match event {
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

/// Milliseconds from each word until the worker stood, its queued work on the device done; with the time that
/// its report took to come here.
fn pauses(job: &Job, machine: &mut dyn Machine) -> Result<Vec<f64>> {
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
    train(job, machine, pace, &stop, |event| {
        if let Event::Paced(report) = event {
            reports.push((Instant::now(), report));
        }
    })?;
    let paused = owner.join().map_err(|_| anyhow::anyhow!("the owner panicked"))?;
    let stood_after = |&(begin, end): &(Instant, Instant)| {
        // At full pace nothing is held.
        let before = reports.iter().rev().find(|(at, _)| *at < begin)?;
        let last = reports.iter().rev().find(|(at, _)| (begin..end).contains(at))?;
        let held_ms = (last.1.held_ms - before.1.held_ms) as f64;
        (held_ms > 0.0).then(|| (last.0 - begin).as_secs_f64() * 1000.0 - held_ms)
    };
    paused.iter().map(|pause| stood_after(pause).context("no report came in a pause")).collect()
}

/// Trains until it is stopped.
fn train(
    job: &Job,
    machine: &mut dyn Machine,
    pace: PaceHandle,
    stop: &StopFlag,
    mut observe: impl FnMut(Event),
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state");
    let [init, train]: [PlannedTask; 2] =
        [0, 1].map(|index| job.report.plan.task(index)).map(|task| task.expect("a training has these"));
    let request =
        job.attempt(job.task(&init, Vec::new()), Vec::new(), Some(state.clone()), &StopFlag::default());
    let Outcome::Completed(begun) = machine.attempt(&request, &mut |_| {}) else { bail!("init failed") };
    let request = job.attempt(job.task(&train, vec![begun.state]), vec![state], None, stop);
    machine.attempt(&AttemptRequest { pace: Some(pace), ..request }, &mut observe);
    Ok(())
}
