//! `anneal run`: a job's plan on this machine.

use anneal_job::{
    report::{ErrorKind, RunReport},
    shown_name,
};
use anneal_runner::{
    Backend,
    failure::{Failure, Outcome},
    out::{self, OutDirectory},
    progress::number,
    run::{Run, Tasks, resume},
};
use anneal_sandbox::StopFlag;
use anyhow::anyhow;

use crate::{arguments, host::Host, job, progress::Progress, terminal::Terminal};

/// Runs what the arguments say. A run that fails on the way has a report, too.
pub fn run(
    arguments: &arguments::Run,
    host: &Host,
    stop: &StopFlag,
    terminal: &Terminal,
) -> (Option<RunReport>, Option<Failure>) {
    match prepare(arguments, host, terminal) {
        Err(_) if stop.is_stopped() => {
            let error = anyhow!("interrupted before the first task began");
            (None, Some(Failure::new(ErrorKind::Interrupted, error)))
        }
        Err(failure) => (None, Some(failure)),
        Ok(mut prepared) => {
            let failure = prepared.run(stop, &mut Progress::new(terminal, stop)).err();
            let report = prepared.into_report();
            if failure.is_none() {
                terminal.data(describe(&report));
            }
            (Some(report), failure)
        }
    }
}

fn prepare(arguments: &arguments::Run, host: &Host, terminal: &Terminal) -> Outcome<Run> {
    let mut job = job::load(&arguments.job, host, terminal)?;
    let tasks = match (&arguments.entry, &arguments.state) {
        (Some(_), Some(state)) => {
            let (task, file, digest) = job.evaluate_only(state)?;
            Tasks::Alone(task, file, digest)
        }
        _ => Tasks::Plan,
    };
    let choice = arguments.backend.map_or(job.manifest.requirements.backend, Into::into);
    let backend = Backend::choose(choice, &job.manifest.requirements, &host.launcher)?;
    terminal.note(format!("computing on {}", backend.name()));
    let (out, finished) = match &arguments.resume {
        Some(path) => resume::resume(path, &job, terminal)?,
        None => {
            let path = arguments.out.clone().unwrap_or_else(|| out::default_path(&job.report.digest()));
            let out = OutDirectory::open(&path)?;
            if out::is_unfinished(&out, &job.report)? {
                let finished = resume::finished(&out, &job, terminal)?;
                (out, finished)
            } else {
                out.clear().map_err(Failure::host)?;
                (out, Vec::new())
            }
        }
    };
    Ok(Run::new(job, host.launcher.machine(&backend), backend.device, tasks, out, finished))
}

/// What a person is told at the end.
fn describe(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(result) = &report.result {
        lines.push(format!("result      {result}"));
    }
    for (name, value) in &report.metrics {
        lines.push(format!("{:<11} {}", shown_name(name), number(*value)));
    }
    if let Some(out) = &report.out {
        lines.push(format!("out         {out}"));
    }
    lines.push(format!("gas         {:.3e} in {} tasks", report.gas as f64, report.tasks.len()));
    lines.push(format!("time        {:.1} s on {}", report.seconds, report.device.name));
    lines
}
