//! Generated histories of strangers that come, wait, go and push: the promises of this module hold in each.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::Identity;
use proptest::{collection::vec, prelude::*};

use super::*;

const BOUNDS: Bounds = Bounds { key: 3, prefix: 6, total: 12, waiting: 40, waiting_key: 3 };

impl Fair {
    fn len(&self) -> usize {
        self.held.len()
    }

    fn of_key(&self, party: Party) -> usize {
        self.counts.of(party).1
    }
}

fn party(prefix: u8, key: u8) -> Party {
    let prefix = if prefix == 0 { Prefix::Local } else { Prefix::V4([10, 0, prefix]) };
    Party { prefix, key: Key::Identity(Identity::from_bytes([key; 32])) }
}

#[derive(Clone, Debug)]
enum Step {
    Enter { prefix: u8, key: u8, worth: u64 },
    Wait { prefix: u8, key: u8 },
    Grant,
    Pass,
    Leave { at: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, 0..6_u8, 0..3_u64).prop_map(|(prefix, key, worth)| Step::Enter { prefix, key, worth }),
        (0..4_u8, 0..6_u8).prop_map(|(prefix, key)| Step::Wait { prefix, key }),
        Just(Step::Grant),
        Just(Step::Pass),
        (0..40_usize).prop_map(|at| Step::Leave { at }),
    ]
}

/// Who has and who waits, as told by what was answered alone.
#[derive(Default)]
struct Told {
    held: BTreeMap<Ticket, Party>,
    waiting: BTreeMap<Ticket, Party>,
}

impl Told {
    fn of_prefix(&self, prefix: Prefix) -> usize {
        self.held.values().filter(|party| party.prefix == prefix).count()
    }

    fn of_key(&self, party: Party) -> usize {
        self.held.values().filter(|other| **other == party).count()
    }

    fn got(&mut self, ticket: Ticket) {
        let party = self.waiting.remove(&ticket).expect("it waited");
        self.held.insert(ticket, party);
    }

    fn may_have(&self, party: Party) -> bool {
        self.of_key(party) < BOUNDS.key
            && (party.prefix == Prefix::Local || self.of_prefix(party.prefix) < BOUNDS.prefix)
    }

    fn within_bounds(&self, fair: &Fair) {
        assert!(self.held.len() <= BOUNDS.total && self.waiting.len() <= BOUNDS.waiting);
        assert_eq!((fair.len(), fair.waiting.len()), (self.held.len(), self.waiting.len()));
        for party in self.held.values() {
            assert!(self.of_key(*party) <= BOUNDS.key);
            assert!(party.prefix == Prefix::Local || self.of_prefix(party.prefix) <= BOUNDS.prefix);
        }
    }

    fn carry_out(&mut self, fair: &mut Fair, step: &Step) {
        match *step {
            Step::Enter { prefix, key, worth } => {
                let who = party(prefix, key);
                let full = self.held.len() == BOUNDS.total;
                match fair.enter(who, worth, |_| true) {
                    Ok((ticket, gone)) => {
                        assert_eq!(gone.is_some(), full, "who has room pushes nobody");
                        let gone = gone.map(|gone| self.held.remove(&gone).expect("it had a place"));
                        self.held.insert(ticket, who);
                        if let Some(gone) = gone.filter(|gone| gone.prefix != who.prefix) {
                            assert!(
                                self.of_prefix(who.prefix) <= self.of_prefix(gone.prefix) + 1,
                                "nobody pushes who has less"
                            );
                        }
                    }
                    Err(Full::Total) => {
                        assert!(full);
                        // Fair shares: somebody with less than one is never refused.
                        let mut prefixes: BTreeSet<Prefix> =
                            self.held.values().map(|party| party.prefix).collect();
                        prefixes.insert(who.prefix);
                        assert!(
                            self.of_prefix(who.prefix) + 1 > BOUNDS.total / prefixes.len(),
                            "{who:?} was refused"
                        );
                    }
                    Err(Full::Key | Full::Prefix) => assert!(!self.may_have(who)),
                }
            }
            Step::Wait { prefix, key } => {
                if let Ok(ticket) = fair.wait(party(prefix, key)) {
                    self.waiting.insert(ticket, party(prefix, key));
                }
            }
            Step::Grant => match fair.grant() {
                Some(ticket) => self.got(ticket),
                None => assert!(
                    self.held.len() == BOUNDS.total
                        || !self.waiting.values().any(|party| self.may_have(*party)),
                    "a place stays free while somebody may have it"
                ),
            },
            Step::Pass => {
                if let Some(Passed { from, to }) = fair.pass(1, |_| true) {
                    self.held.remove(&from).expect("it had a place");
                    self.got(to);
                }
            }
            Step::Leave { at } => {
                let all: Vec<Ticket> = self.held.keys().chain(self.waiting.keys()).copied().collect();
                if let Some(ticket) = all.get(at % all.len().max(1)) {
                    fair.leave(*ticket);
                    fair.leave(*ticket);
                    self.held.remove(ticket);
                    self.waiting.remove(ticket);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn bounds_and_fair_shares_hold_in_every_history(steps in vec(step(), 1..200)) {
        let (mut fair, mut told) = (Fair::new(BOUNDS), Told::default());
        for step in &steps {
            told.carry_out(&mut fair, step);
            told.within_bounds(&fair);
        }
        for ticket in told.held.keys().chain(told.waiting.keys()) {
            fair.leave(*ticket);
        }
        prop_assert!(fair.held.is_empty() && fair.waiting.is_empty() && fair.lines.is_empty());
        prop_assert!(fair.counts.0.is_empty() && fair.counts.1.is_empty(), "nothing is left behind");
    }

    /// Places come free one by one. Between two turns of one prefix every other one that waits has its own, and
    /// within a prefix the same holds of keys.
    #[test]
    fn turns_go_by_prefix_and_then_by_key(crowd in vec((1..5_u8, 0..6_u8), 1..30)) {
        let bounds = Bounds { key: 100, prefix: 100, total: 1, waiting: 1_000, waiting_key: 100 };
        let mut fair = Fair::new(bounds);
        let mut waiting = BTreeMap::new();
        for (prefix, key) in &crowd {
            waiting.insert(fair.wait(party(*prefix, *key)).expect("room to wait"), party(*prefix, *key));
        }
        let mut served: Vec<Party> = Vec::new();
        while let Some(ticket) = fair.grant() {
            let who = waiting.remove(&ticket).expect("it waited");
            let since = |same: &dyn Fn(&Party) -> bool| {
                served.iter().rev().take_while(|other| !same(other)).copied().collect::<Vec<_>>()
            };
            if served.iter().any(|other| other.prefix == who.prefix) {
                let between = since(&|other| other.prefix == who.prefix);
                for other in waiting.values().filter(|other| other.prefix != who.prefix) {
                    prop_assert!(between.iter().any(|served| served.prefix == other.prefix), "{other:?} was passed over");
                }
            }
            if served.contains(&who) {
                let between = since(&|other| *other == who);
                for other in waiting.values().filter(|other| other.prefix == who.prefix && **other != who) {
                    prop_assert!(between.contains(other), "{other:?} was passed over");
                }
            }
            served.push(who);
            fair.leave(ticket);
        }
        prop_assert_eq!(served.len(), crowd.len());
    }
}

#[test]
fn a_crowd_of_keys_has_no_more_than_its_prefix() {
    let bounds = Bounds { key: 16, prefix: 4_096, total: 4_096, waiting: 0, waiting_key: 0 };
    let mut fair = Fair::new(bounds);
    let key = |number: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        Key::Identity(Identity::from_bytes(bytes))
    };
    for number in 0..256 {
        for _ in 0..16 {
            let who = Party { prefix: Prefix::Local, key: key(number) };
            fair.enter(who, 1, |_| true).expect("nobody has less");
        }
    }
    // From the same prefix, with one key and more than one byte; and from another one.
    let beside = Party { prefix: Prefix::Local, key: key(1_000) };
    let elsewhere = Party { prefix: Prefix::V4([9, 9, 9]), key: key(1_001) };
    for who in [beside, elsewhere] {
        for _ in 0..16 {
            let (_, gone) = fair.enter(who, 2, |_| true).expect("whoever has less finds room");
            assert!(gone.is_some());
        }
    }
    assert_eq!((fair.len(), fair.of_key(beside), fair.of_key(elsewhere)), (4_096, 16, 16));
}
