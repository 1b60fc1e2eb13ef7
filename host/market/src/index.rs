//! What is looked up in the other direction. Follows from the entities alone, so it is in no row.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Credits, Digest, Identity, JobId, OperatorId, TaskId, Timestamp};

use crate::{Key, Market, TaskKey, operator::Operator};

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
    /// Operators that have cover.
    by_cover: BTreeSet<(Credits, OperatorId)>,
    cover_of: BTreeMap<OperatorId, Credits>,
    /// Running leases of keys that are no anchors, by network prefix.
    by_line: BTreeMap<Digest, BTreeSet<AttemptId>>,
    line_of: BTreeMap<AttemptId, Digest>,
    /// Tasks that a new key's unpaid attempt may still go beside.
    shadow_open: BTreeMap<JobId, BTreeSet<TaskKey>>,
    /// Tasks with replays that have not been answered.
    replays: BTreeSet<TaskKey>,
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

    /// Operators with cover, most first.
    pub(crate) fn by_cover(&self) -> impl Iterator<Item = OperatorId> {
        self.by_cover.iter().rev().map(|(_, id)| *id)
    }

    /// Running leases of a prefix's keys that are no anchors.
    pub(crate) fn leases_of_line(&self, line: &Digest) -> usize {
        self.by_line.get(line).map_or(0, BTreeSet::len)
    }

    /// Jobs with tasks that may still be shadowed, from `start` on and around.
    pub(crate) fn shadow_from(&self, start: JobId) -> impl Iterator<Item = (&JobId, &BTreeSet<TaskKey>)> {
        self.shadow_open.range(start..).chain(self.shadow_open.range(..start))
    }

    /// Tasks whose replays have not been answered.
    pub(crate) fn replays_open(&self) -> usize {
        self.replays.len()
    }

    fn set_line(&mut self, id: AttemptId, line: Option<Digest>) {
        if self.line_of.get(&id).copied() == line {
            return;
        }
        if let Some(before) = self.line_of.remove(&id) {
            take_out(&mut self.by_line, before, &id);
        }
        if let Some(line) = line {
            self.line_of.insert(id, line);
            self.by_line.entry(line).or_default().insert(id);
        }
    }

    fn set_shadow_open(&mut self, key: TaskKey, open: bool) {
        if open {
            self.shadow_open.entry(key.job).or_default().insert(key);
        } else {
            take_out(&mut self.shadow_open, key.job, &key);
        }
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

/// Takes an entry out of its owner's; nothing is left of an owner without any.
fn take_out<O: Ord, E: Ord>(entries: &mut BTreeMap<O, BTreeSet<E>>, owner: O, entry: &E) {
    let Some(own) = entries.get_mut(&owner) else { return };
    own.remove(entry);
    if own.is_empty() {
        entries.remove(&owner);
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
                let open = self.may_be_shadowed(*id);
                self.index.set_shadow_open(*id, open);
                if self.tasks.get(id).is_some_and(|task| !task.replays.is_empty()) {
                    self.index.replays.insert(*id);
                } else {
                    self.index.replays.remove(id);
                }
                self.reindex_wanted(*id);
            }
            Key::Attempt(_, id) => self.reindex_attempt(key, *id),
            Key::Cached(developer, task) => self.reindex_cached(*developer, *task),
            Key::Rules | Key::Developer(_) | Key::Spec(_) | Key::Job(_) | Key::Class(_) => {}
        }
    }

    fn reindex_operator(&mut self, id: OperatorId) {
        let Some(operator) = self.operators.get(&id) else { return };
        let cover = operator.cover();
        if let Some(before) = self.index.cover_of.remove(&id) {
            self.index.by_cover.remove(&(before, id));
        }
        if cover > Credits::ZERO {
            self.index.cover_of.insert(id, cover);
            self.index.by_cover.insert((cover, id));
        }
    }

    fn reindex_attempt(&mut self, key: &Key, id: AttemptId) {
        match self.attempts.get(&id) {
            Some(attempt) => {
                let (provider, at) = (attempt.provider, attempt.wake_at);
                let holds = attempt.is_running() && !attempt.anchor && !attempt.shadow;
                let line = self.operators.get(&attempt.operator).filter(|_| holds).map(Operator::line);
                self.index.set_line(id, line);
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
                self.index.set_line(*id, None);
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
            Key::Class(name) => drop(self.classes.remove(name)),
            // These stay.
            Key::Rules | Key::Totals | Key::Operator(_) | Key::Provider(_) | Key::Developer(_) => {}
        }
    }
}
