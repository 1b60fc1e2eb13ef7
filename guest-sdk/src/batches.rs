//! [`Batches`]: rows in order or shuffled, cut into batches, dealt to workers.

use crate::Task;
use crate::random::{permutation, stream};

/// Row numbers in batches of one size (the last may be smaller).
///
/// ```
/// use anneal_sdk::Batches;
///
/// let batches = Batches::new((0..10).collect(), 4);
/// let sizes: Vec<usize> = batches.iter().map(|rows| rows.len()).collect();
/// assert_eq!(sizes, [4, 4, 2]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    rows: Vec<u32>,
    size: usize,
}

impl Batches {
    /// These rows in this order, `size` at a time (at least one).
    pub fn new(rows: Vec<u32>, size: u32) -> Batches {
        Batches { rows, size: size.max(1) as usize }
    }

    /// In an order fixed by `seed` and `epoch`. Take [`Parameters::seed`](crate::Parameters::seed), which lives in
    /// the state, so that all segments and all workers of a job agree.
    pub fn shuffled(self, seed: u64, epoch: u32) -> Batches {
        let order = permutation(self.rows.len() as u32, seed, stream("batches", epoch.into()));
        Batches { rows: order.into_iter().map(|index| self.rows[index as usize]).collect(), size: self.size }
    }

    /// Without a last batch that is smaller than the others.
    pub fn complete(mut self) -> Batches {
        self.rows.truncate(self.rows.len() / self.size * self.size);
        self
    }

    /// The share of the task's worker: of each `task.workers` complete batches one. The workers' shares are
    /// disjoint and of one length, so that their step counters stay equal; what is left over waits for
    /// another epoch's order. With one worker: the complete batches.
    pub fn of_worker(self, task: &Task) -> Batches {
        self.dealt(task.worker as usize, task.workers.max(1) as usize)
    }

    fn dealt(self, worker: usize, workers: usize) -> Batches {
        let rounds = self.rows.len() / self.size / workers;
        let mut rows = Vec::with_capacity(rounds * self.size);
        for round in 0..rounds {
            let start = (round * workers + worker) * self.size;
            rows.extend_from_slice(&self.rows[start..start + self.size]);
        }
        Batches { rows, size: self.size }
    }

    /// The row numbers of each batch, in order.
    pub fn iter(&self) -> std::slice::Chunks<'_, u32> {
        self.rows.chunks(self.size)
    }

    /// The row numbers of batch `index`.
    ///
    /// # Panics
    /// Where `index` is not below [`Batches::len`].
    #[track_caller]
    pub fn get(&self, index: u32) -> &[u32] {
        match self.iter().nth(index as usize) {
            Some(rows) => rows,
            None => panic!("batch {index} of {}", self.len()),
        }
    }

    /// How many batches.
    pub fn len(&self) -> u32 {
        self.rows.len().div_ceil(self.size) as u32
    }

    /// Whether there is no batch at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<'a> IntoIterator for &'a Batches {
    type Item = &'a [u32];
    type IntoIter = std::slice::Chunks<'a, u32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_keeps_every_row_and_follows_seed_and_epoch() {
        let batches = |seed, epoch| Batches::new((100..200).collect(), 8).shuffled(seed, epoch);
        let mut rows = batches(1, 2).rows;
        assert_eq!(rows, batches(1, 2).rows);
        assert_ne!(rows, batches(1, 3).rows);
        assert_ne!(rows, batches(2, 2).rows);
        rows.sort_unstable();
        assert!(rows.into_iter().eq(100..200));
    }

    #[test]
    fn workers_get_disjoint_shares_of_one_length() {
        for (rows, size, workers) in [(100, 8, 1), (100, 8, 2), (100, 8, 5), (7, 8, 2), (64, 8, 8)] {
            let all = Batches::new((0..rows).collect(), size);
            let shares: Vec<Batches> =
                (0..workers).map(|worker| all.clone().dealt(worker, workers)).collect();
            assert!(shares.iter().all(|share| share.len() == rows / size / workers as u32));
            assert!(shares.iter().flatten().all(|batch| batch.len() == size as usize));
            let mut dealt: Vec<u32> = shares.into_iter().flat_map(|share| share.rows).collect();
            let count = dealt.len();
            dealt.sort_unstable();
            dealt.dedup();
            assert_eq!(dealt.len(), count);
        }
    }

    #[test]
    fn complete_batches_are_all_of_one_size() {
        let batches = Batches::new((0..10).collect(), 4).complete();
        assert_eq!((batches.len(), batches.rows.len()), (2, 8));
        assert!(Batches::new(vec![1], 4).complete().is_empty());
    }
}
