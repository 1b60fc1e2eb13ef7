//! The same job on several machines, task by task; where two part ways, the operation is
//! named.
//!
//! All machines start a task from equal states, or it would not be reached: so the first task whose results
//! differ holds the fault, and is run again, traced, on the two machines ([`difference`]).

mod difference;

use std::{path::PathBuf, time::Instant};

use anneal_job::{
    Digest, FaultCode, HostFault, Outcome as TaskOutcome, PlannedTask, job_result,
    report::{BackendReport, DifferenceReport, ErrorKind, VerifyReport},
};
use anneal_sandbox::{AttemptRequest, Event, Machine, StopFlag};
use anyhow::{Context, anyhow};

use crate::{
    failure::{Failure, Outcome},
    job::Job,
    progress::{self, Listener},
    run,
};

/// Runs the job on every machine and compares; the first machine's results are taken as right.
///
/// A report with a difference is no error here; its result is `None`.
///
/// # Errors
/// Where the job fails on the first machine as it would on any, a machine fails, or the run is stopped.
pub fn verify(
    job: &Job,
    mut machines: Vec<Box<dyn Machine>>,
    stop: &StopFlag,
    listener: &mut Listener<'_>,
) -> Outcome<VerifyReport> {
    let mut report =
        VerifyReport { result: None, job: job.report.clone(), backends: Vec::new(), difference: None };
    let mut expected: Option<(String, Vec<Digest>)> = None;
    let width = machines.iter().map(|machine| machine.name().chars().count()).max().unwrap_or(0);
    for index in 0..machines.len() {
        let mut runner = Runner::new(job, stop, index)?;
        let name = machines[index].name().to_owned();
        let start = Instant::now();
        let known = expected.as_ref().map(|(_, results)| results.as_slice());
        let end = runner.plan(&mut *machines[index], known)?;
        let result = end.is_none().then(|| job_result(&runner.results));
        let seconds = start.elapsed().as_secs_f64();
        let told = result.map_or_else(|| "DIFFERENT".to_owned(), |result| result.to_string());
        listener(&format!("{name:<width$}  {told}  {seconds:.1} s"));
        report.backends.push(BackendReport {
            name: name.clone(),
            result,
            tasks: runner.results.clone(),
            seconds,
        });
        if let Some(deviation) = end {
            let (expected_by, _) =
                expected.as_ref().context("the first machine has nothing to differ from")?;
            listener(&format!(
                "{name} differs in {}; tracing it",
                progress::describe(&deviation.task, job.report.plan.task_count())
            ));
            let requests = difference::Traced {
                job,
                stop,
                task: &deviation.task,
                states: &deviation.states,
                digests: &deviation.digests,
            };
            let (first, rest) = machines.split_at_mut(index);
            let found = requests.find(&mut *first[0], &mut *rest[0])?;
            report.difference = Some(deviation.report(expected_by, &name, found));
            return Ok(report);
        }
        if expected.is_none() {
            expected = Some((name, runner.results));
        }
    }
    report.result = report.backends.first().and_then(|backend| backend.result);
    Ok(report)
}

/// What a difference is to the caller of the command.
pub fn failure(difference: &DifferenceReport, tasks: usize) -> Failure {
    let task = PlannedTask {
        index: difference.task,
        entry: difference.entry,
        place: difference.place,
        states: Vec::new(),
        parameters: Default::default(),
    };
    let DifferenceReport { expected_by, found_by, expected, found, .. } = difference;
    let mut message = format!(
        "{found_by} does not compute what {expected_by} computes: in {}",
        progress::describe(&task, tasks)
    );
    if let Some(step) = difference.step {
        message += &format!(", step {step}");
    }
    if let Some(operation) = &difference.operation {
        message += &format!(
            ", operation `{}` (number {} of the step), {}: expected {}, found {}",
            operation.name, operation.index, operation.shapes, operation.expected, operation.found
        );
    } else if let Some(group) = &difference.fused_group {
        message += &format!(
            "; no single operation differs when each is looked at, so the fault is in computing these \
             together: {group}"
        );
    } else {
        message += "; the difference did not show when the task was traced, so this machine does not even \
                    repeat itself";
    }
    message += &format!(". Task results: expected {expected}, found {found}");
    Failure::new(ErrorKind::Different, anyhow!("{message}"))
}

/// One machine's way through the plan, with its states.
struct Runner<'a> {
    job: &'a Job,
    stop: &'a StopFlag,
    folder: PathBuf,
    results: Vec<Digest>,
    states: Vec<(Digest, PathBuf)>,
}

/// Where a machine left the expected way.
struct Deviation {
    task: PlannedTask,
    digests: Vec<Digest>,
    states: Vec<PathBuf>,
    expected: Digest,
    found: String,
}

impl<'a> Runner<'a> {
    fn new(job: &'a Job, stop: &'a StopFlag, index: usize) -> Outcome<Runner<'a>> {
        let folder = job.folder().join(format!("verify-{index}"));
        std::fs::create_dir_all(&folder)
            .context("cannot make a temporary directory")
            .map_err(Failure::host)?;
        Ok(Runner { job, stop, folder, results: Vec::new(), states: Vec::new() })
    }

    /// Runs the plan until it ends or a result is not the expected one.
    fn plan(&mut self, machine: &mut dyn Machine, expected: Option<&[Digest]>) -> Outcome<Option<Deviation>> {
        let tasks = self.job.report.plan.task_count();
        for task in self.job.report.plan.unroll() {
            let (digests, files): (Vec<Digest>, Vec<PathBuf>) =
                task.states.iter().map(|&index| self.states[index].clone()).unzip();
            let output = self.folder.join(format!("{}.safetensors", task.index));
            let request = self.request(&task, digests.clone(), files.clone(), output.clone());
            let outcome = attempt(machine, &request, self.stop)?;
            let name = format!("{} on {}", progress::describe(&task, tasks), machine.name());
            let right = expected.map(|results| results[task.index]);
            match (outcome, right) {
                (TaskOutcome::Completed(done), right) if right.is_none_or(|right| right == done.result) => {
                    self.results.push(done.result);
                    self.states.push((done.state, output));
                    self.forget(&task);
                }
                (TaskOutcome::Completed(done), Some(right)) => {
                    let found = done.result.to_string();
                    return Ok(Some(Deviation { task, digests, states: files, expected: right, found }));
                }
                (TaskOutcome::GuestFailure(failure), Some(right)) => {
                    let found = failure.message;
                    return Ok(Some(Deviation { task, digests, states: files, expected: right, found }));
                }
                (outcome, _) => {
                    run::completed(outcome, &name)?;
                }
            }
        }
        Ok(None)
    }

    fn request(
        &self,
        task: &PlannedTask,
        digests: Vec<Digest>,
        files: Vec<PathBuf>,
        output: PathBuf,
    ) -> AttemptRequest {
        self.job.attempt(self.job.task(task, digests), files, Some(output), self.stop)
    }

    /// States that no later task needs leave the disk: those that this task started from, once all that start
    /// from them are done.
    fn forget(&self, task: &PlannedTask) {
        let last_of_round =
            task.place.worker + 1 == task.place.workers || task.entry == anneal_job::Entry::Merge;
        if last_of_round {
            for &index in &task.states {
                // It goes with the temporary directory anyhow.
                let _ = std::fs::remove_file(&self.states[index].1);
            }
        }
    }
}

impl Deviation {
    fn report(&self, expected_by: &str, found_by: &str, found: difference::Found) -> DifferenceReport {
        DifferenceReport {
            expected_by: expected_by.to_owned(),
            found_by: found_by.to_owned(),
            task: self.task.index,
            entry: self.task.entry,
            place: self.task.place,
            expected: self.expected.to_string(),
            found: self.found.clone(),
            step: found.step,
            operation: found.operation,
            fused_group: found.fused_group,
        }
    }
}

/// An attempt whose events nobody hears.
fn attempt(machine: &mut dyn Machine, request: &AttemptRequest, stop: &StopFlag) -> Outcome<TaskOutcome> {
    let outcome = machine.attempt(request, &mut |_: Event| {});
    if stop.is_stopped()
        && matches!(outcome, TaskOutcome::HostFault(HostFault { code: FaultCode::WorkerDied, .. }))
    {
        return Err(Failure::new(ErrorKind::Interrupted, anyhow!("interrupted; nothing was kept")));
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests;
