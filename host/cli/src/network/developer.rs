//! `anneal quote`, `submit`, `jobs`, `cancel`, `retry`: a developer's side.

use std::path::{Path, PathBuf};

use anneal_api::{
    Client, ClientError,
    wire::{Cancelled, JobListQuery, JobQuery, JobState, JobSummary, JobView, Quote, SubmitJob, Submitted},
};
use anneal_job::{JobId, report::ErrorKind, shown_name};
use anneal_runner::failure::{Failure, Outcome};
use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};

use super::{connect, developer_key, failure, fetch::fetch_into, spec, wait_for, watch};
use crate::{
    arguments::{Jobs, OneJob, Submit},
    host::Host,
    job,
    terminal::{Terminal, table},
};

/// `anneal quote`: what a job would cost, without running it.
///
/// # Errors
/// Bad input, or the coordinator's.
pub fn quote(arguments: &Submit, host: &Host, terminal: &Terminal) -> Outcome<Quote> {
    let job = job::load_to_upload(&arguments.job, arguments.allow_outside, host, terminal)?;
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
    let job = job::load_to_upload(&arguments.job, arguments.allow_outside, host, terminal)?;
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
            fetch_into(&client, job, out, None, terminal).await?;
        }
        ended(view)
    })
}

/// Bytes of a job's name, of those that a coordinator takes.
const NAME_BYTES_MAX: usize = 64;
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
        let mut jobs = client.jobs(&JobListQuery::default()).await.map_err(failure)?;
        while let Some(more) = client.more_jobs(&jobs).await.map_err(failure)? {
            jobs.jobs.extend(more.jobs);
        }
        terminal.data(if jobs.jobs.is_empty() { vec!["no jobs yet".to_owned()] } else { list(&jobs.jobs) });
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
    let mut found: Vec<JobId> = Vec::new();
    let mut page = Some(client.jobs(&JobListQuery::default()).await.map_err(failure)?);
    while let Some(jobs) = page {
        found.extend(jobs.jobs.iter().map(|job| job.id).filter(|id| id.to_string().starts_with(text)));
        page = client.more_jobs(&jobs).await.map_err(failure)?;
    }
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
    let mut name = shown_name(&name).into_owned();
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

fn describe_quote(quote: &Quote) -> Vec<String> {
    vec![
        format!(
            "{} tasks, each on {} providers (at most {})",
            quote.tasks, quote.replicas, quote.replicas_max
        ),
        format!("expected    {}", quote.expected),
        format!("at most     {}; what is not used comes back", quote.cap),
    ]
}

fn list(jobs: &[JobSummary]) -> Vec<String> {
    let row = |job: &JobSummary| {
        vec![
            job.id.to_string()[..12].to_owned(),
            shown_name(&job.name).into_owned(),
            watch::state_name(job.state).to_owned(),
            format!("{}/{}", job.tasks_done, job.tasks),
            format!("{} of {}", job.spent, job.cap),
        ]
    };
    let rows: Vec<Vec<String>> = jobs.iter().map(row).collect();
    table(&["JOB", "NAME", "STATE", "TASKS", "CREDITS"], &rows)
}
