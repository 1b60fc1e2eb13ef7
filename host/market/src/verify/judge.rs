//! Agreement makes a verdict; disagreement asks a trusted worker; only its word makes anybody faulty.

use anneal_job::{AttemptId, Digest, OperatorId, ReceiptOutcome};

use crate::{
    AuditDraw, Draw, EndKind, EventKind, Evidence, Judged, Key, MILLION, Market, TaskKey,
    attempt::{Attempt, AttemptState},
    job::JobStatus,
    matching::stumbles_max,
    task::{Phase, Verdict},
};

impl Market {
    /// All receipts are there. Agreement of enough, one of them an anchor, is the verdict. Where they disagree, a
    /// trusted worker decides, or another anchor while trusted workers have enough to do.
    pub(super) fn judge(&mut self, key: TaskKey) {
        let Some((task, salt)) = self.tasks.get(&key).zip(self.salt(key)) else { return };
        let vouched = self.has_own_list(key.job);
        let quorum: Vec<&Attempt> = self.quorum_on(key).collect();
        let outcomes = |anchors: bool| {
            let receipts = quorum.iter().filter(move |attempt| attempt.anchor || !anchors);
            receipts.filter_map(|attempt| attempt.receipt())
        };
        // A guest's failure ends the job, so it is never believed without a replay.
        let agreed = |anchors: bool| {
            let first = outcomes(anchors).next()?;
            let same = |other: &anneal_job::Receipt| {
                other.outcome.key(salt) == first.outcome.key(salt) && other.trace_root == first.trace_root
            };
            let completed = matches!(first.outcome, ReceiptOutcome::Completed { .. });
            let believed = completed && outcomes(anchors).all(same);
            believed.then(|| (first.outcome.clone(), first.trace_root, outcomes(anchors).count()))
        };
        let enough = !task.trusted && outcomes(false).count() >= usize::from(task.needed);
        let anchored = vouched || quorum.iter().any(|attempt| attempt.anchor && attempt.receipt().is_some());
        let needed = task.needed;
        if let Some((outcome, trace_root, _)) = agreed(false).filter(|_| enough && anchored) {
            return self.find_verdict(key, outcome, trace_root, Evidence::Quorum { needed });
        }
        let busy = self.index.replays_open() >= self.parameters.replays_room as usize;
        match agreed(true).filter(|_| busy && !vouched && !task.trusted) {
            Some((outcome, trace_root, agreeing @ 2..)) => {
                let evidence = Evidence::Anchors { agreeing: agreeing.min(255) as u8 };
                self.find_verdict(key, outcome, trace_root, evidence);
            }
            Some((_, _, 1)) if !task.closing && self.may_add(key) && self.has_anchor_for(key) => {
                if let Some(task) = self.task_mut(key) {
                    task.needed = needed + 1;
                    task.stumbles = task.stumbles.max(stumbles_max(false));
                }
                self.set_phase(key, Phase::Open);
            }
            _ => self.set_phase(key, Phase::Replaying),
        }
    }

    /// Whether escrow has room for one more attempt than the task needs.
    fn may_add(&self, key: TaskKey) -> bool {
        let payable = self.attempts_on(key).filter(|attempt| attempt.may_be_paid()).count();
        let needed = self.tasks.get(&key).map_or(u8::MAX, |task| task.needed);
        payable < usize::from(self.replicas_max(key)) && needed < self.replicas_max(key)
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
        let revealed = self.attempts_where(key, |attempt| !attempt.shadow && attempt.receipt().is_some());
        self.publish(key, &revealed, verdict_key, evidence, salt);
        if !matches!(evidence, Evidence::Replay) {
            let agrees = |id: &AttemptId| {
                self.attempt(id)
                    .and_then(Attempt::receipt)
                    .is_some_and(|own| own.outcome.key(salt) == verdict_key)
            };
            let agreeing: Vec<AttemptId> = revealed.iter().copied().filter(agrees).collect();
            self.draw_audit(key, &agreeing);
        }
        if let Some(task) = self.task_mut(key) {
            task.verdict = Some(verdict);
        }
        for id in revealed {
            self.judge_attempt(key, id, (verdict_key, trace_root), evidence, salt);
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

    /// Writes a shadow's receipt to the log.
    pub(super) fn publish_shadow(&mut self, id: AttemptId, salt: Digest) {
        let Some(Attempt { state: AttemptState::Revealed { receipt, nonce, .. }, .. }) = self.attempt(&id)
        else {
            return;
        };
        let (key, gas) = (receipt.outcome.key(salt), receipt.outcome.gas());
        let (receipt_root, nonce) = (receipt.root(), *nonce);
        self.emit(EventKind::Revealed { attempt: id, receipt_root, nonce, key, gas });
    }

    /// Pays an attempt that agrees with the verdict. One that does not is at fault where a replay says so, and not
    /// paid where only anchors do, or where its trace is not its result's.
    pub(super) fn judge_attempt(
        &mut self,
        key: TaskKey,
        id: AttemptId,
        (verdict_key, trace_root): (Digest, Digest),
        evidence: Evidence,
        salt: Digest,
    ) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let Some(receipt) = attempt.receipt() else { return };
        let (found, gas, operator) = (receipt.outcome.key(salt), receipt.outcome.gas(), attempt.operator);
        let agrees = found == verdict_key;
        let (traced, attempt) = (receipt.trace_root == trace_root, (**attempt).clone());
        self.settle_value(id);
        if let Some(attempt) = self.attempt_mut(id)
            && let AttemptState::Revealed { valid, .. } = &mut attempt.state
        {
            *valid = Some(agrees && traced);
        }
        if attempt.shadow {
            self.judge_shadow(&attempt, agrees && traced);
        } else if agrees && traced {
            self.credit(id, operator, gas);
            self.pay(key, id, gas);
        } else if agrees || !matches!(evidence, Evidence::Replay) {
            self.dissent(&attempt);
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
        let (anchor, class) = (attempt.anchor, attempt.class.clone());
        // What is over soon was mostly fetched, started and sent, and so was what took little gas: neither tells
        // anything about the device.
        let telling = worked >= self.parameters.expected_min && gas >= self.parameters.speed_default;
        let Some(provider) = self.provider_mut(provider) else { return };
        provider.reputation.valid(gas);
        if let Some(device) = provider.devices.get_mut(&device).filter(|_| telling) {
            let measured = u128::from(gas) * 1000 / u128::from(worked.0.max(1));
            let measured = u64::try_from(measured).unwrap_or(u64::MAX);
            device.speed_gas_per_second = slowly(device.speed_gas_per_second, measured, 4);
            // Only anchors say how fast a class is: slow strangers would give themselves time.
            if anchor && let Some(class) = self.classes.get_mut(&class) {
                class.speed_gas_per_second = slowly(class.speed_gas_per_second, measured, 8);
                let key = Key::Class(class.name.clone());
                self.touch(key);
            }
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
        // Whom the network's operator, or the job's developer, vouches for has more to lose than is written here.
        let listed = agreeing().any(|attempt| self.is_listed(&attempt.provider));
        let vouched = self.has_own_list(key.job);
        let millionths = if listed || vouched {
            self.parameters.audit_floor_millionths.min(self.parameters.audit_ceiling_millionths)
        } else {
            self.audit_millionths(gain.sum(), operators)
        };
        let Some((task, (epoch, drawn_from))) = self.tasks.get(&key).zip(self.totals.epoch()) else { return };
        let audited = drawn_from.secret.draw(Draw::Audit, task.tag, millionths);
        if let Some(task) = self.task_mut(key) {
            task.audit = Some(AuditDraw { epoch, millionths, audited });
        }
        self.count_draw(epoch);
        self.look_at(Key::Task(key));
    }
}

/// A speed that follows what is measured, a part of the way each time. The first measurement counts whole.
fn slowly(known: u64, measured: u64, parts: u64) -> u64 {
    let mixed = (u128::from(known) * u128::from(parts - 1) + u128::from(measured)) / u128::from(parts);
    if known == 0 { measured.max(1) } else { u64::try_from(mixed).unwrap_or(u64::MAX).max(1) }
}
