//! What a verdict says beside what this machine computes: pure comparison, and the words for it.

use std::collections::BTreeMap;

use anneal_api::wire::{AttemptState, FindingView, JobView, TaskView, VerdictView};
use anneal_job::{AttemptId, Digest, Identity, ReceiptOutcome, Task, TaskId, shown_name};
use anneal_runner::work::Traced;
use serde::Serialize;

use super::agree;
use crate::{network::watch::task_words, terminal::table};

/// What this machine computes.
pub(super) struct Repeated {
    pub(super) outcome: ReceiptOutcome,
    /// The digest of each commit, where they were looked at.
    pub(super) commits: Vec<Digest>,
    /// The operations of steps that were looked at.
    pub(super) operations: BTreeMap<u64, Traced>,
}

impl Repeated {
    pub(super) fn new(outcome: ReceiptOutcome) -> Repeated {
        Repeated { outcome, commits: Vec::new(), operations: BTreeMap::new() }
    }
}

/// A verdict and what repeating its task says of it.
#[derive(Debug, Serialize)]
pub struct TaskReplay {
    /// The task's place in the plan.
    pub index: u64,
    /// The task.
    pub task: TaskId,
    /// What came out here.
    pub outcome: ReceiptOutcome,
    /// What the verdict says, part by part.
    pub verdict: Vec<Part>,
    /// Each attempt whose receipt is known.
    pub attempts: Vec<AttemptReplay>,
    /// Each attempt that the verdict faults.
    pub faults: Vec<FaultReplay>,
}

/// A part of a verdict.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Which.
    pub what: &'static str,
    /// What the verdict says.
    pub verdict: String,
    /// What came out here.
    pub here: String,
    /// Whether they are the same.
    pub holds: bool,
}

/// An attempt's receipt.
#[derive(Debug, Serialize)]
pub struct AttemptReplay {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whose it is.
    pub provider: Identity,
    /// Whether its provider signed it for this task.
    pub signed: bool,
    /// Whether it gives what came out here.
    pub agrees: bool,
    /// Whether it was judged so.
    pub holds: bool,
}

/// A fault.
#[derive(Debug, Serialize)]
pub struct FaultReplay {
    /// The attempt.
    pub attempt: AttemptId,
    /// What the verdict says of it.
    #[serde(flatten)]
    pub finding: FindingView,
    /// What came out here in the same place; `None` where there is nothing.
    pub here: Option<Digest>,
    /// Whether the finding holds; `None` where it is about no digest, so that nobody can repeat it.
    pub holds: Option<bool>,
}

impl TaskReplay {
    /// What does not hold.
    pub(super) fn wrong(&self) -> Option<String> {
        let parts = self.verdict.iter().filter(|part| !part.holds).map(|part| part.what.to_owned());
        let attempts = self
            .attempts
            .iter()
            .filter(|attempt| !attempt.holds)
            .map(|attempt| format!("the judgement of attempt {}", attempt.attempt));
        let faults = self
            .faults
            .iter()
            .filter(|fault| fault.holds == Some(false))
            .map(|fault| format!("the finding against attempt {}", fault.attempt));
        let wrong: Vec<String> = parts.chain(attempts).chain(faults).collect();
        (!wrong.is_empty()).then(|| format!("task {}: {}", self.index, wrong.join(", ")))
    }
}

pub(super) fn compare(view: &TaskView, task: &Task, repeated: &Repeated) -> TaskReplay {
    let verdict = view.verdict.as_ref();
    let attempts = view.attempts.iter().filter_map(|attempt| {
        let receipt = attempt.receipt.as_ref()?;
        let signed = receipt.holds()
            && receipt.attempt == attempt.attempt
            && receipt.receipt.provider == attempt.provider
            && receipt.receipt.task == task.id();
        let agrees = agree(&receipt.receipt.outcome, &repeated.outcome);
        let holds = match attempt.state {
            AttemptState::Valid => signed && agrees,
            AttemptState::Faulted => !agrees,
            _ => true,
        };
        Some(AttemptReplay { attempt: attempt.attempt, provider: attempt.provider, signed, agrees, holds })
    });
    let faults = verdict.iter().flat_map(|verdict| &verdict.faults).map(|fault| {
        let (here, holds) = check(&fault.finding, repeated);
        FaultReplay { attempt: fault.attempt, finding: fault.finding.clone(), here, holds }
    });
    TaskReplay {
        index: view.index,
        task: task.id(),
        outcome: repeated.outcome.clone(),
        verdict: verdict.map(|verdict| parts(verdict, &repeated.outcome)).unwrap_or_default(),
        attempts: attempts.collect(),
        faults: faults.collect(),
    }
}

fn parts(verdict: &VerdictView, outcome: &ReceiptOutcome) -> Vec<Part> {
    let part = |what, verdict: String, here: String| {
        let holds = verdict == here;
        Part { what, verdict, here, holds }
    };
    let text = |digest: Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
    let completed = match outcome {
        ReceiptOutcome::Completed { completed, .. } => Some(completed),
        ReceiptOutcome::GuestFailure { .. } => None,
    };
    let file = |blob: Option<anneal_job::Blob>| blob.map(|blob| blob.digest);
    vec![
        part("result", text(verdict.result), text(completed.map(|completed| completed.result))),
        part("state", text(verdict.state), text(completed.map(|completed| completed.state))),
        part("state's file", text(file(verdict.state_blob)), text(file(outcome.state_blob()))),
        part("gas", verdict.gas.to_string(), outcome.gas().to_string()),
    ]
}

/// What came out in a finding's place, and whether the finding says so.
fn check(finding: &FindingView, repeated: &Repeated) -> (Option<Digest>, Option<bool>) {
    let nothing = Digest::from_bytes([0; 32]);
    match finding {
        FindingView::Operation { step, operation, name, expected, found, .. } => {
            let traced = repeated.operations.get(step);
            let place = usize::try_from(*operation).ok();
            let here = traced.zip(place).and_then(|(traced, place)| traced.digests.get(place)).copied();
            let named = traced.zip(place).and_then(|(traced, place)| traced.names.get(place));
            let digest = here.unwrap_or(nothing);
            let same_name = named.is_none_or(|here| here == name);
            (here, Some(digest == *expected && digest != *found && same_name))
        }
        FindingView::Commit { step, expected, found, .. } => {
            let place = usize::try_from(*step).ok();
            let here = place.and_then(|place| repeated.commits.get(place)).copied();
            let digest = here.unwrap_or(nothing);
            (here, Some(digest == *expected && digest != *found))
        }
        FindingView::Forged | FindingView::Silent | FindingView::Untraced => (None, None),
    }
}

pub(super) fn describe(view: &JobView, task: &TaskView, replay: &TaskReplay) -> Vec<String> {
    let short = |text: &str| text.chars().take(12).collect::<String>();
    let holds = |holds: bool| if holds { "yes" } else { "NO" }.to_owned();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for Part { what, verdict, here, holds: same } in &replay.verdict {
        rows.push(vec![(*what).to_owned(), short(verdict), short(here), holds(*same)]);
    }
    for attempt in &replay.attempts {
        let said = if attempt.holds == attempt.agrees { "valid" } else { "faulted" };
        let here = match (attempt.signed, attempt.agrees) {
            (false, _) => "not its signature",
            (true, true) => "agrees",
            (true, false) => "differs",
        };
        let what = format!("attempt of {}", short(&attempt.provider.to_string()));
        rows.push(vec![what, said.to_owned(), here.to_owned(), holds(attempt.holds)]);
    }
    for fault in &replay.faults {
        let here = fault.here.map_or_else(|| "-".to_owned(), |digest| short(&digest.to_string()));
        let (what, said) = match &fault.finding {
            FindingView::Operation { step, operation, name, expected, .. } => {
                let name = shown_name(name);
                (format!("step {step}, operation {operation} `{name}`"), short(&expected.to_string()))
            }
            FindingView::Commit { step, expected, .. } => {
                (format!("step {step}"), short(&expected.to_string()))
            }
            FindingView::Forged => ("trace".to_owned(), "forged".to_owned()),
            FindingView::Silent => ("trace".to_owned(), "never came".to_owned()),
            FindingView::Untraced => ("trace".to_owned(), "none".to_owned()),
        };
        let same = fault.holds.map_or_else(|| "cannot be repeated".to_owned(), holds);
        rows.push(vec![what, said, here, same]);
    }
    let title = format!("task {} ({}), {}", task.index, task_words(view, task), replay.task);
    let mut lines = vec![title];
    lines.extend(table(&["WHAT", "VERDICT", "HERE", "HOLDS"], &rows));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated() -> Repeated {
        let failure = anneal_job::GuestFailure {
            code: anneal_job::FailureCode::Gas,
            message: "out of gas".to_owned(),
            gas: 5,
        };
        let digests = vec![Digest::of(b"first"), Digest::of(b"second")];
        let names = vec!["add".to_owned(), "matmul".to_owned()];
        Repeated {
            operations: BTreeMap::from([(3, Traced { digests: digests.clone(), names })]),
            commits: digests,
            outcome: ReceiptOutcome::GuestFailure { failure },
        }
    }

    #[test]
    fn a_finding_holds_where_this_machine_gives_what_it_expects() {
        let operation = |step, operation, name: &str, expected: &[u8], found: &[u8]| FindingView::Operation {
            segment: 0,
            step,
            operation,
            name: name.to_owned(),
            expected: Digest::of(expected),
            found: Digest::of(found),
        };
        let holds = |finding: &FindingView| check(finding, &repeated()).1;
        assert_eq!(holds(&operation(3, 1, "matmul", b"second", b"a lie")), Some(true));
        assert_eq!(holds(&operation(3, 1, "matmul", b"a lie", b"second")), Some(false), "the honest one");
        assert_eq!(holds(&operation(3, 1, "matmul", b"second", b"second")), Some(false), "no difference");
        assert_eq!(holds(&operation(3, 1, "add", b"second", b"a lie")), Some(false), "another operation");
        assert_eq!(holds(&operation(3, 7, "add", b"second", b"a lie")), Some(false), "no such operation");
        assert_eq!(holds(&operation(2, 1, "matmul", b"second", b"a lie")), Some(false), "no such step");
        let commit = |step, expected: Digest, found: &[u8]| FindingView::Commit {
            segment: 0,
            step,
            expected,
            found: Digest::of(found),
        };
        assert_eq!(holds(&commit(0, Digest::of(b"first"), b"a lie")), Some(true));
        assert_eq!(holds(&commit(1, Digest::of(b"first"), b"a lie")), Some(false));
        let nothing = Digest::from_bytes([0; 32]);
        assert_eq!(
            holds(&commit(2, nothing, b"one too many")),
            Some(true),
            "the attempt went on for too long"
        );
        assert_eq!(holds(&FindingView::Silent), None);
    }

    #[test]
    fn a_verdict_is_compared_part_by_part() {
        let verdict = VerdictView {
            at: anneal_job::Timestamp(0),
            result: None,
            state: None,
            state_blob: None,
            metrics: Vec::new(),
            metrics_total: 0,
            gas: 6,
            by: anneal_api::wire::VerdictBy::Replay,
            faults: Vec::new(),
        };
        let wrong: Vec<&str> = parts(&verdict, &repeated().outcome)
            .into_iter()
            .filter(|part| !part.holds)
            .map(|part| part.what)
            .collect();
        assert_eq!(wrong, ["gas"]);
    }
}
