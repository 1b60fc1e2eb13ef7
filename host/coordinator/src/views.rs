//! What people and clients see, made from the store's rows: the same for live jobs and for those long over, in
//! every process. Nothing of a result is shown before its verdict.

mod downsample;
mod end;
mod task;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use anneal_api::wire::{
    CaseView, DeviceView, JobEnd, JobQuery, JobState, JobSummary, JobView, ProviderListQuery,
    ProviderStanding, ProviderView, Providers, Quote,
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
/// Providers of a page.
const PROVIDERS_MAX: u64 = 1_000;
/// Providers of a page where nothing else is said.
const PROVIDERS: u64 = 100;
/// Points of a task's metrics where nothing else is said, and at most.
const POINTS: u64 = 64;
const POINTS_MAX: u64 = 2_000;

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
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    pub(crate) identity: Option<Identity>,
    pub(crate) query: JobQuery,
    /// What the job ended with, where that is known already.
    pub(crate) end: Option<JobEnd>,
}

/// What jobs ended with that were looked at lately: it takes all of a job's rows to say.
#[derive(Default)]
pub(crate) struct Ends(Mutex<HashMap<JobId, JobEnd>>);

/// Ends that are remembered.
const ENDS_MAX: usize = 1_024;

impl Ends {
    pub(crate) fn get(&self, job: JobId) -> Option<JobEnd> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&job).cloned()
    }

    pub(crate) fn set(&self, job: JobId, end: &JobEnd) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ENDS_MAX {
            known.clear();
        }
        known.insert(job, end.clone());
    }
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
    let JobQuery { from, tasks, points, receipts, .. } = viewer.query;
    let from = from.unwrap_or(0);
    let to = from.saturating_add(tasks.unwrap_or(TASKS_MAX).min(TASKS_MAX)).min(job.tasks.into());
    let shown = task::Shown {
        points: points.unwrap_or(POINTS).min(POINTS_MAX) as usize,
        receipts: receipts.unwrap_or(false),
    };
    let tasks = task::tasks(store, id, &spec, from..to, &shown)?;
    let next = from.saturating_add(tasks.len() as u64);
    let next = (!tasks.is_empty() && next < job.tasks.into()).then_some(next);
    let completed = job.end.as_ref().is_some_and(|end| end.kind == EndKind::Completed);
    let end = match &viewer.end {
        Some(end) if completed => Some(end.clone()),
        None if completed => end::end(store, id, &spec)?,
        _ => None,
    };
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
        next,
    }))
}

/// Blobs that a job names. Whether its owner has them is another question.
pub(crate) struct JobBlobs {
    pub(crate) owner: Identity,
    pub(crate) blobs: Vec<Digest>,
}

/// Whose a job is, live or long over.
pub(crate) fn owner(store: &mut dyn Store, id: JobId) -> Result<Option<Identity>, StoreError> {
    Ok(read::<Submission>(store, &submission_key(id))?.map(|submission| submission.developer))
}

/// What a job names, for a viewer that may see it: component and inputs and, where a task is named, its verified
/// states. `None` where the job is none of theirs.
pub(crate) fn job_blobs(
    store: &mut dyn Store,
    id: JobId,
    task: Option<u32>,
    viewer: Option<Identity>,
) -> Result<Option<JobBlobs>, StoreError> {
    let Some(submission) = read::<Submission>(store, &submission_key(id))? else { return Ok(None) };
    if submission.private && viewer != Some(submission.developer) {
        return Ok(None);
    }
    let Some(spec) = read::<JobSpec>(store, &format!("spec/{id}"))? else { return Ok(None) };
    let mut blobs = vec![spec.component.digest];
    blobs.extend(spec.inputs_blob.map(|blob| blob.digest));
    if let Some(index) = task {
        blobs.extend(task::state_blobs(store, id, index)?);
    }
    Ok(Some(JobBlobs { owner: submission.developer, blobs }))
}

/// A page of the providers, by identity; `viewer` sees its own earnings.
pub(crate) fn providers(
    store: &mut dyn Store,
    query: ProviderListQuery,
    viewer: Option<Identity>,
) -> Result<Providers, StoreError> {
    let limit = query.limit.unwrap_or(PROVIDERS).clamp(1, PROVIDERS_MAX);
    let from = query.after.map(|after| format!("provider/{after}"));
    let rows = store.rows(&Scan { from, ..Scan::prefix("provider/", limit + 1) })?;
    let anchors = anchors(store)?;
    let mut providers = Vec::new();
    for (key, row) in rows.iter().take(limit as usize) {
        let known: Provider = parse(key, row)?;
        let profile: Profile = read(store, &profile::row_key(known.id))?.unwrap_or_default();
        providers.push(provider_view(&known, &profile, viewer, &anchors));
    }
    let more = rows.len() as u64 > limit;
    let next = providers.last().map(|last| last.identity).filter(|_| more);
    Ok(Providers { providers, next })
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
