//! Generated histories: whatever is sent in whatever order, nothing panics, credits conserve, a rejected
//! command changes nothing, rows are the market, and the same history makes the same market.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{
    AttemptId, Blob, Credits, Digest, FaultCode, HostFault, Identity, JobId, Limits, PlanSpec, Price,
    Redundancy, Span, Timestamp, Versions,
};
use anneal_market::{
    Account, Command, DeviceClass, DeviceId, DeviceOffer, Effect, EpochSecret, Event, GiveBackReason,
    JobRequirements, JobSpec, Key, Market, Nonce, OperatorMarks, Parameters, ReplayId, ReplayOutcome, Reply,
    Seed, TraceLevel, audit::audit,
};
use proptest::prelude::*;

use crate::simulation::truth;

/// A step of a history; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Enrol(u8, u8),
    Register(u8, u64),
    Submit {
        developer: u8,
        plan: u8,
        redundancy: u8,
        workers: u8,
        cap: u64,
    },
    Cancel(u8),
    Resume(u8),
    Ask(u8),
    Heartbeat(u8, bool),
    Commit {
        attempt: u8,
        lie: u8,
    },
    Reveal {
        attempt: u8,
        garble: bool,
    },
    /// Everybody who holds something commits; whoever is asked reveals.
    CommitAll {
        lie: u8,
    },
    RevealAll,
    /// The machines of whoever got the last leases all fail.
    FaultAll,
    Fault(u8),
    GiveBack(u8),
    Blob(u8),
    Replay {
        order: u8,
        answer: u8,
    },
    Trace {
        attempt: u8,
        garble: bool,
    },
    Lose(u8),
    Pause(u8),
    Unpause(u8),
    Withdraw(u8),
    Wait(u32),
    Epoch,
    Funds(u8, u32),
    Stake(u8, u32),
    Grant(u8, u32),
    List(u8),
    Appeal(u8),
}

fn steps() -> impl Strategy<Value = Step> {
    let n = 0u8..8;
    prop_oneof![
        1 => (n.clone(), 0u8..4).prop_map(|(who, marks)| Step::Enrol(who, marks)),
        1 => (n.clone(), 1u64..4).prop_map(|(who, speed)| Step::Register(who, speed)),
        3 => (0u8..3, 0u8..4, 0u8..4, 1u8..4, 500u64..3000).prop_map(
            |(developer, plan, redundancy, workers, cap)| {
                Step::Submit { developer, plan, redundancy, workers, cap }
            }
        ),
        1 => n.clone().prop_map(Step::Cancel),
        1 => n.clone().prop_map(Step::Resume),
        20 => n.clone().prop_map(Step::Ask),
        2 => (n.clone(), any::<bool>()).prop_map(|(who, named)| Step::Heartbeat(who, named)),
        20 => (any::<u8>(), prop_oneof![8 => Just(0u8), 1 => 1u8..4])
            .prop_map(|(attempt, lie)| Step::Commit { attempt, lie }),
        25 => (any::<u8>(), prop::bool::weighted(0.1))
            .prop_map(|(attempt, garble)| Step::Reveal { attempt, garble }),
        8 => prop_oneof![4 => Just(0u8), 1 => 1u8..4].prop_map(|lie| Step::CommitAll { lie }),
        8 => Just(Step::RevealAll),
        2 => Just(Step::FaultAll),
        4 => any::<u8>().prop_map(Step::Fault),
        1 => any::<u8>().prop_map(Step::GiveBack),
        12 => any::<u8>().prop_map(Step::Blob),
        12 => (any::<u8>(), prop_oneof![6 => Just(0u8), 1 => 1u8..4])
            .prop_map(|(order, answer)| Step::Replay { order, answer }),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(attempt, garble)| Step::Trace { attempt, garble }),
        1 => any::<u8>().prop_map(Step::Lose),
        1 => n.clone().prop_map(Step::Pause),
        2 => n.clone().prop_map(Step::Unpause),
        1 => n.clone().prop_map(Step::Withdraw),
        10 => prop_oneof![3 => 0u32..5_000, 2 => 0u32..120_000, 1 => 0u32..8_000_000].prop_map(Step::Wait),
        1 => Just(Step::Epoch),
        1 => (0u8..3, any::<u32>()).prop_map(|(who, amount)| Step::Funds(who, amount)),
        1 => (n.clone(), any::<u32>()).prop_map(|(who, amount)| Step::Stake(who, amount)),
        1 => (0u8..3, any::<u32>()).prop_map(|(who, amount)| Step::Grant(who, amount)),
        1 => (1u8..5).prop_map(Step::List),
        2 => n.prop_map(Step::Appeal),
    ]
}

fn rules() -> Parameters {
    Parameters {
        anchor_cover_tasks: 2,
        foreign_anchors_min: 2,
        replays_room: 1,
        appeal_time: Span::minutes(30),
        appeal_matched: 0,
        adaptive_streak: 2,
        hold: Span::hours(2),
        fault_pause: Span::minutes(5),
        audit_floor_millionths: 200_000,
        open_tasks_per_job: 4,
        cached_per_developer: 3,
        checkpoints_kept: 1,
        ..Parameters::default()
    }
}

fn identity(kind: u8, number: u8) -> Identity {
    let mut bytes = [number; 32];
    bytes[0] = kind;
    Identity::from_bytes(bytes)
}

const VERSIONS: Versions = Versions { contract: [0, 1, 0], numerics: 1, gas: 1 };

/// Whoever takes part, and what they remember.
struct History {
    market: Market,
    now: u64,
    number: u64,
    jobs: Vec<(Identity, JobId)>,
    leases: Vec<Held>,
    orders: Vec<anneal_market::ReplayOrder>,
    rows: BTreeMap<Key, Vec<u8>>,
    events: Vec<Event>,
    rejected: u64,
}

struct Held {
    provider: Identity,
    lease: Box<anneal_market::Lease>,
    lie: Option<u64>,
    committed: bool,
}

impl Held {
    fn run(&self) -> truth::Run {
        truth::run(&self.lease.task, self.lie)
    }

    fn receipt(&self) -> anneal_job::Receipt {
        let run = self.run();
        anneal_job::Receipt {
            task: self.lease.task_id,
            outcome: run.outcome,
            trace_root: run.trace_root,
            component: self.lease.component.digest,
            versions: VERSIONS,
            device_class: "gpu".to_owned(),
            provider: self.provider,
            lease_epoch: self.lease.lease_epoch,
            salt: self.lease.salt,
        }
    }

    fn nonce(&self) -> Nonce {
        Nonce(Digest::of(self.lease.attempt.0.as_bytes()))
    }

    fn commitment(&self) -> Digest {
        let fields = anneal_job::CommitmentFields {
            task_tag: self.lease.task_tag.0,
            attempt: self.lease.attempt,
            lease_epoch: self.lease.lease_epoch,
            provider: self.provider,
            receipt_root: self.receipt().root(),
        };
        fields.commitment(self.nonce().0.as_bytes())
    }
}

impl History {
    fn new(rules: Parameters) -> History {
        let mut history = History {
            market: Market::new(rules),
            now: 1_000_000,
            number: 0,
            jobs: Vec::new(),
            leases: Vec::new(),
            orders: Vec::new(),
            rows: BTreeMap::new(),
            events: Vec::new(),
            rejected: 0,
        };
        let genesis = history.market.genesis(Timestamp(history.now));
        history.take_in(genesis);
        for number in 0..8 {
            history.step(&Step::Enrol(number, number));
            history.step(&Step::Register(number, 2));
        }
        for developer in 0..3 {
            history.step(&Step::Funds(developer, u32::MAX));
        }
        history.step(&Step::Epoch);
        history.step(&Step::List(4));
        history
    }

    fn apply(&mut self, command: Command) -> Option<Reply> {
        self.number += 1;
        let seed = Seed(*Digest::of(&self.number.to_le_bytes()).as_bytes());
        let before = self.market.clone();
        match self.market.apply(Timestamp(self.now), seed, command.clone()) {
            Ok(applied) => Some(self.take_in(applied)),
            Err(_) => {
                self.rejected += 1;
                assert!(before == self.market, "a rejected command changed something: {command:?}");
                None
            }
        }
    }

    fn take_in(&mut self, applied: anneal_market::Applied) -> Reply {
        for key in &applied.changed {
            self.rows.insert(key.clone(), self.market.row(key).expect("what changed has a row"));
        }
        for ended in applied.ended {
            assert!(self.market.row(&ended.key).is_none(), "{} has ended and is there", ended.key);
            self.rows.remove(&ended.key);
        }
        for effect in applied.effects {
            if let Effect::Replay(order) = effect {
                self.orders.push(*order);
            }
        }
        self.events.extend(applied.events);
        let books = self.market.books();
        assert_eq!(books.outside, books.inside, "credits came from nowhere");
        for provider in self.market.providers() {
            let hours: u64 = provider.hours.values().map(|held| held.credits.0).sum();
            assert_eq!(provider.held.0, provider.pending.0 + hours, "held is not its parts");
        }
        applied.reply
    }

    fn held(&mut self, number: u8) -> Option<&mut Held> {
        let count = self.leases.len();
        (count > 0).then(|| &mut self.leases[count - 1 - usize::from(number) % count.min(12)])
    }

    fn job(&self, number: u8) -> (Identity, JobId) {
        let nobody = (identity(2, 9), JobId(Digest::of(b"no job")));
        self.jobs.get(usize::from(number) % self.jobs.len().max(1)).copied().unwrap_or(nobody)
    }

    fn step(&mut self, step: &Step) {
        let attempt_of = |held: &Held| (held.provider, held.lease.attempt);
        let nobody = (identity(1, 0), AttemptId(Digest::of(b"no attempt")));
        let command = match *step {
            Step::Enrol(who, marks) => {
                let payout = Some(Digest::of(&[marks]));
                Command::Enrol { provider: identity(1, who), marks: OperatorMarks { payout, network: None } }
            }
            Step::Register(who, speed) => self.register(who, speed),
            Step::Submit { developer, plan, redundancy, workers, cap } => {
                let spec = Box::new(spec(plan, redundancy, workers, cap));
                let developer = identity(2, developer);
                let command = Command::Submit { developer, nonce: self.number, spec };
                if let Some(Reply::Submitted { job, .. }) = self.apply(command) {
                    self.jobs.push((developer, job));
                }
                return;
            }
            Step::Cancel(number) => {
                let (developer, job) = self.job(number);
                Command::Cancel { developer, job }
            }
            Step::Resume(number) => {
                let (developer, job) = self.job(number);
                Command::ResumeJob { developer, job }
            }
            Step::Ask(who) => return self.ask(identity(1, who)),
            Step::Heartbeat(who, named) => {
                let provider = identity(1, who);
                let own = self.leases.iter().filter(|held| named && held.provider == provider);
                let attempts = own.map(|held| held.lease.attempt).collect();
                Command::Heartbeat { provider, attempts, all: true }
            }
            Step::Commit { attempt, lie } => {
                let Some(held) = self.held(attempt) else { return };
                // Nobody can say something else than it has committed to.
                if !held.committed {
                    held.lie = (lie > 0).then_some(u64::from(lie));
                    held.committed = true;
                }
                let (provider, attempt) = attempt_of(held);
                Command::Commit { provider, attempt, commitment: held.commitment() }
            }
            Step::Reveal { attempt, garble } => {
                let Some(held) = self.held(attempt) else { return };
                let (provider, attempt) = attempt_of(held);
                let nonce = if garble { Nonce(Digest::of(b"x")) } else { held.nonce() };
                Command::Reveal { provider, attempt, receipt: Box::new(held.receipt()), nonce }
            }
            Step::CommitAll { lie } => {
                for number in 0..self.leases.len().min(12) as u8 {
                    self.step(&Step::Commit { attempt: number, lie });
                }
                return;
            }
            Step::RevealAll => {
                for number in 0..self.leases.len().min(12) as u8 {
                    self.step(&Step::Reveal { attempt: number, garble: false });
                }
                return;
            }
            Step::FaultAll => {
                (0..3).for_each(|number| self.step(&Step::Fault(number)));
                return;
            }
            Step::Fault(number) => {
                let (provider, attempt) = self.held(number).map_or(nobody, |held| attempt_of(held));
                let fault = HostFault { code: FaultCode::DeviceLost, message: "lost".to_owned() };
                Command::HostFault { provider, attempt, fault }
            }
            Step::GiveBack(number) => {
                let (provider, attempt) = self.held(number).map_or(nobody, |held| attempt_of(held));
                Command::GiveBack { provider, attempt, reason: GiveBackReason::Policy }
            }
            Step::Blob(number) => {
                let Some(held) = self.held(number) else { return };
                let blob = held.run().outcome.state_blob().expect("runs complete").digest;
                Command::BlobStored { blob, attempt: held.lease.attempt }
            }
            Step::Replay { order, answer } => return self.answer(order, answer),
            Step::Trace { attempt, garble } => return self.trace(attempt, garble),
            Step::Lose(number) => {
                let blobs: Vec<Digest> = self.market.blobs().into_iter().collect();
                let Some(blob) = blobs.get(usize::from(number) % blobs.len().max(1)) else { return };
                Command::BlobLost { blob: *blob }
            }
            Step::Pause(who) => Command::PauseProvider { provider: identity(1, who) },
            Step::Unpause(who) => Command::ResumeProvider { provider: identity(1, who) },
            Step::Withdraw(who) => {
                Command::WithdrawDevice { provider: identity(1, who), device: DeviceId(0) }
            }
            Step::Wait(ms) => {
                self.now += u64::from(ms);
                Command::Tick
            }
            Step::Epoch => {
                let secret = EpochSecret::from_bytes(*Digest::of(&self.number.to_le_bytes()).as_bytes());
                Command::BeginEpoch { secret }
            }
            Step::Funds(who, amount) => {
                let account = Account::Available { owner: identity(2, who) };
                Command::SetFunds { account, credits: Credits(u64::from(amount) * 1000) }
            }
            Step::Stake(who, amount) => {
                let operator = self.market.provider(&identity(1, who)).map(|provider| provider.operator);
                let Some(operator) = operator else { return };
                let account = Account::Stake { operator };
                Command::SetFunds { account, credits: Credits(u64::from(amount)) }
            }
            Step::Grant(who, amount) => {
                Command::Grant { owner: identity(2, who), credits: Credits(u64::from(amount) * 1000) }
            }
            Step::List(count) => {
                let anchors = (0..count).map(|who| identity(1, who)).collect();
                Command::SetLists { anchors, developers: BTreeSet::from([identity(2, 0)]) }
            }
            Step::Appeal(who) => {
                let cases = self
                    .market
                    .providers()
                    .flat_map(|known| known.cases.keys().map(move |attempt| (known.id, *attempt)));
                let cases: Vec<_> = cases.collect();
                let (provider, attempt) =
                    *cases.get(usize::from(who) % cases.len().max(1)).unwrap_or(&nobody);
                Command::Appeal { provider, attempt }
            }
        };
        self.apply(command);
    }

    fn register(&mut self, who: u8, speed: u64) -> Command {
        let offer = DeviceOffer {
            class: DeviceClass::new("gpu").expect("a class"),
            memory_bytes: 1 << 30,
            features: BTreeSet::new(),
            software: who == 7,
            selftest: Some(VERSIONS),
            speed_gas_per_second: speed * 1_000_000,
        };
        Command::RegisterDevice { provider: identity(1, who), device: DeviceId(0), offer }
    }

    fn ask(&mut self, provider: Identity) {
        let ask = Command::AskLease { provider, device: DeviceId(0), price_floor: Price(1) };
        if let Some(Reply::Lease(lease)) = self.apply(ask) {
            self.leases.push(Held { provider, lease, lie: None, committed: false });
        }
    }

    /// A trusted worker's answer: the truth, or (so that nothing rests on it) a failure or nonsense.
    fn answer(&mut self, order: u8, answer: u8) {
        let Some(order) = self.orders.get(usize::from(order) % self.orders.len().max(1)).cloned() else {
            let replay = ReplayId { task: task_key(), number: 0, appeal: None };
            let outcome = Box::new(ReplayOutcome::Failed { message: String::new() });
            self.apply(Command::ReplayAnswer { replay, outcome });
            return;
        };
        let run = truth::run(&order.task, (answer > 1).then_some(u64::from(answer)));
        let outcome = if answer == 1 {
            ReplayOutcome::Failed { message: "killed".to_owned() }
        } else {
            let (trace, trace_root) = (run.trace(order.level), run.trace_root);
            ReplayOutcome::Done { outcome: run.outcome, trace_root, trace }
        };
        self.orders.retain(|known| known.replay != order.replay);
        self.apply(Command::ReplayAnswer { replay: order.replay, outcome: Box::new(outcome) });
    }

    fn trace(&mut self, number: u8, garble: bool) {
        let Some(held) = self.held(number) else { return };
        let (provider, attempt) = (held.provider, held.lease.attempt);
        let demands = self.market.demands(&provider);
        let asked = demands.iter().find_map(|demand| match demand {
            anneal_market::Demand::Trace { attempt: of, level, .. } if *of == attempt => Some(*level),
            _ => None,
        });
        let level = asked.unwrap_or(TraceLevel::Commits);
        let Some(held) = self.held(number) else { return };
        let report = if garble { Default::default() } else { held.run().trace(level) };
        self.apply(Command::TraceAnswer { provider, attempt, level, report });
    }

    fn check_rows(&self) {
        let loaded = Market::load(self.rows.clone()).expect("rows load");
        assert!(loaded == self.market, "the rows are another market");
        assert!(self.market.blobs().iter().all(|blob| self.market.needs(blob)));
        assert!(!self.market.needs(&Digest::of(b"nobody's")));
    }

    /// Everybody cancels, and the trusted worker tells the truth: every job ends.
    fn wind_up(&mut self) {
        for number in 0..self.jobs.len() as u8 {
            self.step(&Step::Resume(number));
            self.step(&Step::Cancel(number));
        }
        for _ in 0..60 {
            self.step(&Step::Wait(3_600_000));
            while !self.orders.is_empty() {
                self.step(&Step::Replay { order: 0, answer: 0 });
            }
        }
        for (_, job) in &self.jobs {
            assert!(self.market.job(job).is_none(), "a job never ends: {:#?}", self.market.job(job));
        }
    }
}

fn task_key() -> anneal_market::TaskKey {
    anneal_market::TaskKey { job: JobId(Digest::of(b"no job")), index: 0, generation: 0 }
}

fn spec(plan: u8, redundancy: u8, workers: u8, cap: u64) -> JobSpec {
    let values = (0..3).map(anneal_job::ParameterValue::Integer).collect();
    let workers = u32::from(workers);
    JobSpec {
        component: Blob { digest: Digest::of(b"component"), bytes: 10 },
        inputs_blob: None,
        inputs: BTreeMap::new(),
        seed: u64::from(plan),
        plan: match plan {
            0 => PlanSpec::Single,
            1 => PlanSpec::Map { over: BTreeMap::from([("a".to_owned(), values)]) },
            _ => PlanSpec::Train { segments: 3, workers },
        },
        parameters: BTreeMap::new(),
        limits: Limits { gas: 100_000_000, ..Limits::DEFAULT },
        versions: VERSIONS,
        redundancy: match redundancy {
            0 | 1 => Redundancy::Adaptive,
            replicas => Redundancy::Fixed(replicas),
        },
        requirements: JobRequirements::default(),
        price_cap: Price(cap),
        gas_expected: None,
        allow: BTreeSet::new(),
        private: plan.is_multiple_of(2),
        test: true,
        component_signature: None,
    }
}

fn play(rules: Parameters, steps: &[Step]) -> History {
    let mut history = History::new(rules);
    for step in steps {
        history.step(step);
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn histories_hold(steps in prop::collection::vec(steps(), 20..400)) {
        let mut history = play(rules(), &steps);
        history.check_rows();
        let report = audit(history.events.clone());
        prop_assert_eq!(report.discrepancies, vec![]);
        let again = play(rules(), &steps);
        prop_assert!(again.market == history.market && again.events == history.events);
        history.wind_up();
        history.check_rows();
        prop_assert_eq!(audit(history.events.clone()).discrepancies, vec![]);
    }

    #[test]
    fn a_loaded_market_goes_on_like_the_first(
        steps in prop::collection::vec(steps(), 20..200),
        more in prop::collection::vec(steps(), 1..100),
    ) {
        // Who waits for work is in no row, so prices would move otherwise for a while.
        let rules = Parameters { price_step_millionths: 0, ..rules() };
        // Nor is whose turn it is: here everybody is vouched for, and so needs none.
        let kept = |steps: &[Step]| -> Vec<Step> {
            let others = steps.iter().filter(|step| !matches!(step, Step::List(_)));
            std::iter::once(Step::List(8)).chain(others.cloned()).collect()
        };
        let (steps, more) = (kept(&steps), kept(&more));
        let mut history = play(rules.clone(), &steps);
        let mut loaded = play(rules, &steps);
        loaded.market = Market::load(loaded.rows.clone()).expect("rows load");
        // Who was silent is in no row: it is heard anew.
        for who in 0..8 {
            history.step(&Step::Heartbeat(who, true));
            loaded.step(&Step::Heartbeat(who, true));
        }
        for step in more.iter().filter(|step| !matches!(step, Step::Wait(ms) if *ms > 5_000)) {
            history.step(step);
            loaded.step(step);
        }
        prop_assert_eq!(&history.events, &loaded.events);
        prop_assert!(history.market == loaded.market);
    }
}

/// What histories are made of is seldom reached by chance; this fails where a rule is never exercised.
#[test]
fn histories_reach_everything() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(steps(), 300..400);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..160 {
        let steps = strategy.new_tree(&mut runner).expect("a history").current();
        // In every second one, anchors decide instead of trusted workers.
        let rules = Parameters { replays_room: number % 2, ..rules() };
        for event in play(rules, &steps).events {
            let json = serde_json::to_value(&event.kind).expect("an event is JSON");
            *seen.entry(json["event"].as_str().expect("it has a name").to_owned()).or_default() += 1;
        }
    }
    for name in [
        "anchors-listed",
        "shadow-matched",
        "shadow-differed",
        "appealed",
        "appeal-decided",
        "forfeit-final",
        "provider-paused",
        "job-paused",
        "job-resumed",
        "job-cancelled",
        "job-ended",
        "cache-hit",
        "attempt-closed",
        "revealed",
        "replayed",
        "verdict",
        "overturned",
        "fault",
        "finding",
        "paid",
        "task-final",
        "epoch-opened",
        "price-moved",
    ] {
        assert!(seen.get(name).is_some_and(|times| *times >= 3), "{name} is hardly reached: {seen:?}");
    }
}
