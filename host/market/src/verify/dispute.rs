//! Where exactly a faulty attempt went wrong. It is faulty already; this says it so that anybody can repeat
//! it. First the digests of all commits, then of all operations of the first commit that differs.

use anneal_job::{AttemptId, Digest, Identity, ReceiptOutcome, trace_root};

use crate::{
    Effect, EventKind, Finding, Key, Market, Rejection, Reply, TaskKey, TraceLevel, TraceReport,
    task::{Dispute, PendingReplay, Stage},
};

/// Operations of a step that are compared: the contract's own cap on nodes between two commits is lower.
const OPERATIONS_MAX: usize = 1 << 20;

impl Market {
    /// Asks a faulty attempt for the digests of its commits.
    pub(super) fn open_dispute(&mut self, key: TaskKey, id: AttemptId) {
        let limit = self.parameters.trace_commits_max;
        let deadline = self.now() + self.parameters.trace;
        let Some((task, attempt)) = self.tasks.get(&key).zip(self.attempts.get(&id)) else { return };
        let provider = attempt.provider;
        let steps = |outcome: &ReceiptOutcome| outcome.steps().unwrap_or(0);
        let claimed = attempt.receipt().map_or(0, |receipt| steps(&receipt.outcome));
        let Some(truth) = task.truths.last() else { return };
        let known = trace_root(&truth.commits) == truth.trace_root;
        if !known || claimed > limit || truth.commits.len() as u64 > limit {
            return self.conclude(key, id, Finding::Untraced);
        }
        if let Some(task) = self.task_mut(key) {
            task.disputes.insert(id, Dispute { deadline, stage: Stage::Commits });
        }
        self.effect(Effect::Call { provider });
        self.look_at(Key::Task(key));
    }

    pub(crate) fn trace_answer(
        &mut self,
        provider: Identity,
        id: AttemptId,
        level: TraceLevel,
        report: TraceReport,
    ) -> Result<Reply, Rejection> {
        let attempt = self.attempts.get(&id).filter(|attempt| attempt.provider == provider);
        let attempt = attempt.ok_or(Rejection::UnknownAttempt)?;
        let key = attempt.task;
        let dispute = self.tasks.get(&key).and_then(|task| task.disputes.get(&id));
        let stage = &dispute.ok_or(Rejection::NoTraceAsked)?.stage;
        let limit = match stage {
            Stage::Commits => self.parameters.trace_commits_max as usize,
            Stage::Operations { .. } => OPERATIONS_MAX,
        };
        let found = report.digests.len().max(report.names.len());
        crate::enrol::check_count("the number of digests", found, limit)?;
        match (stage, level) {
            (Stage::Commits, TraceLevel::Commits) => self.compare_commits(key, id, &report.digests),
            (Stage::Operations { step, claim: None, .. }, TraceLevel::Operations { step: told })
                if *step == told =>
            {
                self.operations_claimed(key, id, report);
            }
            _ => return Err(Rejection::NoTraceAsked),
        }
        self.presence.hear(provider, self.now());
        Ok(Reply::Done)
    }

    /// Finds the first commit that differs, and asks for its operations.
    fn compare_commits(&mut self, key: TaskKey, id: AttemptId, claimed: &[Digest]) {
        let Some((task, attempt)) = self.tasks.get(&key).zip(self.attempts.get(&id)) else { return };
        let Some((truth, receipt)) = task.truths.last().zip(attempt.receipt()) else { return };
        if trace_root(claimed) != receipt.trace_root {
            return self.conclude(key, id, Finding::Forged);
        }
        let Some((step, expected, found)) = first_difference(&truth.commits, claimed) else {
            // Every commit is right, and yet the result is not: it did not come from this run.
            return self.conclude(key, id, Finding::Forged);
        };
        let (Some(expected), Some(found)) = (expected, found) else {
            let (expected, found) = (or_none(expected), or_none(found));
            let segment = self.segment(key);
            return self.conclude(key, id, Finding::Commit { segment, step, expected, found });
        };
        let provider = attempt.provider;
        let deadline = self.now() + self.parameters.trace;
        if let Some(task) = self.task_mut(key) {
            let stage = Stage::Operations { step, expected, found, truth: None, claim: None };
            task.disputes.insert(id, Dispute { deadline, stage });
        }
        self.order_replay(key, PendingReplay::Operations { attempt: id, step });
        self.effect(Effect::Call { provider });
        self.look_at(Key::Task(key));
    }

    fn operations_claimed(&mut self, key: TaskKey, id: AttemptId, report: TraceReport) {
        if let Some(dispute) = self.task_mut(key).and_then(|task| task.disputes.get_mut(&id))
            && let Stage::Operations { claim, .. } = &mut dispute.stage
        {
            *claim = Some(report);
        }
        self.compare_operations(key, id);
    }

    pub(super) fn operations_replayed(&mut self, key: TaskKey, id: AttemptId, report: TraceReport) {
        if let Some(dispute) = self.task_mut(key).and_then(|task| task.disputes.get_mut(&id))
            && let Stage::Operations { truth, .. } = &mut dispute.stage
        {
            *truth = Some(report);
        }
        self.compare_operations(key, id);
    }

    fn compare_operations(&mut self, key: TaskKey, id: AttemptId) {
        let segment = self.segment(key);
        let dispute = self.tasks.get(&key).and_then(|task| task.disputes.get(&id));
        let Some(Stage::Operations { step, expected, found, truth: Some(truth), claim: Some(claim) }) =
            dispute.map(|dispute| &dispute.stage)
        else {
            return;
        };
        let (step, expected, found) = (*step, *expected, *found);
        let difference = first_difference(&truth.digests, &claim.digests);
        // Without the replay's operations there is nothing to compare with.
        let finding = match difference.filter(|_| !truth.digests.is_empty()) {
            Some((operation, expected, found)) => {
                let name = truth.names.get(operation as usize).cloned().unwrap_or_default();
                let (expected, found) = (or_none(expected), or_none(found));
                Finding::Operation { segment, step, operation, name, expected, found }
            }
            None => Finding::Commit { segment, step, expected, found },
        };
        self.conclude(key, id, finding);
    }

    /// Disputes whose attempt has said nothing until the deadline.
    pub(super) fn end_silent_disputes(&mut self, key: TaskKey) {
        let now = self.now();
        self.end_disputes(key, |dispute| dispute.deadline <= now);
    }

    /// Ends disputes that are not waited for any longer.
    pub(super) fn end_disputes(&mut self, key: TaskKey, is_over: impl Fn(&Dispute) -> bool) {
        let Some(task) = self.tasks.get(&key) else { return };
        let silent: Vec<(AttemptId, bool)> = task
            .disputes
            .iter()
            .filter(|(_, dispute)| is_over(dispute))
            .map(|(id, dispute)| (*id, matches!(dispute.stage, Stage::Operations { claim: Some(_), .. })))
            .collect();
        for (id, answered) in silent {
            // Who has answered cannot help it that our own worker has not.
            self.conclude(key, id, if answered { Finding::Untraced } else { Finding::Silent });
        }
    }

    fn conclude(&mut self, key: TaskKey, id: AttemptId, finding: Finding) {
        let Some(task) = self.task_mut(key) else { return };
        task.disputes.remove(&id);
        task.findings.insert(id, finding.clone());
        let tag = task.tag;
        task.replays.retain(
            |_, pending| !matches!(pending, PendingReplay::Operations { attempt, .. } if *attempt == id),
        );
        self.emit(EventKind::Finding { task: tag, attempt: id, finding });
        self.look_at(Key::Task(key));
    }

    fn segment(&self, key: TaskKey) -> u32 {
        let planned = self.specs.get(&key.job).and_then(|spec| spec.plan.task(key.index as usize));
        planned.map_or(0, |planned| planned.place.segment)
    }
}

/// Where two lists first differ, and what each has there.
fn first_difference(truth: &[Digest], claim: &[Digest]) -> Option<(u64, Option<Digest>, Option<Digest>)> {
    let length = truth.len().max(claim.len());
    let index = (0..length).find(|index| truth.get(*index) != claim.get(*index))?;
    Some((index as u64, truth.get(index).copied(), claim.get(index).copied()))
}

/// A digest for what is not there.
fn or_none(digest: Option<Digest>) -> Digest {
    digest.unwrap_or(Digest::from_bytes([0; 32]))
}
