//! Decides what an agent does next: hears what happened, says what to do. No IO, no clock: `now` is handed in.
//!
//! An attempt goes its way: leased → run → committed → revealed, and then uploaded or traced if that is asked
//! for, until the coordinator says stop. Whatever is asked for and not yet answered stays in the duties that
//! each poll brings, so nothing needs to be remembered about calls that were lost.

use std::collections::{BTreeMap, BTreeSet};

use anneal_api::wire::{
    Batch, BatchReply, CommitItem, Duty, FaultItem, GiveBackItem, GiveBackReason, Heartbeat, ItemReply,
    Lease, Poll, PollReply, RevealItem, TraceItem, TraceLevel,
};
use anneal_job::{AttemptId, Blob, Digest, HostFault, Span, Timestamp};
use anneal_runner::work::Traced;

use crate::{
    record::{Finished, Record},
    status::Wish,
};

/// After a duty could not be done, it is tried again this much later.
const RETRY_MS: u64 = 3_000;
/// How long a poll waits that no device waits for.
const POLL_BUSY_MS: u64 = 20_000;
/// How long a poll waits that asks for leases: short, for it cannot be broken off when another device is done.
const POLL_IDLE_MS: u64 = 5_000;
/// Items of a batch, well below what coordinators take.
const BATCH_ITEMS: usize = 200;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write the record.
    Save(Box<Record>),
    /// Run the task, and answer with [`Desk::ran`].
    Run(Box<Lease>),
    /// Get the blobs of the lease that is next on a busy device, and answer with [`Desk::fetched`].
    Fetch(Box<Lease>),
    /// Run the task again, traced, and answer with [`Desk::traced`].
    Trace(Box<Lease>, TraceLevel),
    /// End the attempt if it is running.
    Stop(AttemptId),
    /// Upload the state, and answer with [`Desk::uploaded`].
    Upload(AttemptId, Blob),
    /// Remove everything of the attempt.
    Forget(AttemptId),
}

/// An attempt as the desk knows it.
#[derive(Debug)]
struct Attempt {
    record: Record,
    /// A device is at it.
    busy: bool,
    /// Since when it is run.
    began: Option<Timestamp>,
    /// Whether its blobs were got while its device was busy.
    blobs: Blobs,
    /// Its upload is under way.
    uploading: bool,
    /// When it was heard of last, by the coordinator.
    beat: Timestamp,
    /// Nothing is tried again before this.
    retry_at: Timestamp,
    /// A trace that is there and has not been sent.
    trace: Option<(TraceLevel, Traced)>,
    fault: Option<HostFault>,
    give_back: Option<GiveBackReason>,
}

/// The blobs of a lease that waits for its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blobs {
    /// Nobody has asked for them.
    Unasked,
    /// They are under way.
    Coming,
    /// They are there.
    Here,
}

/// What an agent has on its desk for one coordinator.
#[derive(Debug)]
pub struct Desk {
    devices: BTreeSet<u32>,
    attempts: BTreeMap<AttemptId, Attempt>,
    duties: Vec<Duty>,
    revision: u64,
    wish: Wish,
    /// Whether the coordinator has answered a poll.
    is_heard: bool,
    /// Devices that may begin nothing now.
    held: BTreeSet<u32>,
    /// Decided, and not yet handed out.
    actions: Vec<Action>,
}

impl Desk {
    /// A desk with these devices and what is left of an earlier life.
    pub fn new(devices: impl IntoIterator<Item = u32>, records: Vec<Record>, now: Timestamp) -> Desk {
        let devices: BTreeSet<u32> = devices.into_iter().collect();
        let attempts = records.into_iter().map(|record| (record.lease.attempt, Attempt::new(record, now)));
        let mut desk = Desk {
            devices,
            attempts: attempts.collect(),
            duties: Vec::new(),
            revision: 0,
            wish: Wish::Run,
            is_heard: false,
            held: BTreeSet::new(),
            actions: Vec::new(),
        };
        for attempt in desk.attempts.values_mut() {
            let unfinished = attempt.record.finished.is_none();
            if unfinished
                && (attempt.record.lease.deadline <= now
                    || !desk.devices.contains(&attempt.record.lease.device))
            {
                attempt.give_back = Some(GiveBackReason::Shutdown);
            }
        }
        desk
    }

    /// What the owner wants.
    pub fn wish(&mut self, wish: Wish) {
        self.wish = wish;
        if wish == Wish::Leave {
            for (&id, attempt) in &mut self.attempts {
                if attempt.record.finished.is_none() && attempt.fault.is_none() {
                    attempt.give_back = Some(GiveBackReason::Shutdown);
                    self.actions.push(Action::Stop(id));
                }
            }
        }
        self.give_back_unbegun();
    }

    /// An owner who wants nothing new does not want what has not begun either: another provider may have it.
    fn give_back_unbegun(&mut self) {
        let reason = match self.wish {
            Wish::Run | Wish::Leave => return,
            Wish::Pause => GiveBackReason::Policy,
            Wish::Finish => GiveBackReason::Shutdown,
        };
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.is_to_run()) {
            attempt.give_back = Some(reason);
        }
    }

    /// The devices that may begin nothing now, by their owner's policy: they take no lease, and what they have
    /// waits.
    pub fn hold(&mut self, devices: BTreeSet<u32>) {
        self.held = devices;
    }

    /// Gives back everything unfinished that a device has, by its owner's policy; how many leases.
    pub fn release(&mut self, device: u32) -> usize {
        let unfinished = self.attempts.iter().filter(|(_, attempt)| {
            attempt.record.lease.device == device
                && attempt.record.finished.is_none()
                && attempt.fault.is_none()
                && attempt.give_back.is_none()
        });
        let unfinished: Vec<AttemptId> = unfinished.map(|(&id, _)| id).collect();
        unfinished.iter().for_each(|&attempt| self.refuse(attempt));
        unfinished.len()
    }

    /// Gives a lease back, by its owner's policy.
    pub fn refuse(&mut self, attempt: AttemptId) {
        let Some(known) = self.attempts.get_mut(&attempt) else { return };
        if known.record.finished.is_none() {
            known.give_back = Some(GiveBackReason::Policy);
            if known.busy {
                self.actions.push(Action::Stop(attempt));
            }
        }
    }

    /// Whether nothing is left to do for an agent that is to end.
    pub fn is_done(&self) -> bool {
        match self.wish {
            Wish::Run | Wish::Pause => false,
            Wish::Finish => self.attempts.is_empty(),
            Wish::Leave => self.attempts.values().all(|attempt| attempt.record.finished.is_some()),
        }
    }

    /// What is asked of the coordinator next.
    pub fn poll(&self, now: Timestamp) -> Poll {
        let idle = self.idle(now);
        let wait_ms = match (self.is_heard, idle.is_empty()) {
            // What work is paid comes with the first answer, and an owner's policy may wait for it.
            (false, _) => 0,
            (true, true) => POLL_BUSY_MS,
            (true, false) => POLL_IDLE_MS,
        };
        let unfinished = self.attempts.iter().filter(|(_, attempt)| attempt.record.finished.is_none());
        let holds = Some(unfinished.map(|(&id, _)| id).collect());
        Poll { idle, seen: self.revision, wait_ms, holds }
    }

    /// The devices that would take a lease: those without one, and those that are halfway through the only one
    /// that they have, for the next one's blobs are got meanwhile. Not earlier: others may be idle.
    pub fn idle(&self, now: Timestamp) -> Vec<u32> {
        if self.wish != Wish::Run {
            return Vec::new();
        }
        let is_free = |device: &u32| {
            let own = self.attempts.values().filter(|attempt| attempt.record.lease.device == *device);
            let mut taken = own.filter(|attempt| attempt.busy || attempt.record.finished.is_none());
            match (taken.next(), taken.next()) {
                (None, _) => true,
                (Some(only), None) => only.is_halfway(now),
                _ => false,
            }
        };
        self.devices.iter().copied().filter(|device| !self.held.contains(device)).filter(is_free).collect()
    }

    /// The attempts that are known.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.attempts.values().map(|attempt| &attempt.record)
    }

    /// The coordinator has answered a poll.
    pub fn polled(&mut self, reply: PollReply, now: Timestamp) {
        self.is_heard = true;
        self.duties = reply.duties;
        self.revision = reply.revision;
        for lease in reply.leases {
            let record = Record::new(lease);
            self.actions.push(Action::Save(Box::new(record.clone())));
            self.attempts.insert(record.lease.attempt, Attempt::new(record, now));
        }
        // They may have been asked for before the owner changed their mind.
        self.give_back_unbegun();
        let stopped: Vec<AttemptId> = self.duties.iter().filter_map(stopped).collect();
        stopped.into_iter().for_each(|attempt| self.forget(attempt));
    }

    /// The blobs of a lease that waits are there.
    pub fn fetched(&mut self, attempt: AttemptId) {
        if let Some(known) = self.attempts.get_mut(&attempt) {
            known.blobs = Blobs::Here;
        }
    }

    /// An attempt has been run, and has a signed receipt.
    pub fn ran(&mut self, attempt: AttemptId, finished: Finished) {
        let Some(known) = self.attempts.get_mut(&attempt) else { return };
        known.busy = false;
        if known.give_back.is_none() {
            known.record.finished = Some(finished);
            self.actions.push(Action::Save(Box::new(known.record.clone())));
        }
    }

    /// An attempt or a trace of it failed for this machine's sake, or because it was stopped. Says whether it is a
    /// fault: what nobody wants any more, or is given back, is none.
    pub fn failed(&mut self, attempt: AttemptId, failure: Failure, now: Timestamp) -> bool {
        let Some(known) = self.attempts.get_mut(&attempt) else { return false };
        known.busy = false;
        known.blobs = Blobs::Unasked;
        if known.record.finished.is_some() {
            known.retry_at = later(now);
            return failure != Failure::Versions;
        }
        match failure {
            Failure::Fault(_) if known.give_back.is_some() => false,
            Failure::Fault(fault) => {
                known.fault = Some(fault);
                true
            }
            Failure::Blob => {
                known.give_back = Some(GiveBackReason::Blob);
                false
            }
            Failure::Versions => {
                known.give_back = Some(GiveBackReason::Versions);
                false
            }
        }
    }

    /// A trace is there.
    pub fn traced(&mut self, attempt: AttemptId, level: TraceLevel, traced: Traced) {
        if let Some(known) = self.attempts.get_mut(&attempt) {
            known.busy = false;
            known.trace = Some((level, traced));
        }
    }

    /// An upload has ended.
    pub fn uploaded(&mut self, attempt: AttemptId, now: Timestamp) {
        if let Some(known) = self.attempts.get_mut(&attempt) {
            known.uploading = false;
            known.retry_at = later(now);
        }
    }

    /// What is to be done now.
    pub fn actions(&mut self, now: Timestamp) -> Vec<Action> {
        self.start_runs(now);
        self.start_duties(now);
        std::mem::take(&mut self.actions)
    }

    fn start_runs(&mut self, now: Timestamp) {
        let mut busy = self.busy_devices();
        // What is under way is not fetched twice at a time: such a lease runs when its blobs are there.
        let waiting = |attempt: &&mut Attempt| attempt.is_to_run() && attempt.blobs != Blobs::Coming;
        for attempt in self.attempts.values_mut().filter(waiting) {
            let lease = Box::new(attempt.record.lease.clone());
            if !self.held.contains(&lease.device) && busy.insert(lease.device) {
                attempt.busy = true;
                attempt.began = Some(now);
                self.actions.push(Action::Run(lease));
            } else if attempt.blobs == Blobs::Unasked {
                attempt.blobs = Blobs::Coming;
                self.actions.push(Action::Fetch(lease));
            }
        }
    }

    fn start_duties(&mut self, now: Timestamp) {
        let mut busy = self.busy_devices();
        for duty in &self.duties {
            let (Duty::Upload { attempt, .. } | Duty::Trace { attempt, .. }) = duty else { continue };
            let Some(known) = self.attempts.get_mut(attempt).filter(|known| known.may(now)) else { continue };
            match duty {
                Duty::Upload { blob, .. } if !known.uploading => {
                    known.uploading = true;
                    self.actions.push(Action::Upload(*attempt, *blob));
                }
                Duty::Trace { level, .. }
                    if !known.has_trace(*level)
                        && !self.held.contains(&known.record.lease.device)
                        && busy.insert(known.record.lease.device) =>
                {
                    known.busy = true;
                    self.actions.push(Action::Trace(Box::new(known.record.lease.clone()), *level));
                }
                _ => {}
            }
        }
    }

    fn busy_devices(&self) -> BTreeSet<u32> {
        let busy = self.attempts.values().filter(|attempt| attempt.busy);
        busy.map(|attempt| attempt.record.lease.device).collect()
    }

    /// Everything there is to say, or `None`.
    pub fn batch(&mut self, now: Timestamp) -> Option<Batch> {
        let mut batch = Batch::default();
        for (&id, attempt) in &self.attempts {
            if batch.items() < BATCH_ITEMS {
                attempt.say(id, &mut batch, now);
            }
        }
        for duty in &self.duties {
            let Duty::Reveal { attempt, .. } = duty else { continue };
            let known = self.attempts.get(attempt).filter(|known| known.may(now));
            if let Some(Finished { receipt, nonce, committed: true }) =
                known.and_then(|known| known.record.finished.as_ref())
            {
                batch.reveals.push(RevealItem { receipt: receipt.clone(), nonce: *nonce });
            }
        }
        (batch.items() > 0).then_some(batch)
    }

    /// The coordinator has answered a batch.
    pub fn answered(&mut self, batch: &Batch, reply: &BatchReply, now: Timestamp) {
        for (Heartbeat { attempt }, reply) in batch.heartbeats.iter().zip(&reply.heartbeats) {
            if let Some(known) = self.attempts.get_mut(attempt) {
                known.beat = now;
            }
            if !reply.wanted {
                self.forget(*attempt);
            }
        }
        for (item, reply) in batch.commits.iter().zip(&reply.commits) {
            self.commit_answered(item.attempt, reply);
        }
        for (item, reply) in batch.reveals.iter().zip(&reply.reveals) {
            let attempt = item.receipt.attempt;
            self.fulfilled(attempt, reply, now, |duty| matches!(duty, Duty::Reveal { .. }));
        }
        for (item, reply) in batch.traces.iter().zip(&reply.traces) {
            if let Some(known) = self.attempts.get_mut(&item.attempt) {
                known.trace = None;
            }
            self.fulfilled(
                item.attempt,
                reply,
                now,
                |duty| matches!(duty, Duty::Trace { level, .. } if *level == item.level),
            );
        }
        let faults = batch.faults.iter().map(|item| item.attempt).take(reply.faults.len());
        let given = batch.given_back.iter().map(|item| item.attempt).take(reply.given_back.len());
        let gone: Vec<AttemptId> = faults.chain(given).collect();
        gone.into_iter().for_each(|attempt| self.forget(attempt));
    }

    fn commit_answered(&mut self, attempt: AttemptId, reply: &ItemReply) {
        let Some(known) = self.attempts.get_mut(&attempt) else { return };
        if let Some(error) = &reply.error {
            tracing::warn!(%attempt, code = error.code, error = error.message, "a commitment was refused");
            return self.forget(attempt);
        }
        if let Some(finished) = &mut known.record.finished {
            finished.committed = true;
            self.actions.push(Action::Save(Box::new(known.record.clone())));
        }
    }

    /// A duty was done, or refused: refused ones are tried again later, for as long as they are duties.
    fn fulfilled(
        &mut self,
        attempt: AttemptId,
        reply: &ItemReply,
        now: Timestamp,
        which: impl Fn(&Duty) -> bool,
    ) {
        if let Some(error) = &reply.error {
            tracing::warn!(%attempt, code = error.code, error = error.message, "an answer was refused");
            if let Some(known) = self.attempts.get_mut(&attempt) {
                known.retry_at = later(now);
            }
        }
        self.duties.retain(|duty| of(duty) != attempt || !which(duty));
    }

    fn forget(&mut self, attempt: AttemptId) {
        if let Some(known) = self.attempts.remove(&attempt) {
            if known.busy {
                self.actions.push(Action::Stop(attempt));
            }
            self.actions.push(Action::Forget(attempt));
        }
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// This machine failed.
    Fault(HostFault),
    /// A blob could not be got.
    Blob,
    /// The task is of versions that this program does not run.
    Versions,
}

impl Attempt {
    fn new(record: Record, now: Timestamp) -> Attempt {
        Attempt {
            record,
            busy: false,
            began: None,
            blobs: Blobs::Unasked,
            uploading: false,
            beat: now,
            retry_at: Timestamp(0),
            trace: None,
            fault: None,
            give_back: None,
        }
    }

    fn is_to_run(&self) -> bool {
        !self.busy && self.record.finished.is_none() && self.fault.is_none() && self.give_back.is_none()
    }

    /// Whether half of the time is over that its run is expected to take.
    fn is_halfway(&self, now: Timestamp) -> bool {
        let half = Span(self.record.lease.expected.0 / 2);
        self.busy && self.record.finished.is_none() && self.began.is_some_and(|began| now >= began + half)
    }

    fn may(&self, now: Timestamp) -> bool {
        !self.busy && now >= self.retry_at && self.record.finished.is_some()
    }

    fn has_trace(&self, level: TraceLevel) -> bool {
        matches!(&self.trace, Some((has, _)) if *has == level)
    }

    /// What is to be said of it.
    fn say(&self, attempt: AttemptId, batch: &mut Batch, now: Timestamp) {
        if let Some(reason) = self.give_back {
            return batch.given_back.push(GiveBackItem { attempt, reason });
        }
        if let Some(fault) = &self.fault {
            return batch.faults.push(FaultItem { attempt, fault: fault.clone() });
        }
        if let Some((level, Traced { digests, names })) = &self.trace {
            let (digests, names) = (digests.clone(), names.clone());
            batch.traces.push(TraceItem { attempt, level: *level, digests, names });
        }
        match (&self.record.finished, self.record.commitment()) {
            (Some(Finished { committed: false, .. }), Some(commitment)) => {
                batch.commits.push(CommitItem { attempt, commitment });
            }
            _ if now >= self.beat + self.record.lease.heartbeat_every => {
                batch.heartbeats.push(Heartbeat { attempt });
            }
            _ => {}
        }
    }
}

fn stopped(duty: &Duty) -> Option<AttemptId> {
    match duty {
        Duty::Stop { attempt } => Some(*attempt),
        _ => None,
    }
}

fn of(duty: &Duty) -> AttemptId {
    match duty {
        Duty::Reveal { attempt, .. }
        | Duty::Upload { attempt, .. }
        | Duty::Trace { attempt, .. }
        | Duty::Stop { attempt } => *attempt,
    }
}

fn later(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_add(RETRY_MS))
}

/// The blobs that attempts still need.
pub fn blobs_of(lease: &Lease) -> impl Iterator<Item = Blob> {
    let states = lease.states.iter().map(|state| state.blob);
    [lease.component].into_iter().chain(lease.inputs_blob).chain(states)
}

/// The digests of [`blobs_of`].
pub fn digests_of(lease: &Lease) -> impl Iterator<Item = Digest> {
    blobs_of(lease).map(|blob| blob.digest)
}

#[cfg(test)]
pub(crate) mod tests;
