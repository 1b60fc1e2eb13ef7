//! Faults and what they take: suspended at first, appealed by the owner of the key, and only then final. Not here:
//! who is at fault, which only a replay says (`verify`).

use anneal_job::{AttemptId, Credits, Digest, Identity, JobId, Task, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Account, Effect, EventKind, Market, PauseReason, Rejection, ReplayId, ReplayOrder, ReplayOutcome, Reply,
    StateRef, TaskKey, TraceLevel,
    provider::{HeldHour, Standing},
};

/// A fault whose forfeit is not final.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What it took.
    pub credits: Credits,
    /// Of it, what was a stake.
    pub stake: Credits,
    /// Until when it can be appealed.
    pub until: Timestamp,
    /// What the replay gave.
    pub expected: Digest,
    /// What the attempt gave.
    pub found: Digest,
    /// The replay that decides an appeal, by its number.
    pub appeal: Option<u32>,
    /// All that a replay needs: the job may have ended by then.
    pub file: CaseFile,
}

/// All that a replay of a task needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseFile {
    key: TaskKey,
    salt: Digest,
    task: Task,
    component: Digest,
    inputs_blob: Option<Digest>,
    states: Vec<StateRef>,
}

impl Case {
    /// The blobs that its appeal needs: kept, and readable to the owner of the key.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = Digest> {
        let states = self.file.states.iter().map(|state| state.blob.digest);
        states.chain([self.file.component]).chain(self.file.inputs_blob)
    }

    /// The job that it is about.
    pub fn job(&self) -> JobId {
        self.file.key.job
    }

    /// When its forfeit is final; never while an appeal is decided.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.appeal.is_none().then_some(self.until)
    }
}

impl Market {
    /// An attempt gave what a replay does not: its key, and nobody else, loses what it stands to lose, and begins
    /// anew.
    pub(crate) fn fault(&mut self, id: AttemptId, expected: Digest, found: Digest) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (key, operator, tag, provider) =
            (attempt.task, attempt.operator, attempt.task_tag, attempt.provider);
        let Some(file) = self.case_file(key) else { return };
        let (held, stake) = (Account::Held { provider }, Account::Stake { operator });
        let (held_credits, stake_credits) = (self.balance(held), self.balance(stake));
        let suspended = Account::Suspended { provider };
        self.post(held, suspended, held_credits);
        self.post(stake, suspended, stake_credits);
        let credits = Credits(held_credits.0.saturating_add(stake_credits.0));
        self.emit(EventKind::Fault { task: tag, attempt: id, operator, expected, found, suspended: credits });
        let Some(known) = self.operator_mut(operator) else { return };
        known.faults = known.faults.saturating_add(1);
        known.gas_verified = 0;
        known.pending = Credits::ZERO;
        known.counted = Credits::ZERO;
        let doubled = known.faults.min(6) - 1;
        let now = self.now();
        let until = now + self.parameters.appeal_time;
        let pause = now + self.parameters.fault_pause.times(1 << doubled);
        let case = Case { credits, stake: stake_credits, until, expected, found, appeal: None, file };
        if let Some(known) = self.provider_mut(provider) {
            known.cases.insert(id, case);
            known.pending = Credits::ZERO;
            known.hours.clear();
            known.standing = Standing::New;
            known.reputation.streaks.clear();
            known.reputation.fault();
        }
        self.pause(provider, PauseReason::Fault, pause);
    }

    fn case_file(&self, key: TaskKey) -> Option<CaseFile> {
        let (task, spec) = self.tasks.get(&key).zip(self.specs.get(&key.job))?;
        Some(CaseFile {
            key,
            salt: self.jobs.get(&key.job)?.salt,
            task: self.runnable(key)?,
            component: spec.component.digest,
            inputs_blob: spec.inputs_blob.map(|blob| blob.digest),
            states: task.states.clone(),
        })
    }

    /// The owner of a key at fault has the task replayed once more, on another backend.
    pub(crate) fn appeal(&mut self, provider: Identity, id: AttemptId) -> Result<Reply, Rejection> {
        let known = self.providers.get(&provider).ok_or(Rejection::UnknownProvider)?;
        let case = known.cases.get(&id).ok_or(Rejection::UnknownAttempt)?;
        if case.appeal.is_some() {
            return Ok(Reply::Done);
        }
        let (matched, each) = (known.reputation.valid, self.parameters.appeal_matched);
        let needed = each.saturating_mul(known.appeals + 1);
        if matched < needed {
            return Err(Rejection::AppealTooEarly { matched, needed });
        }
        let number = u32::try_from(known.appeals).unwrap_or(u32::MAX);
        if let Some(known) = self.provider_mut(provider) {
            known.appeals += 1;
        }
        self.emit(EventKind::Appealed { attempt: id, provider });
        self.order_appeal(provider, id, number);
        Ok(Reply::Done)
    }

    fn order_appeal(&mut self, provider: Identity, id: AttemptId, number: u32) {
        let ordered_at = self.now();
        let Some(case) = self.provider_mut(provider).and_then(|known| known.cases.get_mut(&id)) else {
            return;
        };
        case.appeal = Some(number);
        let file = case.file.clone();
        let order = ReplayOrder {
            replay: ReplayId { task: file.key, number, appeal: Some(id) },
            task: file.task,
            component: file.component,
            inputs_blob: file.inputs_blob,
            states: file.states,
            level: TraceLevel::None,
            other_backend: true,
            urgent: false,
            developer: provider,
            ordered_at,
            attempts: vec![id],
        };
        self.effect(Effect::Replay(Box::new(order)));
    }

    /// What another backend says about a fault. Where it can say nothing, the fault stays open for another appeal
    /// time, and the owner may ask again.
    pub(crate) fn appeal_answer(
        &mut self,
        id: AttemptId,
        number: u32,
        outcome: ReplayOutcome,
    ) -> Result<Reply, Rejection> {
        let appealed = |case: &Case| case.appeal == Some(number);
        let owner = self.providers.values().find(|known| known.cases.get(&id).is_some_and(appealed));
        let owner = owner.map(|known| known.id).ok_or(Rejection::UnknownReplay)?;
        let until = self.now() + self.parameters.appeal_time;
        let Some(case) = self.provider_mut(owner).and_then(|known| known.cases.get_mut(&id)) else {
            return Err(Rejection::UnknownReplay);
        };
        case.appeal = None;
        let (expected, found, salt) = (case.expected, case.found, case.file.salt);
        let key = match outcome {
            ReplayOutcome::Done { outcome, .. } if outcome.is_consistent() => outcome.key(salt),
            _ => Digest::from_bytes([0; 32]),
        };
        if key == expected {
            self.emit(EventKind::AppealDecided { attempt: id, provider: owner, key, stands: true });
            self.forfeit(owner, id);
        } else if key == found {
            self.emit(EventKind::AppealDecided { attempt: id, provider: owner, key, stands: false });
            self.give_back_case(owner, id);
        } else {
            case.until = until;
            let message =
                "your appeal could not be decided: the other backend gave neither result. Nothing is \
                           forfeited for another week; appeal again, and tell the coordinator's operator"
                    .to_owned();
            if let Some(known) = self.provider_mut(owner) {
                known.appeals = known.appeals.saturating_sub(1);
            }
            self.effect(Effect::TellProvider { provider: owner, message });
        }
        Ok(Reply::Done)
    }

    /// Forfeits that nobody has appealed in time.
    pub(crate) fn end_cases(&mut self, provider: Identity) {
        let now = self.now();
        let Some(known) = self.providers.get(&provider) else { return };
        let over = known.cases.iter().filter(|(_, case)| case.wake_at().is_some_and(|at| at <= now));
        let over: Vec<AttemptId> = over.map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.forfeit(provider, id));
    }

    fn forfeit(&mut self, provider: Identity, attempt: AttemptId) {
        let Some(case) = self.provider_mut(provider).and_then(|known| known.cases.remove(&attempt)) else {
            return;
        };
        let credits = case.credits;
        self.post(Account::Suspended { provider }, Account::Forfeits, credits);
        self.emit(EventKind::ForfeitFinal { attempt, provider, credits });
    }

    /// It was no fault: what it took is held again, and the key is what it was.
    fn give_back_case(&mut self, provider: Identity, attempt: AttemptId) {
        let release_at = self.now() + self.parameters.hold;
        let Some(case) = self.provider_mut(provider).and_then(|known| known.cases.remove(&attempt)) else {
            return;
        };
        let operator = self.providers.get(&provider).map(|known| known.operator);
        let earned = case.credits.saturating_sub(case.stake);
        self.post(Account::Suspended { provider }, Account::Held { provider }, earned);
        if let Some(operator) = operator {
            let stake = Account::Stake { operator };
            self.post(Account::Suspended { provider }, stake, case.stake);
            if let Some(known) = self.operator_mut(operator) {
                known.faults = known.faults.saturating_sub(1);
            }
        }
        let Some(known) = self.provider_mut(provider) else { return };
        let hour = crate::verify::hour_of(release_at);
        let held: &mut HeldHour = known.hours.entry(hour).or_default();
        held.credits.0 += earned.0;
        known.standing = Standing::Known;
        known.reputation.faults = known.reputation.faults.saturating_sub(1);
        if known.cases.is_empty() && known.pause.is_some_and(|pause| pause.reason == PauseReason::Fault) {
            known.pause = None;
            self.emit(EventKind::ProviderResumed { provider });
        }
    }
}
