//! A job's tasks and their attempts.

use std::{collections::BTreeMap, ops::Range};

use anneal_api::{
    Signature,
    wire::{self, AttemptView, FaultView, SignedReceipt, TaskState, TaskView, VerdictBy, VerdictView},
};
use anneal_job::{AttemptId, Credits, Digest, JobId, PlannedTask, ReceiptOutcome};
use anneal_market::{
    CloseReason, Evidence, Finding, JobSpec, Key,
    view::{Attempt, AttemptState, Phase, Task},
};

use super::{parse, read, signature_key};
use crate::{
    convert,
    store::{Scan, Store, StoreError},
};

/// Tasks of a job below which one scan finds them faster than a look for each.
const SCAN_TASKS_MAX: u64 = 2_000;
/// Tries at one task.
const GENERATIONS_MAX: u64 = 64;

/// The tasks of a range of indices; of each its last try.
pub(super) fn tasks(
    store: &mut dyn Store,
    job: JobId,
    spec: &JobSpec,
    range: Range<u64>,
) -> Result<Vec<TaskView>, StoreError> {
    let mut rows: BTreeMap<u32, Task> = BTreeMap::new();
    let mut take = |key: &str, row: &[u8]| -> Result<(), StoreError> {
        let task: Task = parse(key, row)?;
        let newer = rows.get(&task.key.index).is_none_or(|known| known.key.generation < task.key.generation);
        if newer && range.contains(&task.key.index.into()) {
            rows.insert(task.key.index, task);
        }
        Ok(())
    };
    if spec.plan.task_count() as u64 <= SCAN_TASKS_MAX {
        let scan = Scan::prefix(format!("task/{job}/"), SCAN_TASKS_MAX * GENERATIONS_MAX);
        store.rows(&scan)?.iter().try_for_each(|(key, row)| take(key, row))?;
    } else {
        for index in range.clone() {
            let scan = Scan::prefix(format!("task/{job}/{index}/"), GENERATIONS_MAX);
            store.rows(&scan)?.iter().try_for_each(|(key, row)| take(key, row))?;
        }
    }
    let planned = range.filter_map(|index| spec.plan.task(index as usize));
    planned.map(|planned| view(store, &planned, rows.get(&(planned.index as u32)))).collect()
}

/// The files of a task's verified states, of every try.
pub(super) fn state_blobs(store: &mut dyn Store, job: JobId, index: u32) -> Result<Vec<Digest>, StoreError> {
    let mut blobs = Vec::new();
    for (key, row) in store.rows(&Scan::prefix(format!("task/{job}/{index}/"), GENERATIONS_MAX))? {
        let task: Task = parse(&key, &row)?;
        blobs.extend(task.verdict.and_then(|verdict| verdict.outcome.state_blob()).map(|blob| blob.digest));
    }
    Ok(blobs)
}

fn view(store: &mut dyn Store, planned: &PlannedTask, task: Option<&Task>) -> Result<TaskView, StoreError> {
    let mut attempts = Vec::new();
    for (task, id) in task.into_iter().flat_map(|task| task.attempts.iter().map(move |id| (task, id))) {
        if let Some(attempt) = read::<Attempt>(store, &Key::Attempt(task.key, *id).to_string())? {
            let judged = task.verdict.is_some();
            attempts.push(attempt_view(store, *id, &attempt, judged)?);
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
        verdict: task.and_then(verdict),
    })
}

fn attempt_view(
    store: &mut dyn Store,
    id: AttemptId,
    attempt: &Attempt,
    judged: bool,
) -> Result<AttemptView, StoreError> {
    let receipt = match attempt.receipt().filter(|_| judged) {
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

fn verdict(task: &Task) -> Option<VerdictView> {
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
        gas: verdict.outcome.gas(),
        by,
        faults: task.findings.iter().map(fault).collect(),
    };
    Some(match &verdict.outcome {
        ReceiptOutcome::Completed { completed, state_blob } => VerdictView {
            result: Some(completed.result),
            state: Some(completed.state),
            state_blob: Some(*state_blob),
            metrics: completed.metrics.clone(),
            ..view
        },
        ReceiptOutcome::GuestFailure { .. } => view,
    })
}
