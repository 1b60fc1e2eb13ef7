//! Places that strangers compete for, shared out by prefix first and by key within it: who gets one, whose turn is
//! next, and who must give one up. Pure: no clock, no lock, no connection; `places` acts on what is decided here.
//!
//! - Nobody has more than the bounds of its key and its prefix say, and all together never more than the total.
//! - Who waits is served in turn: prefix by prefix, and within a prefix key by key. However many keys somebody has,
//!   another prefix waits for one of them only.
//! - Where all places are taken, who has less takes one from who has most: from the prefix with the most places,
//!   there from the key with the most, of it the place that is worth least, and of those the oldest. So whoever has
//!   less than a fair share is never refused.

mod party;
mod threshold;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

pub use party::{Key, Party, Prefix};
pub use threshold::Threshold;

/// How many places there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of one key.
    pub key: usize,
    /// Of one prefix; [`Prefix::Local`] has no such bound.
    pub prefix: usize,
    /// Of all.
    pub total: usize,
    /// Who may wait besides.
    pub waiting: usize,
    /// Of one key.
    pub waiting_key: usize,
}

/// A place, or a wait for one. Later ones have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The key has all that one may have.
    Key,
    /// The prefix has.
    Prefix,
    /// There are no more, and who has them has no more than this one.
    Total,
}

/// A place that changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Who had it.
    pub from: Ticket,
    /// Who has it.
    pub to: Ticket,
}

/// The places and who waits for them.
#[derive(Debug)]
pub struct Fair {
    bounds: Bounds,
    next: u64,
    held: BTreeMap<Ticket, Held>,
    counts: Counts,
    waiting: BTreeMap<Ticket, Party>,
    lines: BTreeMap<Prefix, Line>,
    /// The prefix that was served last.
    last: Option<Prefix>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    party: Party,
    worth: u64,
}

#[derive(Debug, Default)]
struct Counts(BTreeMap<Prefix, BTreeMap<Key, usize>>, BTreeMap<Prefix, usize>);

/// Who waits of a prefix.
#[derive(Debug, Default)]
struct Line {
    keys: BTreeMap<Key, VecDeque<Ticket>>,
    waiting: usize,
    /// The key that was served last.
    last: Option<Key>,
}

/// Who is to give up a place first has the greatest.
type Rank = (usize, usize, Reverse<u64>);

impl Fair {
    /// Nobody has a place.
    pub fn new(bounds: Bounds) -> Fair {
        Fair {
            bounds,
            next: 0,
            held: BTreeMap::new(),
            counts: Counts::default(),
            waiting: BTreeMap::new(),
            lines: BTreeMap::new(),
            last: None,
        }
    }

    /// A place at once; where there is none, that of somebody who has more and may be asked to go.
    ///
    /// # Errors
    /// Where the bounds say no.
    pub fn enter(
        &mut self,
        party: Party,
        worth: u64,
        may_go: impl Fn(Ticket) -> bool,
    ) -> Result<(Ticket, Option<Ticket>), Full> {
        self.within(party)?;
        let mut gone = None;
        if self.is_full() {
            let leaver = self.outranked(party, worth, may_go).ok_or(Full::Total)?;
            self.leave(leaver);
            gone = Some(leaver);
        }
        let ticket = self.ticket();
        self.hold(ticket, party, worth);
        Ok((ticket, gone))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Where too many wait already: of this key, of this prefix, or of all. A prefix may have as many waiting as
    /// there is room left, so that there is always some for another.
    pub fn wait(&mut self, party: Party) -> Result<Ticket, Full> {
        let room = self.bounds.waiting.saturating_sub(self.waiting.len());
        let line = self.lines.entry(party.prefix).or_default();
        let own = line.keys.get(&party.key).map_or(0, VecDeque::len);
        let full = match () {
            () if own >= self.bounds.waiting_key => Some(Full::Key),
            () if party.prefix != Prefix::Local && line.waiting >= room => Some(Full::Prefix),
            () if room == 0 => Some(Full::Total),
            () => None,
        };
        if let Some(full) = full {
            self.tidy(party);
            return Err(full);
        }
        let ticket = self.ticket();
        let line = self.lines.entry(party.prefix).or_default();
        line.keys.entry(party.key).or_default().push_back(ticket);
        line.waiting += 1;
        self.waiting.insert(ticket, party);
        Ok(ticket)
    }

    /// Gives a free place to whose turn it is.
    pub fn grant(&mut self) -> Option<Ticket> {
        if self.is_full() {
            return None;
        }
        let party = self.turn()?;
        self.serve(party)
    }

    /// Where no place is free: passes one to who has least of those who wait, from somebody who has more and may be
    /// asked to go. `worth` is what a place must be worth to be left alone by an equal.
    pub fn pass(&mut self, worth: u64, may_go: impl Fn(Ticket) -> bool) -> Option<Passed> {
        if !self.is_full() {
            return None;
        }
        let parties = self
            .lines
            .iter()
            .flat_map(|(prefix, line)| line.keys.keys().map(|key| Party { prefix: *prefix, key: *key }));
        let eligible = parties.filter(|party| self.within(*party).is_ok());
        let poorest = eligible.min_by_key(|party| self.counts.of(*party))?;
        let from = self.outranked(poorest, worth, may_go)?;
        self.leave(from);
        let to = self.serve(poorest)?;
        Some(Passed { from, to })
    }

    /// Gives up a place, or waits no longer. Nothing where it was passed on already.
    pub fn leave(&mut self, ticket: Ticket) {
        if let Some(Held { party, .. }) = self.held.remove(&ticket) {
            self.counts.sub(party);
        }
        if let Some(party) = self.waiting.remove(&ticket)
            && let Some(line) = self.lines.get_mut(&party.prefix)
        {
            line.waiting -= 1;
            if let Some(queue) = line.keys.get_mut(&party.key) {
                queue.retain(|other| *other != ticket);
            }
            self.tidy(party);
        }
    }

    /// What a place is worth to who has it: bytes that came, say.
    pub fn value(&mut self, ticket: Ticket, worth: u64) {
        if let Some(held) = self.held.get_mut(&ticket) {
            held.worth = worth;
        }
    }

    /// Whether it has a place.
    pub fn holds(&self, ticket: Ticket) -> bool {
        self.held.contains_key(&ticket)
    }

    /// Whether no place is free.
    pub fn is_full(&self) -> bool {
        self.held.len() >= self.bounds.total
    }

    fn within(&self, party: Party) -> Result<(), Full> {
        let (prefix, key) = self.counts.of(party);
        if key >= self.bounds.key {
            return Err(Full::Key);
        }
        if party.prefix != Prefix::Local && prefix >= self.bounds.prefix {
            return Err(Full::Prefix);
        }
        Ok(())
    }

    /// Who must go so that this party can come, if it has a better right.
    fn outranked(&self, party: Party, worth: u64, may_go: impl Fn(Ticket) -> bool) -> Option<Ticket> {
        // As if it had come already: it must not have more than who goes for it.
        let (prefix, key) = self.counts.of(party);
        let mine: Rank = (prefix + 1, key + 1, Reverse(worth));
        let rank = |held: &Held| -> Rank {
            let (prefix, key) = self.counts.of(held.party);
            let (also_prefix, also_key) = (held.party.prefix == party.prefix, held.party == party);
            (prefix + usize::from(also_prefix), key + usize::from(also_key), Reverse(held.worth))
        };
        let better = self.held.iter().map(|(ticket, held)| (rank(held), Reverse(*ticket)));
        let better = better.filter(|(rank, Reverse(ticket))| *rank > mine && may_go(*ticket));
        better.max().map(|(_, Reverse(ticket))| ticket)
    }

    /// Whose turn it is: the next prefix after the one served last that has somebody who may have a place, and of it
    /// the next key.
    fn turn(&self) -> Option<Party> {
        let after = self.lines.iter().filter(|(prefix, _)| self.last.is_none_or(|last| **prefix > last));
        let mut prefixes = after.chain(self.lines.iter());
        prefixes.find_map(|(prefix, line)| self.turn_in(*prefix, line))
    }

    fn turn_in(&self, prefix: Prefix, line: &Line) -> Option<Party> {
        let after = line.keys.keys().filter(|key| line.last.is_none_or(|last| **key > last));
        let mut parties = after.chain(line.keys.keys()).map(|key| Party { prefix, key: *key });
        parties.find(|party| self.within(*party).is_ok())
    }

    fn serve(&mut self, party: Party) -> Option<Ticket> {
        let line = self.lines.get_mut(&party.prefix)?;
        let ticket = line.keys.get_mut(&party.key)?.pop_front()?;
        line.waiting -= 1;
        line.last = Some(party.key);
        self.last = Some(party.prefix);
        self.waiting.remove(&ticket);
        self.tidy(party);
        self.hold(ticket, party, 0);
        Some(ticket)
    }

    /// Forgets lines that nobody stands in.
    fn tidy(&mut self, party: Party) {
        let Some(line) = self.lines.get_mut(&party.prefix) else { return };
        if line.keys.get(&party.key).is_some_and(VecDeque::is_empty) {
            line.keys.remove(&party.key);
        }
        if line.keys.is_empty() {
            self.lines.remove(&party.prefix);
        }
    }

    fn hold(&mut self, ticket: Ticket, party: Party, worth: u64) {
        self.held.insert(ticket, Held { party, worth });
        self.counts.add(party);
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }
}

impl Counts {
    /// Of its prefix, and of its key there.
    fn of(&self, party: Party) -> (usize, usize) {
        let keys = self.0.get(&party.prefix);
        let key = keys.and_then(|keys| keys.get(&party.key)).copied().unwrap_or(0);
        (self.1.get(&party.prefix).copied().unwrap_or(0), key)
    }

    fn add(&mut self, party: Party) {
        *self.0.entry(party.prefix).or_default().entry(party.key).or_default() += 1;
        *self.1.entry(party.prefix).or_default() += 1;
    }

    fn sub(&mut self, party: Party) {
        let less = |count: &mut usize| {
            *count -= 1;
            *count == 0
        };
        if let Some(keys) = self.0.get_mut(&party.prefix) {
            if keys.get_mut(&party.key).is_some_and(less) {
                keys.remove(&party.key);
            }
            if keys.is_empty() {
                self.0.remove(&party.prefix);
            }
        }
        if self.1.get_mut(&party.prefix).is_some_and(less) {
            self.1.remove(&party.prefix);
        }
    }
}

#[cfg(test)]
mod tests;
