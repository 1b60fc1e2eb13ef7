//! What an auditor knows so far. Forgets tasks and jobs when they are over, so a long log needs little memory.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Credits, Digest, Identity, OperatorId, Price, Redundancy, Timestamp};

use crate::{
    Account, CloseReason, DeviceClass, Draw, EndKind, EpochSecret, Event, EventKind, JobTag, Parameters,
    TaskTag, audit::AuditReport,
};

/// What is known of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) parameters: Parameters,
    at: Timestamp,
    epochs: BTreeMap<u64, Digest>,
    pub(super) draws: BTreeMap<u64, Vec<KnownDraw>>,
    pub(super) providers: BTreeMap<Identity, OperatorId>,
    pub(super) lease_epoch: Option<u64>,
    pub(super) jobs: BTreeMap<JobTag, KnownJob>,
    pub(super) tasks: BTreeMap<TaskTag, KnownTask>,
    pub(super) attempts: BTreeMap<AttemptId, KnownAttempt>,
    /// What faults took that is not final.
    pub(super) suspended: BTreeMap<AttemptId, Credits>,
    prices: BTreeMap<DeviceClass, Price>,
    /// What a fault could take of each key: what it was paid and did not lose, and of each operator its stake.
    pub(super) earned: BTreeMap<Identity, Credits>,
    pub(super) stakes: BTreeMap<OperatorId, Credits>,
    /// Whose the attempts are that are at fault.
    pub(super) appealed: BTreeMap<AttemptId, Identity>,
}

#[derive(Clone, Debug)]
pub(super) struct KnownDraw {
    pub(super) task: TaskTag,
    pub(super) draw: Draw,
    pub(super) millionths: u32,
    pub(super) hit: bool,
}

#[derive(Clone, Debug)]
pub(super) struct KnownJob {
    pub(super) redundancy: Redundancy,
    pub(super) own_list: bool,
    /// Tasks that it has, and those that became final.
    pub(super) planned: u64,
    pub(super) finals: u64,
    pub(super) escrow: Credits,
    pub(super) spent: Credits,
    pub(super) remainder: u64,
    pub(super) tasks: BTreeSet<TaskTag>,
    /// Whether its developer has to resume it.
    pub(super) paused: bool,
    /// Whether a task was run again, so that more of them become final than the plan has.
    pub(super) rerun: bool,
}

#[derive(Clone, Debug)]
pub(super) struct KnownTask {
    pub(super) job: JobTag,
    pub(super) attempts: Vec<AttemptId>,
    pub(super) replays: Vec<Digest>,
    pub(super) verdict: Option<Digest>,
    pub(super) needed: Option<u8>,
    /// The verdict rests on a replay.
    pub(super) by_replay: bool,
}

#[derive(Clone, Debug)]
pub(super) struct KnownAttempt {
    pub(super) task: TaskTag,
    pub(super) provider: Identity,
    pub(super) operator: OperatorId,
    pub(super) lease_epoch: u64,
    pub(super) shadow: bool,
    pub(super) anchor: bool,
    pub(super) price: Price,
    pub(super) commitment: Option<Digest>,
    pub(super) closed: Option<CloseReason>,
    pub(super) revealed: Option<(Digest, u64)>,
    pub(super) valid: bool,
    /// A verdict said whether it is.
    pub(super) judged: bool,
    /// It is at fault, and where it went wrong was not said yet.
    pub(super) unlocated: bool,
    pub(super) paid: bool,
    /// What must follow from a verdict before the task is final.
    pub(super) owed: Option<Owed>,
}

/// What follows from a verdict for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// It agrees: it is paid, or its trace was another's and it dissents.
    Pay,
    /// A replay contradicts it: it is at fault.
    Fault,
    /// Anchors contradict it: it dissents.
    Dissent,
}

impl Owed {
    /// What a log lacks that does not say it.
    pub(super) fn missing(self) -> &'static str {
        match self {
            Owed::Pay => "an attempt that agrees with its verdict was never paid",
            Owed::Fault => "an attempt that a replay contradicts was never at fault",
            Owed::Dissent => "an attempt that anchors contradict was never said to dissent",
        }
    }
}

/// A sentence where the condition does not hold.
pub(super) fn ensure(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

impl Book {
    pub(super) fn draws_open(&self) -> u64 {
        self.draws.values().map(|draws| draws.len() as u64).sum()
    }

    pub(super) fn attempt(&mut self, id: AttemptId) -> Result<&mut KnownAttempt, String> {
        self.attempts.get_mut(&id).ok_or_else(|| "nobody leased this attempt".to_owned())
    }

    pub(super) fn task(&mut self, tag: TaskTag) -> Result<&mut KnownTask, String> {
        self.tasks.get_mut(&tag).ok_or_else(|| "this task was never opened".to_owned())
    }

    pub(super) fn read(&mut self, event: &Event, report: &mut AuditReport) -> Result<(), String> {
        let back = event.at < self.at;
        let unended = event.at > self.at && self.forget_unended();
        self.at = self.at.max(event.at);
        self.read_kind(&event.kind, report)?;
        ensure(!back, "time goes back")?;
        ensure(!unended, "every task of a job is final, and the job's end and refund are not here")
    }

    /// Whether a job ought to have ended by now: it ends with the last of its tasks. Said once of each.
    fn forget_unended(&mut self) -> bool {
        let is_over =
            |job: &KnownJob| job.finals >= job.planned && job.tasks.is_empty() && !job.paused && !job.rerun;
        let before = self.jobs.len();
        self.jobs.retain(|_, job| !is_over(job));
        self.jobs.len() < before
    }

    fn read_kind(&mut self, kind: &EventKind, report: &mut AuditReport) -> Result<(), String> {
        match kind {
            EventKind::RulesSet { parameters } => self.parameters = (**parameters).clone(),
            EventKind::EpochCommitted { epoch, commitment } => {
                let known = self.epochs.insert(*epoch, *commitment);
                return ensure(known.is_none(), "an epoch is committed to twice");
            }
            EventKind::EpochOpened { epoch, secret } => return self.open_epoch(*epoch, secret, report),
            EventKind::ProviderEnrolled { provider, operator } => {
                self.providers.insert(*provider, *operator);
            }
            EventKind::JobSubmitted { job, redundancy, tasks, escrow, own_list } => {
                let known = KnownJob {
                    redundancy: *redundancy,
                    own_list: *own_list,
                    planned: *tasks,
                    finals: 0,
                    escrow: *escrow,
                    spent: Credits::ZERO,
                    remainder: 0,
                    tasks: BTreeSet::new(),
                    paused: false,
                    rerun: false,
                };
                return ensure(self.jobs.insert(*job, known).is_none(), "a job is submitted twice");
            }
            EventKind::JobEnded { job, end, refund } => return self.end_job(*job, *end, *refund),
            EventKind::TaskOpened { job, task } => {
                let known = KnownTask {
                    job: *job,
                    attempts: Vec::new(),
                    replays: Vec::new(),
                    verdict: None,
                    needed: None,
                    by_replay: false,
                };
                ensure(!self.tasks.contains_key(task), "a task is opened twice")?;
                self.tasks.insert(*task, known);
                let job = self.jobs.get_mut(job).ok_or("a task of a job that was never submitted")?;
                job.tasks.insert(*task);
            }
            EventKind::JobPaused { job } => self.known_job(*job, |job| job.paused = true),
            EventKind::JobResumed { job } => self.known_job(*job, |job| job.paused = false),
            EventKind::StateLost { job, .. } => self.known_job(*job, |job| job.rerun = true),
            EventKind::FundsSet { account: Account::Stake { operator }, credits } => {
                self.stakes.insert(*operator, *credits);
            }
            EventKind::CacheHit { task, key, .. } => self.task(*task)?.verdict = Some(*key),
            EventKind::Replayed { task, key, .. } => self.task(*task)?.replays.push(*key),
            EventKind::PriceMoved { class, price, demand, supply } => {
                return self.move_price(class, *price, *demand, *supply);
            }
            EventKind::ClassForgotten { class } => drop(self.prices.remove(class)),
            other => return self.check(other, report),
        }
        Ok(())
    }

    fn known_job(&mut self, tag: JobTag, change: impl FnOnce(&mut KnownJob)) {
        if let Some(job) = self.jobs.get_mut(&tag) {
            change(job);
        }
    }

    fn open_epoch(
        &mut self,
        epoch: u64,
        secret: &EpochSecret,
        report: &mut AuditReport,
    ) -> Result<(), String> {
        let draws = self.draws.remove(&epoch).unwrap_or_default();
        report.draws += draws.len() as u64;
        let committed = self.epochs.remove(&epoch);
        ensure(committed == Some(secret.commitment()), "the secret is not the one committed to")?;
        let wrong =
            draws.iter().find(|known| secret.draw(known.draw, known.task, known.millionths) != known.hit);
        ensure(wrong.is_none(), "a draw of this epoch came out otherwise than the secret says")
    }

    /// Epochs whose secrets ought to have been published by now: with no task open, no draw of theirs is.
    pub(super) fn epochs_not_opened(&self) -> usize {
        if self.tasks.is_empty() { self.epochs.len().saturating_sub(1) } else { 0 }
    }

    fn end_job(&mut self, tag: JobTag, end: EndKind, refund: Credits) -> Result<(), String> {
        let job = self.jobs.remove(&tag).ok_or("the end of a job that was never submitted")?;
        let mut judged = false;
        for task in &job.tasks {
            let Some(known) = self.tasks.remove(task) else { continue };
            judged |= known.verdict.is_some();
            for attempt in known.attempts {
                self.attempts.remove(&attempt);
            }
        }
        ensure(!judged, "a job ends while a task of it has a verdict and is not final")?;
        let complete = end != EndKind::Completed || job.finals >= job.planned;
        ensure(complete, "a job is complete, and not all of its tasks are final")?;
        let whole = job.spent.checked_add(refund) == Some(job.escrow);
        ensure(whole, "what was paid and what came back are not what was in escrow")
    }

    fn move_price(
        &mut self,
        class: &DeviceClass,
        price: Price,
        demand: u64,
        supply: u64,
    ) -> Result<(), String> {
        let before = self.prices.insert(class.clone(), price).unwrap_or(self.parameters.price_initial);
        let expected = self.parameters.next_price(before, demand, supply);
        ensure(price == expected, "a price moved otherwise than demand and supply say")
    }
}
