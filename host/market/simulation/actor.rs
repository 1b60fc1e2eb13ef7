//! Providers of all kinds: what each does with a lease, and what it says when it is asked.

use std::collections::BTreeMap;

use anneal_job::{AttemptId, Digest, Identity, Receipt, Timestamp};
use anneal_market::{DeviceId, GiveBackReason, Lease, Nonce, TraceLevel, TraceReport};

use crate::simulation::{
    random::Random,
    truth::{self, Run},
};

/// The lie that all fresh keys tell.
const FRESH_LIE: u64 = 77;

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Does the work.
    Honest,
    /// Does it, and goes away and comes back, and gives leases back.
    Churning,
    /// Does it, sometimes four times slower than expected.
    Straggling,
    /// Often takes leases and is never heard again, or does not reveal.
    Silent,
    /// Lies about everything, on its own.
    Lying,
    /// Works honestly until trusted to work alone, then lies about every other task.
    Farming,
    /// Commits to nothing, and reveals what somebody else has committed to.
    Copying,
    /// Lies, and shows the trace of an honest run when asked.
    Forging,
    /// Lies where a partner holds the same task, as the partner does; otherwise works honestly.
    Colluding,
    /// Shadows honestly, and then lies about everything as all its kind do; a key that is caught is replaced.
    Fresh,
    /// Honest, and joins later than the others.
    Newcomer,
    /// Many identities of one person, who farms reputation with tiny jobs of its own and then lies as one.
    Sybil,
}

/// A provider and what it is doing.
pub struct Actor {
    pub id: Identity,
    pub kind: Kind,
    pub device: DeviceId,
    pub speed: u64,
    pub joined: Timestamp,
    pub first_pay: Option<Timestamp>,
    /// Paid in the last half of the jobs' time.
    pub late_pay: u64,
    pub online: bool,
    pub work: BTreeMap<AttemptId, Work>,
}

/// A lease and how far the work on it is.
pub struct Work {
    pub lease: Box<Lease>,
    pub run: Run,
    pub lied: bool,
    pub receipt: Receipt,
    pub nonce: Nonce,
    pub finished: bool,
    pub acknowledged: bool,
    pub revealed: bool,
    pub ends_at: Timestamp,
}

/// What partners know of each other's leases, by task and group.
pub type Whispers = BTreeMap<(Digest, u64), Whisper>;

/// How many partners hold a task, and whether they lie about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whisper {
    pub partners: u32,
    pub lie: Option<bool>,
}

impl Actor {
    /// Begins the work on a lease, or gives it back.
    pub fn begin(
        &mut self,
        lease: Box<Lease>,
        now: Timestamp,
        random: &mut Random,
        trusted_from: u32,
        tasks_done: u32,
    ) -> Result<(), GiveBackReason> {
        if self.kind == Kind::Churning && random.chance(100) {
            return Err(GiveBackReason::Policy);
        }
        let gas = truth::run(&lease.task, None).outcome.gas();
        let slow = if self.kind == Kind::Straggling && random.chance(200) { 4 } else { 1 };
        let took = gas * 1000 / self.speed.max(1) * slow;
        let lied = match self.kind {
            Kind::Fresh if !lease.shadow => true,
            Kind::Copying => true,
            _ if lease.shadow => false,
            Kind::Lying | Kind::Forging => true,
            Kind::Farming => tasks_done >= trusted_from && random.chance(500),
            _ => false,
        };
        let lie = if self.kind == Kind::Fresh { FRESH_LIE } else { truth::first_bytes(&lease.attempt.0) };
        let run = truth::run(&lease.task, lied.then_some(lie));
        let receipt = receipt(&lease, &run, self.id);
        let work = Work {
            receipt,
            run,
            lied,
            nonce: Nonce(Digest::from_bytes(random.bytes())),
            finished: false,
            acknowledged: false,
            revealed: false,
            ends_at: Timestamp(now.0 + if lied { 1000 } else { took }),
            lease,
        };
        self.work.insert(work.lease.attempt, work);
        Ok(())
    }

    /// Whether it ever comes back from this.
    pub fn vanishes(&self, random: &mut Random) -> bool {
        match self.kind {
            Kind::Silent => random.chance(150),
            _ => random.chance(2),
        }
    }
}

impl Work {
    /// Before committing: partners who hold the same task lie about it together.
    pub fn conspire(&mut self, id: Identity, group: u64) {
        self.lied = true;
        self.run = truth::run(&self.lease.task, Some(group));
        self.receipt = receipt(&self.lease, &self.run, id);
    }

    /// The commitment.
    pub fn commitment(&self) -> Digest {
        let fields = anneal_job::CommitmentFields {
            task_tag: self.lease.task_tag.0,
            attempt: self.lease.attempt,
            lease_epoch: self.lease.lease_epoch,
            provider: self.receipt.provider,
            receipt_root: self.receipt.root(),
        };
        fields.commitment(self.nonce.0.as_bytes())
    }

    /// What it says when it is traced.
    pub fn trace(&self, kind: Kind, level: TraceLevel) -> TraceReport {
        if kind == Kind::Forging {
            return truth::run(&self.lease.task, None).trace(level);
        }
        self.run.trace(level)
    }
}

fn receipt(lease: &Lease, run: &Run, provider: Identity) -> Receipt {
    Receipt {
        task: lease.task_id,
        outcome: run.outcome.clone(),
        trace_root: run.trace_root,
        component: lease.component.digest,
        versions: lease.task.versions,
        device_class: "gpu".to_owned(),
        provider,
        lease_epoch: lease.lease_epoch,
        salt: lease.salt,
    }
}
