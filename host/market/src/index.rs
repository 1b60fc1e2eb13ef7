//! What is looked up in the other direction. Follows from the entities alone, so it is in no row.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Digest, Identity, JobId, OperatorId, TaskId, Timestamp};

use crate::{Key, Market, TaskKey};

/// Deadlines, open tasks, and whose attempts are whose.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    /// When to look at what.
    timers: BTreeSet<(Timestamp, Key)>,
    /// The timer of each key, to find it again.
    timer_of: BTreeMap<Key, Timestamp>,
    /// Tasks that may be leased now, with how many leases each wants.
    open: BTreeMap<JobId, BTreeMap<TaskKey, u8>>,
    open_slots: u64,
    /// Attempts that are in memory.
    by_provider: BTreeMap<Identity, BTreeSet<AttemptId>>,
    /// Those of them of which something is wanted.
    wanted: BTreeMap<Identity, BTreeSet<AttemptId>>,
    /// Verified results of a developer by age.
    cached: BTreeMap<Identity, BTreeSet<(Timestamp, TaskId)>>,
    /// Operators that new ones are paired with.
    established: BTreeSet<OperatorId>,
    pub(crate) by_payout: BTreeMap<Digest, OperatorId>,
    pub(crate) by_network: BTreeMap<Digest, OperatorId>,
}

impl Index {
    /// What is due, the earliest first.
    pub(crate) fn due(&self, now: Timestamp, limit: usize) -> Vec<Key> {
        let due = self.timers.iter().take_while(|(at, _)| *at <= now);
        due.take(limit).map(|(_, key)| key.clone()).collect()
    }

    /// Jobs with open tasks, from `start` on and around.
    pub(crate) fn open_from(&self, start: JobId) -> impl Iterator<Item = (&JobId, &BTreeMap<TaskKey, u8>)> {
        self.open.range(start..).chain(self.open.range(..start))
    }

    /// All leases that are wanted.
    pub(crate) fn open_slots(&self) -> u64 {
        self.open_slots
    }

    pub(crate) fn attempts_of(&self, provider: &Identity) -> impl Iterator<Item = AttemptId> {
        self.by_provider.get(provider).into_iter().flatten().copied()
    }

    /// A provider's attempts of which something is wanted. While a command is being applied, some of them may
    /// be those of which something was.
    pub(crate) fn wanted_of(&self, provider: &Identity) -> impl Iterator<Item = AttemptId> {
        self.wanted.get(provider).into_iter().flatten().copied()
    }

    /// The oldest result of a developer who has more than so many.
    pub(crate) fn cached_too_many(&self, developer: &Identity, limit: u32) -> Option<TaskId> {
        let entries = self.cached.get(developer)?;
        let (_, oldest) = entries.first()?;
        (entries.len() > limit as usize).then_some(*oldest)
    }

    /// Whether there is anybody to pair new operators with.
    pub(crate) fn has_established(&self) -> bool {
        !self.established.is_empty()
    }

    fn set_timer(&mut self, key: &Key, at: Option<Timestamp>) {
        if self.timer_of.get(key).copied() == at {
            return;
        }
        if let Some(before) = self.timer_of.remove(key) {
            self.timers.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.timers.insert((at, key.clone()));
            self.timer_of.insert(key.clone(), at);
        }
    }

    fn set_wanted(&mut self, provider: Identity, attempt: AttemptId, wanted: bool) {
        if wanted {
            self.wanted.entry(provider).or_default().insert(attempt);
        } else {
            take_out(&mut self.wanted, provider, &attempt);
        }
    }

    fn set_open(&mut self, key: TaskKey, wanted: u8) {
        let tasks = self.open.entry(key.job).or_default();
        let before = if wanted == 0 { tasks.remove(&key) } else { tasks.insert(key, wanted) };
        if tasks.is_empty() {
            self.open.remove(&key.job);
        }
        self.open_slots = self.open_slots + u64::from(wanted) - u64::from(before.unwrap_or(0));
    }
}

/// Takes an attempt out of its provider's; nothing is left of a provider without any.
fn take_out(attempts: &mut BTreeMap<Identity, BTreeSet<AttemptId>>, provider: Identity, attempt: &AttemptId) {
    let Some(own) = attempts.get_mut(&provider) else { return };
    own.remove(attempt);
    if own.is_empty() {
        attempts.remove(&provider);
    }
}

impl Market {
    /// Brings the index up to date with an entity that has changed, has come or has gone.
    pub(crate) fn reindex(&mut self, key: &Key) {
        match key {
            Key::Totals => self.index.set_timer(key, Some(self.totals.prices_at)),
            Key::Operator(id) => self.reindex_operator(*id),
            Key::Provider(id) => {
                let at = self.providers.get(id).and_then(|provider| provider.wake_at());
                self.index.set_timer(key, at);
            }
            Key::Task(id) => {
                let at = self.tasks.get(id).and_then(|task| task.wake_at);
                self.index.set_timer(key, at);
                let wanted = self.wanted(*id);
                self.index.set_open(*id, wanted);
                self.reindex_wanted(*id);
            }
            Key::Attempt(_, id) => self.reindex_attempt(key, *id),
            Key::Cached(developer, task) => self.reindex_cached(*developer, *task),
            Key::Rules | Key::Developer(_) | Key::Spec(_) | Key::Job(_) | Key::Class(_) => {}
        }
    }

    fn reindex_operator(&mut self, id: OperatorId) {
        let Some(operator) = self.operators.get(&id) else { return };
        if operator.is_established(&self.parameters) {
            self.index.established.insert(id);
        } else {
            self.index.established.remove(&id);
        }
        for payout in &operator.payouts {
            self.index.by_payout.insert(*payout, id);
        }
        for (network, at) in &operator.networks {
            // The latest to enrol from a network is whom the next one is taken for.
            let other = self.index.by_network.get(network).and_then(|other| self.operators.get(other));
            let other_at = other.and_then(|other| other.networks.get(network)).copied();
            if other_at.is_none_or(|other_at| (*at, id) >= (other_at, other.map_or(id, |other| other.id))) {
                self.index.by_network.insert(*network, id);
            }
        }
    }

    fn reindex_attempt(&mut self, key: &Key, id: AttemptId) {
        match self.attempts.get(&id) {
            Some(attempt) => {
                let (provider, at) = (attempt.provider, attempt.wake_at);
                self.index.set_timer(key, at);
                self.index.by_provider.entry(provider).or_default().insert(id);
                self.index.set_wanted(provider, id, self.demand(id).is_some());
            }
            None => self.index.set_timer(key, None),
        }
    }

    /// What is wanted of a task's attempts depends on the task, too.
    fn reindex_wanted(&mut self, key: TaskKey) {
        let attempts = self.attempts_on(key).map(|attempt| (attempt.provider, attempt.id));
        let wanted: Vec<_> =
            attempts.map(|(provider, id)| (provider, id, self.demand(id).is_some())).collect();
        for (provider, id, wanted) in wanted {
            self.index.set_wanted(provider, id, wanted);
        }
    }

    fn reindex_cached(&mut self, developer: Identity, task: TaskId) {
        let Some(at) = self.cached.get(&(developer, task)).map(|entry| entry.at) else { return };
        let entries = self.index.cached.entry(developer).or_default();
        entries.insert((at, task));
    }

    /// Takes an entity out of memory.
    pub(crate) fn remove(&mut self, key: &Key) {
        match key {
            Key::Task(id) => drop(self.tasks.remove(id)),
            Key::Attempt(_, id) => {
                if let Some(provider) = self.attempts.remove(id).map(|attempt| attempt.provider) {
                    take_out(&mut self.index.by_provider, provider, id);
                    take_out(&mut self.index.wanted, provider, id);
                }
            }
            Key::Job(id) => drop(self.jobs.remove(id)),
            Key::Spec(id) => drop(self.specs.remove(id)),
            Key::Cached(developer, task) => {
                let entry = self.cached.remove(&(*developer, *task));
                if let (Some(entry), Some(entries)) = (entry, self.index.cached.get_mut(developer)) {
                    entries.remove(&(entry.at, *task));
                    if entries.is_empty() {
                        self.index.cached.remove(developer);
                    }
                }
            }
            // These stay.
            Key::Rules | Key::Totals | Key::Operator(_) | Key::Provider(_) => {}
            Key::Developer(_) | Key::Class(_) => {}
        }
    }
}
