//! A job's tasks and their attempts.

use std::ops::Range;

use anneal_api::{
    Signature,
    wire::{self, AttemptView, FaultView, SignedReceipt, TaskState, TaskView, VerdictBy, VerdictView},
};
use anneal_job::{AttemptId, Credits, Digest, JobId, PlannedTask, ReceiptOutcome};
use anneal_market::{
    CloseReason, Evidence, Finding, JobSpec, Key,
    view::{Attempt, AttemptState, Phase, Task},
};

use super::{downsample::downsample, parse, read, signature_key};
use crate::{
    convert,
    store::{Scan, Store, StoreError},
};

/// Tries at one task.
const GENERATIONS_MAX: u64 = 64;
/// Rows read at once: one may have megabytes of metrics.
const ROWS: u64 = 4;
/// Bytes of the tasks of a page, about; the one that goes beyond is its last.
const PAGE_BYTES: usize = 2 << 20;
/// What a metric, an attempt and a task take on the wire, about; and what reading a metric that is not shown counts.
const METRIC_BYTES: usize = 80;
const UNSEEN_METRIC_BYTES: usize = 4;
const ATTEMPT_BYTES: usize = 400;
const TASK_BYTES: usize = 600;

/// How much of a task is shown.
pub(super) struct Shown {
    /// Points of its metrics.
    pub(super) points: usize,
    /// Whether with receipts.
    pub(super) receipts: bool,
}

/// The tasks of a range of indices, of each its last try: as many as fit a page.
pub(super) fn tasks(
    store: &mut dyn Store,
    job: JobId,
    spec: &JobSpec,
    range: Range<u64>,
    shown: &Shown,
) -> Result<Vec<TaskView>, StoreError> {
    let (mut views, mut bytes) = (Vec::new(), 0);
    for planned in range.filter_map(|index| spec.plan.task(index as usize)) {
        let task = last_try(store, job, planned.index)?;
        let view = view(store, &planned, task.as_ref(), shown)?;
        bytes += bytes_of(&view);
        views.push(view);
        if bytes > PAGE_BYTES {
            break;
        }
    }
    Ok(views)
}

/// The last try at a task.
fn last_try(store: &mut dyn Store, job: JobId, index: usize) -> Result<Option<Task>, StoreError> {
    let mut scan = Scan::prefix(format!("task/{job}/{index}/"), ROWS);
    let mut last: Option<Task> = None;
    loop {
        let rows = store.rows(&scan)?;
        for (key, row) in &rows {
            let task: Task = parse(key, row)?;
            if last.as_ref().is_none_or(|known| known.key.generation < task.key.generation) {
                last = Some(task);
            }
        }
        match rows.last() {
            Some((key, _)) if rows.len() as u64 == ROWS => scan.from = Some(key.clone()),
            _ => return Ok(last),
        }
    }
}

/// About how many bytes a task takes on the wire, and something for the time that reading it took.
fn bytes_of(view: &TaskView) -> usize {
    let metrics = view.verdict.as_ref().map_or(0, |verdict| verdict.metrics.len());
    let read = view.verdict.as_ref().map_or(0, |verdict| verdict.metrics_total as usize);
    let unseen = read * (1 + view.attempts.len()) * UNSEEN_METRIC_BYTES;
    let receipts = view.attempts.iter().filter_map(|attempt| attempt.receipt.as_ref());
    let of_receipts = receipts.map(|receipt| match &receipt.receipt.outcome {
        ReceiptOutcome::Completed { completed, .. } => completed.metrics.len(),
        ReceiptOutcome::GuestFailure { .. } => 1,
    });
    let metrics = metrics + of_receipts.sum::<usize>();
    TASK_BYTES + unseen + view.attempts.len() * ATTEMPT_BYTES + metrics * METRIC_BYTES
}

/// The files of a task's verified states, of every try.
pub(super) fn state_blobs(store: &mut dyn Store, job: JobId, index: u32) -> Result<Vec<Digest>, StoreError> {
    let mut blobs = Vec::new();
    let mut scan = Scan::prefix(format!("task/{job}/{index}/"), ROWS);
    for _ in 0..GENERATIONS_MAX / ROWS {
        let rows = store.rows(&scan)?;
        for (key, row) in &rows {
            let task: Task = parse(key, row)?;
            blobs.extend(
                task.verdict.and_then(|verdict| verdict.outcome.state_blob()).map(|blob| blob.digest),
            );
        }
        let Some((last, _)) = rows.last() else { break };
        scan.from = Some(last.clone());
    }
    Ok(blobs)
}

fn view(
    store: &mut dyn Store,
    planned: &PlannedTask,
    task: Option<&Task>,
    shown: &Shown,
) -> Result<TaskView, StoreError> {
    let mut attempts = Vec::new();
    for (task, id) in task.into_iter().flat_map(|task| task.attempts.iter().map(move |id| (task, id))) {
        if let Some(attempt) = read::<Attempt>(store, &Key::Attempt(task.key, *id).to_string())? {
            let with_receipt = shown.receipts && task.verdict.is_some();
            attempts.push(attempt_view(store, *id, &attempt, with_receipt)?);
        }
    }
    let working = attempts.iter().filter(|attempt| {
        matches!(attempt.state, wire::AttemptState::Leased | wire::AttemptState::Committed)
    });
    let state = match task {
        None => TaskState::Waiting,
        Some(task) => match task.phase {
            Phase::Open if task.closing => TaskState::Dropped,
            Phase::Open if working.count() >= usize::from(task.needed) => TaskState::Leased,
            Phase::Open => TaskState::Open,
            Phase::Revealing => TaskState::Revealing,
            Phase::Replaying => TaskState::Replaying,
            Phase::Storing => TaskState::Uploading,
            Phase::Done => TaskState::Done,
        },
    };
    Ok(TaskView {
        index: planned.index as u64,
        entry: planned.entry,
        place: planned.place,
        state,
        task: task.map(|task| task.id),
        attempts,
        verdict: task.and_then(|task| verdict(task, shown.points)),
    })
}

fn attempt_view(
    store: &mut dyn Store,
    id: AttemptId,
    attempt: &Attempt,
    with_receipt: bool,
) -> Result<AttemptView, StoreError> {
    let receipt = match attempt.receipt().filter(|_| with_receipt) {
        None => None,
        Some(receipt) => {
            let row = store.row(&signature_key(attempt.task, id))?;
            let signature = row.and_then(|row| Signature::parse(std::str::from_utf8(&row).ok()?));
            signature.map(|signature| SignedReceipt { attempt: id, receipt: receipt.clone(), signature })
        }
    };
    let committed = match &attempt.state {
        AttemptState::Committed { at, .. } | AttemptState::Revealed { at, .. } => Some(*at),
        _ => None,
    };
    let valid = matches!(attempt.state, AttemptState::Revealed { valid: Some(true), .. });
    let gas = attempt.receipt().map_or(0, |receipt| receipt.outcome.gas());
    let earned = if valid { attempt.price.cost(gas).unwrap_or_default() } else { Credits::ZERO };
    Ok(AttemptView {
        attempt: id,
        provider: attempt.provider,
        device_class: attempt.class.to_string(),
        state: state(&attempt.state),
        leased: attempt.leased_at,
        committed,
        earned,
        receipt,
    })
}

fn state(state: &AttemptState) -> wire::AttemptState {
    match state {
        AttemptState::Leased => wire::AttemptState::Leased,
        AttemptState::Superseded => wire::AttemptState::Ended,
        AttemptState::Committed { .. } => wire::AttemptState::Committed,
        AttemptState::Revealed { valid: None, .. } => wire::AttemptState::Revealed,
        AttemptState::Revealed { valid: Some(true), .. } => wire::AttemptState::Valid,
        AttemptState::Revealed { valid: Some(false), .. } => wire::AttemptState::Faulted,
        AttemptState::Closed { why } => match why {
            CloseReason::HostFault { .. } => wire::AttemptState::HostFault,
            CloseReason::NotRevealed => wire::AttemptState::Forfeited,
            CloseReason::InvalidReceipt => wire::AttemptState::Faulted,
            _ => wire::AttemptState::Ended,
        },
    }
}

fn verdict(task: &Task, points: usize) -> Option<VerdictView> {
    let verdict = task.verdict.as_ref()?;
    let by = match verdict.evidence {
        Evidence::Quorum { .. } | Evidence::Anchors { .. } => VerdictBy::Agreement,
        Evidence::Replay => VerdictBy::Replay,
    };
    let by = if task.attempts.is_empty() && by == VerdictBy::Agreement { VerdictBy::Cache } else { by };
    let fault = |(attempt, finding): (&AttemptId, &Finding)| FaultView {
        attempt: *attempt,
        finding: convert::finding(finding),
    };
    let view = VerdictView {
        at: verdict.at,
        result: None,
        state: None,
        state_blob: None,
        metrics: Vec::new(),
        metrics_total: 0,
        gas: verdict.outcome.gas(),
        by,
        faults: task.findings.iter().map(fault).collect(),
    };
    Some(match &verdict.outcome {
        ReceiptOutcome::Completed { completed, state_blob } => VerdictView {
            result: Some(completed.result),
            state: Some(completed.state),
            state_blob: Some(*state_blob),
            metrics: downsample(&completed.metrics, points),
            metrics_total: completed.metrics.len() as u64,
            ..view
        },
        ReceiptOutcome::GuestFailure { .. } => view,
    })
}
