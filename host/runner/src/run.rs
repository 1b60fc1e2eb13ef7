//! A job's plan on this machine, one task after the other, each in a process of its own, with every finished state
//! kept.

pub mod resume;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use anneal_job::{
    Completed, Digest, FailureCode, FaultCode, Outcome as TaskOutcome, PlannedTask, job_result,
    report::{DeviceReport, ErrorKind, RunReport, TaskReport},
};
use anneal_sandbox::{Machine, StopFlag};
use anyhow::{Context, anyhow};

use crate::{
    failure::{Failure, Outcome},
    job::Job,
    out::OutDirectory,
    progress::{self, Progress},
};

/// A run and where it stands.
pub struct Run {
    job: Job,
    machine: Box<dyn Machine>,
    out: OutDirectory,
    report: RunReport,
    tasks: Tasks,
}

/// What is run of the job.
#[derive(Debug)]
pub enum Tasks {
    /// The whole plan.
    Plan,
    /// One task, from the state in this file.
    Alone(PlannedTask, PathBuf, Digest),
}

impl Run {
    /// A run of a job on a machine, after the tasks that are finished.
    pub fn new(
        job: Job,
        machine: Box<dyn Machine>,
        device: DeviceReport,
        tasks: Tasks,
        out: OutDirectory,
        finished: Vec<TaskReport>,
    ) -> Run {
        let mut report = RunReport {
            result: None,
            metrics: BTreeMap::new(),
            state: None,
            tasks_planned: if matches!(tasks, Tasks::Plan) { job.report.plan.task_count() } else { 1 },
            job: job.report.clone(),
            tasks: Vec::new(),
            gas: 0,
            device,
            seconds: 0.0,
            out: Some(out.path().display().to_string()),
        };
        finished.into_iter().for_each(|task| add(&mut report, task));
        Run { job, machine, out, report, tasks }
    }

    /// What has come of it so far.
    pub fn into_report(self) -> RunReport {
        self.report
    }

    /// Runs what is left; what is finished is kept, however it ends.
    ///
    /// # Errors
    /// Where a task fails, the machine does, a file cannot be written, or it is stopped.
    pub fn run(&mut self, stop: &StopFlag, progress: &mut dyn Progress) -> Outcome<()> {
        // From here on the directory says whose it is, even where nothing gets finished.
        self.out.record(&self.report).map_err(Failure::host)?;
        let result = self.tasks(stop, progress);
        progress.finish();
        result?;
        let results: Vec<Digest> = self.report.tasks.iter().map(|task| task.result).collect();
        self.report.result = Some(job_result(&results));
        if let Some(file) = self.report.tasks.iter().rev().find_map(|task| task.file.clone())
            && self.report.tasks_planned == self.report.tasks.len()
            && !matches!(self.report.job.plan, anneal_job::PlanSpec::Map { .. })
        {
            self.out.finish_with(Path::new(&file)).map_err(Failure::host)?;
        }
        self.out.record(&self.report).map_err(Failure::host)
    }

    fn tasks(&mut self, stop: &StopFlag, progress: &mut dyn Progress) -> Outcome<()> {
        for index in self.report.tasks.len()..self.report.tasks_planned {
            let (task, states, files) = match &self.tasks {
                Tasks::Plan => {
                    let task = self.job.report.plan.task(index).context("the plan is shorter than it was")?;
                    let (states, files) = self.states_of(&task)?;
                    (task, states, files)
                }
                Tasks::Alone(task, file, digest) => (task.clone(), vec![*digest], vec![file.clone()]),
            };
            let finished = self.task(&task, states, files, stop, progress)?;
            add(&mut self.report, finished);
            self.forget_workers(&task)?;
            self.out.record(&self.report).map_err(Failure::host)?;
        }
        Ok(())
    }

    /// The digests and files of the states that a task starts from.
    fn states_of(&self, task: &PlannedTask) -> Outcome<(Vec<Digest>, Vec<PathBuf>)> {
        task.states
            .iter()
            .map(|&index| {
                let from = &self.report.tasks[index];
                let file = from.file.as_ref().context("a state that is needed was not kept")?;
                Ok((from.state, self.out.absolute(Path::new(file))))
            })
            .collect()
    }

    fn task(
        &mut self,
        planned: &PlannedTask,
        states: Vec<Digest>,
        files: Vec<PathBuf>,
        stop: &StopFlag,
        progress: &mut dyn Progress,
    ) -> Outcome<TaskReport> {
        let start = Instant::now();
        progress.begin(planned, self.report.tasks_planned);
        let task = self.job.task(planned, states);
        let id = task.id();
        let file = self.out.file_of(planned, self.report.tasks_planned).map_err(Failure::host)?;
        let output = file.as_deref().map(|file| self.out.absolute(file));
        let request = self.job.attempt(task, files, output, stop);
        let outcome = self.machine.attempt(&request, progress);
        progress.end();
        if stop.is_stopped() && matches!(outcome, TaskOutcome::HostFault(_)) {
            return Err(self.interrupted());
        }
        let name = progress::describe(planned, self.report.tasks_planned);
        let Completed { result, state, metrics, gas, steps } = completed(outcome, &name)?;
        let seconds = start.elapsed().as_secs_f64();
        progress.line(format!(
            "{name}  done in {seconds:.1} s, {steps} steps, result {}",
            &result.to_string()[..12]
        ));
        Ok(TaskReport {
            id,
            entry: planned.entry,
            place: planned.place,
            parameters: planned.parameters.clone(),
            result,
            state,
            file: file.map(|file| file.to_string_lossy().into_owned()),
            metrics,
            gas,
            steps,
            seconds,
        })
    }

    /// A merged round's workers are not needed any more.
    fn forget_workers(&mut self, merge: &PlannedTask) -> Outcome<()> {
        if merge.entry == anneal_job::Entry::Merge {
            for &index in &merge.states {
                if let Some(file) = self.report.tasks[index].file.take() {
                    self.out.remove(Path::new(&file)).map_err(Failure::host)?;
                }
            }
        }
        Ok(())
    }

    fn interrupted(&self) -> Failure {
        let out = self.out.path().display();
        let (done, all) = (self.report.tasks.len(), self.report.tasks_planned);
        let error = match done {
            0 => anyhow!("interrupted before the first task was finished"),
            _ => anyhow!(
                "interrupted; {done} of {all} tasks are kept in {out}: the same command goes on from there"
            ),
        };
        Failure::new(ErrorKind::Interrupted, error)
    }
}

/// What a task completed with, or why the job ends here.
pub fn completed(outcome: TaskOutcome, task: &str) -> Outcome<Completed> {
    match outcome {
        TaskOutcome::Completed(completed) => Ok(completed),
        TaskOutcome::GuestFailure(failure) => {
            let error = anyhow!("the job failed in {task}: {}", failure.message);
            Err(Failure::new(ErrorKind::JobFailed, error).with_code(code(&failure.code)))
        }
        TaskOutcome::HostFault(fault) => {
            let error = anyhow!("this machine failed in {task}: {}", fault.message);
            Err(Failure::new(ErrorKind::HostFault, error).with_code(code(&fault.code)))
        }
    }
}

/// A code as JSON has it.
pub fn code(code: &(impl serde::Serialize + Code)) -> String {
    let json = serde_json::to_value(code).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

/// What [`code`] takes.
pub trait Code {}
impl Code for FailureCode {}
impl Code for FaultCode {}

fn add(report: &mut RunReport, task: TaskReport) {
    for metric in &task.metrics {
        report.metrics.insert(metric.name.clone(), metric.value);
    }
    report.gas = report.gas.saturating_add(task.gas);
    report.seconds += task.seconds;
    if task.entry != anneal_job::Entry::Evaluate {
        report.state = Some(task.state);
    }
    report.tasks.push(task);
}

#[cfg(test)]
mod tests;
