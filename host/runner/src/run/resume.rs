//! Going on with a run: what its directory names is checked against the job and the files before it counts.

use std::path::Path;

use anneal_job::{
    Digest, PlanSpec,
    report::{RunReport, TaskReport},
};
use anyhow::{Context, Result, bail, ensure};

use crate::{failure::Outcome, job::Job, out::OutDirectory, progress::Console};

/// Opens the directory of an earlier run and returns the tasks that need not be run again.
///
/// # Errors
/// Where there is none, or it is another job's.
pub fn resume(path: &Path, job: &Job, console: &dyn Console) -> Outcome<(OutDirectory, Vec<TaskReport>)> {
    if !path.is_dir() {
        return Err(anyhow::anyhow!("--resume {}: there is no such directory", path.display()).into());
    }
    let out = OutDirectory::open(path)?;
    let tasks = finished(&out, job, console)?;
    Ok((out, tasks))
}

/// The tasks of an earlier run in this directory that need not be run again.
///
/// # Errors
/// Where it is another job's.
pub fn finished(out: &OutDirectory, job: &Job, console: &dyn Console) -> Outcome<Vec<TaskReport>> {
    let path = out.path();
    let report = out.report()?;
    let report = report.with_context(|| {
        format!("--resume {}: there is no result.json; start with `anneal run --out`", path.display())
    })?;
    let mut tasks = check(report, job).with_context(|| format!("--resume {}", path.display()))?;
    let recorded = tasks.len();
    while !usable(&tasks, &job.report.plan, out) {
        tasks.pop();
    }
    if tasks.len() < recorded {
        console.warn(format!(
            "states of the last {} tasks are missing or damaged; those tasks run again",
            recorded - tasks.len()
        ));
    }
    console.note(format!("going on after {} of {} tasks", tasks.len(), job.report.plan.task_count()));
    Ok(tasks)
}

/// The recorded tasks, if they are this very job's.
fn check(report: RunReport, job: &Job) -> Result<Vec<TaskReport>> {
    if let Some(difference) = job.report.difference(&report.job) {
        bail!(
            "this is the directory of another job: {difference} differs; name the same job, or start a new \
             run"
        );
    }
    let plan = &job.report.plan;
    ensure!(report.tasks.len() <= plan.task_count(), "result.json names more tasks than the plan has");
    for (recorded, planned) in report.tasks.iter().zip(plan.unroll()) {
        let states: Vec<Digest> = planned.states.iter().map(|&index| report.tasks[index].state).collect();
        ensure!(
            recorded.id == job.task(&planned, states).id(),
            "task {} in result.json is not the plan's; it was changed by hand, or by another version: start \
             a new run",
            planned.index
        );
    }
    Ok(report.tasks)
}

/// Every state that the remaining tasks need of these is there and whole.
fn usable(tasks: &[TaskReport], plan: &PlanSpec, out: &OutDirectory) -> bool {
    // A round's tasks lie side by side, so the next ones after it look no further back.
    let last = match plan {
        PlanSpec::Train { workers, .. } => tasks.len() + *workers as usize + 1,
        PlanSpec::Single | PlanSpec::Map { .. } => tasks.len(),
    };
    let mut needed: Vec<usize> = (tasks.len()..=last)
        .filter_map(|index| plan.task(index))
        .flat_map(|task| task.states)
        .filter(|&state| state < tasks.len())
        .collect();
    needed.sort_unstable();
    needed.dedup();
    needed.into_iter().all(|index| whole(&tasks[index], out))
}

fn whole(task: &TaskReport, out: &OutDirectory) -> bool {
    let state = task.file.as_ref().map(|file| out.state(Path::new(file)));
    matches!(state, Some(Ok(state)) if state.digest() == task.state)
}
