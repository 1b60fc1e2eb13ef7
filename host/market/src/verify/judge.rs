//! Agreement makes a verdict; disagreement asks a trusted worker; only its word makes anybody faulty.

use anneal_job::{AttemptId, Digest, OperatorId, ReceiptOutcome};

use crate::{
    AuditDraw, Draw, EndKind, EventKind, Evidence, Judged, Key, MILLION, Market, TaskKey,
    attempt::{Attempt, AttemptState},
    job::JobStatus,
    task::{Phase, Verdict},
};

impl Market {
    /// All receipts are there.
    pub(super) fn judge(&mut self, key: TaskKey) {
        let Some((task, salt)) = self.tasks.get(&key).zip(self.salt(key)) else { return };
        let receipts = || self.attempts_on(key).filter_map(Attempt::receipt);
        let Some(first) = receipts().next() else { return };
        let agreed = receipts().all(|receipt| receipt.outcome.key(salt) == first.outcome.key(salt));
        let enough = receipts().count() >= usize::from(task.needed);
        // A guest's failure ends the job, so it is never believed without a replay.
        let completed = matches!(first.outcome, ReceiptOutcome::Completed { .. });
        if agreed && enough && completed {
            let evidence = Evidence::Quorum { needed: task.needed };
            let (outcome, trace_root) = (first.outcome.clone(), first.trace_root);
            self.find_verdict(key, outcome, trace_root, evidence);
        } else {
            self.set_phase(key, Phase::Replaying);
        }
    }

    pub(super) fn salt(&self, key: TaskKey) -> Option<Digest> {
        self.jobs.get(&key.job).map(|job| job.salt)
    }

    /// What counts is known: attempts are judged and paid, and what the result allows goes on.
    pub(super) fn find_verdict(
        &mut self,
        key: TaskKey,
        outcome: ReceiptOutcome,
        trace_root: Digest,
        evidence: Evidence,
    ) {
        let Some(salt) = self.salt(key) else { return };
        let verdict_key = outcome.key(salt);
        let verdict =
            Verdict { outcome: outcome.clone(), key: verdict_key, trace_root, evidence, at: self.now() };
        let revealed = self.attempts_where(key, |attempt| attempt.receipt().is_some());
        self.publish(key, &revealed, verdict_key, evidence, salt);
        if matches!(evidence, Evidence::Quorum { .. }) {
            self.draw_audit(key, &revealed);
        }
        if let Some(task) = self.task_mut(key) {
            task.verdict = Some(verdict);
        }
        for id in revealed {
            self.judge_attempt(key, id, verdict_key, salt);
        }
        self.learn(key, &outcome);
        self.set_phase(key, Phase::Storing);
        self.heed_failure(key, &outcome);
    }

    /// Writes receipts and verdict to the log: no attempt on the task can open any more.
    pub(super) fn publish(
        &mut self,
        key: TaskKey,
        attempts: &[AttemptId],
        verdict_key: Digest,
        evidence: Evidence,
        salt: Digest,
    ) {
        let mut judged = Vec::new();
        for id in attempts {
            let Some(Attempt { state: AttemptState::Revealed { receipt, nonce, .. }, .. }) = self.attempt(id)
            else {
                continue;
            };
            let (found, gas) = (receipt.outcome.key(salt), receipt.outcome.gas());
            let (receipt_root, nonce) = (receipt.root(), *nonce);
            judged.push(Judged { attempt: *id, valid: found == verdict_key });
            self.emit(EventKind::Revealed { attempt: *id, receipt_root, nonce, key: found, gas });
        }
        let Some(tag) = self.tasks.get(&key).map(|task| task.tag) else { return };
        self.emit(EventKind::Verdict { task: tag, key: verdict_key, evidence, attempts: judged });
    }

    /// Pays an attempt that agrees with the verdict; one that does not is at fault: a replay says so.
    pub(super) fn judge_attempt(&mut self, key: TaskKey, id: AttemptId, verdict_key: Digest, salt: Digest) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let Some(receipt) = attempt.receipt() else { return };
        let (found, gas, operator) = (receipt.outcome.key(salt), receipt.outcome.gas(), attempt.operator);
        let agrees = found == verdict_key;
        self.settle_value(id);
        if let Some(attempt) = self.attempt_mut(id)
            && let AttemptState::Revealed { valid, .. } = &mut attempt.state
        {
            *valid = Some(agrees);
        }
        if agrees {
            self.credit(id, operator, gas);
            self.pay(key, id, gas);
        } else {
            self.fault(id, verdict_key, found);
            self.open_dispute(key, id);
        }
    }

    /// A valid attempt counts for its provider and operator, and tells how fast the device is.
    fn credit(&mut self, id: AttemptId, operator: OperatorId, gas: u64) {
        if let Some(operator) = self.operator_mut(operator) {
            operator.gas_verified = operator.gas_verified.saturating_add(gas);
        }
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (provider, device, worked) = (attempt.provider, attempt.device, attempt.worked);
        // What is over soon was mostly fetched, started and sent, and tells nothing about the device.
        let telling = worked >= self.parameters.expected_min;
        let Some(provider) = self.provider_mut(provider) else { return };
        provider.reputation.valid(gas);
        if let Some(device) = provider.devices.get_mut(&device).filter(|_| telling) {
            let measured = u128::from(gas) * 1000 / u128::from(worked.0.max(1));
            let speed = (u128::from(device.speed_gas_per_second) * 3 + measured) / 4;
            device.speed_gas_per_second = u64::try_from(speed).unwrap_or(u64::MAX).max(1);
        }
    }

    /// The gas of a verified task is what the next one of its kind is expected to use.
    pub(super) fn learn(&mut self, key: TaskKey, outcome: &ReceiptOutcome) {
        let planned = self.specs.get(&key.job).and_then(|spec| spec.plan.task(key.index as usize));
        if let (Some(planned), Some(job)) = (planned, self.job_mut(key.job)) {
            job.gas_seen.insert(planned.entry, outcome.gas());
        }
    }

    /// A guest that fails here fails everywhere: the job ends with its message.
    pub(super) fn heed_failure(&mut self, key: TaskKey, outcome: &ReceiptOutcome) {
        let ReceiptOutcome::GuestFailure { failure, .. } = outcome else { return };
        let closing = self.tasks.get(&key).is_none_or(|task| task.closing);
        let ending = self.jobs.get(&key.job).is_none_or(|job| matches!(job.status, JobStatus::Ending { .. }));
        if !closing && !ending {
            self.wind_up(key.job, EndKind::Failed, Some(failure.message.clone()));
        }
    }

    /// How likely an audit must be for a coalition that gains so much to lose by lying, in millionths.
    pub(crate) fn audit_millionths(
        &self,
        gain: u128,
        operators: impl IntoIterator<Item = OperatorId>,
    ) -> u32 {
        let covers = operators.into_iter().filter_map(|id| self.operators.get(&id));
        let cover: u128 = covers.map(|operator| u128::from(operator.cover().0)).sum();
        let parameters = &self.parameters;
        let wanted = u128::from(parameters.audit_safety)
            .saturating_mul(gain)
            .saturating_mul(u128::from(MILLION))
            .checked_div(cover)
            .unwrap_or(u128::MAX);
        let bounded = wanted.max(u128::from(parameters.audit_floor_millionths));
        bounded.min(u128::from(parameters.audit_ceiling_millionths)) as u32
    }

    /// AuditDraw whether an agreed task is replayed: from what its operators would gain and lose by lying.
    fn draw_audit(&mut self, key: TaskKey, attempts: &[AttemptId]) {
        let agreeing = || attempts.iter().filter_map(|id| self.attempts.get(id));
        let gain = agreeing().map(|attempt| {
            let gas = attempt.receipt().map_or(0, |receipt| receipt.outcome.gas());
            u128::from(Market::split(0, gas, attempt.price).0.0)
        });
        let mut operators: Vec<OperatorId> = agreeing().map(|attempt| attempt.operator).collect();
        operators.sort_unstable();
        operators.dedup();
        let millionths = self.audit_millionths(gain.sum(), operators);
        let Some((task, (epoch, drawn_from))) = self.tasks.get(&key).zip(self.totals.epoch()) else { return };
        let audited = drawn_from.secret.draw(Draw::Audit, task.tag, millionths);
        if let Some(task) = self.task_mut(key) {
            task.audit = Some(AuditDraw { epoch, millionths, audited });
        }
        self.count_draw(epoch);
        self.look_at(Key::Task(key));
    }
}
