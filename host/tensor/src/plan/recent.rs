//! What is known of the structures that were used last. The gas of a task and the cache of plans count by the same
//! rule, so a structure that the gas takes for known has its plan: the newest structures, as many as there is room
//! for. A cache that has seen more, or has room for more, knows those and others.

use std::collections::VecDeque;

use super::StructureKey;
use crate::limits::STRUCTURE_WORDS_MAX;

/// The structures that were used last, each with what is known of it.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    /// The newest last.
    entries: VecDeque<(StructureKey, T)>,
    structures_max: usize,
    /// Words of all keys.
    words: usize,
}

impl<T> Recent<T> {
    /// At most so many, at least one.
    pub fn new(structures_max: usize) -> Recent<T> {
        Recent { entries: VecDeque::new(), structures_max: structures_max.max(1), words: 0 }
    }

    /// What is known of a structure, which is the newest from now on.
    pub fn get(&mut self, key: &StructureKey) -> Option<&T> {
        let at = self.entries.iter().rposition(|(known, _)| known == key)?;
        let entry = self.entries.remove(at)?;
        self.entries.push_back(entry);
        self.entries.back().map(|(_, known)| known)
    }

    /// Takes a structure that is not known as the newest; the oldest make room. The newest always stays.
    pub fn insert(&mut self, key: StructureKey, known: T) {
        self.words += key.words();
        self.entries.push_back((key, known));
        while self.entries.len() > self.structures_max
            || (self.words > STRUCTURE_WORDS_MAX && self.entries.len() > 1)
        {
            let oldest = self.entries.pop_front();
            self.words -= oldest.map_or(0, |(key, _)| key.words());
        }
    }

    /// Words of all keys.
    pub fn words(&self) -> usize {
        self.words
    }
}
