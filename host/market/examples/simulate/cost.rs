//! What a task costs the market as history grows: honest providers, a map after the other, two attempts each,
//! with every changed row serialised as a store would have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anneal_job::{
    Blob, Credits, Digest, Identity, Limits, ParameterValue, PlanSpec, Price, Redundancy, Span, Timestamp,
    Versions,
};
use anneal_market::{
    Account, Applied, Command, DeviceClass, DeviceId, DeviceOffer, Effect, EpochSecret, JobSpec, Lease,
    Market, Nonce, OperatorMarks, Parameters, ReplayOutcome, Reply, Seed,
};

use crate::simulation::truth;

const VERSIONS: Versions = Versions { contract: [0, 1, 0], numerics: 1, gas: 1 };
const PROVIDERS: u8 = 200;
const TASKS_OF_A_JOB: i64 = 10_000;
const TASKS: u64 = 1_000_000;

struct Bench {
    market: Market,
    now: u64,
    number: u64,
    spent: Duration,
    bytes: u64,
    replays: Vec<Command>,
}

/// Prints microseconds and bytes of rows per attempt at growing histories.
pub fn table() {
    println!("| tasks so far | µs per attempt | row bytes per attempt | rows in memory |");
    println!("| --- | --- | --- | --- |");
    let mut bench = Bench::new();
    let mut next = 1000;
    for tasks in 1..=TASKS {
        bench.task((tasks % u64::from(PROVIDERS / 2)) as u8);
        if tasks == next {
            let (micros, bytes, rows) = bench.measure();
            println!("| {tasks} | {micros:.1} | {bytes} | {rows} |");
            next *= 10;
        }
    }
}

impl Bench {
    fn new() -> Bench {
        let rules = Parameters {
            audit_ceiling_millionths: 20_000,
            unreleased_allowance: Credits(u64::MAX / 8),
            hold: Span::hours(1),
            ..Parameters::default()
        };
        let mut bench = Bench {
            market: Market::new(rules),
            now: 1,
            number: 0,
            spent: Duration::ZERO,
            bytes: 0,
            replays: Vec::new(),
        };
        bench.apply(Command::BeginEpoch { secret: EpochSecret::from_bytes([7; 32]) });
        for number in 0..PROVIDERS {
            let (provider, device) = (identity(number), DeviceId(0));
            let marks = OperatorMarks { payout: None, network: None };
            bench.apply(Command::Enrol { provider, marks });
            let offer = DeviceOffer {
                class: DeviceClass::new("gpu").expect("a class"),
                memory_bytes: 8 << 30,
                features: BTreeSet::new(),
                software: false,
                selftest: Some(VERSIONS),
                speed_gas_per_second: 1_000_000_000,
            };
            bench.apply(Command::RegisterDevice { provider, device, offer });
        }
        bench
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.number += 1;
        let seed = Seed(*Digest::of(&self.number.to_le_bytes()).as_bytes());
        let started = Instant::now();
        let applied =
            self.market.apply(Timestamp(self.now), seed, command).expect("the bench sends what is due");
        let rows: usize =
            applied.changed.iter().filter_map(|key| self.market.row(key)).map(|row| row.len()).sum();
        let ended: usize = applied.ended.iter().map(|ended| ended.row.len()).sum();
        self.spent += started.elapsed();
        self.bytes += (rows + ended) as u64;
        self.take_orders(&applied);
        applied.reply
    }

    fn take_orders(&mut self, applied: &Applied) {
        for effect in &applied.effects {
            if let Effect::Replay(order) = effect {
                let run = truth::run(&order.task, None);
                let (trace, trace_root) = (run.trace(order.level), run.trace_root);
                let outcome = Box::new(ReplayOutcome::Done { outcome: run.outcome, trace_root, trace });
                self.replays.push(Command::ReplayAnswer { replay: order.replay, outcome });
            }
        }
    }

    fn submit(&mut self) {
        let number = self.number;
        let developer = identity(255);
        let account = Account::Available { owner: developer };
        self.apply(Command::SetFunds { account, credits: Credits(1 << 55) });
        let spec = JobSpec {
            component: Blob { digest: Digest::of(b"component"), bytes: 10 },
            inputs_blob: None,
            inputs: BTreeMap::new(),
            seed: number,
            plan: PlanSpec::Map {
                over: BTreeMap::from([(
                    "fold".to_owned(),
                    (0..TASKS_OF_A_JOB).map(ParameterValue::Integer).collect(),
                )]),
            },
            parameters: BTreeMap::new(),
            limits: Limits { gas: 10_000_000_000, ..Limits::DEFAULT },
            versions: VERSIONS,
            redundancy: Redundancy::Fixed(2),
            requirements: Default::default(),
            price_cap: Price(1_000_000),
            gas_expected: None,
            allow: BTreeSet::new(),
            private: true,
            test: false,
            component_signature: None,
        };
        self.apply(Command::Submit { developer, nonce: number, spec: Box::new(spec) });
    }

    /// One task from its first lease to its end.
    fn task(&mut self, pair: u8) {
        self.now += 40;
        let mut held = Vec::new();
        while held.len() < 2 {
            let provider = identity(pair * 2 + held.len() as u8);
            let reply =
                self.apply(Command::AskLease { provider, device: DeviceId(0), price_floor: Price(1) });
            match reply {
                Reply::Lease(lease) => held.push((provider, lease)),
                _ => self.submit(),
            }
        }
        self.now += 5_000;
        for (provider, lease) in &held {
            let (receipt, nonce) = receipt(lease, *provider);
            let fields = anneal_job::CommitmentFields {
                task_tag: lease.task_tag.0,
                attempt: lease.attempt,
                lease_epoch: lease.lease_epoch,
                provider: *provider,
                receipt_root: receipt.root(),
            };
            let commitment = fields.commitment(nonce.0.as_bytes());
            self.apply(Command::Commit { provider: *provider, attempt: lease.attempt, commitment });
        }
        for (provider, lease) in &held {
            let (receipt, nonce) = receipt(lease, *provider);
            let (provider, attempt) = (*provider, lease.attempt);
            self.apply(Command::Reveal { provider, attempt, receipt: Box::new(receipt), nonce });
        }
        let blob = truth::run(&held[0].1.task, None).outcome.state_blob().expect("it completes").digest;
        self.apply(Command::BlobStored { blob, attempt: held[0].1.attempt });
        for answer in std::mem::take(&mut self.replays) {
            self.apply(answer);
        }
        if self.number.is_multiple_of(20) {
            self.apply(Command::Tick);
        }
    }

    /// Microseconds and bytes per attempt, and rows that are live. The fastest of many short measurements:
    /// whatever else the machine does makes them longer only.
    fn measure(&mut self) -> (f64, u64, usize) {
        let (mut fastest, mut bytes) = (Duration::MAX, 0);
        for pair in 0..200 {
            self.spent = Duration::ZERO;
            self.bytes = 0;
            self.task(pair % (PROVIDERS / 2));
            fastest = fastest.min(self.spent);
            bytes += self.bytes;
        }
        (fastest.as_secs_f64() * 1e6 / 2.0, bytes / 400, self.market.keys().len())
    }
}

fn receipt(lease: &Lease, provider: Identity) -> (anneal_job::Receipt, Nonce) {
    let run = truth::run(&lease.task, None);
    let receipt = anneal_job::Receipt {
        task: lease.task_id,
        outcome: run.outcome,
        trace_root: run.trace_root,
        component: lease.component.digest,
        versions: VERSIONS,
        device_class: "gpu".to_owned(),
        provider,
        lease_epoch: lease.lease_epoch,
        salt: lease.salt,
    };
    (receipt, Nonce(Digest::of(lease.attempt.0.as_bytes())))
}

fn identity(number: u8) -> Identity {
    Identity::from_bytes([number; 32])
}
