//! A stand-in for guests: outcomes as pure functions of the task, and lies that differ from one operation on.

use anneal_job::{
    Blob, Completed, Digest, Metric, ReceiptOutcome, RecordHasher, Task, result_digest, trace_root,
};
use anneal_market::{TraceLevel, TraceReport};

/// Commits of every task.
const STEPS: u64 = 6;
/// Operations of every step.
const OPERATIONS: u64 = 10;

/// What a run of a task gives.
#[derive(Clone, Debug)]
pub struct Run {
    pub outcome: ReceiptOutcome,
    pub trace_root: Digest,
    task: Digest,
    lie: Option<u64>,
}

/// Runs a task, or lies about it: two lies of one number are the same.
pub fn run(task: &Task, lie: Option<u64>) -> Run {
    let id = task.id().0;
    let number = |what: &str| first_bytes(&RecordHasher::new(what).bytes(id.as_bytes()).finish());
    let state = digest("state", id, 0, 0, lie);
    let value = (number("metric") % 1000) as f64 / 1000.0;
    let metrics = vec![Metric { name: "loss".to_owned(), step: 1, value }];
    let gas = task.limits.gas / 2 + number("gas") % (task.limits.gas / 8 + 1);
    let result = result_digest(state, &metrics);
    let state_blob = Blob { digest: digest("file", id, 0, 0, lie), bytes: 4096 };
    let completed = Completed { result, state, metrics, gas, steps: STEPS };
    let mut run =
        Run { outcome: ReceiptOutcome::Completed { completed, state_blob }, trace_root: id, task: id, lie };
    run.trace_root = trace_root(&run.trace(TraceLevel::Commits).digests);
    run
}

impl Run {
    /// The digests that a level asks for.
    pub fn trace(&self, level: TraceLevel) -> TraceReport {
        let lie_from = first_bytes(&self.task) % (STEPS * OPERATIONS);
        let lie_at = |place: u64| self.lie.filter(|_| place >= lie_from);
        match level {
            TraceLevel::None => TraceReport::default(),
            TraceLevel::Commits => {
                let last = |step: u64| (step + 1) * OPERATIONS - 1;
                let digests = (0..STEPS).map(|step| digest("commit", self.task, step, 0, lie_at(last(step))));
                TraceReport { digests: digests.collect(), names: Vec::new() }
            }
            TraceLevel::Operations { step } => {
                let one = |operation| {
                    let lie = lie_at(step * OPERATIONS + operation);
                    digest("operation", self.task, step, operation, lie)
                };
                let names = (0..OPERATIONS).map(|operation| format!("op{operation}"));
                TraceReport { digests: (0..OPERATIONS).map(one).collect(), names: names.collect() }
            }
        }
    }

    /// Where the lie begins: step and operation.
    pub fn lie_begins(&self) -> (u64, u64) {
        let place = first_bytes(&self.task) % (STEPS * OPERATIONS);
        (place / OPERATIONS, place % OPERATIONS)
    }
}

fn digest(what: &str, task: Digest, step: u64, operation: u64, lie: Option<u64>) -> Digest {
    let mut hasher = RecordHasher::new(what);
    hasher.bytes(task.as_bytes()).number(step).number(operation);
    hasher.number(lie.map_or(0, |lie| lie.wrapping_add(1).max(1))).finish()
}

/// The first eight bytes of a digest as a number.
pub fn first_bytes(digest: &Digest) -> u64 {
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"))
}
