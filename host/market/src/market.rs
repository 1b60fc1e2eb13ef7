//! The state machine: every command goes through [`Market::apply`]. What the rules are is in the other files.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Digest, Identity, JobId, OperatorId, RecordHasher, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Command, Demand, DeviceClass, Effect, Event, EventKind, Key, Parameters, Rejection, Reply, TaskKey,
    attempt::Attempt,
    case::Case,
    class::Class,
    developer::{Cached, Developer},
    index::Index,
    job::Job,
    operator::Operator,
    presence::Presence,
    provider::Provider,
    spec::JobSpec,
    task::Task,
    totals::Totals,
};

/// All that the network decides by. Deterministic: the same commands at the same times with the same seeds
/// make the same market.
#[derive(Clone, Debug, PartialEq)]
pub struct Market {
    pub(crate) parameters: Parameters,
    pub(crate) totals: Totals,
    pub(crate) operators: BTreeMap<OperatorId, Operator>,
    pub(crate) providers: BTreeMap<Identity, Provider>,
    pub(crate) developers: BTreeMap<Identity, Developer>,
    pub(crate) specs: BTreeMap<JobId, JobSpec>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    /// Boxed, like attempts: maps move their entries about, and count tasks without looking at them.
    pub(crate) tasks: BTreeMap<TaskKey, Box<Task>>,
    pub(crate) attempts: BTreeMap<AttemptId, Box<Attempt>>,
    pub(crate) classes: BTreeMap<DeviceClass, Class>,
    pub(crate) cached: BTreeMap<(Identity, TaskId), Cached>,
    /// Follows from the entities.
    pub(crate) index: Index,
    /// In no row: who is there.
    pub(crate) presence: Presence,
    /// Empty between commands.
    pub(crate) turn: Turn,
}

/// 256 random bits for one command: ids, salts and choices come from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub [u8; 32]);

/// What a command has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// For whoever sent it.
    pub reply: Reply,
    /// For the log, in order.
    pub events: Vec<Event>,
    /// For the service.
    pub effects: Vec<Effect>,
    /// Entities that have changed: [`Market::row`] has their rows.
    pub changed: BTreeSet<Key>,
    /// Entities that have left memory, with their last rows.
    pub ended: Vec<EndedRow>,
}

/// The last row of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRow {
    /// Its key.
    pub key: Key,
    /// Its last content.
    pub row: Vec<u8>,
}

/// What the command that is being applied has done so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Turn {
    pub(crate) now: Timestamp,
    seed: Seed,
    drawn: u64,
    events: Vec<Event>,
    effects: Vec<Effect>,
    dirty: BTreeSet<Key>,
    ending: BTreeSet<Key>,
    /// Tasks whose attempts have changed, and perhaps nothing of their own rows.
    stirred: BTreeSet<TaskKey>,
    /// Tasks and jobs to look at before the command is done.
    pub(crate) agenda: BTreeSet<Key>,
    pub(crate) slots_before: u64,
}

impl Market {
    /// An empty market with these rules.
    pub fn new(parameters: Parameters) -> Market {
        Market {
            parameters,
            totals: Totals::default(),
            operators: BTreeMap::new(),
            providers: BTreeMap::new(),
            developers: BTreeMap::new(),
            specs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            attempts: BTreeMap::new(),
            classes: BTreeMap::new(),
            cached: BTreeMap::new(),
            index: Index::default(),
            presence: Presence::default(),
            turn: Turn::default(),
        }
    }

    /// What an empty store is to hold first: the rules, in rows and in the log.
    pub fn genesis(&mut self, now: Timestamp) -> Applied {
        self.begin(now, Seed::default());
        self.touch(Key::Rules);
        self.touch(Key::Totals);
        let parameters = Box::new(self.parameters.clone());
        self.emit(EventKind::RulesSet { parameters });
        self.finish(Reply::Done)
    }

    /// Applies a command.
    ///
    /// # Errors
    /// Where it cannot be done; then nothing has changed.
    pub fn apply(&mut self, now: Timestamp, seed: Seed, command: Command) -> Result<Applied, Rejection> {
        self.begin(now, seed);
        match self.dispatch(command) {
            Ok(reply) => {
                self.work_off();
                Ok(self.finish(reply))
            }
            Err(rejection) => {
                assert!(self.turn.dirty.is_empty(), "a rejected command has changed {:?}", self.turn.dirty);
                self.turn = Turn::default();
                Err(rejection)
            }
        }
    }

    fn dispatch(&mut self, command: Command) -> Result<Reply, Rejection> {
        match command {
            Command::Enrol { provider, marks } => self.enrol(provider, marks),
            Command::EnrolWith { provider, marks, devices } => self.enrol_with(provider, marks, devices),
            Command::WithdrawDevice { provider, device } => self.withdraw_device(provider, device),
            Command::RegisterDevice { provider, device, offer } => {
                self.register_device(provider, device, offer)
            }
            Command::Submit { developer, nonce, spec } => self.submit(developer, nonce, *spec),
            Command::SubmitUnadmitted { developer, nonce, spec } => {
                self.submit_unadmitted(developer, nonce, *spec)
            }
            Command::Admitted { component, refusal } => Ok(self.admitted(component, refusal.as_deref())),
            Command::Quote { spec, .. } => self.quote(&spec).map(|quote| Reply::Quoted { quote }),
            Command::Cancel { developer, job } => self.cancel(developer, job),
            Command::ResumeJob { developer, job } => self.resume_job(developer, job),
            Command::AskLease { provider, device, price_floor } => {
                self.ask_lease(provider, device, price_floor)
            }
            Command::Heartbeat { provider, attempts, all } => self.heartbeat(provider, &attempts, all),
            Command::Commit { provider, attempt, commitment } => self.commit(provider, attempt, commitment),
            Command::Reveal { provider, attempt, receipt, nonce } => {
                self.reveal(provider, attempt, receipt, nonce)
            }
            Command::HostFault { provider, attempt, fault } => self.host_fault(provider, attempt, &fault),
            Command::GiveBack { provider, attempt, reason } => self.give_back(provider, attempt, reason),
            Command::BlobStored { blob, attempt } => self.blob_stored(blob, attempt),
            Command::BlobLost { blob } => Ok(self.blob_lost(blob)),
            Command::ReplayAnswer { replay, outcome } => self.replay_answer(replay, *outcome),
            Command::TraceAnswer { provider, attempt, level, report } => {
                self.trace_answer(provider, attempt, level, report)
            }
            Command::PauseProvider { provider } => self.pause_provider(provider),
            Command::ResumeProvider { provider } => self.resume_provider(provider),
            Command::Ban { identity, reason } => Ok(self.ban(identity, reason)),
            Command::Unban { identity, reason } => Ok(self.unban(identity, reason)),
            Command::Tick => self.tick(),
            Command::BeginEpoch { secret } => self.begin_epoch(secret),
            Command::SetFunds { account, credits } => self.set_funds(account, credits),
            Command::Grant { owner, credits } => self.grant_funds(owner, credits),
            Command::SetLists { anchors, developers } => self.set_lists(anchors, developers),
            Command::Appeal { provider, attempt } => self.appeal(provider, attempt),
        }
    }

    fn begin(&mut self, now: Timestamp, seed: Seed) {
        // A clock that jumps back stands still instead.
        let now = now.max(self.totals.now);
        self.turn = Turn { now, seed, slots_before: self.index.open_slots(), ..Turn::default() };
    }

    /// Looks at every task and job that something has happened to, until nothing follows any more.
    fn work_off(&mut self) {
        while let Some(key) = self.turn.agenda.pop_first() {
            match key {
                Key::Task(task) => self.advance(task),
                Key::Job(job) => self.go_on(job),
                _ => {}
            }
        }
    }

    fn finish(&mut self, reply: Reply) -> Applied {
        if self.totals.now != self.turn.now {
            self.totals.now = self.turn.now;
            self.touch(Key::Totals);
        }
        let turn = std::mem::take(&mut self.turn);
        let mut applied = Applied {
            reply,
            events: turn.events,
            effects: turn.effects,
            changed: BTreeSet::new(),
            ended: Vec::new(),
        };
        for key in turn.dirty {
            if turn.ending.contains(&key) {
                if let Some(row) = self.row(&key) {
                    self.remove(&key);
                    applied.ended.push(EndedRow { key: key.clone(), row });
                }
            } else {
                applied.changed.insert(key.clone());
            }
            self.reindex(&key);
        }
        for task in turn.stirred {
            self.reindex(&Key::Task(task));
        }
        let slots = self.index.open_slots();
        if slots > turn.slots_before {
            let more = (slots - turn.slots_before) as usize;
            self.turn.now = turn.now;
            let called = self.whom_to_call(more, turn.seed);
            for provider in &called {
                self.presence.called.entry(*provider).or_insert(turn.now);
            }
            self.turn = Turn::default();
            applied.effects.extend(called.into_iter().map(|provider| Effect::Call { provider }));
            applied.effects.push(Effect::Wake { class: None, slots: slots - turn.slots_before });
        }
        applied
    }

    /// What the market knows of now.
    pub(crate) fn now(&self) -> Timestamp {
        self.turn.now
    }

    /// The entity's row is to be written.
    pub(crate) fn touch(&mut self, key: Key) {
        self.turn.dirty.insert(key);
    }

    /// The entity leaves memory when the command is done.
    pub(crate) fn end(&mut self, key: Key) {
        self.turn.dirty.insert(key.clone());
        self.turn.ending.insert(key);
    }

    pub(crate) fn is_ending(&self, key: &Key) -> bool {
        self.turn.ending.contains(key)
    }

    pub(crate) fn emit(&mut self, kind: EventKind) {
        self.turn.events.push(Event { at: self.turn.now, kind });
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.turn.effects.push(effect);
    }

    /// Fresh random bits, from the command's seed.
    pub(crate) fn random(&mut self, what: &str) -> Digest {
        self.turn.drawn += 1;
        let mut hasher = RecordHasher::new("anneal market random 1");
        hasher.bytes(&self.turn.seed.0).number(self.turn.drawn).bytes(what.as_bytes()).finish()
    }

    pub(crate) fn attempt_mut(&mut self, id: AttemptId) -> Option<&mut Attempt> {
        let attempt = self.attempts.get_mut(&id)?;
        self.turn.dirty.insert(Key::Attempt(attempt.task, id));
        self.turn.stirred.insert(attempt.task);
        self.turn.agenda.insert(Key::Task(attempt.task));
        Some(attempt)
    }

    pub(crate) fn task_mut(&mut self, key: TaskKey) -> Option<&mut Task> {
        let task = self.tasks.get_mut(&key)?;
        self.turn.dirty.insert(Key::Task(key));
        Some(task)
    }

    pub(crate) fn job_mut(&mut self, id: JobId) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&id)?;
        self.turn.dirty.insert(Key::Job(id));
        Some(job)
    }

    pub(crate) fn provider_mut(&mut self, id: Identity) -> Option<&mut Provider> {
        let provider = self.providers.get_mut(&id)?;
        self.turn.dirty.insert(Key::Provider(id));
        Some(provider)
    }

    pub(crate) fn operator_mut(&mut self, id: OperatorId) -> Option<&mut Operator> {
        let operator = self.operators.get_mut(&id)?;
        self.turn.dirty.insert(Key::Operator(id));
        Some(operator)
    }

    /// A developer; who is new here has no funds yet.
    pub(crate) fn developer_mut(&mut self, id: Identity) -> &mut Developer {
        self.turn.dirty.insert(Key::Developer(id));
        self.developers.entry(id).or_insert_with(|| Developer::new(id))
    }

    pub(crate) fn totals_mut(&mut self) -> &mut Totals {
        self.turn.dirty.insert(Key::Totals);
        &mut self.totals
    }

    /// Puts a task or a job on the agenda of this command.
    pub(crate) fn look_at(&mut self, key: Key) {
        self.turn.agenda.insert(key);
    }

    /// Tasks of a job that are in memory.
    pub(crate) fn live_tasks(&self, job: JobId) -> impl Iterator<Item = &Task> {
        let key = |index, generation| TaskKey { job, index, generation };
        self.tasks.range(key(0, 0)..=key(u32::MAX, u32::MAX)).map(|(_, task)| task.as_ref())
    }

    /// The attempts on a task.
    pub(crate) fn attempts_on(&self, task: TaskKey) -> impl Iterator<Item = &Attempt> {
        let ids = self.tasks.get(&task).map(|task| task.attempts.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|id| self.attempt(id))
    }

    /// The attempts on a task that count: all but the shadows.
    pub(crate) fn quorum_on(&self, task: TaskKey) -> impl Iterator<Item = &Attempt> {
        self.attempts_on(task).filter(|attempt| !attempt.shadow)
    }

    /// Whether a job's developer vouches for those who work on it.
    pub(crate) fn has_own_list(&self, job: JobId) -> bool {
        self.specs.get(&job).is_some_and(JobSpec::has_own_list)
    }

    /// The rules.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The latest time that was handed in.
    pub fn latest(&self) -> Timestamp {
        self.totals.now
    }

    /// A job that has not ended.
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// What was submitted, of a job that has not ended.
    pub fn spec(&self, id: &JobId) -> Option<&JobSpec> {
        self.specs.get(id)
    }

    /// Tasks of a job that are not settled.
    pub fn tasks(&self, job: &JobId) -> impl Iterator<Item = &Task> {
        self.live_tasks(*job)
    }

    /// An attempt on a task that is not settled.
    pub fn attempt(&self, id: &AttemptId) -> Option<&Attempt> {
        self.attempts.get(id).map(Box::as_ref)
    }

    /// A provider.
    pub fn provider(&self, id: &Identity) -> Option<&Provider> {
        self.providers.get(id)
    }

    /// Every provider.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// An operator.
    pub fn operator(&self, id: &OperatorId) -> Option<&Operator> {
        self.operators.get(id)
    }

    /// A developer.
    pub fn developer(&self, id: &Identity) -> Option<&Developer> {
        self.developers.get(id)
    }

    /// Every class with its price.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.values()
    }

    /// What is wanted of a provider now.
    pub fn demands(&self, provider: &Identity) -> Vec<Demand> {
        self.index.wanted_of(provider).filter_map(|id| self.demand(id)).collect()
    }

    /// What is wanted now of one of a provider's attempts.
    pub fn demand_of(&self, provider: &Identity, attempt: AttemptId) -> Option<Demand> {
        self.attempts.get(&attempt).filter(|known| known.provider == *provider)?;
        self.demand(attempt)
    }

    /// Every blob that jobs which have not ended, and the cache, need: the mark for a sweep.
    pub fn blobs(&self) -> BTreeSet<Digest> {
        let specs = self
            .specs
            .values()
            .flat_map(|spec| spec.inputs_blob.iter().chain([&spec.component]).map(|blob| blob.digest));
        let states = self.jobs.values().flat_map(|job| {
            let kept = job.checkpoints.iter().map(|(_, blob)| *blob);
            job.states.values().map(|state| state.blob.digest).chain(kept)
        });
        let tasks = self.tasks.values().flat_map(|task| {
            let verdict = task.verdict.iter().filter_map(|verdict| verdict.outcome.state_blob());
            task.states.iter().map(|state| state.blob.digest).chain(verdict.map(|blob| blob.digest))
        });
        let cached = self.cached.values().filter_map(|entry| entry.outcome.state_blob());
        let cases = self.providers.values().flat_map(|provider| provider.cases.values());
        let specs = specs.chain(cases.flat_map(crate::case::Case::blobs));
        specs.chain(states).chain(tasks).chain(cached.map(|blob| blob.digest)).collect()
    }

    /// Whether a job that has not ended, or the cache, needs a blob: whether it is one of [`Market::blobs`].
    pub fn needs(&self, blob: &Digest) -> bool {
        let is = |other: Digest| other == *blob;
        let of_spec = |spec: &JobSpec| {
            is(spec.component.digest) || spec.inputs_blob.is_some_and(|inputs| is(inputs.digest))
        };
        let of_job = |job: &Job| {
            job.checkpoints.iter().any(|(_, blob)| is(*blob))
                || job.states.values().any(|state| is(state.blob.digest))
        };
        let of_task = |task: &Task| {
            let verdict = task.verdict.as_ref().and_then(|verdict| verdict.outcome.state_blob());
            task.states.iter().any(|state| is(state.blob.digest))
                || verdict.is_some_and(|state| is(state.digest))
        };
        let of_cached = |cached: &Cached| cached.outcome.state_blob().is_some_and(|state| is(state.digest));
        self.specs.values().any(of_spec)
            || self.jobs.values().any(of_job)
            || self.tasks.values().any(|task| of_task(task))
            || self.cached.values().any(of_cached)
            || self
                .providers
                .values()
                .any(|provider| provider.cases.values().any(|case| case.blobs().any(is)))
    }

    /// The jobs of which a provider holds a lease, or has a case, that names this blob. That a job names a blob does not
    /// show that its developer ever had it: the service looks who keeps it.
    pub fn lending_jobs(&self, provider: &Identity, blob: &Digest) -> BTreeSet<JobId> {
        let cases = self.providers.get(provider).into_iter().flat_map(|known| known.cases.values());
        let cases = cases.filter(|case| case.blobs().any(|needed| needed == *blob)).map(Case::job);
        let leases = self.index.attempts_of(provider).filter_map(|id| self.attempts.get(&id));
        let needs = |attempt: &Attempt| {
            let spec = self.specs.get(&attempt.task.job);
            let task = self.tasks.get(&attempt.task);
            let inputs = spec.into_iter().flat_map(|spec| spec.inputs_blob.iter().chain([&spec.component]));
            let states = task.into_iter().flat_map(|task| task.states.iter().map(|state| &state.blob));
            inputs.chain(states).any(|needed| needed.digest == *blob)
        };
        let needing = leases.filter(|attempt| !attempt.is_over() && needs(attempt));
        needing.map(|attempt| attempt.task.job).chain(cases).collect()
    }
}
