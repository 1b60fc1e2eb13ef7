//! After the verdict: the state is stored and successors start, late attempts are judged, and when nothing
//! can change any more, earnings go on their way and the task leaves memory.

use anneal_job::{AttemptId, Credits, Digest, Identity, ReceiptOutcome, Span, TaskId, Timestamp};

use crate::{
    Account, CloseReason, Effect, EventKind, Evidence, Key, Market, Parameters, Payer, Rejection, Reply,
    StateRef, TaskKey,
    attempt::{Attempt, AttemptState, Earned},
    developer::Cached,
    job::{Job, first_descendant, is_passing},
    task::{Phase, Upload},
};

/// Every valid attempt is asked for the state so often before a trusted worker makes it again.
const UPLOAD_ROUNDS: u32 = 3;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

impl Market {
    pub(super) fn advance_storing(&mut self, key: TaskKey) {
        self.judge_late(key);
        self.weigh(key);
        let Some(task) = self.tasks.get(&key) else { return };
        let Some(verdict) = &task.verdict else { return };
        let worker_has_it = task.truths.iter().any(|truth| truth.key == verdict.key);
        if task.closing || verdict.outcome.state_blob().is_none() {
            return self.set_phase(key, Phase::Done);
        }
        if worker_has_it || task.cached {
            return self.complete(key);
        }
        if task.upload.is_some() {
            return;
        }
        let asked = task.uploads_asked;
        let valid = |attempt: &Attempt| {
            !attempt.shadow && matches!(attempt.state, AttemptState::Revealed { valid: Some(true), .. })
        };
        let holders = self.attempts_where(key, valid);
        if holders.is_empty() || asked >= UPLOAD_ROUNDS * holders.len() as u32 {
            return self.ask_truth(key);
        }
        let attempt = holders[asked as usize % holders.len()];
        let deadline = self.now() + self.parameters.upload;
        if let Some(task) = self.task_mut(key) {
            task.upload = Some(Upload { attempt, deadline });
            task.uploads_asked += 1;
        }
        let provider = self.attempts.get(&attempt).map(|attempt| attempt.provider);
        provider.into_iter().for_each(|provider| self.effect(Effect::Call { provider }));
    }

    pub(crate) fn blob_stored(&mut self, blob: Digest, id: AttemptId) -> Result<Reply, Rejection> {
        let attempt = self.attempts.get(&id).ok_or(Rejection::UnknownAttempt)?;
        let (key, provider) = (attempt.task, attempt.provider);
        let task = self.tasks.get(&key).ok_or(Rejection::UnknownAttempt)?;
        let wanted = task.verdict.as_ref().and_then(|verdict| verdict.outcome.state_blob());
        if task.phase == Phase::Storing && !task.closing && wanted.is_some_and(|wanted| wanted.digest == blob)
        {
            self.presence.hear(provider, self.now());
            self.complete(key);
        }
        Ok(Reply::Done)
    }

    /// The state is verified and stored: successors may start.
    fn complete(&mut self, key: TaskKey) {
        let Some(task) = self.task_mut(key) else { return };
        task.upload = None;
        let outcome = task.verdict.as_ref().map(|verdict| verdict.outcome.clone());
        self.set_phase(key, Phase::Done);
        let Some(ReceiptOutcome::Completed { completed, state_blob }) = outcome else { return };
        let TaskKey { job, index, generation } = key;
        self.effect(Effect::KeepBlob { job, index, blob: state_blob.digest });
        self.effect(Effect::PublishMetrics { job, index, generation, metrics: completed.metrics });
        let feeds_others = self.specs.get(&job).is_some_and(|spec| feeds_others(&spec.plan, index));
        let Some(row) = self.job_mut(job) else { return };
        row.done += 1;
        if feeds_others {
            row.states.insert(index, StateRef { state: completed.state, blob: state_blob });
        }
        if row.done == row.tasks {
            self.hurry(job);
        }
        self.look_at(Key::Job(job));
    }

    /// Attempts whose receipts came after the verdict. Nobody has seen the digest over the commits, so who
    /// has the right one has done the work.
    fn judge_late(&mut self, key: TaskKey) {
        let Some((task, salt)) = self.tasks.get(&key).zip(self.salt(key)) else { return };
        let Some(verdict) = task.verdict.clone() else { return };
        let replayed = task.truths.iter().any(|truth| truth.key == verdict.key);
        let late = |attempt: &Attempt| matches!(attempt.state, AttemptState::Revealed { valid: None, .. });
        for id in self.attempts_where(key, late) {
            let Some(attempt) = self.attempt(&id) else { continue };
            let Some(receipt) = attempt.receipt() else { continue };
            let (found, root) = (receipt.outcome.key(salt), receipt.trace_root);
            let right = found == verdict.key && root == verdict.trace_root;
            let counts = (verdict.key, verdict.trace_root);
            if attempt.shadow {
                // Nobody replays for a shadow: what the verdict rests on is enough.
                self.publish_shadow(id, salt);
                self.judge_attempt(key, id, counts, verdict.evidence, salt);
            } else if right || (replayed && found != verdict.key) {
                self.publish(key, &[id], verdict.key, verdict.evidence, salt);
                self.judge_attempt(key, id, counts, verdict.evidence, salt);
            } else if replayed {
                // The result is right, and the run behind it was another: copied.
                self.close(id, CloseReason::InvalidReceipt);
            }
        }
    }

    pub(super) fn advance_done(&mut self, key: TaskKey) {
        self.judge_late(key);
        self.weigh(key);
        let Some(task) = self.tasks.get(&key) else { return };
        let Some(verdict) = &task.verdict else { return };
        let unanswered = task.audit.is_some_and(|draws| draws.audited) && task.truths.is_empty();
        let contradicted = task.truths.last().is_some_and(|truth| truth.key != verdict.key);
        let over = self.quorum_on(key).all(Attempt::is_over);
        // Nobody's job waits long for strangers who say nothing more: shadows began when the others did, and a trace is
        // two runs.
        let Parameters { shadow_patience, linger_min, trace, .. } = self.parameters;
        let hurried = self.jobs.get(&key.job).is_some_and(Job::lacks_nothing);
        let took = verdict.at.since(task.opened_at).max(linger_min);
        let at_most = |span: Span, most: Span| verdict.at + if hurried { span.min(most) } else { most };
        let (shadows_until, traces_until) = (at_most(took, shadow_patience), at_most(took + took, trace));
        let now = self.now();
        let is_open = |attempt: &Attempt| attempt.shadow && !attempt.is_over();
        if over && now >= shadows_until {
            self.attempts_where(key, is_open).into_iter().for_each(|id| self.close(id, CloseReason::Expired));
        }
        if hurried && now >= traces_until {
            self.end_disputes(key, |_| true);
        }
        let shadowed = self.attempts_on(key).any(is_open);
        let disputed = self.tasks.get(&key).is_some_and(|task| !task.disputes.is_empty());
        let waits =
            [(over && shadowed).then_some(shadows_until), (hurried && disputed).then_some(traces_until)];
        self.wait_until(key, waits.into_iter().flatten().min());
        let Some(task) = self.tasks.get(&key) else { return };
        if over && !shadowed && !unanswered && !contradicted && !task.has_open_questions() {
            self.settle(key);
        }
    }

    /// Nothing about the task can change any more.
    fn settle(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(&key) else { return };
        let (tag, audit, replicate) = (task.tag, task.audit, task.replicate);
        let epochs: Vec<u64> = task.draw_epochs().collect();
        self.cache(key);
        for id in self.attempts_where(key, |_| true) {
            self.hold(id);
            self.end(Key::Attempt(key, id));
        }
        self.emit(EventKind::TaskFinal { task: tag, audit, replicate });
        for epoch in epochs {
            self.forget_draw(epoch);
        }
        self.end(Key::Task(key));
        self.drop_states(key);
        self.look_at(Key::Job(key.job));
    }

    /// Pays an attempt for its gas: held until the task is final, and some time after.
    pub(super) fn pay(&mut self, key: TaskKey, id: AttemptId, gas: u64) {
        let Some((attempt, job)) = self.attempts.get(&id).zip(self.jobs.get(&key.job)) else { return };
        let (provider, operator, price, tag) =
            (attempt.provider, attempt.operator, attempt.price, attempt.task_tag);
        let rerun = self.tasks.get(&key).is_some_and(|task| task.rerun);
        let remainder = if rerun { 0 } else { job.remainder };
        let (credits, rest) = Market::split(remainder, gas, price);
        let fee = credits.share(self.parameters.fee_millionths);
        let net = credits.saturating_sub(fee);
        let held = Account::Held { provider };
        if rerun {
            self.post_from(&[Account::Forfeits, Account::Fees], held, net);
        } else {
            let escrow = Account::Escrow { job: key.job };
            self.post_from(&[escrow], Account::Fees, fee);
            self.post_from(&[escrow], held, net);
            if let Some(job) = self.job_mut(key.job) {
                job.remainder = rest;
                job.spent.0 = job.spent.0.saturating_add(credits.0);
            }
        }
        let (fee, payer) = if rerun { (Credits::ZERO, Payer::Network) } else { (fee, Payer::Developer) };
        let faults = self.operators.get(&operator).map_or(0, |operator| operator.faults);
        if let Some(attempt) = self.attempt_mut(id) {
            attempt.earned = Some(Earned { credits: net, faults });
        }
        if let Some(provider) = self.provider_mut(provider) {
            provider.pending.0 += net.0;
        }
        if let Some(operator) = self.operator_mut(operator) {
            operator.pending.0 += net.0;
        }
        let credits = net.checked_add(fee).unwrap_or(net);
        self.emit(EventKind::Paid { task: tag, attempt: id, gas, price, credits, fee, payer });
    }

    /// Takes from several accounts in turn; what they do not have, the network owes: it comes from outside.
    fn post_from(&mut self, from: &[Account], to: Account, credits: Credits) {
        let mut missing = credits;
        for account in from {
            let part = self.balance(*account).min(missing);
            self.post(*account, to, part);
            missing = missing.saturating_sub(part);
        }
        self.post(Account::Outside, to, missing);
    }

    /// What an attempt earned is held for some time more, unless its operator has lost it since.
    fn hold(&mut self, id: AttemptId) {
        let release_at = self.now() + self.parameters.hold;
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (Some(Earned { credits, faults }), operator) = (attempt.earned, attempt.operator) else { return };
        let provider = attempt.provider;
        let counted = if self.counts_as_cover(attempt) { credits } else { Credits::ZERO };
        let Some(operator) = self.operator_mut(operator).filter(|operator| operator.faults == faults) else {
            return;
        };
        operator.pending = operator.pending.saturating_sub(credits);
        operator.counted.0 = operator.counted.0.saturating_add(counted.0);
        let hour = hour_of(release_at);
        if let Some(provider) = self.provider_mut(provider) {
            provider.pending = provider.pending.saturating_sub(credits);
            let held = provider.hours.entry(hour).or_default();
            held.credits.0 += credits.0;
            held.counted.0 += counted.0;
        }
    }

    /// Lets go of states that no task needs, or could need again.
    fn drop_states(&mut self, settled: TaskKey) {
        let id = settled.job;
        let first_live =
            self.live_tasks(id).find(|task| !task.closing && !self.is_ending(&Key::Task(task.key)));
        let Some((job, spec)) = self.jobs.get(&id).zip(self.specs.get(&id)) else { return };
        let first_live = first_live.map_or(job.next, |task| task.key.index.min(job.next));
        let needless: Vec<u32> = job
            .states
            .keys()
            .copied()
            .filter(|index| last_consumer(&spec.plan, *index) < first_live)
            .collect();
        let kept = self.parameters.checkpoints_kept.max(1) as usize;
        let ends_round: Vec<bool> =
            needless.iter().map(|index| first_descendant(&spec.plan, *index) == index + 1).collect();
        let mut dropped = Vec::new();
        let Some(job) = self.job_mut(id) else { return };
        for (index, ends_round) in needless.into_iter().zip(ends_round) {
            let Some(state) = job.states.remove(&index) else { continue };
            if ends_round {
                job.checkpoints.push_back((index, state.blob.digest));
            } else {
                dropped.push((index, state.blob.digest));
            }
        }
        while job.checkpoints.len() > kept {
            dropped.extend(job.checkpoints.pop_front());
        }
        for (index, blob) in dropped {
            self.effect(Effect::DropBlob { job: id, index, blob });
        }
    }

    /// A verified result that the developer need not pay for again, if its evidence is enough.
    pub(crate) fn cached_outcome(
        &self,
        developer: Identity,
        id: TaskId,
        key: TaskKey,
    ) -> Option<(ReceiptOutcome, Digest)> {
        let entry = self.cached.get(&(developer, id)).filter(|_| key.generation == 0)?;
        let enough = match self.specs.get(&key.job)?.redundancy {
            anneal_job::Redundancy::Adaptive => true,
            anneal_job::Redundancy::Fixed(replicas) => entry.replayed || entry.replicas >= replicas,
        };
        let unrevoked = entry.operators.iter().all(|(operator, faults)| {
            self.operators.get(operator).is_some_and(|operator| operator.faults == *faults)
        });
        (enough && (unrevoked || entry.replayed)).then(|| (entry.outcome.clone(), entry.trace_root))
    }

    fn cache(&mut self, key: TaskKey) {
        let Some((task, job)) = self.tasks.get(&key).zip(self.jobs.get(&key.job)) else { return };
        // Of a job that is being wound up the state may never have come: a receipt only names it.
        let Some(verdict) = task.verdict.as_ref().filter(|_| !task.cached && !task.closing) else { return };
        if verdict.outcome.state_blob().is_none() || self.parameters.cached_per_developer == 0 {
            return;
        }
        let valid = |attempt: &&Attempt| {
            !attempt.shadow && matches!(attempt.state, AttemptState::Revealed { valid: Some(true), .. })
        };
        let faults = |attempt: &Attempt| {
            let operator = attempt.operator;
            (operator, self.operators.get(&operator).map_or(0, |operator| operator.faults))
        };
        let operators: Vec<_> = self.attempts_on(key).filter(valid).map(faults).collect();
        let by_replay = verdict.evidence == Evidence::Replay;
        let entry = Cached {
            developer: job.developer,
            task: task.id,
            outcome: verdict.outcome.clone(),
            trace_root: verdict.trace_root,
            replicas: operators.len().min(255) as u8,
            replayed: by_replay || task.truths.iter().any(|truth| truth.key == verdict.key),
            operators,
            at: self.now(),
        };
        let (developer, id) = (job.developer, task.id);
        if self.cached.contains_key(&(developer, id)) {
            return;
        }
        let limit = self.parameters.cached_per_developer - 1;
        if let Some(oldest) = self.index.cached_too_many(&developer, limit) {
            self.end(Key::Cached(developer, oldest));
        }
        self.touch(Key::Cached(developer, id));
        self.cached.insert((developer, id), entry);
    }
}

/// The hour by which earnings are kept that are released at a time: a day of earnings is some 25 numbers.
pub(crate) const fn hour_of(release_at: Timestamp) -> u64 {
    release_at.0.div_ceil(HOUR_MS)
}

/// Whether tasks of the plan start from the state of this one.
fn feeds_others(plan: &anneal_job::PlanSpec, index: u32) -> bool {
    matches!(plan, anneal_job::PlanSpec::Train { .. }) && (index as usize) + 1 < plan.task_count()
}

/// The last task that starts from this one's state.
fn last_consumer(plan: &anneal_job::PlanSpec, index: u32) -> u32 {
    let anneal_job::PlanSpec::Train { workers, .. } = plan else { return index };
    let next = first_descendant(plan, index);
    if next > index + 1 || *workers == 1 || !is_passing(plan, index) {
        // A worker's state goes into its merge; with one worker, each into the next.
        return next;
    }
    // The last worker's, too; what ends a round goes to all workers of the next.
    let per_round = workers + 1;
    if index > 0 && (index - 1) % per_round + 1 == *workers { next } else { index + workers }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use anneal_job::PlanSpec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What the arithmetic says of a plan is what its tasks say.
        #[test]
        fn plans_are_known(segments in 1u32..12, workers in 1u32..6) {
            let plan = PlanSpec::Train { segments, workers };
            let tasks: Vec<_> = plan.unroll().collect();
            for task in &tasks {
                let index = task.index as u32;
                let consumers = tasks.iter().filter(|other| other.states.contains(&task.index));
                let last = consumers.map(|other| other.index as u32).max();
                prop_assert_eq!(feeds_others(&plan, index), last.is_some());
                if let Some(last) = last {
                    prop_assert_eq!(last_consumer(&plan, index), last, "task {}", index);
                }
                let mut descendants = BTreeSet::from([task.index]);
                for other in &tasks {
                    if other.states.iter().any(|state| descendants.contains(state)) {
                        descendants.insert(other.index);
                    }
                }
                descendants.remove(&task.index);
                let first = first_descendant(&plan, index) as usize;
                let expected: BTreeSet<usize> = (first..tasks.len()).collect();
                prop_assert_eq!(descendants, expected, "task {}", index);
            }
        }
    }
}
