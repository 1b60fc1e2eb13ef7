//! `anneal replay`: repeats what a verdict judges, on this machine, down to the operation that it names.
//!
//! Nothing of the coordinator's word is taken but what the job is: the task is made from the job's description and
//! must have the verdict's name, files are verified by their digests, and the result is computed here. Coordinators keep
//! few checkpoints: a state that is gone is made again, from the last one that is there.
//! `compare` says what of the verdict holds. `anneal grant` lets somebody else do the same with a private job.

mod compare;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anneal_api::{
    Client, Secret,
    wire::{BlobQuery, FindingView, JobSpec, JobView, TaskView, TraceLevel, VerdictView},
};
use anneal_job::{
    BackendChoice, Blob, Digest, HostFault, JobId, ReceiptOutcome, Task, check_parameters, report::ErrorKind,
};
use anneal_runner::{
    Backend, Compiler, TaskFiles, doctor,
    failure::{Failure, Outcome},
    staging::StagingFolder,
    work::{self, Attempted, Work},
};
use anneal_sandbox::{Machine, StopFlag, check_versions, confine::Requirement};
use anyhow::{Context, anyhow};
use serde::Serialize;

use super::{
    connect, coordinator_url, developer::find, developer_key, failure, options, wait_for, watch::all_tasks,
};
use crate::{arguments, host::Host, terminal::Terminal};

pub use compare::TaskReplay;
use compare::{Repeated, compare, describe};

/// Wall-clock time of a replay.
/// Bytes of a file with a grant.
const GRANT_BYTES_MAX: u64 = 64 << 10;
const REPLAY_TIME: Duration = Duration::from_secs(24 * 3600);

/// What was repeated.
#[derive(Debug, Serialize)]
pub struct ReplayReport {
    /// The job.
    pub job: JobId,
    /// What it was repeated on.
    pub backend: String,
    /// Each task that was meant.
    pub tasks: Vec<TaskReplay>,
}

/// A grant's text.
#[derive(Debug, Serialize)]
pub struct Granted {
    /// The job that it opens.
    pub job: JobId,
    /// To give to whoever is to replay it.
    pub grant: String,
}

/// `anneal grant`: a text that lets its holder read a job of one's own and replay its verdicts.
///
/// # Errors
/// The coordinator's, or where the job is not one's own.
pub fn grant(arguments: &arguments::MakeGrant, host: &Host, terminal: &Terminal) -> Outcome<Granted> {
    wait_for(async {
        let client = connect(&arguments.job.coordinator, host, developer_key(host)?).await?;
        let job = find(&client, &arguments.job.id).await?;
        let view = client.job(job, &anneal_api::wire::JobQuery::default()).await.map_err(failure)?;
        if view.summary.owner != client.identity() {
            return Err(Failure::bad_input(format!("{job} is not your job: only its owner can grant it")));
        }
        let valid = Duration::from_secs(u64::from(arguments.days) * 24 * 3600);
        let grant = client.grant(job, valid).expose().to_owned();
        terminal.data(grant.as_str());
        terminal.note(format!(
            "whoever has this text can read {job} with its component, inputs and weights for {} days",
            arguments.days
        ));
        Ok(Granted { job, grant })
    })
}

/// `anneal replay`: the report, and a failure where a verdict does not hold.
pub fn replay(
    arguments: &arguments::Replay,
    host: &Host,
    stop: &StopFlag,
    terminal: &Terminal,
) -> (Option<ReplayReport>, Option<Failure>) {
    match replayed(arguments, host, stop, terminal) {
        Ok(report) => {
            let wrong: Vec<String> = report.tasks.iter().filter_map(TaskReplay::wrong).collect();
            let failure = (!wrong.is_empty()).then(|| {
                Failure::new(
                    ErrorKind::DoesNotHold,
                    anyhow!("the verdict does not hold: {}", wrong.join("; ")),
                )
            });
            (Some(report), failure)
        }
        Err(failure) => (None, Some(failure)),
    }
}

fn replayed(
    arguments: &arguments::Replay,
    host: &Host,
    stop: &StopFlag,
    terminal: &Terminal,
) -> Outcome<ReplayReport> {
    let (job, index) = parse_verdict(&arguments.verdict)?;
    let backend = arguments.backend.map_or(BackendChoice::Cpu, Into::into);
    let backend = Backend::choose(backend, &Default::default(), &host.launcher)?;
    let temporary;
    let folder: &Path = match &arguments.folder {
        Some(folder) => folder,
        None => {
            temporary =
                StagingFolder::make(&host.launcher).context("cannot make a folder").map_err(Failure::host)?;
            temporary.path()
        }
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot use the directory {}", folder.display()))
        .map_err(Failure::host)?;
    // Waiting for the network ends before the work begins, which takes this thread.
    let (view, indices, own) = wait_for(async {
        let url = coordinator_url(&arguments.coordinator, host)?;
        let mut options = options(url, developer_key(host)?, host);
        options.grant = arguments.grant.as_deref().map(grant_text).transpose()?;
        let client = Client::connect(options).await.map_err(failure)?;
        let job = find(&client, job).await?;
        let view = all_tasks(&client, job).await?;
        // What this program does not run is not fetched either; it is no verdict that does not hold.
        check_versions(spec_of(&view)?.versions).map_err(doctor::fault)?;
        let indices = fetch_all(&client, &view, chosen(&view, index)?, folder).await?;
        let own = view.summary.owner == client.identity();
        Ok((view, indices, own))
    })?;
    terminal.note(format!("computing on {}", backend.name()));
    // Somebody else's component is neither compiled nor run without what confines it.
    let requirement = if own { Requirement::BEST_EFFORT } else { Requirement::STRANGERS };
    let mut worker = host.launcher.worker_for(&backend, requirement);
    let compiler = host.launcher.compiler_for(requirement);
    let mut tasks = Vec::new();
    for (&index, &wanted) in &indices {
        let case = case(&view, index, folder)?;
        if !wanted {
            terminal.note(format!("task {index} first: the state it gave is no longer kept"));
        }
        let repeated = case.repeat(&mut worker, &compiler, folder, stop)?;
        let replay = compare(case.view, &case.task, &repeated);
        if wanted {
            terminal.data(describe(&view, case.view, &replay));
        } else if let Some(wrong) = replay.wrong() {
            return Err(Failure::new(ErrorKind::DoesNotHold, anyhow!("the verdict does not hold: {wrong}")));
        }
        let wrong = replay.wrong().is_some();
        tasks.extend(wanted.then_some(replay));
        if wrong {
            // What was built on it cannot be repeated: it starts from what is not there.
            break;
        }
    }
    Ok(ReplayReport { job: view.summary.id, backend: backend.name(), tasks })
}

/// A grant, or the file that holds one.
fn grant_text(text: &str) -> Outcome<Secret> {
    if text.parse::<anneal_api::Grant>().is_ok() {
        return Ok(Secret::new(text));
    }
    let kept = anneal_files::read_bounded(Path::new(text), GRANT_BYTES_MAX)
        .with_context(|| format!("`{text}` is neither a grant nor a file that can be read"))?;
    Ok(Secret::new(String::from_utf8_lossy(&kept).trim()))
}

/// `JOB` or `JOB/TASK`.
fn parse_verdict(text: &str) -> Outcome<(&str, Option<u64>)> {
    match text.split_once('/') {
        None => Ok((text, None)),
        Some((job, index)) => match index.parse() {
            Ok(index) => Ok((job, Some(index))),
            Err(_) => Err(Failure::bad_input(format!(
                "`{text}` names no verdict: write JOB, or JOB/TASK with the task's number in the plan"
            ))),
        },
    }
}

/// The task that is named, or all whose verdicts fault somebody.
fn chosen(view: &JobView, index: Option<u64>) -> Outcome<Vec<&TaskView>> {
    let judged = |task: &&TaskView| task.verdict.is_some();
    match index {
        Some(index) => {
            let task = view.tasks.iter().find(|task| task.index == index).filter(judged);
            task.map(|task| vec![task]).ok_or_else(|| {
                Failure::bad_input(format!("task {index} has no verdict, or the job has no such task"))
            })
        }
        None => {
            let faulted =
                |task: &&TaskView| task.verdict.as_ref().is_some_and(|verdict| !verdict.faults.is_empty());
            let tasks: Vec<&TaskView> = view.tasks.iter().filter(faulted).collect();
            if tasks.is_empty() {
                let words = "no verdict of this job faults anybody: name a task as JOB/TASK to repeat it";
                return Err(Failure::bad_input(words));
            }
            Ok(tasks)
        }
    }
}

/// A verdict, and all that is needed to repeat what it judges.
struct Case<'a> {
    view: &'a TaskView,
    task: Task,
    files: TaskFiles,
}

/// Makes a verdict's task from the job's description; its files are in the folder, or will be by their turn.
fn case<'a>(view: &'a JobView, index: usize, folder: &Path) -> Outcome<Case<'a>> {
    let spec = spec_of(view)?;
    let task = view.tasks.get(index).context("the coordinator does not show the job's tasks")?;
    let before = states_before(view, spec, index)?;
    let states: Vec<Digest> = before.iter().map(|(_, state, _)| *state).collect();
    let made = spec.task(index, states).context("the job's plan has no such task")?;
    if Some(made.id()) != task.task {
        let words = format!(
            "task {index} is not the one that was judged: the job's description and the verdicts before it make {}",
            made.id()
        );
        return Err(Failure::new(ErrorKind::DoesNotHold, anyhow!(words)));
    }
    let files = TaskFiles {
        component: path_of(folder, spec.component),
        inputs: spec.inputs_blob.map(|blob| path_of(folder, blob)),
        states: before.iter().map(|(_, _, blob)| path_of(folder, *blob)).collect(),
    };
    Ok(Case { view: task, task: made, files })
}

fn spec_of(view: &JobView) -> Outcome<&JobSpec> {
    let spec = view.spec.as_ref().context("the coordinator does not say what the job is")?;
    // Whoever runs it, a coordinator is a stranger.
    spec.plan.check().context("the coordinator says a job that none can be")?;
    check_parameters(&spec.parameters, Some(&spec.plan))
        .context("the coordinator says a job that none can be")?;
    Ok(spec)
}

/// Where a blob lies while it is worked with.
fn path_of(folder: &Path, blob: Blob) -> PathBuf {
    folder.join(blob.digest.to_string())
}

/// Fetches component, inputs and the states that the tasks start from. A state that is no longer kept is made again
/// by the task that gave it, so that one is repeated, too; says which tasks are, and which of them were meant.
async fn fetch_all(
    client: &Client,
    view: &JobView,
    chosen: Vec<&TaskView>,
    folder: &Path,
) -> Outcome<BTreeMap<usize, bool>> {
    let (spec, job) = (spec_of(view)?, Some(view.summary.id));
    for blob in [Some(spec.component), spec.inputs_blob].into_iter().flatten() {
        if !fetch(client, blob, BlobQuery { job, task: None }, folder).await? {
            let words = format!(
                "{} is no longer kept, or not for you: a private job needs its owner's grant (`anneal grant`)",
                blob.digest
            );
            return Err(Failure::bad_input(words).with_code("not-found"));
        }
    }
    let mut indices: BTreeMap<usize, bool> = chosen.iter().map(|task| (task.index as usize, true)).collect();
    let mut open: Vec<usize> = indices.keys().copied().collect();
    while let Some(index) = open.pop() {
        for (before, _, blob) in states_before(view, spec, index)? {
            let of = BlobQuery { job, task: Some(before) };
            if !fetch(client, blob, of, folder).await? && !indices.contains_key(&(before as usize)) {
                indices.insert(before as usize, false);
                open.push(before as usize);
            }
        }
    }
    Ok(indices)
}

/// The states that a task starts from: whose they are, their digests and their files.
fn states_before(view: &JobView, spec: &JobSpec, index: usize) -> Outcome<Vec<(u32, Digest, Blob)>> {
    let planned = spec.plan.task(index).context("the job's plan has no such task")?;
    let state = |&before: &usize| {
        let verdict: Option<&VerdictView> = view
            .tasks
            .get(before)
            .filter(|task| task.index == before as u64)
            .and_then(|task| task.verdict.as_ref());
        let found = verdict.and_then(|verdict| Some((before as u32, verdict.state?, verdict.state_blob?)));
        found
            .with_context(|| format!("task {before}, from which task {index} goes on, has no verified state"))
    };
    Ok(planned.states.iter().map(state).collect::<anyhow::Result<_>>()?)
}

/// Fetches a blob, verified, unless it is there from an earlier try; false where the coordinator has none for us.
async fn fetch(client: &Client, blob: Blob, of: BlobQuery, folder: &Path) -> Outcome<bool> {
    let path = path_of(folder, blob);
    if work::blob_of(&path).is_ok_and(|found| found == blob) {
        return Ok(true);
    }
    match client.download_of(blob, of, &path, &mut |_, _| {}).await {
        Ok(()) => Ok(true),
        Err(error) if error.code() == Some("not-found") => Ok(false),
        Err(error) => Err(failure(error)),
    }
}

impl Case<'_> {
    /// Runs the task once for each level that the verdict's findings need.
    fn repeat(
        &self,
        machine: &mut dyn Machine,
        compiler: &Compiler,
        folder: &Path,
        stop: &StopFlag,
    ) -> Outcome<Repeated> {
        let mut repeated: Option<Repeated> = None;
        for level in levels(self.view) {
            let work = Work { task: &self.task, files: &self.files, time: REPLAY_TIME, stop, pace: None };
            let output = folder.join(format!("replayed-{}.safetensors", self.view.index));
            let level_asked = match level {
                None => TraceLevel::Commits,
                Some(step) => TraceLevel::Operations { step },
            };
            let attempted = work::attempt(machine, compiler, &work, &output, level_asked, &mut |_| {});
            let Attempted { outcome, traced, .. } = attempted.map_err(|fault| {
                let message =
                    format!("this machine cannot repeat task {}: {}", self.view.index, fault.message);
                doctor::fault(HostFault { message, ..fault })
            })?;
            let known = repeated.get_or_insert_with(|| Repeated::new(outcome.clone()));
            if known.outcome != outcome {
                return Err(Failure::host(anyhow!(
                    "this machine gives two results of one task: run `anneal selftest`"
                )));
            }
            // What later tasks start from lies under its digest.
            if let Some(blob) = outcome.state_blob() {
                std::fs::rename(&output, path_of(folder, blob))
                    .with_context(|| format!("cannot keep {}", output.display()))
                    .map_err(Failure::host)?;
            }
            match level {
                None => known.commits = traced.digests,
                Some(step) => {
                    known.operations.insert(step, traced);
                }
            }
        }
        repeated.context("every verdict has a level").map_err(Failure::host)
    }
}

/// The steps whose operations are looked at; `None` for the commits of the whole.
fn levels(view: &TaskView) -> BTreeSet<Option<u64>> {
    let faults = view.verdict.iter().flat_map(|verdict| &verdict.faults);
    let mut levels: BTreeSet<Option<u64>> = faults
        .filter_map(|fault| match fault.finding {
            FindingView::Operation { step, .. } => Some(Some(step)),
            FindingView::Commit { .. } => Some(None),
            FindingView::Forged | FindingView::Silent | FindingView::Untraced => None,
        })
        .collect();
    if levels.is_empty() {
        levels.insert(None);
    }
    levels
}

/// Whether two outcomes are the same in all that counts.
fn agree(one: &ReceiptOutcome, other: &ReceiptOutcome) -> bool {
    let salt = Digest::of(b"compared here alone");
    one.key(salt) == other.key(salt)
}
