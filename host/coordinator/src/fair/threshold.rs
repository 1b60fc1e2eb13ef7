//! Room for things that must not be forgotten early, so that nobody can be asked to go: nonces, say. Each prefix may
//! have as many as are left free for all. However few prefixes fill it, there is always some room for another: n of
//! them leave one part in n + 1.

use std::collections::BTreeMap;

use super::Prefix;

/// How much of a room each prefix has.
#[derive(Debug)]
pub struct Threshold {
    total: usize,
    used: usize,
    prefixes: BTreeMap<Prefix, usize>,
}

impl Threshold {
    /// An empty room.
    pub fn new(total: usize) -> Threshold {
        Threshold { total, used: 0, prefixes: BTreeMap::new() }
    }

    /// Takes one, where this prefix may have one more. This machine may fill all of it.
    pub fn take(&mut self, prefix: Prefix) -> bool {
        let own = self.prefixes.get(&prefix).copied().unwrap_or(0);
        let free = self.total.saturating_sub(self.used);
        if free == 0 || (prefix != Prefix::Local && own >= free) {
            return false;
        }
        self.used += 1;
        self.prefixes.insert(prefix, own + 1);
        true
    }

    /// Everybody begins anew.
    pub fn clear(&mut self) {
        self.used = 0;
        self.prefixes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_prefixes_leave_room_for_another() {
        for attackers in 1..8_u8 {
            let mut room = Threshold::new(1_000);
            for round in 0..1_000 {
                for prefix in 0..attackers {
                    assert!(round > 0 || room.take(Prefix::V4([1, 1, prefix])));
                    room.take(Prefix::V4([1, 1, prefix]));
                }
            }
            let honest = (0..1_000).filter(|_| room.take(Prefix::V4([9, 9, 9]))).count();
            let fair = 1_000 / (usize::from(attackers) + 1);
            assert!(honest * 2 >= fair - 1, "{attackers}: {honest} of {fair}");
            room.clear();
            assert!((0..1_000).all(|_| room.take(Prefix::Local)) && !room.take(Prefix::Local));
        }
    }
}
