//! What a completed job ended with: "the hash" over all tasks' results, the last metrics, the trained state. Read
//! row by row: a row may have megabytes of metrics, and a job thousands of rows.

use std::collections::BTreeMap;

use anneal_api::wire::JobEnd;
use anneal_job::{Blob, Digest, Entry, JobId, ReceiptOutcome, job_result};
use anneal_market::{JobSpec, view::Task};

use super::parse;
use crate::store::{Scan, Store, StoreError};

/// Rows read at once.
const ROWS: u64 = 16;
/// Names of metrics that are shown.
const METRICS_MAX: usize = 256;

/// What is needed of a task: of its last try.
struct Found {
    index: u32,
    generation: u32,
    result: Digest,
    blob: Blob,
    last: BTreeMap<String, f64>,
}

/// What is known of all tasks so far.
#[derive(Default)]
struct Sum {
    results: BTreeMap<u32, (Digest, Blob)>,
    /// By name, and of which task it is.
    metrics: BTreeMap<String, (u32, f64)>,
}

/// The job's end; `None` while a task's row is not there.
pub(super) fn end(store: &mut dyn Store, job: JobId, spec: &JobSpec) -> Result<Option<JobEnd>, StoreError> {
    let (mut sum, mut current) = (Sum::default(), None);
    let mut scan = Scan::prefix(format!("task/{job}/"), ROWS);
    loop {
        let rows = store.rows(&scan)?;
        let Some((last, _)) = rows.last() else { break };
        scan.from = Some(last.clone());
        for (key, row) in &rows {
            if let Some(found) = found(parse(key, row)?) {
                current = sum.see(current, found);
            }
        }
    }
    sum.add(current);
    let count = spec.plan.task_count();
    if sum.results.len() < count {
        return Ok(None);
    }
    let digests: Vec<Digest> = sum.results.values().map(|(result, _)| *result).collect();
    let weights = |index: &usize| spec.plan.task(*index).is_some_and(|task| task.entry != Entry::Evaluate);
    let last = (0..count).rev().find(weights);
    let state = last.and_then(|index| sum.results.get(&(index as u32))).map(|(_, blob)| *blob);
    let metrics = sum.metrics.into_iter().map(|(name, (_, value))| (name, value)).collect();
    Ok(Some(JobEnd { result: job_result(&digests), metrics, state }))
}

fn found(task: Task) -> Option<Found> {
    let ReceiptOutcome::Completed { completed, state_blob } = task.verdict?.outcome else { return None };
    let mut last = BTreeMap::new();
    for metric in completed.metrics {
        if last.len() < METRICS_MAX || last.contains_key(&metric.name) {
            last.insert(metric.name, metric.value);
        }
    }
    let (index, generation) = (task.key.index, task.key.generation);
    Some(Found { index, generation, result: completed.result, blob: state_blob, last })
}

impl Sum {
    /// The rows of one task come one after another; the last try of them counts.
    fn see(&mut self, current: Option<Found>, next: Found) -> Option<Found> {
        match current {
            Some(current) if current.index != next.index => self.add(Some(current)),
            Some(current) if current.generation > next.generation => return Some(current),
            _ => {}
        }
        Some(next)
    }

    fn add(&mut self, found: Option<Found>) {
        let Some(Found { index, result, blob, last, .. }) = found else { return };
        self.results.insert(index, (result, blob));
        for (name, value) in last {
            let room = self.metrics.len() < METRICS_MAX;
            match self.metrics.get_mut(&name) {
                Some(known) if known.0 <= index => *known = (index, value),
                Some(_) => {}
                None if room => drop(self.metrics.insert(name, (index, value))),
                None => {}
            }
        }
    }
}
