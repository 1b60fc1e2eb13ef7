//! Providers join, offer devices, pause and go on. Epochs begin.

use anneal_job::{Identity, OperatorId, RecordHasher, Timestamp};

use crate::{
    DeviceId, DeviceOffer, Effect, EpochSecret, EventKind, GiveBackReason, Key, Market, OperatorMarks,
    PauseReason, Rejection, Reply,
    class::Class,
    offer::check_offer,
    operator::Operator,
    provider::{Device, Pause, Provider},
    totals::Epoch,
};

impl Market {
    pub(crate) fn enrol(&mut self, id: Identity, marks: OperatorMarks) -> Result<Reply, Rejection> {
        let now = self.now();
        // Keys alone answer for what they sign: whose address a key says it has makes nobody else liable.
        let operator_id = OperatorId(RecordHasher::new("anneal operator 1").bytes(id.as_bytes()).finish());
        let known = self.operators.get(&operator_id);
        if known.is_some_and(|known| known.payout == marks.payout && known.network == marks.network) {
            return Ok(Reply::Done);
        }
        self.touch(Key::Operator(operator_id));
        let operator = self.operators.entry(operator_id).or_insert_with(|| Operator::new(operator_id, id));
        (operator.payout, operator.network) = (marks.payout, marks.network);
        if self.providers.contains_key(&id) {
            return Ok(Reply::Done);
        }
        self.touch(Key::Provider(id));
        self.providers.insert(id, Provider::new(id, operator_id, now));
        self.presence.hear(id, now);
        self.emit(EventKind::ProviderEnrolled { provider: id, operator: operator_id });
        Ok(Reply::Done)
    }

    pub(crate) fn register_device(
        &mut self,
        id: Identity,
        device: DeviceId,
        offer: DeviceOffer,
    ) -> Result<Reply, Rejection> {
        let provider = self.providers.get(&id).ok_or(Rejection::UnknownProvider)?;
        check_offer(&offer)?;
        let limit = self.parameters.devices_per_provider as usize;
        let known = provider.devices.get(&device);
        check_count(
            "the number of your devices",
            provider.devices.len() + usize::from(known.is_none()),
            limit,
        )?;
        self.check_classes(&[&offer.class].into())?;
        // The same device keeps the speed that it has shown; what it says of itself counts for nothing.
        let same = known.filter(|known| known.offer == offer);
        let is_new_class = !self.classes.contains_key(&offer.class);
        if same.is_some() && !is_new_class {
            return Ok(Reply::Done);
        }
        let speed = same.map_or(0, |known| known.speed_gas_per_second);
        let leases = known.map(|known| known.leases.clone()).unwrap_or_default();
        let committed_at = known.map_or(Timestamp::default(), |known| known.committed_at);
        if is_new_class {
            self.make_room_for_class();
        }
        let price = self.parameters.price_initial;
        let name = offer.class.clone();
        self.touch(Key::Class(name.clone()));
        let class = self.classes.entry(name.clone()).or_insert(Class {
            name,
            price,
            speed_gas_per_second: 0,
            memory_bytes_max: 0,
        });
        class.memory_bytes_max = class.memory_bytes_max.max(offer.memory_bytes);
        let (class, software) = (offer.class.clone(), offer.software);
        let entry = Device { offer, speed_gas_per_second: speed, leases, committed_at };
        if let Some(provider) = self.provider_mut(id) {
            provider.devices.insert(device, entry);
        }
        self.emit(EventKind::DeviceRegistered { provider: id, device, class, software });
        Ok(Reply::Done)
    }

    /// A device that is not there any more: nobody waits for what it holds.
    pub(crate) fn withdraw_device(&mut self, id: Identity, device: DeviceId) -> Result<Reply, Rejection> {
        let provider = self.providers.get(&id).ok_or(Rejection::UnknownProvider)?;
        let known = provider.devices.get(&device).ok_or(Rejection::UnknownDevice { device: device.0 })?;
        for lease in known.leases.clone() {
            self.take_back(lease, GiveBackReason::Withdrawn);
        }
        self.presence.idle.remove(&(id, device));
        if let Some(provider) = self.provider_mut(id) {
            provider.devices.remove(&device);
        }
        self.emit(EventKind::DeviceWithdrawn { provider: id, device });
        Ok(Reply::Done)
    }

    pub(crate) fn pause_provider(&mut self, id: Identity) -> Result<Reply, Rejection> {
        let provider = self.providers.get(&id).ok_or(Rejection::UnknownProvider)?;
        if provider.pause.is_some() {
            return Ok(Reply::Done);
        }
        self.pause(id, PauseReason::Owner, self.now());
        Ok(Reply::Done)
    }

    pub(crate) fn resume_provider(&mut self, id: Identity) -> Result<Reply, Rejection> {
        let provider = self.providers.get(&id).ok_or(Rejection::UnknownProvider)?;
        let Some(pause) = provider.pause else { return Ok(Reply::Done) };
        if pause.until > self.now() {
            return Err(Rejection::Backoff { wait: pause.until.since(self.now()) });
        }
        if let Some(provider) = self.provider_mut(id) {
            provider.pause = None;
            provider.reputation.failures_in_a_row = 0;
            provider.reputation.give_backs_in_a_row = 0;
        }
        self.emit(EventKind::ProviderResumed { provider: id });
        Ok(Reply::Done)
    }

    /// The provider takes no leases; it is told why.
    pub(crate) fn pause(&mut self, id: Identity, reason: PauseReason, until: Timestamp) {
        let message = match reason {
            PauseReason::Owner => None,
            PauseReason::Failures { in_a_row } => Some(format!(
                "{in_a_row} leases in a row failed: look at the log of the last attempts, run \
                 `anneal selftest`, then `anneal resume`"
            )),
            PauseReason::Fault => Some(
                "a replay contradicts an attempt of yours: held earnings are suspended for a week, and then \
                 forfeited; the verdict names the operation, `anneal replay` repeats it, and `anneal appeal` has it \
                 decided once more on another backend"
                    .to_owned(),
            ),
        };
        if let Some(provider) = self.provider_mut(id) {
            provider.pause = Some(Pause { reason, until });
        }
        self.emit(EventKind::ProviderPaused { provider: id, reason });
        if let Some(message) = message {
            self.effect(Effect::TellProvider { provider: id, message });
        }
    }

    pub(crate) fn begin_epoch(&mut self, secret: EpochSecret) -> Result<Reply, Rejection> {
        let totals = self.totals_mut();
        let epoch = totals.epoch_next;
        totals.epoch_next += 1;
        totals.epochs.insert(epoch, Epoch { secret, tasks: 0 });
        self.emit(EventKind::EpochCommitted { epoch, commitment: secret.commitment() });
        self.open_epochs();
        Ok(Reply::Done)
    }

    /// Something was drawn from an epoch for a task that is not final.
    pub(crate) fn count_draw(&mut self, epoch: u64) {
        if let Some(epoch) = self.totals_mut().epochs.get_mut(&epoch) {
            epoch.tasks += 1;
        }
    }

    /// A task is final for which something was drawn.
    pub(crate) fn forget_draw(&mut self, epoch: u64) {
        if let Some(epoch) = self.totals_mut().epochs.get_mut(&epoch) {
            epoch.tasks = epoch.tasks.saturating_sub(1);
        }
        self.open_epochs();
    }

    /// Publishes the secrets of past epochs whose draws are all final.
    fn open_epochs(&mut self) {
        let Some((current, _)) = self.totals.epoch() else { return };
        let over =
            |(number, epoch): (&u64, &Epoch)| (*number != current && epoch.tasks == 0).then_some(*number);
        let finished: Vec<u64> = self.totals.epochs.iter().filter_map(over).collect();
        for number in finished {
            if let Some(epoch) = self.totals_mut().epochs.remove(&number) {
                self.emit(EventKind::EpochOpened { epoch: number, secret: epoch.secret });
            }
        }
    }
}

/// At most so many of something.
pub(crate) fn check_count(what: &str, found: usize, limit: usize) -> Result<(), Rejection> {
    if found <= limit {
        return Ok(());
    }
    Err(Rejection::TooMany { what: what.to_owned(), found: found as u64, limit: limit as u64 })
}
