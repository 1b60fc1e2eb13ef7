//! A market on a desk: a few providers that do exactly what a test says, for the tests of single rules.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{
    AttemptId, Blob, CommitmentFields, Credits, Digest, Identity, JobId, Limits, PlanSpec, Price, Receipt,
    ReceiptOutcome, Redundancy, Timestamp, Versions,
};
use anneal_market::{
    Account, Command, DeviceClass, DeviceId, DeviceOffer, Effect, EpochSecret, Event, EventKind, JobSpec,
    Lease, Market, Nonce, NothingHint, OperatorMarks, Parameters, Rejection, ReplayOrder, ReplayOutcome,
    Reply, Seed, audit::audit,
};

use crate::simulation::truth;

pub const VERSIONS: Versions = Versions { contract: [0, 1, 0], numerics: 1, gas: 1 };
pub const DEVELOPER: Identity = Identity::from_bytes([200; 32]);

pub struct Desk {
    pub market: Market,
    pub now: u64,
    number: u64,
    pub events: Vec<Event>,
    pub orders: Vec<ReplayOrder>,
    pub effects: Vec<Effect>,
}

pub fn provider(number: u8) -> Identity {
    Identity::from_bytes([number; 32])
}

/// Rules under which nothing is audited that a test does not want audited.
pub fn quiet() -> Parameters {
    Parameters { audit_floor_millionths: 0, audit_ceiling_millionths: 0, ..Parameters::default() }
}

/// Rules under which every agreed task is audited.
pub fn strict() -> Parameters {
    Parameters { audit_floor_millionths: 1_000_000, ..Parameters::default() }
}

pub fn offer() -> DeviceOffer {
    DeviceOffer {
        class: DeviceClass::new("gpu").expect("a class"),
        memory_bytes: 8 << 30,
        features: BTreeSet::new(),
        software: false,
        selftest: Some(VERSIONS),
        speed_gas_per_second: 1_000_000_000,
    }
}

pub fn spec(plan: PlanSpec, redundancy: Redundancy) -> JobSpec {
    JobSpec {
        component: Blob { digest: Digest::of(b"component"), bytes: 10 },
        inputs_blob: None,
        inputs: BTreeMap::new(),
        seed: 7,
        plan,
        parameters: BTreeMap::new(),
        limits: Limits { gas: 100_000_000_000, ..Limits::DEFAULT },
        versions: VERSIONS,
        redundancy,
        requirements: Default::default(),
        price_cap: Price(2000),
        gas_expected: None,
        allow: BTreeSet::new(),
        private: true,
        test: false,
        component_signature: None,
    }
}

impl Desk {
    /// A market with so many providers, whom its operator vouches for, and a rich developer.
    pub fn new(rules: Parameters, providers: u8) -> Desk {
        let mut market = Market::new(rules);
        let events = market.genesis(Timestamp(1000)).events;
        let mut desk = Desk { market, now: 1000, number: 0, events, orders: Vec::new(), effects: Vec::new() };
        desk.ok(Command::BeginEpoch { secret: EpochSecret::from_bytes([1; 32]) });
        for number in 0..providers {
            desk.join(number, None);
        }
        desk.list(&(0..providers).collect::<Vec<_>>());
        let account = Account::Available { owner: DEVELOPER };
        desk.ok(Command::SetFunds { account, credits: Credits(1 << 40) });
        desk
    }

    /// The network's operator vouches for these, and nobody else.
    pub fn list(&mut self, numbers: &[u8]) {
        let anchors = numbers.iter().map(|number| provider(*number)).collect();
        self.ok(Command::SetLists { anchors, developers: BTreeSet::new() });
    }

    pub fn join(&mut self, number: u8, payout: Option<Digest>) {
        let marks = OperatorMarks { payout, network: None };
        self.ok(Command::Enrol { provider: provider(number), marks });
        let (provider, device) = (provider(number), DeviceId(0));
        self.ok(Command::RegisterDevice { provider, device, offer: offer() });
    }

    pub fn apply(&mut self, command: Command) -> Result<Reply, Rejection> {
        self.number += 1;
        let seed = Seed(*Digest::of(&self.number.to_le_bytes()).as_bytes());
        let applied = self.market.apply(Timestamp(self.now), seed, command)?;
        self.events.extend(applied.events);
        for effect in applied.effects {
            if let Effect::Replay(order) = &effect {
                self.orders.push((**order).clone());
            }
            self.effects.push(effect);
        }
        let books = self.market.books();
        assert_eq!(books.outside, books.inside);
        Ok(applied.reply)
    }

    pub fn ok(&mut self, command: Command) -> Reply {
        self.apply(command.clone()).unwrap_or_else(|rejection| panic!("{command:?}: {rejection}"))
    }

    pub fn submit(&mut self, spec: JobSpec) -> JobId {
        let nonce = self.number;
        let reply = self.ok(Command::Submit { developer: DEVELOPER, nonce, spec: Box::new(spec) });
        let Reply::Submitted { job, .. } = reply else { panic!("{reply:?}") };
        job
    }

    pub fn ask(&mut self, number: u8) -> Result<Lease, NothingHint> {
        let (provider, device) = (provider(number), DeviceId(0));
        match self.ok(Command::AskLease { provider, device, price_floor: Price(1) }) {
            Reply::Lease(lease) => Ok(*lease),
            Reply::Nothing { hint, .. } => Err(hint),
            other => panic!("{other:?}"),
        }
    }

    pub fn lease(&mut self, number: u8) -> Lease {
        self.ask(number).unwrap_or_else(|hint| panic!("no lease for {number}: {hint:?}"))
    }

    /// The provider is there, and works on these.
    pub fn heartbeat(&mut self, number: u8, leases: &[&Lease]) -> Vec<anneal_market::Demand> {
        let attempts = leases.iter().map(|lease| lease.attempt).collect();
        match self.ok(Command::Heartbeat { provider: provider(number), attempts, all: true }) {
            Reply::Demands { demands } => demands,
            other => panic!("{other:?}"),
        }
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now += seconds * 1000;
        self.ok(Command::Tick);
    }

    pub fn commit(&mut self, number: u8, lease: &Lease, outcome: &Said) {
        let commitment = commitment(number, lease, outcome);
        self.ok(Command::Commit { provider: provider(number), attempt: lease.attempt, commitment });
    }

    pub fn reveal(&mut self, number: u8, lease: &Lease, outcome: &Said) -> Result<Reply, Rejection> {
        let receipt = Box::new(receipt(number, lease, outcome));
        let (provider, attempt) = (provider(number), lease.attempt);
        self.apply(Command::Reveal { provider, attempt, receipt, nonce: nonce(lease) })
    }

    pub fn store(&mut self, lease: &Lease, outcome: &Said) {
        let blob = outcome.0.state_blob().expect("it completes").digest;
        self.ok(Command::BlobStored { blob, attempt: lease.attempt });
    }

    /// Leases the next task to these providers, who all say what is true; the first uploads.
    pub fn finish(&mut self, numbers: &[u8]) -> Vec<Lease> {
        let leases: Vec<Lease> = numbers.iter().map(|number| self.lease(*number)).collect();
        let said: Vec<Said> = leases.iter().map(|lease| honest(lease, None)).collect();
        self.now += 60_000;
        let all = || numbers.iter().zip(leases.iter().zip(&said));
        all().for_each(|(number, (lease, said))| self.commit(*number, lease, said));
        for (number, (lease, said)) in all() {
            self.reveal(*number, lease, said).expect("a receipt that was asked for");
        }
        self.store(&leases[0], &said[0]);
        leases
    }

    /// The trusted worker answers the oldest order, truly or with a lie.
    pub fn replay(&mut self, lie: Option<u64>) {
        let order = self.orders.remove(0);
        let run = truth::run(&order.task, lie);
        let (trace, trace_root) = (run.trace(order.level), run.trace_root);
        let outcome = Box::new(ReplayOutcome::Done { outcome: run.outcome, trace_root, trace });
        self.ok(Command::ReplayAnswer { replay: order.replay, outcome });
    }

    pub fn count(&self, is: impl Fn(&EventKind) -> bool) -> usize {
        self.events.iter().filter(|event| is(&event.kind)).count()
    }

    pub fn faults(&self) -> Vec<AttemptId> {
        let fault = |event: &Event| match event.kind {
            EventKind::Fault { attempt, .. } => Some(attempt),
            _ => None,
        };
        self.events.iter().filter_map(fault).collect()
    }

    pub fn paid(&self) -> Vec<AttemptId> {
        let paid = |event: &Event| match event.kind {
            EventKind::Paid { attempt, .. } => Some(attempt),
            _ => None,
        };
        self.events.iter().filter_map(paid).collect()
    }

    pub fn available(&self) -> u64 {
        self.market.developer(&DEVELOPER).map_or(0, |developer| developer.available.0)
    }

    pub fn check_log(&self) {
        assert_eq!(audit(self.events.clone()).discrepancies, []);
    }
}

/// An outcome and the digest over its commits.
#[derive(Clone)]
pub struct Said(pub ReceiptOutcome, pub Digest);

/// What a run gives, or a lie.
pub fn honest(lease: &Lease, lie: Option<u64>) -> Said {
    let run = truth::run(&lease.task, lie);
    Said(run.outcome, run.trace_root)
}

pub fn nonce(lease: &Lease) -> Nonce {
    Nonce(Digest::of(lease.attempt.0.as_bytes()))
}

pub fn receipt(number: u8, lease: &Lease, said: &Said) -> Receipt {
    Receipt {
        task: lease.task_id,
        outcome: said.0.clone(),
        trace_root: said.1,
        component: lease.component.digest,
        versions: VERSIONS,
        device_class: "gpu".to_owned(),
        provider: provider(number),
        lease_epoch: lease.lease_epoch,
        salt: lease.salt,
    }
}

pub fn commitment(number: u8, lease: &Lease, said: &Said) -> Digest {
    let fields = CommitmentFields {
        task_tag: lease.task_tag.0,
        attempt: lease.attempt,
        lease_epoch: lease.lease_epoch,
        provider: provider(number),
        receipt_root: receipt(number, lease, said).root(),
    };
    fields.commitment(nonce(lease).0.as_bytes())
}
