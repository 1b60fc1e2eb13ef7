//! `anneal quote`, `submit`, `jobs`, `cancel`, `retry`, `fetch`: a developer's side.

use std::path::{Path, PathBuf};

use anneal_api::{
    Client, ClientError,
    wire::{Cancelled, JobListQuery, JobQuery, JobState, JobSummary, JobView, Quote, SubmitJob, Submitted, TaskView},
};
use anneal_job::{Entry, JobId, report::ErrorKind};
use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use super::{connect, developer_key, failure, spec, wait_for, watch};
use crate::{
    arguments::{Fetch, Jobs, OneJob, Submit},
    failure::{Failure, Outcome},
    host::Host,
    job::Job,
    terminal::{Terminal, table},
};

/// `anneal quote`: what a job would cost, without running it.
///
/// # Errors
/// Bad input, or the coordinator's.
pub fn quote(arguments: &Submit, host: &Host, terminal: &Terminal) -> Outcome<Quote> {
    let job = Job::load(&arguments.job, host, terminal)?;
    let spec = spec::submission(&job, &arguments.terms)?.spec;
    wait_for(async {
        let client = connect(&arguments.coordinator, host, developer_key(host)?).await?;
        let quote = client.quote(spec).await.map_err(failure)?;
        terminal.data(describe_quote(&quote));
        Ok(quote)
    })
}

/// `anneal submit`: uploads what is missing, asks, submits, and watches.
///
/// # Errors
/// Bad input, the coordinator's, or the job's own failure.
pub fn submit(arguments: &Submit, host: &Host, terminal: &Terminal) -> Outcome<JobView> {
    let job = Job::load(&arguments.job, host, terminal)?;
    let submission = spec::submission(&job, &arguments.terms)?;
    let name = name_of(&arguments.job.job);
    wait_for(async {
        let client = connect(&arguments.coordinator, host, developer_key(host)?).await?;
        let quote = client.quote(submission.spec.clone()).await.map_err(failure)?;
        terminal.note(describe_quote(&quote));
        if !arguments.yes && !terminal.confirm("Submit it?")? {
            return Err(Failure::bad_input("not submitted; nothing was uploaded or charged"));
        }
        upload(&client, &submission.blobs, terminal).await?;
        let nonce = u64::from_le_bytes(anneal_api::random_bytes::<8>().map_err(Failure::host)?);
        let submitted = client.submit(&SubmitJob { name, nonce, spec: submission.spec }).await;
        let Submitted { job, .. } = submitted.map_err(failure)?;
        terminal.note(format!("submitted {job}"));
        terminal.note(format!("watch it at {}", client.page_link(PAGE_TIME).expose()));
        if arguments.detach {
            return ended_early(admitted(&client, job).await?);
        }
        let view = watch::watch(&client, job, terminal).await?;
        if let (Some(out), Some(_)) = (&arguments.out, &view.end) {
            fetch_into(&client, &view, out, None, terminal).await?;
        }
        ended(view)
    })
}

/// How long a coordinator may take to look at a component before the developer goes away.
const ADMISSION_TIME: std::time::Duration = std::time::Duration::from_secs(120);

/// The job once its component was looked at, or as it is after a while.
async fn admitted(client: &Client, job: JobId) -> Outcome<JobView> {
    let begun = std::time::Instant::now();
    let mut query = JobQuery { wait_ms: Some(10_000), ..JobQuery::default() };
    loop {
        let view = client.job(job, &query).await.map_err(failure)?;
        if view.summary.state != JobState::Admitting || begun.elapsed() >= ADMISSION_TIME {
            return Ok(view);
        }
        query.revision = Some(view.revision);
    }
}

/// A job that has failed before it began is a failure; one that goes on is what was asked for.
fn ended_early(view: JobView) -> Outcome<JobView> {
    if view.summary.state == JobState::Failed { ended(view) } else { Ok(view) }
}

/// How long a link to the page is good.
const PAGE_TIME: std::time::Duration = std::time::Duration::from_secs(12 * 3600);

/// `anneal jobs`: one's own, the newest first.
///
/// # Errors
/// The coordinator's.
pub fn jobs(arguments: &Jobs, host: &Host, terminal: &Terminal) -> Outcome<anneal_api::wire::Jobs> {
    wait_for(async {
        let client = connect(&arguments.coordinator, host, developer_key(host)?).await?;
        let jobs = client.jobs(&JobListQuery::default()).await.map_err(failure)?;
        terminal.data(if jobs.jobs.is_empty() { "no jobs yet".to_owned() } else { list(&jobs.jobs) });
        Ok(jobs)
    })
}

/// `anneal watch`: until it ends.
///
/// # Errors
/// The coordinator's, or the job's own failure.
pub fn watch_job(arguments: &OneJob, host: &Host, terminal: &Terminal) -> Outcome<JobView> {
    wait_for(async {
        let client = connect(&arguments.coordinator, host, developer_key(host)?).await?;
        let id = find(&client, &arguments.id).await?;
        ended(watch::watch(&client, id, terminal).await?)
    })
}

/// `anneal cancel`: no new leases; what runs finishes and is paid, the rest comes back.
///
/// # Errors
/// The coordinator's.
pub fn cancel(arguments: &OneJob, host: &Host, terminal: &Terminal) -> Outcome<JobView> {
    steer(arguments, host, terminal, async |client, job| client.cancel(job).await)
}

/// `anneal retry`: a paused job goes on, and what failed is tried again.
///
/// # Errors
/// The coordinator's, also where the job has ended.
pub fn retry(arguments: &OneJob, host: &Host, terminal: &Terminal) -> Outcome<JobView> {
    steer(arguments, host, terminal, async |client, job| client.resume(job).await)
}

/// Asks something of a job, and tells its state then.
fn steer(
    arguments: &OneJob,
    host: &Host,
    terminal: &Terminal,
    ask: impl AsyncFnOnce(&Client, JobId) -> Result<Cancelled, ClientError>,
) -> Outcome<JobView> {
    wait_for(async {
        let client = connect(&arguments.coordinator, host, developer_key(host)?).await?;
        let id = find(&client, &arguments.id).await?;
        ask(&client, id).await.map_err(failure)?;
        let view = client.job(id, &JobQuery::default()).await.map_err(failure)?;
        terminal.data(watch::state_words(&view));
        Ok(view)
    })
}

/// `anneal fetch`: weights, or the state after a segment, and the receipts.
///
/// # Errors
/// The coordinator's, or a file's.
pub fn fetch(arguments: &Fetch, host: &Host, terminal: &Terminal) -> Outcome<JobView> {
    wait_for(async {
        let client = connect(&arguments.job.coordinator, host, developer_key(host)?).await?;
        let id = find(&client, &arguments.job.id).await?;
        let view = watch::all_tasks(&client, id).await?;
        fetch_into(&client, &view, &arguments.out, arguments.segment, terminal).await?;
        Ok(view)
    })
}

/// Downloads a state and writes the receipts beside it.
pub(super) async fn fetch_into(
    client: &Client,
    view: &JobView,
    out: &Path,
    segment: Option<u32>,
    terminal: &Terminal,
) -> Outcome<()> {
    let state = match segment {
        Some(segment) => Some(after_segment(view, segment).ok_or_else(|| {
            Failure::bad_input(format!(
                "there is no verified state after segment {segment}, or it is no longer kept; see `anneal watch {}`",
                view.summary.id
            ))
        })?),
        None => view.end.as_ref().and_then(|end| end.state),
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot use the directory {}", out.display()))
        .map_err(Failure::host)?;
    if let Some(blob) = state {
        let path = out.join("state.safetensors");
        client.download(blob, &path, &mut |_, _| {}).await.map_err(failure)?;
        terminal.note(format!("weights     {}", path.display()));
    }
    let receipts: Vec<_> =
        view.tasks.iter().flat_map(|task| &task.attempts).filter_map(|a| a.receipt.as_ref()).collect();
    let kept = serde_json::to_vec_pretty(&receipts).context("receipts are JSON").map_err(Failure::host)?;
    write("receipts.json", &kept).map_err(Failure::host)?;
    let whole = serde_json::to_vec_pretty(view).context("a job is JSON").map_err(Failure::host)?;
    write("job.json", &whole).map_err(Failure::host)?;
    terminal.note(format!("receipts    {} in {}", receipts.len(), out.join("receipts.json").display()));
    Ok(())
}

fn after_segment(view: &JobView, segment: u32) -> Option<anneal_job::Blob> {
    let ends = |task: &&TaskView| match task.entry {
        Entry::Init => segment == 0,
        Entry::Train => task.place.workers == 1 && task.place.segment + 1 == segment,
        Entry::Merge => task.place.segment + 1 == segment,
        Entry::Evaluate | Entry::Run => false,
    };
    view.tasks.iter().find(ends)?.verdict.as_ref()?.state_blob
}

async fn upload(client: &Client, blobs: &[(anneal_job::Blob, PathBuf)], terminal: &Terminal) -> Outcome<()> {
    let bar = terminal.interactive().then(|| {
        let style = ProgressStyle::with_template("uploading [{bar:30}] {bytes}/{total_bytes} {eta}");
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let mut show = |done: u64, all: u64| {
        if let Some(bar) = &bar {
            bar.set_length(all);
            bar.set_position(done);
        }
    };
    let uploaded = client.upload_missing(blobs, &mut show).await;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    uploaded.map_err(failure)
}

/// A job by its id, or by the first digits of it.
pub(super) async fn find(client: &Client, text: &str) -> Outcome<JobId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let jobs = client.jobs(&JobListQuery::default()).await.map_err(failure)?.jobs;
    let found: Vec<JobId> =
        jobs.iter().map(|job| job.id).filter(|id| id.to_string().starts_with(text)).collect();
    match found[..] {
        [id] => Ok(id),
        [] => Err(Failure::bad_input(format!("no job of yours begins with `{text}`; see `anneal jobs`"))),
        _ => Err(Failure::bad_input(format!("several jobs begin with `{text}`; name more digits"))),
    }
}

/// A job that failed is the command's failure, too.
fn ended(view: JobView) -> Outcome<JobView> {
    match view.summary.state {
        JobState::Failed => {
            let reason = view.reason.clone().unwrap_or_else(|| "its guest failed".to_owned());
            Err(Failure::new(ErrorKind::JobFailed, anyhow!("the job failed: {reason}")))
        }
        _ => Ok(view),
    }
}

fn name_of(job: &Path) -> String {
    let path = job.canonicalize().unwrap_or_else(|_| job.to_owned());
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(48).collect()
}

fn describe_quote(quote: &Quote) -> String {
    format!(
        "{} tasks, each on {} providers (at most {})\nexpected    {}\nat most     {}; what is not used comes back",
        quote.tasks, quote.replicas, quote.replicas_max, quote.expected, quote.cap
    )
}

fn list(jobs: &[JobSummary]) -> String {
    let row = |job: &JobSummary| {
        vec![
            job.id.to_string()[..12].to_owned(),
            job.name.clone(),
            watch::state_name(job.state).to_owned(),
            format!("{}/{}", job.tasks_done, job.tasks),
            format!("{} of {}", job.spent, job.cap),
        ]
    };
    let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
    table(&["JOB", "NAME", "STATE", "TASKS", "CREDITS"], &rows)
}
