//! The events of the simulated world, in the order of their times.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use anneal_job::{
    AttemptId, Blob, Credits, Digest, Identity, JobId, Limits, OperatorId, PlanSpec, Price, ReceiptOutcome,
    Span, Timestamp, Versions,
};
use anneal_market::{
    Account, Applied, Command, Demand, DeviceClass, DeviceId, DeviceOffer, Effect, EpochSecret, EventKind,
    Finding, JobSpec, Key, Market, OperatorMarks, Posting, Rejection, ReplayOrder, ReplayOutcome, Reply,
    Seed, TaskTag, audit::Auditor,
};

use super::{
    Outcome, Setup,
    actor::{Actor, Kind, Whispers},
    random::Random,
    truth,
};

/// Milliseconds between a provider's looks at what there is to do.
const POLL_MS: u64 = 15_000;
/// Gas per second of a trusted worker.
const TRUSTED_SPEED: u64 = 2_000_000_000;
/// What only Sybils' devices have, and what their own jobs ask for.
const SYBILS_FEATURE: &str = "their-own";
const VERSIONS: Versions = Versions { contract: [0, 1, 0], numerics: 1, gas: 1 };
/// Everything begins a day after the beginning of time, so that clocks can jump back.
const START: u64 = 86_400_000;

enum Happening {
    Command(Box<Command>, Option<usize>),
    Poll(usize),
    Finish(usize, AttemptId),
    Answer(usize, Box<Reply>, Option<AttemptId>),
    Refused(usize, Box<Command>, Rejection),
    Worker(Box<ReplayOrder>),
    Tick,
    Epoch,
}

/// What the world knows of an attempt, to judge the market.
struct Told {
    actor: usize,
    lied: bool,
    lie_begins: (u64, u64),
}

/// The simulated world.
pub struct World {
    setup: Setup,
    pub market: Market,
    random: Random,
    now: u64,
    number: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    actors: Vec<Actor>,
    by_id: BTreeMap<Identity, usize>,
    operators: BTreeMap<OperatorId, usize>,
    whispers: Whispers,
    waiting: Vec<ReplayOrder>,
    busy: u32,
    wrong: BTreeMap<TaskTag, bool>,
    told: BTreeMap<AttemptId, Told>,
    tasks_done: Vec<u32>,
    jobs: BTreeMap<JobId, JobSpec>,
    states: BTreeMap<JobId, BTreeMap<u32, Digest>>,
    rows: BTreeMap<Key, Vec<u8>>,
    auditor: Auditor,
    outcome: Outcome,
}

impl World {
    pub fn new(setup: Setup) -> World {
        let mut world = World {
            market: Market::new(setup.parameters.clone()),
            random: Random(setup.seed),
            now: START,
            number: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            actors: Vec::new(),
            by_id: BTreeMap::new(),
            operators: BTreeMap::new(),
            whispers: Whispers::new(),
            waiting: Vec::new(),
            busy: 0,
            wrong: BTreeMap::new(),
            told: BTreeMap::new(),
            tasks_done: Vec::new(),
            jobs: BTreeMap::new(),
            states: BTreeMap::new(),
            rows: BTreeMap::new(),
            auditor: Auditor::default(),
            outcome: Outcome::default(),
            setup,
        };
        let genesis = world.market.genesis(Timestamp(START));
        world.take_in(genesis, None, None);
        world.happen(0, Happening::Epoch);
        world.settle_in();
        world
    }

    fn happen(&mut self, after: u64, happening: Happening) {
        self.number += 1;
        self.queue.push(Reverse((self.now + after, self.number)));
        self.happenings.insert(self.number, happening);
    }

    /// Sends a command over the network.
    fn send(&mut self, from: Option<usize>, command: Command) {
        let (lost, repeated) = (self.setup.lost, self.setup.repeated);
        if from.is_some() && self.random.chance(lost) {
            return;
        }
        let latency = 5 + self.random.below(400);
        if from.is_some() && self.random.chance(repeated) {
            let later = latency + self.random.below(5000);
            self.happen(later, Happening::Command(Box::new(command.clone()), from));
        }
        self.happen(latency, Happening::Command(Box::new(command), from));
    }

    /// Everybody joins; jobs are submitted over the first hours.
    fn settle_in(&mut self) {
        let kinds: Vec<Kind> = self
            .setup
            .providers
            .clone()
            .into_iter()
            .flat_map(|(kind, count)| std::iter::repeat_n(kind, count as usize))
            .collect();
        for (number, kind) in kinds.into_iter().enumerate() {
            let id = Identity::from_bytes(self.random.bytes());
            let speed = 1_000_000_000 * (1 + self.random.below(4));
            let device = DeviceId(0);
            self.tasks_done.push(0);
            let joins = if kind == Kind::Newcomer { self.setup.newcomers_at.0 } else { 1 };
            let joined = Timestamp(START + joins);
            let (work, first_pay, late_pay) = (BTreeMap::new(), None, 0);
            let actor = Actor { id, kind, device, speed, joined, first_pay, late_pay, online: true, work };
            self.actors.push(actor);
            self.join(number, joins);
            let first = joins + 1000 + self.random.below(POLL_MS);
            self.happen(first, Happening::Poll(number));
        }
        let honest = self.actors.iter().filter(|actor| actor.kind == Kind::Honest);
        let anchors = honest.take(self.setup.anchors as usize).map(|actor| actor.id).collect();
        let lists = Command::SetLists { anchors, developers: BTreeSet::new() };
        self.happen(3, Happening::Command(Box::new(lists), None));
        self.happen(500, Happening::Tick);
        self.farm();
        for number in 0..self.setup.jobs {
            let developer = Identity::from_bytes(self.random.bytes());
            let spec = self.spec(number);
            let account = Account::Available { owner: developer };
            let funds = Command::SetFunds { account, credits: Credits(1 << 50) };
            let at = 600 + u64::from(number) * (self.setup.jobs_over.0 / u64::from(self.setup.jobs.max(1)));
            self.happen(at, Happening::Command(Box::new(funds), None));
            let nonce = u64::from(number);
            let submit = Command::Submit { developer, nonce, spec: Box::new(spec) };
            self.happen(at + 1, Happening::Command(Box::new(submit), None));
        }
    }

    /// Enrols an actor under its key, from its prefix.
    fn join(&mut self, number: usize, after: u64) {
        let Actor { id, kind, speed, device, .. } = self.actors[number];
        self.by_id.insert(id, number);
        self.outcome.by_kind.entry(kind).or_default().providers += 1;
        let shared = self.setup.prefixes > 0 && is_harmful(kind);
        let prefix =
            if shared { number as u64 % u64::from(self.setup.prefixes) } else { 1000 + number as u64 };
        let network = Some(Digest::of(&prefix.to_le_bytes()));
        let marks = OperatorMarks { payout: Some(Digest::of(&self.random.bytes())), network };
        self.happen(after, Happening::Command(Box::new(Command::Enrol { provider: id, marks }), None));
        let own = (kind == Kind::Sybil).then(|| SYBILS_FEATURE.to_owned());
        let offer = DeviceOffer {
            class: DeviceClass::new("gpu").expect("a class"),
            memory_bytes: 8 << 30,
            features: own.into_iter().collect(),
            software: false,
            selftest: Some(VERSIONS),
            speed_gas_per_second: speed,
        };
        let register = Command::RegisterDevice { provider: id, device, offer };
        self.happen(after + 1, Happening::Command(Box::new(register), None));
    }

    /// A key that is caught is replaced: it cost nothing.
    fn replace(&mut self, number: usize) {
        if self.actors[number].kind != Kind::Fresh {
            return;
        }
        self.actors[number].id = Identity::from_bytes(self.random.bytes());
        self.actors[number].work.clear();
        self.join(number, 1);
    }

    /// Sybils pay themselves, with granted funds, for tiny tasks that nobody else may take: by a list, or by asking
    /// for a feature that only they have.
    fn farm(&mut self) {
        let sybils = self.actors.iter().filter(|actor| actor.kind == Kind::Sybil);
        let allow: BTreeSet<Identity> = sybils.map(|actor| actor.id).collect();
        for number in 0..self.setup.tiny_jobs {
            let developer = Identity::from_bytes(self.random.bytes());
            let funds = Command::Grant { owner: developer, credits: Credits(1 << 50) };
            self.happen(500, Happening::Command(Box::new(funds), None));
            let mut spec = self.spec(1_000_000 + number);
            spec.plan = PlanSpec::Train { segments: 30, workers: 1 };
            spec.limits.gas = 10_000_000;
            spec.gas_expected = Some(5_000_000);
            if number.is_multiple_of(2) {
                spec.allow = allow.clone();
            } else {
                spec.requirements.features.insert(SYBILS_FEATURE.to_owned());
            }
            let submit = Command::Submit { developer, nonce: 0, spec: Box::new(spec) };
            self.happen(501, Happening::Command(Box::new(submit), None));
        }
    }

    fn spec(&mut self, number: u32) -> JobSpec {
        let plan = PlanSpec::Train { segments: self.setup.segments, workers: self.setup.workers };
        let gas = 100_000_000_000;
        JobSpec {
            component: Blob { digest: Digest::of(&number.to_le_bytes()), bytes: 1000 },
            inputs_blob: None,
            inputs: BTreeMap::new(),
            seed: u64::from(number),
            plan,
            parameters: BTreeMap::new(),
            limits: Limits { gas, ..Limits::DEFAULT },
            versions: VERSIONS,
            redundancy: self.setup.redundancy,
            requirements: Default::default(),
            price_cap: Price(1_000_000),
            gas_expected: Some(gas / 2),
            allow: BTreeSet::new(),
            private: number.is_multiple_of(2),
            test: false,
            component_signature: None,
        }
    }

    /// Runs until every job has ended, or time is up.
    pub fn run(mut self) -> Outcome {
        let end = START + self.setup.horizon.0;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > end || self.outcome.jobs_ended == self.setup.jobs {
                break;
            }
            self.now = at;
            let Some(happening) = self.happenings.remove(&number) else { continue };
            self.live(happening);
        }
        self.outcome.jobs_open = self.setup.jobs - self.outcome.jobs_ended;
        self.outcome.ended_at = Span(self.now - START);
        self.sum_up();
        self.outcome.audit = std::mem::take(&mut self.auditor).finish();
        self.outcome
    }

    /// Whether the second half of the jobs' time has come.
    fn is_late(&self) -> bool {
        self.now > START + self.setup.jobs_over.0 / 2
    }

    /// How it went for those who are honest.
    fn sum_up(&mut self) {
        let pay = |kind: Kind| {
            let late: Vec<f64> = self
                .actors
                .iter()
                .filter(|actor| actor.kind == kind)
                .map(|actor| actor.late_pay as f64)
                .collect();
            late.iter().sum::<f64>() / late.len().max(1) as f64
        };
        (self.outcome.newcomer_pay, self.outcome.established_pay) = (pay(Kind::Newcomer), pay(Kind::Honest));
        for actor in &self.actors {
            if !matches!(actor.kind, Kind::Honest | Kind::Newcomer) {
                continue;
            }
            self.outcome.honest_starved += u64::from(actor.first_pay.is_none());
            let waited = actor.first_pay.unwrap_or(Timestamp(self.now)).since(actor.joined);
            if actor.kind == Kind::Newcomer {
                self.outcome.first_pay_max = self.outcome.first_pay_max.max(waited);
            }
        }
    }

    fn live(&mut self, happening: Happening) {
        match happening {
            Happening::Command(command, from) => self.apply(*command, from),
            Happening::Poll(actor) => self.poll(actor),
            Happening::Finish(actor, attempt) => self.finish(actor, attempt),
            Happening::Answer(actor, reply, committed) => self.answer(actor, *reply, committed),
            Happening::Refused(actor, command, rejection) => self.refused(actor, &command, &rejection),
            Happening::Worker(order) => self.replay(&order),
            Happening::Tick => {
                self.apply(Command::Tick, None);
                self.happen(1000, Happening::Tick);
            }
            Happening::Epoch => {
                let secret = EpochSecret::from_bytes(self.random.bytes());
                self.apply(Command::BeginEpoch { secret }, None);
                self.happen(900_000, Happening::Epoch);
            }
        }
    }

    fn apply(&mut self, command: Command, from: Option<usize>) {
        // The coordinator's clock is set back by up to a minute now and then.
        let back = if self.random.chance(5) { self.random.below(60_000) } else { 0 };
        let (now, seed) = (Timestamp(self.now - back), Seed(self.random.bytes()));
        self.outcome.commands += 1;
        let remembered = from.is_some() || matches!(command, Command::Submit { .. });
        let kept = remembered.then(|| command.clone());
        match self.market.apply(now, seed, command) {
            Ok(applied) => {
                let committed = match (&kept, &applied.reply) {
                    (Some(Command::Commit { attempt, .. }), _) => Some(*attempt),
                    (Some(Command::Submit { spec, .. }), Reply::Submitted { job, .. }) => {
                        self.jobs.insert(*job, (**spec).clone());
                        None
                    }
                    _ => None,
                };
                self.take_in(applied, from, committed);
            }
            Err(rejection) => {
                *self.outcome.rejections.entry(rejection.code()).or_default() += 1;
                if let (Some(actor), Some(command)) = (from, kept) {
                    self.happen(50, Happening::Refused(actor, Box::new(command), rejection));
                }
            }
        }
        let every = self.setup.check_every;
        if every > 0 && self.outcome.commands.is_multiple_of(every) {
            self.check();
        }
    }

    /// The market's books balance, and its rows are the market.
    fn check(&mut self) {
        let books = self.market.books();
        assert_eq!(books.outside, books.inside, "credits came from nowhere or went there");
        let loaded = Market::load(self.rows.clone()).expect("rows load");
        assert!(loaded == self.market, "rows are another market, seed {}", self.setup.seed);
        self.outcome.rows_live_max = self.outcome.rows_live_max.max(self.rows.len());
    }

    fn take_in(&mut self, applied: Applied, from: Option<usize>, committed: Option<AttemptId>) {
        for event in &applied.events {
            self.auditor.read(event);
            self.note(&event.kind);
        }
        if self.setup.check_every > 0 {
            for key in &applied.changed {
                let row = self.market.row(key).expect("what has changed has a row");
                self.rows.insert(key.clone(), row);
            }
            for ended in &applied.ended {
                self.rows.remove(&ended.key);
            }
        }
        for effect in applied.effects {
            self.do_effect(effect);
        }
        if let Some(actor) = from
            && !self.random.chance(self.setup.lost)
        {
            let latency = 5 + self.random.below(400);
            self.happen(latency, Happening::Answer(actor, Box::new(applied.reply), committed));
        }
    }

    fn do_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Replay(order) => {
                self.outcome.replays += 1;
                self.waiting.push(*order);
                self.start_replays();
            }
            Effect::Call { provider } => {
                let actor = self.by_id[&provider];
                if self.actors[actor].online {
                    let attempts = self.actors[actor].work.keys().copied().collect();
                    self.send(Some(actor), Command::Heartbeat { provider, attempts, all: true });
                    self.ask(actor);
                }
            }
            Effect::KeepBlob { job, index, blob } => {
                self.states.entry(job).or_default().insert(index, blob);
            }
            Effect::JobEnded { job, .. } => self.judge_job(job),
            Effect::Post { posting: Posting { from, to: Account::Suspended { .. }, credits } } => {
                let actor = match from {
                    Account::Held { provider } => self.by_id.get(&provider),
                    Account::Stake { operator } => self.operators.get(&operator),
                    _ => None,
                };
                if let Some(actor) = actor {
                    let kind = self.actors[*actor].kind;
                    self.outcome.by_kind.entry(kind).or_default().forfeited += credits.0;
                }
            }
            _ => {}
        }
    }

    /// Compares what a job gave with what is true.
    fn judge_job(&mut self, job: JobId) {
        // A job that only Sybils may take waits for them when they are paused: its owner's own affair.
        let Some(spec) = self.jobs.get(&job).filter(|spec| !spec.has_own_list()) else { return };
        self.outcome.jobs_ended += 1;
        let given = self.states.remove(&job).unwrap_or_default();
        let mut states: BTreeMap<usize, Digest> = BTreeMap::new();
        for planned in spec.plan.unroll() {
            let task = anneal_job::Task {
                component: spec.component.digest,
                entry: planned.entry,
                place: planned.place,
                job_seed: spec.seed,
                parameters: spec.parameters.clone(),
                inputs: spec.inputs.clone(),
                states: planned.states.iter().map(|state| states[state]).collect(),
                limits: spec.limits,
                versions: spec.versions,
            };
            let ReceiptOutcome::Completed { completed, state_blob } = truth::run(&task, None).outcome else {
                continue;
            };
            states.insert(planned.index, completed.state);
            let right = given.get(&(planned.index as u32)) == Some(&state_blob.digest);
            self.outcome.wrong_states += u64::from(!right);
        }
    }

    /// What the log says, held against what the world knows.
    fn note(&mut self, event: &EventKind) {
        match event {
            EventKind::ProviderEnrolled { provider, operator } => {
                let actor = self.by_id[provider];
                self.operators.insert(*operator, actor);
            }
            EventKind::Leased { shadow, .. } => {
                self.outcome.leases += 1;
                self.outcome.shadows += u64::from(*shadow);
            }
            EventKind::ShadowDiffered { attempt, .. } | EventKind::Dissented { attempt, .. } => {
                let Some(told) = self.told.get(attempt) else { return };
                let (actor, lied) = (told.actor, told.lied);
                self.outcome.honest_faulted += u64::from(!lied && !is_harmful(self.actors[actor].kind));
                self.replace(actor);
            }
            EventKind::Verdict { task, attempts, .. } => {
                let lied = |attempt: &AttemptId| self.told.get(attempt).is_some_and(|told| told.lied);
                if attempts.iter().any(|judged| judged.valid && lied(&judged.attempt)) {
                    self.outcome.wrong_verdicts += u64::from(self.wrong.insert(*task, true).is_none());
                }
            }
            EventKind::TaskFinal { task, audit, .. } => {
                self.outcome.tasks_final += 1;
                if let Some(still) = self.wrong.remove(task) {
                    let missed = 1.0 - audit.map_or(0.0, |draw| f64::from(draw.millionths) / 1e6);
                    self.outcome.misses_expected += missed;
                    self.outcome.misses_variance += missed * (1.0 - missed);
                    self.outcome.wrong_accepted += u64::from(still);
                }
            }
            EventKind::Overturned { task, .. } => {
                self.outcome.overturned += 1;
                self.wrong.insert(*task, false);
            }
            EventKind::Fault { attempt, .. } => {
                let Some(told) = self.told.get(attempt) else { return };
                let kind = self.actors[told.actor].kind;
                self.outcome.by_kind.entry(kind).or_default().faults += 1;
                self.outcome.honest_faulted += u64::from(!told.lied);
                let actor = told.actor;
                self.replace(actor);
            }
            EventKind::Paid { attempt, gas, credits, fee, .. } => {
                self.outcome.gas_paid += gas;
                let Some(told) = self.told.get(attempt) else { return };
                let late = self.is_late();
                self.outcome.late_gas_paid += if late { *gas } else { 0 };
                let actor = &mut self.actors[told.actor];
                actor.first_pay.get_or_insert(Timestamp(self.now));
                actor.late_pay += if late { credits.0 } else { 0 };
                let sums = self.outcome.by_kind.entry(self.actors[told.actor].kind).or_default();
                let net = credits.0 - fee.0;
                sums.valid += 1;
                if told.lied {
                    sums.lie_pay += net;
                } else {
                    sums.honest_pay += net;
                }
                self.tasks_done[told.actor] += 1;
            }
            EventKind::Finding { attempt, finding, .. } => self.note_finding(*attempt, finding),
            _ => {}
        }
    }

    fn note_finding(&mut self, attempt: AttemptId, finding: &Finding) {
        let begins = self.told.get(&attempt).map(|told| told.lie_begins);
        let (name, right) = match finding {
            Finding::Operation { step, operation, .. } => ("operation", begins == Some((*step, *operation))),
            Finding::Commit { .. } => ("commit", true),
            Finding::Forged => ("forged", true),
            Finding::Silent => ("silent", true),
            Finding::Untraced => ("untraced", true),
        };
        *self.outcome.findings.entry(name).or_default() += 1;
        self.outcome.findings_wrong += u64::from(!right);
    }

    /// Free workers take what waits: what somebody waits for first, and then in order.
    fn start_replays(&mut self) {
        while self.busy < self.setup.trusted && !self.waiting.is_empty() {
            let next = self.waiting.iter().position(|order| order.urgent).unwrap_or(0);
            let order = self.waiting.remove(next);
            let age = Timestamp(self.now).since(order.ordered_at);
            self.outcome.replay_age_max = self.outcome.replay_age_max.max(age);
            self.busy += 1;
            let gas = truth::run(&order.task, None).outcome.gas();
            let takes = gas * 1000 / TRUSTED_SPEED + self.random.below(5_000);
            self.happen(takes, Happening::Worker(Box::new(order)));
        }
    }

    fn replay(&mut self, order: &ReplayOrder) {
        self.busy -= 1;
        let outcome = if self.random.chance(10) {
            ReplayOutcome::Failed { message: "the worker was killed".to_owned() }
        } else {
            let run = truth::run(&order.task, None);
            let late = self.is_late();
            self.outcome.gas_replayed += run.outcome.gas();
            self.outcome.late_gas_replayed += if late { run.outcome.gas() } else { 0 };
            let (trace, trace_root) = (run.trace(order.level), run.trace_root);
            ReplayOutcome::Done { outcome: run.outcome, trace_root, trace }
        };
        let answer = Command::ReplayAnswer { replay: order.replay, outcome: Box::new(outcome) };
        // An effect that is done twice gives a second answer.
        if self.random.chance(20) {
            self.apply(answer.clone(), None);
        }
        self.apply(answer, None);
        self.start_replays();
    }

    fn poll(&mut self, number: usize) {
        let jitter = self.random.below(2000);
        self.happen(POLL_MS + jitter, Happening::Poll(number));
        let churns = self.actors[number].kind == Kind::Churning;
        if churns && self.random.chance(5) {
            self.actors[number].online = !self.actors[number].online;
        }
        if !self.actors[number].online {
            return;
        }
        let provider = self.actors[number].id;
        let unacknowledged: Vec<AttemptId> = self.actors[number]
            .work
            .iter()
            .filter(|(_, work)| work.finished && !work.acknowledged)
            .map(|(id, _)| *id)
            .collect();
        for attempt in unacknowledged {
            self.commit(number, attempt);
        }
        let attempts = self.actors[number].work.keys().copied().collect();
        self.send(Some(number), Command::Heartbeat { provider, attempts, all: true });
        self.ask(number);
        if self.random.chance(20) {
            self.send(Some(number), Command::ResumeProvider { provider });
        }
    }

    /// Asks for a lease, unless the actor is at work.
    fn ask(&mut self, number: usize) {
        let (provider, device) = (self.actors[number].id, self.actors[number].device);
        if self.actors[number].work.values().all(|work| work.acknowledged) {
            self.send(Some(number), Command::AskLease { provider, device, price_floor: Price(10) });
        }
    }

    fn finish(&mut self, number: usize, attempt: AttemptId) {
        if self.actors[number].vanishes(&mut self.random) {
            // The silent go on saying that they work; others have lost what they did.
            if self.actors[number].kind != Kind::Silent {
                self.actors[number].work.remove(&attempt);
            }
            return;
        }
        let (id, kind) = (self.actors[number].id, self.actors[number].kind);
        let trusted = self.tasks_done[number] >= self.setup.parameters.adaptive_streak + 2;
        let Some(work) = self.actors[number].work.get_mut(&attempt) else { return };
        let group = group_of(kind, number);
        if let Some(group) = group.filter(|_| !work.lease.shadow) {
            let whisper = self.whispers.entry((work.lease.task_tag.0, group)).or_default();
            let together = whisper.partners >= 2 && (kind != Kind::Sybil || trusted);
            // Who finishes first decides for all.
            if *whisper.lie.get_or_insert(together) {
                work.conspire(id, group);
            }
        }
        work.finished = true;
        let told = Told { actor: number, lied: work.lied, lie_begins: work.run.lie_begins() };
        let sums = self.outcome.by_kind.entry(kind).or_default();
        sums.lies += u64::from(work.lied);
        if work.lease.shadow && !work.lied {
            sums.unpaid += work.lease.price.cost(work.run.outcome.gas()).map_or(0, |credits| credits.0);
        }
        self.told.insert(attempt, told);
        self.commit(number, attempt);
    }

    fn commit(&mut self, number: usize, attempt: AttemptId) {
        let provider = self.actors[number].id;
        let Some(work) = self.actors[number].work.get(&attempt) else { return };
        let commitment = work.commitment();
        self.send(Some(number), Command::Commit { provider, attempt, commitment });
    }

    fn answer(&mut self, number: usize, reply: Reply, committed: Option<AttemptId>) {
        let work = committed.and_then(|attempt| self.actors[number].work.get_mut(&attempt));
        work.into_iter().for_each(|work| work.acknowledged = true);
        match reply {
            Reply::Lease(lease) => self.begin(number, lease),
            Reply::Demands { demands } => {
                for demand in demands {
                    self.obey(number, demand);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, number: usize, lease: Box<anneal_market::Lease>) {
        let (attempt, tag) = (lease.attempt, lease.task_tag.0);
        let now = Timestamp(self.now);
        let trusted_from = self.setup.parameters.adaptive_streak + 2;
        let done = self.tasks_done[number];
        if self.actors[number].work.contains_key(&attempt) {
            return;
        }
        let provider = self.actors[number].id;
        match self.actors[number].begin(lease, now, &mut self.random, trusted_from, done) {
            Ok(()) => {
                let shadow = self.actors[number].work[&attempt].lease.shadow;
                if let Some(group) = group_of(self.actors[number].kind, number).filter(|_| !shadow) {
                    self.whispers.entry((tag, group)).or_default().partners += 1;
                }
                let ends_at = self.actors[number].work[&attempt].ends_at.0;
                self.happen(ends_at.saturating_sub(self.now), Happening::Finish(number, attempt));
            }
            Err(reason) => self.send(Some(number), Command::GiveBack { provider, attempt, reason }),
        }
    }

    fn obey(&mut self, number: usize, demand: Demand) {
        let provider = self.actors[number].id;
        let kind = self.actors[number].kind;
        match demand {
            Demand::Reveal { attempt, .. } => {
                if kind == Kind::Silent && self.random.chance(100) {
                    return;
                }
                let Some(work) = self.actors[number].work.get_mut(&attempt) else { return };
                work.acknowledged = true;
                let (mut receipt, nonce) = (work.receipt.clone(), work.nonce);
                if kind == Kind::Copying {
                    // What somebody else found, had it leaked.
                    receipt.outcome = truth::run(&work.lease.task, None).outcome;
                }
                work.revealed = true;
                let receipt = Box::new(receipt);
                self.send(Some(number), Command::Reveal { provider, attempt, receipt, nonce });
            }
            Demand::Upload { attempt, blob, .. } => {
                if !(kind == Kind::Silent && self.random.chance(500)) {
                    self.send(None, Command::BlobStored { blob: blob.digest, attempt });
                }
            }
            Demand::Trace { attempt, level, .. } => {
                if kind == Kind::Lying && self.random.chance(200) {
                    return;
                }
                let Some(work) = self.actors[number].work.get(&attempt) else { return };
                let report = work.trace(kind, level);
                self.send(Some(number), Command::TraceAnswer { provider, attempt, level, report });
            }
            Demand::Stop { attempt } => {
                self.actors[number].work.remove(&attempt);
            }
        }
    }

    fn refused(&mut self, number: usize, command: &Command, rejection: &Rejection) {
        if let Command::Commit { attempt, .. } | Command::Reveal { attempt, .. } = command
            && matches!(rejection, Rejection::LeaseEnded | Rejection::UnknownAttempt)
        {
            self.actors[number].work.remove(attempt);
        }
    }
}

/// Whether a provider means harm, whatever it does at the moment.
pub fn is_harmful(kind: Kind) -> bool {
    !matches!(kind, Kind::Honest | Kind::Churning | Kind::Straggling | Kind::Silent | Kind::Newcomer)
}

/// Whom a provider lies together with.
fn group_of(kind: Kind, number: usize) -> Option<u64> {
    match kind {
        Kind::Colluding => Some(1 + number as u64 % 2),
        Kind::Sybil => Some(100),
        _ => None,
    }
}
