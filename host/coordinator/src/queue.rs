//! Whose work is next for a trusted worker: network prefixes in turn, then their developers, disputes before audits,
//! short ones never behind long ones. Pure: no clock, no locks, no orders either, only their names; what is to be done lies in the store.
//!
//! A replay gets a slice of time. One that does not end within it goes to the end of the long ones' line and begins
//! anew with a longer slice. Most workers take from all three lines by [`ALL_LINES`], so none waits for ever; one
//! worker takes no long ones, so that however many of those there are, first slices go on.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use anneal_job::{Identity, Timestamp};

use crate::fair::Prefix;

/// Entries of one developer that are remembered; more stay in the store until there is room.
const DEVELOPER_MAX: usize = 256;
/// Entries that are remembered in all.
const ALL_MAX: usize = 65_536;
/// Each slice is so many times as long as the one before.
const SLICE_FACTOR: u32 = 4;

/// The lines that replays wait in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Somebody waits for it: a dispute, in its first slice.
    Urgent,
    /// An audit in its first slice.
    Patient,
    /// Either, after its first slice.
    Long,
}

const LINES: usize = 3;
/// The order in which a worker looks at the lines; an empty one's turn goes to the next.
const ALL_LINES: [Line; 5] = [Line::Urgent, Line::Patient, Line::Urgent, Line::Long, Line::Urgent];
const SHORT_LINES: [Line; 4] = [Line::Urgent, Line::Urgent, Line::Urgent, Line::Patient];

/// Which replays a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// All.
    All,
    /// Those in their first slice.
    Short,
}

/// A replay that waits or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name in the outbox.
    pub(crate) name: String,
    /// Whose job it is.
    pub(crate) developer: Identity,
    /// Where the developer comes from, as far as this process knows: keys cost nothing, so prefixes are served first.
    pub(crate) origin: Prefix,
    /// Whether somebody waits for it.
    pub(crate) urgent: bool,
    /// When it was ordered.
    pub(crate) since: Timestamp,
    /// Slices that it has used up.
    pub(crate) slices: u32,
    /// Whose queue it is from: set as it is added.
    pub(crate) generation: u64,
}

/// What became of an entry that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It waits.
    Waits,
    /// It is there already.
    Known,
    /// There is no room: it is found in the outbox later.
    LeftOut,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    developers: BTreeMap<Identity, Developer>,
    origins: BTreeMap<Prefix, Origin>,
    /// For each line the origins that wait in it, which is next first.
    turns: [VecDeque<Prefix>; LINES],
    /// Where in its order each lane stands.
    places: [usize; 2],
    known: HashMap<String, Timestamp>,
    generation: u64,
}

/// A part of the network, and those of its developers who have something here.
#[derive(Debug, Default)]
struct Origin {
    /// For each line the developers that wait in it, who is next first.
    turns: [VecDeque<Identity>; LINES],
    running: usize,
}

#[derive(Debug)]
struct Developer {
    /// Where it came from with the first of what is here.
    origin: Prefix,
    waiting: [VecDeque<Entry>; LINES],
    running: usize,
    /// The oldest that found no room.
    left_out: Option<Timestamp>,
}

impl Entry {
    fn line(&self) -> Line {
        match (self.slices, self.urgent) {
            (0, true) => Line::Urgent,
            (0, false) => Line::Patient,
            _ => Line::Long,
        }
    }

    /// How long it may run now, and whether it gets a longer slice after that: none is longer than `longest`.
    pub(crate) fn slice(&self, first: Duration, longest: Duration) -> (Duration, bool) {
        let factor = SLICE_FACTOR.checked_pow(self.slices).unwrap_or(u32::MAX);
        let slice = first.saturating_mul(factor).min(longest);
        (slice, slice < longest)
    }
}

impl Developer {
    fn of(origin: Prefix) -> Developer {
        Developer { origin, waiting: Default::default(), running: 0, left_out: None }
    }

    fn len(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum::<usize>() + self.running
    }
}

impl Queue {
    /// Forgets everything; what runs is no longer this queue's.
    pub(crate) fn clear(&mut self) {
        *self = Queue { generation: self.generation + 1, ..Queue::default() };
    }

    /// Adds one, unless it is there.
    pub(crate) fn add(&mut self, mut entry: Entry) -> Added {
        entry.generation = self.generation;
        if self.known.contains_key(&entry.name) {
            return Added::Known;
        }
        let is_full = self.known.len() >= ALL_MAX;
        let origin = entry.origin;
        let developer = self.developers.entry(entry.developer).or_insert_with(|| Developer::of(origin));
        if is_full || developer.len() >= DEVELOPER_MAX {
            developer.left_out = Some(developer.left_out.map_or(entry.since, |since| since.min(entry.since)));
            return Added::LeftOut;
        }
        self.known.insert(entry.name.clone(), entry.since);
        self.wait(entry);
        Added::Waits
    }

    /// The next one for a worker; it runs until [`Queue::done`] or [`Queue::again`].
    pub(crate) fn next(&mut self, lane: Lane) -> Option<Entry> {
        let order: &[Line] = match lane {
            Lane::All => &ALL_LINES,
            Lane::Short => &SHORT_LINES,
        };
        for ahead in 0..order.len() {
            let place = (self.places[lane as usize] + ahead) % order.len();
            if let Some(entry) = self.next_of(order[place]) {
                self.places[lane as usize] = (place + 1) % order.len();
                return Some(entry);
            }
        }
        None
    }

    /// It ran and has its answer.
    pub(crate) fn done(&mut self, entry: &Entry) {
        if entry.generation == self.generation {
            self.known.remove(&entry.name);
            self.rested(entry);
        }
    }

    /// It ran for its slice and is not done.
    pub(crate) fn again(&mut self, mut entry: Entry) {
        if entry.generation == self.generation {
            self.rested(&entry);
            entry.slices += 1;
            self.wait(entry);
        }
    }

    /// Whether somebody's left ones would find room now.
    pub(crate) fn has_room_for_left(&self) -> bool {
        self.known.len() <= ALL_MAX / 2
            && self
                .developers
                .values()
                .any(|developer| developer.left_out.is_some() && developer.len() <= DEVELOPER_MAX / 2)
    }

    /// Forgets that some were left out, before the outbox is read: those that still find no room are noted again.
    pub(crate) fn take_left(&mut self) -> Vec<(Identity, Timestamp)> {
        let left = self.developers.iter_mut().filter_map(|(id, known)| Some((*id, known.left_out.take()?)));
        let left = left.collect();
        self.developers.retain(|_, developer| developer.len() > 0);
        left
    }

    /// The outbox could not be read: they are still left out.
    pub(crate) fn leave(&mut self, left: Vec<(Identity, Timestamp)>) {
        for (id, since) in left {
            let developer = self.developers.entry(id).or_insert_with(|| Developer::of(Prefix::Local));
            developer.left_out = Some(developer.left_out.map_or(since, |known| known.min(since)));
        }
    }

    /// Replays that are not answered, as far as they are remembered.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Those of them that run.
    pub(crate) fn running(&self) -> usize {
        self.developers.values().map(|developer| developer.running).sum()
    }

    /// When the oldest was ordered that is not answered.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let left = self.developers.values().filter_map(|developer| developer.left_out);
        self.known.values().copied().chain(left).min()
    }

    fn wait(&mut self, entry: Entry) {
        let (line, id, origin) = (entry.line() as usize, entry.developer, entry.origin);
        let developer = self.developers.entry(id).or_insert_with(|| Developer::of(origin));
        let (origin, is_first) = (developer.origin, developer.waiting[line].is_empty());
        developer.waiting[line].push_back(entry);
        if is_first {
            self.queue_up(line, origin, id);
        }
    }

    /// A developer has something that waits in a line.
    fn queue_up(&mut self, line: usize, origin: Prefix, id: Identity) {
        let turns = &mut self.origins.entry(origin).or_default().turns[line];
        turns.push_back(id);
        // Otherwise the origin is in the line already.
        if turns.len() == 1 {
            self.turns[line].push_back(origin);
        }
    }

    /// The first in turn of those origins, and then of those of its developers, who have the fewest running.
    fn next_of(&mut self, line: Line) -> Option<Entry> {
        let line = line as usize;
        let origins = &self.origins;
        let busy = |origin: &Prefix| origins.get(origin).map_or(0, |origin| origin.running);
        let prefix = take_first(&mut self.turns[line], busy)?;
        let developers = &self.developers;
        let busy = |id: &Identity| developers.get(id).map_or(0, |developer| developer.running);
        let origin = self.origins.get_mut(&prefix)?;
        let id = take_first(&mut origin.turns[line], busy)?;
        origin.running += 1;
        if !origin.turns[line].is_empty() {
            self.turns[line].push_back(prefix);
        }
        let developer = self.developers.get_mut(&id)?;
        let entry = developer.waiting[line].pop_front()?;
        developer.running += 1;
        if !developer.waiting[line].is_empty() {
            self.queue_up(line, prefix, id);
        }
        Some(entry)
    }

    fn rested(&mut self, entry: &Entry) {
        let Some(developer) = self.developers.get_mut(&entry.developer) else { return };
        developer.running = developer.running.saturating_sub(1);
        if let Some(origin) = self.origins.get_mut(&developer.origin) {
            origin.running = origin.running.saturating_sub(1);
            if origin.running == 0 && origin.turns.iter().all(VecDeque::is_empty) {
                self.origins.remove(&developer.origin);
            }
        }
        if developer.len() == 0 && developer.left_out.is_none() {
            self.developers.remove(&entry.developer);
        }
    }
}

/// Takes the first of those with the fewest running.
fn take_first<T>(turns: &mut VecDeque<T>, running: impl Fn(&T) -> usize) -> Option<T> {
    // Of equal ones `min_by_key` gives the first.
    let (position, _) = turns.iter().enumerate().min_by_key(|(_, who)| running(who))?;
    turns.remove(position)
}

#[cfg(test)]
mod tests;
