//! What people and clients see, made from the store's rows: the same for live jobs and for those long over, in
//! every process. Nothing of a result is shown before its verdict.

mod end;
mod task;

use std::collections::BTreeSet;

use anneal_api::wire::{
    CaseView, DeviceView, JobState, JobSummary, JobView, ProviderStanding, ProviderView, Quote,
};
use anneal_job::{AttemptId, Credits, Digest, Identity, JobId, Timestamp};
use anneal_market::{
    EndKind, JobSpec, Key, PauseReason, TaskKey,
    view::{Case, Device, Job, JobStatus, Provider, Standing, Totals},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    convert,
    profile::{self, Profile},
    store::{Scan, Store, StoreError},
};

/// Tasks of one view.
const TASKS_MAX: u64 = 1_000;
/// Providers of the list.
const PROVIDERS_MAX: u64 = 1_000;

/// What the service itself keeps of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submission {
    pub(crate) name: String,
    pub(crate) developer: Identity,
    pub(crate) private: bool,
    pub(crate) test: bool,
    pub(crate) at: Timestamp,
    pub(crate) salt: Digest,
    pub(crate) quote: Quote,
}

/// Who looks at a job, and at which tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) identity: Option<Identity>,
    pub(crate) from: u64,
    pub(crate) tasks: Option<u64>,
}

pub(crate) fn submission_key(job: JobId) -> String {
    format!("submission/{job}")
}

/// The row that says when a job ended.
pub(crate) fn ended_key(job: JobId) -> String {
    format!("ended/{job}")
}

/// Keys of one developer's jobs sort by time.
pub(crate) fn own_key(developer: Identity, at: Timestamp, job: JobId) -> String {
    format!("own/{developer}/{:016x}/{job}", at.0)
}

/// Keys of everybody's jobs sort by time.
pub(crate) fn public_key(at: Timestamp, job: JobId) -> String {
    format!("public/{:016x}/{job}", at.0)
}

/// The row of a receipt's signature: among those of its task.
pub(crate) fn signature_key(task: TaskKey, attempt: AttemptId) -> String {
    let TaskKey { job, index, generation } = task;
    format!("signature/{job}/{index}/{generation}/{attempt}")
}

/// A job in a list.
pub(crate) fn summary(store: &mut dyn Store, id: JobId) -> Result<Option<JobSummary>, StoreError> {
    let submission: Option<Submission> = read(store, &submission_key(id))?;
    // Before the job: what has ended by this row has ended by the job's, too.
    let ended = read(store, &ended_key(id))?;
    let job: Option<Job> = read(store, &format!("job/{id}"))?;
    Ok(submission.zip(job).map(|(submission, job)| summarise(id, &submission, &job, ended)))
}

fn summarise(id: JobId, submission: &Submission, job: &Job, ended: Option<Timestamp>) -> JobSummary {
    JobSummary {
        id,
        name: submission.name.clone(),
        owner: submission.developer,
        state: job_state(job),
        private: submission.private,
        test: submission.test,
        submitted: submission.at,
        ended,
        tasks_done: job.done.into(),
        tasks: job.tasks.into(),
        spent: job.spent,
        cap: submission.quote.cap,
    }
}

/// How far a job is, in a word.
pub(crate) fn job_state(job: &Job) -> JobState {
    let ended = |kind: EndKind| match kind {
        EndKind::Completed => JobState::Completed,
        EndKind::Failed => JobState::Failed,
        EndKind::Cancelled => JobState::Cancelled,
    };
    match (&job.end, &job.status) {
        (Some(end), _) => ended(end.kind),
        (None, JobStatus::Admitting) => JobState::Admitting,
        (None, JobStatus::Running) => JobState::Running,
        (None, JobStatus::Paused { .. }) => JobState::Paused,
        (None, JobStatus::Ending { .. }) => JobState::Ending,
    }
}

/// A job with tasks; `None` where there is none for this viewer.
pub(crate) fn job(store: &mut dyn Store, id: JobId, viewer: &Viewer) -> Result<Option<JobView>, StoreError> {
    let Some(submission) = read::<Submission>(store, &submission_key(id))? else { return Ok(None) };
    let own = viewer.identity == Some(submission.developer);
    if submission.private && !own {
        return Ok(None);
    }
    // Before the job: what has ended by this row has ended by the job's, too.
    let ended = read(store, &ended_key(id))?;
    let Some(job) = read::<Job>(store, &format!("job/{id}"))? else { return Ok(None) };
    let Some(spec) = read::<JobSpec>(store, &format!("spec/{id}"))? else { return Ok(None) };
    let count = viewer.tasks.unwrap_or(TASKS_MAX).min(TASKS_MAX);
    let to = viewer.from.saturating_add(count).min(job.tasks.into());
    let tasks = task::tasks(store, id, &spec, viewer.from..to)?;
    let completed = job.end.as_ref().is_some_and(|end| end.kind == EndKind::Completed);
    let end = if completed { end::end(store, id, &spec)? } else { None };
    let reason = match (&job.end, &job.status) {
        (Some(end), _) => end.message.clone(),
        (None, JobStatus::Paused { message }) => Some(message.clone()),
        (None, JobStatus::Ending { message, .. }) => message.clone(),
        (None, JobStatus::Admitting | JobStatus::Running) => None,
    };
    Ok(Some(JobView {
        summary: summarise(id, &submission, &job, ended),
        revision: 0,
        spec: Some(convert::wire_spec(spec)),
        salt: own.then_some(submission.salt),
        quote: submission.quote,
        reason,
        end,
        tasks,
    }))
}

/// The blobs of a job that this viewer may see: component and inputs and, where a task is named, its verified
/// states. Nothing where the job is none of theirs.
pub(crate) fn job_blobs(
    store: &mut dyn Store,
    id: JobId,
    task: Option<u32>,
    viewer: Option<Identity>,
) -> Result<Vec<Digest>, StoreError> {
    let Some(submission) = read::<Submission>(store, &submission_key(id))? else { return Ok(Vec::new()) };
    if submission.private && viewer != Some(submission.developer) {
        return Ok(Vec::new());
    }
    let Some(spec) = read::<JobSpec>(store, &format!("spec/{id}"))? else { return Ok(Vec::new()) };
    let mut blobs = vec![spec.component.digest];
    blobs.extend(spec.inputs_blob.map(|blob| blob.digest));
    if let Some(index) = task {
        blobs.extend(task::state_blobs(store, id, index)?);
    }
    Ok(blobs)
}

/// All providers, unsorted; `viewer` sees its own earnings.
pub(crate) fn providers(
    store: &mut dyn Store,
    viewer: Option<Identity>,
) -> Result<Vec<ProviderView>, StoreError> {
    let rows = store.rows(&Scan::prefix("provider/", PROVIDERS_MAX))?;
    let profiles = profile::all(store, PROVIDERS_MAX)?;
    let anchors = anchors(store)?;
    let mut views = Vec::new();
    for (key, row) in rows {
        let provider: Provider = parse(&key, &row)?;
        let profile = profiles.get(&provider.id).cloned().unwrap_or_default();
        views.push(provider_view(&provider, &profile, viewer, &anchors));
    }
    Ok(views)
}

/// One provider.
pub(crate) fn provider(
    store: &mut dyn Store,
    id: Identity,
    viewer: Option<Identity>,
) -> Result<Option<ProviderView>, StoreError> {
    let Some(provider) = read::<Provider>(store, &format!("provider/{id}"))? else { return Ok(None) };
    let profile: Profile = read(store, &profile::row_key(id))?.unwrap_or_default();
    let anchors = anchors(store)?;
    Ok(Some(provider_view(&provider, &profile, viewer, &anchors)))
}

/// Providers that the coordinator's operator vouches for.
fn anchors(store: &mut dyn Store) -> Result<BTreeSet<Identity>, StoreError> {
    Ok(read::<Totals>(store, &Key::Totals.to_string())?.map(|totals| totals.anchors).unwrap_or_default())
}

fn provider_view(
    provider: &Provider,
    profile: &Profile,
    viewer: Option<Identity>,
    anchors: &BTreeSet<Identity>,
) -> ProviderView {
    let listed = anchors.contains(&provider.id);
    let own = viewer == Some(provider.id);
    let earned = provider.held.checked_add(provider.payable);
    let device = |number: u32, device: &Device| DeviceView {
        device: number,
        name: profile.devices.get(&number).map(|device| device.name.clone()).unwrap_or_default(),
        class: device.offer.class.to_string(),
        memory_bytes: device.offer.memory_bytes,
        software: device.offer.software,
        speed_gas_per_second: device.speed_gas_per_second,
        leases: device.leases.len() as u32,
    };
    ProviderView {
        identity: provider.id,
        name: profile.name.clone(),
        enrolled: provider.enrolled_at,
        seen: None,
        paused: provider.pause.map(|pause| pause_reason(pause.reason)),
        standing: match provider.standing {
            _ if listed => ProviderStanding::Listed,
            Standing::New => ProviderStanding::New,
            Standing::Known => ProviderStanding::Known,
            Standing::Barred => ProviderStanding::Barred,
        },
        cover: Credits(provider.hours.values().map(|held| held.counted.0).sum()),
        cases: own.then(|| provider.cases.iter().map(|(attempt, case)| case_view(*attempt, case)).collect()),
        valid_in_a_row: provider.reputation.streaks.values().copied().max().unwrap_or(0).into(),
        valid: provider.reputation.valid,
        faulted: provider.reputation.faults,
        gas_verified: provider.reputation.gas_verified,
        earned: if own { earned } else { None },
        devices: provider.devices.iter().map(|(id, offer)| device(id.0, offer)).collect(),
    }
}

fn case_view(attempt: AttemptId, case: &Case) -> CaseView {
    let appealed = case.appeal.is_some();
    CaseView { attempt, job: case.job(), credits: case.credits, until: case.until, appealed }
}

fn pause_reason(reason: PauseReason) -> String {
    match reason {
        PauseReason::Owner => "its owner paused it".to_owned(),
        PauseReason::Failures { in_a_row } => format!("{in_a_row} leases in a row failed"),
        PauseReason::Fault => "a replay contradicts a result of it".to_owned(),
    }
}

/// A row, where it is there.
pub(crate) fn read<T: DeserializeOwned>(store: &mut dyn Store, key: &str) -> Result<Option<T>, StoreError> {
    store.row(key)?.map(|row| parse(key, &row)).transpose()
}

fn parse<T: DeserializeOwned>(key: &str, row: &[u8]) -> Result<T, StoreError> {
    anneal_market::row::decode(row)
        .map_err(|error| StoreError::Corrupt { what: format!("the row {key} ({error})") })
}
