//! From the lease to the receipt: commitments, reveals, faults of machines, leases that are given back.

use anneal_job::{AttemptId, Digest, HostFault, Identity, Receipt, ReceiptOutcome};

use crate::{
    CloseReason, Effect, EventKind, GiveBackReason, Key, Market, Nonce, PauseReason, Rejection, Reply,
    attempt::{Attempt, AttemptState},
    task::Phase,
};

/// Anchors whose machines fail on one task before the task itself is doubted.
const HOST_FAULTS_MAX: usize = 2;
/// Characters of a machine's own words on its failure that a developer is shown.
const FAULT_MESSAGE_MAX: usize = 200;

/// Metrics of a receipt.
const METRICS_MAX: usize = 1 << 16;
/// Bytes of a guest's message, and of a metric's name.
const MESSAGE_BYTES_MAX: usize = 1 << 16;
const METRIC_NAME_BYTES_MAX: usize = 1 << 10;

/// Whether a receipt is no longer than the contract lets any be.
fn receipt_fits(outcome: &ReceiptOutcome) -> bool {
    match outcome {
        ReceiptOutcome::Completed { completed, .. } => {
            let names = completed.metrics.iter().all(|metric| metric.name.len() <= METRIC_NAME_BYTES_MAX);
            completed.metrics.len() <= METRICS_MAX && names
        }
        ReceiptOutcome::GuestFailure { failure } => failure.message.len() <= MESSAGE_BYTES_MAX,
    }
}

impl Market {
    fn own_attempt(&self, provider: Identity, id: AttemptId) -> Result<&Attempt, Rejection> {
        let attempt = self.attempt(&id).filter(|attempt| attempt.provider == provider);
        attempt.ok_or(Rejection::UnknownAttempt)
    }

    pub(crate) fn commit(
        &mut self,
        provider: Identity,
        id: AttemptId,
        commitment: Digest,
    ) -> Result<Reply, Rejection> {
        let now = self.now();
        let attempt = self.own_attempt(provider, id)?;
        match &attempt.state {
            AttemptState::Committed { commitment: committed, .. } if *committed != commitment => {
                return Err(Rejection::CommitmentChanged { committed: *committed });
            }
            // The answer to the first one was lost.
            AttemptState::Committed { .. } | AttemptState::Revealed { .. } => return Ok(Reply::Done),
            AttemptState::Closed { .. } => return Err(Rejection::LeaseEnded),
            AttemptState::Leased | AttemptState::Superseded => {}
        }
        if now > attempt.deadline {
            return Err(Rejection::LeaseEnded);
        }
        let key = attempt.task;
        let asked = self.tasks.get(&key).is_some_and(|task| task.phase != Phase::Open);
        let reveal_by = asked.then(|| now + self.parameters.reveal);
        self.presence.hear(provider, now);
        self.free_device(id);
        if let Some(attempt) = self.attempt_mut(id) {
            attempt.state = AttemptState::Committed { commitment, at: now, reveal_by };
            attempt.doubtful = false;
            attempt.wake_at = reveal_by;
        }
        self.emit(EventKind::Committed { attempt: id, commitment });
        if asked {
            self.effect(Effect::Call { provider });
        }
        Ok(Reply::Done)
    }

    /// The device has a lease less, and when the next one began is known.
    pub(crate) fn free_device(&mut self, id: AttemptId) {
        let now = self.now();
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (provider, device, leased_at) = (attempt.provider, attempt.device, attempt.leased_at);
        let Some(provider) = self.provider_mut(provider) else { return };
        let Some(device) = provider.devices.get_mut(&device) else { return };
        device.leases.remove(&id);
        let began_at = leased_at.max(device.committed_at);
        device.committed_at = now;
        if let Some(attempt) = self.attempt_mut(id) {
            attempt.worked = now.since(began_at);
        }
    }

    pub(crate) fn reveal(
        &mut self,
        provider: Identity,
        id: AttemptId,
        receipt: Box<Receipt>,
        nonce: Nonce,
    ) -> Result<Reply, Rejection> {
        let attempt = self.own_attempt(provider, id)?;
        let (key, root) = (attempt.task, receipt.root());
        let (committed, at) = match &attempt.state {
            AttemptState::Committed { reveal_by: None, .. } => return Err(Rejection::RevealTooEarly),
            AttemptState::Committed { commitment, at, reveal_by: Some(_) } => (*commitment, *at),
            AttemptState::Revealed { receipt: known, .. } if known.root() == root => return Ok(Reply::Done),
            _ => return Err(Rejection::LeaseEnded),
        };
        let found = attempt.commitment_fields(root).commitment(nonce.0.as_bytes());
        if found != committed {
            return Err(Rejection::CommitmentMismatch { committed, found });
        }
        let valid = self.is_sound(attempt, &receipt);
        self.presence.hear(provider, self.now());
        if !valid {
            self.close(id, CloseReason::InvalidReceipt);
            self.lease_failed(provider);
            let message = "a receipt contradicts itself, its task or its lease: update `anneal`".to_owned();
            self.effect(Effect::TellProvider { provider, message });
            return Ok(Reply::Done);
        }
        if let Some(attempt) = self.attempt_mut(id) {
            attempt.state = AttemptState::Revealed { at, receipt, nonce, valid: None };
            attempt.wake_at = None;
        }
        self.look_at(Key::Task(key));
        Ok(Reply::Done)
    }

    /// Whether a receipt is about this attempt, and its parts agree with each other.
    fn is_sound(&self, attempt: &Attempt, receipt: &Receipt) -> bool {
        let Some(task) = self.tasks.get(&attempt.task) else { return false };
        let Some((spec, job)) = self.specs.get(&task.key.job).zip(self.jobs.get(&task.key.job)) else {
            return false;
        };
        receipt.task == task.id
            && receipt.provider == attempt.provider
            && receipt.lease_epoch == attempt.lease_epoch
            && receipt.device_class == attempt.class.as_str()
            && receipt.component == spec.component.digest
            && receipt.versions == spec.versions
            && receipt.salt == job.salt
            && receipt.outcome.gas() <= spec.limits.gas
            && receipt.outcome.is_consistent()
            && receipt_fits(&receipt.outcome)
    }

    pub(crate) fn host_fault(
        &mut self,
        provider: Identity,
        id: AttemptId,
        fault: &HostFault,
    ) -> Result<Reply, Rejection> {
        let attempt = self.own_attempt(provider, id)?;
        let (key, operator, anchor) = (attempt.task, attempt.operator, attempt.anchor);
        if !matches!(attempt.state, AttemptState::Leased | AttemptState::Superseded) {
            return Err(Rejection::LeaseEnded);
        }
        self.presence.hear(provider, self.now());
        self.close(id, CloseReason::HostFault { code: fault.code });
        self.lease_failed(provider);
        // What strangers say of their machines stops nobody's job: anchors, or a trusted worker, try the task then.
        let vouched = self.has_own_list(key.job);
        if !anchor && !vouched {
            return Ok(Reply::Done);
        }
        let Some(task) = self.task_mut(key) else { return Ok(Reply::Done) };
        task.host_faults.insert(operator);
        if task.host_faults.len() >= HOST_FAULTS_MAX {
            let message: String = fault.message.chars().take(FAULT_MESSAGE_MAX).collect();
            let (code, message) = (fault.code, message.escape_debug());
            self.pause_job(
                key.job,
                format!(
                    "task {} made the machines of two anchors fail ({code:?}: {message}): lower its \
                     limits or raise its requirements, then `anneal retry` the job, or cancel it",
                    key.index
                ),
            );
            self.forgive(key);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn give_back(
        &mut self,
        provider: Identity,
        id: AttemptId,
        reason: GiveBackReason,
    ) -> Result<Reply, Rejection> {
        let attempt = self.own_attempt(provider, id)?;
        if !matches!(attempt.state, AttemptState::Leased | AttemptState::Superseded) {
            return Err(Rejection::LeaseEnded);
        }
        match reason {
            GiveBackReason::Versions => self.take_back_unrunnable(id),
            _ => self.take_back(id, reason),
        }
        Ok(Reply::Done)
    }

    /// The lease goes back, and its provider waits a little.
    pub(crate) fn take_back(&mut self, id: AttemptId, why: GiveBackReason) {
        let Some(provider) = self.attempts.get(&id).map(|attempt| attempt.provider) else { return };
        self.close(id, CloseReason::GivenBack { why });
        let (until, limit) = (self.now() + self.parameters.backoff, self.parameters.give_backs_in_a_row_max);
        let Some(known) = self.provider_mut(provider) else { return };
        known.backoff_until = known.backoff_until.max(until);
        let times = &mut known.reputation.give_backs_in_a_row;
        *times = times.saturating_add(1);
        // Giving back is no failure, but picking one's tasks is no right either.
        if *times > limit {
            self.lease_failed(provider);
        }
    }

    /// There will be no receipt of this attempt.
    pub(crate) fn close(&mut self, id: AttemptId, why: CloseReason) {
        self.settle_value(id);
        if self.attempt(&id).is_some_and(Attempt::is_running) {
            self.free_device(id);
        }
        let Some(attempt) = self.attempt_mut(id) else { return };
        let key = attempt.task;
        attempt.state = AttemptState::Closed { why };
        attempt.wake_at = None;
        self.emit(EventKind::AttemptClosed { attempt: id, reason: why });
        self.prefer_anchors(id);
        let planned = self.specs.get(&key.job).map_or(1, |spec| spec.redundancy.replicas_max());
        if let Some(task) = self.task_mut(key)
            && task.replicate.is_some_and(|draw| draw.attempt == id)
        {
            // What was drawn was about this attempt.
            task.needed = planned;
        }
    }

    /// An attempt has come to nothing, or is late: where its key is no anchor, anchors do the rest.
    pub(crate) fn prefer_anchors(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id).filter(|attempt| !attempt.anchor && !attempt.shadow)
        else {
            return;
        };
        if let Some(task) = self.task_mut(attempt.task) {
            task.stumbles = task.stumbles.saturating_add(1);
        }
    }

    /// The others are enough, and this one is silent: its device may take other work.
    pub(crate) fn supersede(&mut self, id: AttemptId) {
        self.free_device(id);
        let Some(attempt) = self.attempt_mut(id) else { return };
        attempt.state = AttemptState::Superseded;
        attempt.wake_at = Some(attempt.deadline);
        self.emit(EventKind::AttemptClosed { attempt: id, reason: CloseReason::Superseded });
    }

    /// What an attempt is expected to earn no longer counts against its operator's cover.
    pub(crate) fn settle_value(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempt_mut(id) else { return };
        let (operator, value) = (attempt.operator, std::mem::take(&mut attempt.value));
        if let Some(operator) = self.operator_mut(operator) {
            operator.outstanding = operator.outstanding.saturating_sub(value);
        }
    }

    /// A lease has failed: the provider waits, longer each time, and is paused in the end.
    pub(crate) fn lease_failed(&mut self, id: Identity) {
        let now = self.now();
        let (base, longest) = (self.parameters.backoff, self.parameters.backoff_max);
        let limit = self.parameters.failures_in_a_row_max;
        let Some(provider) = self.provider_mut(id) else { return };
        let reputation = &mut provider.reputation;
        reputation.failed += 1;
        reputation.failures_in_a_row = reputation.failures_in_a_row.saturating_add(1);
        let in_a_row = reputation.failures_in_a_row;
        let wait = base.times(1 << (in_a_row - 1).min(20)).min(longest);
        provider.backoff_until = provider.backoff_until.max(now + wait);
        if in_a_row >= limit && provider.pause.is_none() {
            self.pause(id, PauseReason::Failures { in_a_row }, now + wait);
        }
    }

    /// The task is to blame: its failures are taken off those whose machines failed on it.
    pub(crate) fn forgive(&mut self, key: crate::TaskKey) {
        let host_fault = |attempt: &&Attempt| {
            matches!(attempt.state, AttemptState::Closed { why: CloseReason::HostFault { .. } })
        };
        let providers: Vec<Identity> =
            self.attempts_on(key).filter(host_fault).map(|attempt| attempt.provider).collect();
        for id in providers {
            let Some(provider) = self.provider_mut(id) else { continue };
            let in_a_row = &mut provider.reputation.failures_in_a_row;
            *in_a_row = in_a_row.saturating_sub(1);
            if provider.pause.is_some_and(|pause| matches!(pause.reason, PauseReason::Failures { .. })) {
                provider.pause = None;
                self.emit(EventKind::ProviderResumed { provider: id });
            }
        }
    }
}
