//! Leases: a device asks, gets a task until a deadline, and is looked after.

use anneal_job::{AttemptId, Credits, Identity, JobId, Price, Redundancy, Span};

use crate::{
    CloseReason, Demand, DeviceClass, DeviceId, Draw, EventKind, GiveBackReason, Key, Lease, MILLION, Market,
    NothingHint, Rejection, ReplicateDraw, Reply, TaskKey, TraceLevel,
    attempt::{Attempt, AttemptState},
    matching::{Asker, Found},
    presence::Idle,
    provider::Device,
    standing::ANSWERS_FOR,
    task::Stage,
};

/// A device may be so many times slower than its class before its tasks count as late.
const SLOWEST_PART: u64 = 8;
/// Ask again after this, whatever happens: an effect that wakes may get lost.
const RETRY_AFTER: Span = Span::seconds(30);

impl Market {
    pub(crate) fn ask_lease(
        &mut self,
        id: Identity,
        device_id: DeviceId,
        floor: Price,
    ) -> Result<Reply, Rejection> {
        let (now, start) = (self.now(), JobId(self.random("where to look")));
        let provider = self.providers.get(&id).ok_or(Rejection::UnknownProvider)?;
        let unknown = Rejection::UnknownDevice { device: device_id.0 };
        let device = provider.devices.get(&device_id).ok_or(unknown)?;
        let operator = self.operators.get(&provider.operator).ok_or(Rejection::UnknownProvider)?;
        if let Some(pause) = provider.pause {
            let wait = pause.until.since(now);
            let reason = format!("{}; resume it after {wait} with `anneal resume`", describe(pause.reason));
            return Err(Rejection::ProviderPaused { reason });
        }
        let price = self.price_of(&device.offer.class);
        let nothing = |hint, retry_after| Ok(Reply::Nothing { retry_after, hint });
        if provider.backoff_until > now {
            return nothing(NothingHint::Backoff, provider.backoff_until.since(now));
        }
        if device.leases.len() >= self.parameters.leases_per_device as usize {
            return nothing(NothingHint::DeviceBusy, RETRY_AFTER);
        }
        let class = device.offer.class.clone();
        let asker = Asker { provider: id, device, operator, price };
        let found = if price < floor { Err(NothingHint::PriceBelowFloor) } else { self.find(&asker, start) };
        self.presence.hear(id, now);
        self.presence.called.remove(&id);
        match found {
            Ok(found) => Ok(self.grant(found, id, device_id, price)),
            Err(hint) => {
                self.presence.idle.insert((id, device_id), Idle { class, floor, at: now });
                // Those before it may not come.
                let again = if hint == NothingHint::NotYourTurn { ANSWERS_FOR } else { RETRY_AFTER };
                nothing(hint, again)
            }
        }
    }

    /// Leases the task to the device.
    fn grant(&mut self, found: Found, id: Identity, device_id: DeviceId, price: Price) -> Reply {
        let Found { task: key, shadow, anchor } = found;
        let (now, random) = (self.now(), self.random("attempt"));
        let attempt_id = AttemptId(random);
        self.presence.idle.remove(&(id, device_id));
        let gas = self.gas_expected(key);
        let value = if shadow { Credits::ZERO } else { self.value(key, price) };
        let lease_epoch = self.totals_mut().lease_epoch_next;
        self.totals_mut().lease_epoch_next += 1;
        let expected = self.expected(id, device_id, gas);
        let parameters = &self.parameters;
        let (re_lease, own) = (parameters.re_lease_per_cent, parameters.deadline_per_cent);
        let silent_at = now + parameters.silence;
        let late_at = now + expected.per_cent(re_lease);
        let deadline = now + expected.per_cent(own);
        let provider = self.provider_mut(id).expect("a lease is granted to a provider that asked");
        let operator = provider.operator;
        let device = provider.devices.get_mut(&device_id).expect("a lease is granted to a device that asked");
        device.leases.insert(attempt_id);
        let class = device.offer.class.clone();
        if let Some(operator) = self.operator_mut(operator) {
            operator.outstanding.0 = operator.outstanding.0.saturating_add(value.0);
        }
        let task_tag = self.tasks[&key].tag;
        let attempt = Attempt {
            id: attempt_id,
            task: key,
            task_tag,
            provider: id,
            operator,
            device: device_id,
            class: class.clone(),
            price,
            shadow,
            anchor,
            lease_epoch,
            leased_at: now,
            worked: Span(0),
            expected,
            deadline,
            value,
            doubtful: false,
            state: AttemptState::Leased,
            earned: None,
            wake_at: Some(silent_at.min(late_at).min(deadline)),
        };
        self.touch(Key::Attempt(key, attempt_id));
        self.attempts.insert(attempt_id, Box::new(attempt));
        if let Some(task) = self.task_mut(key) {
            task.attempts.push(attempt_id);
        }
        let provider = id;
        self.emit(EventKind::Leased {
            task: task_tag,
            attempt: attempt_id,
            provider,
            operator,
            class,
            lease_epoch,
            price,
            shadow,
            anchor,
        });
        if !shadow {
            self.draw_replicas(key, attempt_id, gas);
        }
        if !anchor {
            self.serve(operator);
        }
        Reply::Lease(Box::new(self.lease(&attempt_id).expect("a task that is open is in its plan")))
    }

    /// The lease of an attempt that nobody has committed to yet, as its provider was given it.
    pub fn lease(&self, id: &AttemptId) -> Option<Lease> {
        let attempt = self.attempts.get(id).filter(|attempt| attempt.state == AttemptState::Leased)?;
        let key = attempt.task;
        let (spec, task, job) = (self.specs.get(&key.job)?, self.tasks.get(&key)?, self.jobs.get(&key.job)?);
        Some(Lease {
            attempt: *id,
            lease_epoch: attempt.lease_epoch,
            task_tag: attempt.task_tag,
            salt: job.salt,
            task: self.runnable(key)?,
            task_id: task.id,
            developer: job.developer,
            component_signature: spec.component_signature.clone(),
            component: spec.component,
            inputs_blob: spec.inputs_blob,
            states: task.states.clone(),
            expected: attempt.expected,
            deadline: attempt.deadline,
            heartbeat_every: self.parameters.heartbeat_every,
            price: attempt.price,
            shadow: attempt.shadow,
        })
    }

    /// How long a device is expected to take for so much gas, after what it already holds.
    fn expected(&self, id: Identity, device: DeviceId, gas: u64) -> Span {
        let parameters = &self.parameters;
        let Some(device) = self.providers.get(&id).and_then(|provider| provider.devices.get(&device)) else {
            return parameters.expected_max;
        };
        // What a device says of its speed is its own affair: until it has shown one, its class's counts, and however
        // slowly it then works, nobody waits for it many times longer than for others of its class.
        let typical = self.speed_of_class(&device.offer.class);
        let speed = self.speed_of(device).max(typical / SLOWEST_PART).max(1);
        let own = Span((u128::from(gas) * 1000 / u128::from(speed)).try_into().unwrap_or(u64::MAX));
        let own = own.max(parameters.expected_min).min(parameters.expected_max);
        let held = device.leases.iter().filter_map(|lease| self.attempts.get(lease));
        let rest = held.map(|held| (held.leased_at + held.expected).since(self.now()));
        rest.fold(own, |sum, rest| sum + rest)
    }

    /// A device's speed as it was measured; its class's until then.
    pub(crate) fn speed_of(&self, device: &Device) -> u64 {
        match device.speed_gas_per_second {
            0 => self.speed_of_class(&device.offer.class),
            measured => measured,
        }
    }

    fn speed_of_class(&self, class: &DeviceClass) -> u64 {
        match self.classes.get(class).map(|class| class.speed_gas_per_second) {
            None | Some(0) => self.parameters.speed_default,
            Some(measured) => measured,
        }
    }

    /// Whether one attempt of this provider is enough: where redundancy is adaptive, the provider has a
    /// streak, what it would lose covers an audit that is seldom, and the draw does not want a second one.
    fn draw_replicas(&mut self, key: TaskKey, id: AttemptId, gas: u64) {
        let Some((task, attempt)) = self.tasks.get(&key).zip(self.attempts.get(&id)) else { return };
        let first = self.attempts_on(key).filter(|attempt| attempt.counts()).count() == 1;
        let adaptive = self.specs.get(&key.job).is_some_and(|spec| spec.redundancy == Redundancy::Adaptive);
        let streak = self.providers.get(&attempt.provider).map_or(0, |known| known.reputation.streak(gas));
        if !first || !adaptive || !attempt.anchor || streak < self.parameters.adaptive_streak {
            return;
        }
        let audit = self.audit_millionths(attempt.value.0.into(), [attempt.operator]);
        if audit > self.parameters.single_audit_max_millionths {
            return;
        }
        let Some((epoch, drawn_from)) = self.totals.epoch() else { return };
        let millionths = (MILLION / streak.max(1)).max(self.parameters.replicate_floor_millionths);
        let replicated = drawn_from.secret.draw(Draw::Replicate(id), task.tag, millionths);
        let before = task.replicate;
        if let Some(task) = self.task_mut(key) {
            task.replicate = Some(ReplicateDraw { attempt: id, millionths, replicated, epoch });
            task.needed = if replicated { 2 } else { 1 };
        }
        self.count_draw(epoch);
        before.into_iter().for_each(|before| self.forget_draw(before.epoch));
    }

    pub(crate) fn heartbeat(
        &mut self,
        id: Identity,
        named: &[AttemptId],
        all: bool,
    ) -> Result<Reply, Rejection> {
        if !self.providers.contains_key(&id) {
            return Err(Rejection::UnknownProvider);
        }
        self.presence.hear(id, self.now());
        if all {
            self.take_back_forgotten(id, named);
        }
        let mut demands = self.demands(&id);
        let strange = |attempt: &&AttemptId| {
            self.attempts.get(attempt).is_none_or(|known| known.provider != id || known.is_over())
        };
        let wanted: Vec<AttemptId> = demands.iter().map(|demand| demand.attempt()).collect();
        let stops = named.iter().filter(strange).filter(|attempt| !wanted.contains(attempt));
        demands.extend(stops.map(|attempt| Demand::Stop { attempt: *attempt }));
        Ok(Reply::Demands { demands })
    }

    /// A lease whose answer got lost, or that a restarted provider has forgotten, is not waited for.
    fn take_back_forgotten(&mut self, id: Identity, named: &[AttemptId]) {
        let (now, silence) = (self.now(), self.parameters.silence);
        let forgotten = |attempt: &&Attempt| {
            attempt.is_running() && now.since(attempt.leased_at) >= silence && !named.contains(&attempt.id)
        };
        // Every attempt that runs is one of its devices' leases.
        let devices = self.providers.get(&id).into_iter().flat_map(|provider| provider.devices.values());
        let leases = devices.flat_map(|device| &device.leases);
        let own = leases.filter_map(|attempt| self.attempt(attempt)).filter(forgotten);
        let mut own: Vec<AttemptId> = own.map(|attempt| attempt.id).collect();
        own.sort_unstable();
        for attempt in own {
            self.take_back(attempt, GiveBackReason::Lost);
        }
    }

    /// What is wanted of an attempt's provider.
    pub(crate) fn demand(&self, id: AttemptId) -> Option<Demand> {
        let attempt = self.attempts.get(&id)?;
        let task = self.tasks.get(&attempt.task)?;
        if let AttemptState::Committed { reveal_by: Some(deadline), .. } = attempt.state {
            return Some(Demand::Reveal { attempt: id, deadline });
        }
        if let Some(upload) = task.upload.filter(|upload| upload.attempt == id) {
            let blob = task.verdict.as_ref()?.outcome.state_blob()?;
            return Some(Demand::Upload { attempt: id, blob, deadline: upload.deadline });
        }
        let dispute = task.disputes.get(&id)?;
        let level = match &dispute.stage {
            Stage::Commits => TraceLevel::Commits,
            Stage::Operations { claim: Some(_), .. } => return None,
            Stage::Operations { step, .. } => TraceLevel::Operations { step: *step },
        };
        Some(Demand::Trace { attempt: id, level, deadline: dispute.deadline })
    }

    /// A lease's time has come: it is late, its provider silent, or its deadline has passed.
    pub(crate) fn attempt_due(&mut self, id: AttemptId) {
        let now = self.now();
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (deadline, provider) = (attempt.deadline, attempt.provider);
        match attempt.state {
            AttemptState::Leased | AttemptState::Superseded if now >= deadline => {
                let running = attempt.is_running();
                self.close(id, CloseReason::Expired);
                if running {
                    self.lease_failed(provider);
                }
            }
            AttemptState::Leased => self.check_on(id),
            AttemptState::Committed { reveal_by: Some(by), .. } if now >= by => {
                self.close(id, CloseReason::NotRevealed);
                self.lease_failed(provider);
            }
            _ => {
                if let Some(attempt) = self.attempt_mut(id) {
                    attempt.wake_at = match attempt.state {
                        AttemptState::Superseded => Some(attempt.deadline),
                        AttemptState::Committed { reveal_by, .. } => reveal_by,
                        _ => None,
                    };
                }
            }
        }
    }

    /// Whether a running attempt is late or silent.
    fn check_on(&mut self, id: AttemptId) {
        let (now, silence) = (self.now(), self.parameters.silence);
        let re_lease = self.parameters.re_lease_per_cent;
        let Some(attempt) = self.attempts.get(&id) else { return };
        let silent_at = self.presence.last_heard(&attempt.provider) + silence;
        let late_at = attempt.leased_at + attempt.expected.per_cent(re_lease);
        let (doubtful, before) = (now >= late_at || now >= silent_at, attempt.doubtful);
        // A doubtful one is looked at again when it may have fallen silent, too.
        let next = if now >= silent_at { attempt.deadline } else { silent_at };
        let next = if now >= late_at { next } else { next.min(late_at.max(now + Span(1))) };
        let next = next.min(attempt.deadline);
        if let Some(attempt) = self.attempt_mut(id) {
            attempt.doubtful = doubtful;
            attempt.wake_at = Some(next);
        }
        if doubtful && !before {
            self.prefer_anchors(id);
        }
    }

    /// Whether nothing was heard from a running attempt's provider for so long that nobody waits for it.
    pub(crate) fn is_silent(&self, attempt: &Attempt) -> bool {
        self.is_away(&attempt.provider)
    }
}

fn describe(reason: crate::PauseReason) -> String {
    match reason {
        crate::PauseReason::Owner => "its owner paused it".to_owned(),
        crate::PauseReason::Failures { in_a_row } => format!("{in_a_row} leases in a row failed"),
        crate::PauseReason::Fault => "a replay contradicts an attempt of it".to_owned(),
    }
}

impl Demand {
    /// Of which attempt something is wanted.
    pub const fn attempt(&self) -> AttemptId {
        match self {
            Demand::Reveal { attempt, .. }
            | Demand::Upload { attempt, .. }
            | Demand::Trace { attempt, .. }
            | Demand::Stop { attempt } => *attempt,
        }
    }
}
