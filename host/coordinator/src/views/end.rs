//! What a completed job ended with: "the hash" over all tasks' results, the last metrics, the trained state.

use std::collections::BTreeMap;

use anneal_api::wire::JobEnd;
use anneal_job::{Blob, Digest, Entry, JobId, Metric, ReceiptOutcome, job_result};
use anneal_market::{JobSpec, view::Task};

use super::parse;
use crate::store::{Scan, Store, StoreError};

/// Rows read at once.
const ROWS: u64 = 1_000;

/// What is needed of a task.
struct Found {
    generation: u32,
    result: Digest,
    metrics: Vec<Metric>,
    blob: Blob,
}

/// The job's end; `None` while a task's row is not there.
pub(super) fn end(store: &mut dyn Store, job: JobId, spec: &JobSpec) -> Result<Option<JobEnd>, StoreError> {
    let mut results: BTreeMap<u32, Found> = BTreeMap::new();
    let mut scan = Scan::prefix(format!("task/{job}/"), ROWS);
    loop {
        let rows = store.rows(&scan)?;
        let Some((last, _)) = rows.last() else { break };
        scan.from = Some(last.clone());
        for (key, row) in &rows {
            collect(&mut results, parse(key, row)?);
        }
    }
    let count = spec.plan.task_count();
    if results.len() < count {
        return Ok(None);
    }
    let digests: Vec<Digest> = results.values().map(|result| result.result).collect();
    let metrics = results.values().flat_map(|result| &result.metrics);
    let metrics = metrics.map(|metric| (metric.name.clone(), metric.value)).collect();
    let weights = |index: &usize| spec.plan.task(*index).is_some_and(|task| task.entry != Entry::Evaluate);
    let last = (0..count).rev().find(weights);
    let state = last.and_then(|index| results.get(&(index as u32))).map(|result| result.blob);
    Ok(Some(JobEnd { result: job_result(&digests), metrics, state }))
}

fn collect(results: &mut BTreeMap<u32, Found>, task: Task) {
    let Some(verdict) = task.verdict else { return };
    let ReceiptOutcome::Completed { completed, state_blob } = verdict.outcome else { return };
    let (index, generation) = (task.key.index, task.key.generation);
    if results.get(&index).is_none_or(|known| known.generation < generation) {
        let (result, metrics) = (completed.result, completed.metrics);
        results.insert(index, Found { generation, result, metrics, blob: state_blob });
    }
}
