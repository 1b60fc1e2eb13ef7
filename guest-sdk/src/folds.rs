//! k-fold cross-validation: which rows to train on and which to hold out.

use std::ops::Range;

use crate::random::permutation;

/// One way to divide rows in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The rows to train on.
    pub training: Vec<u32>,
    /// The rows to judge by, none of which is trained on.
    pub held_out: Vec<u32>,
}

/// The rows 0 to `rows` − 1 permuted by `seed` (stream 0 of [`permutation`]) and cut into `folds` parts whose
/// sizes differ by at most one; part `fold`, from 0, is held out.
///
/// # Panics
/// Where `fold` is not below `folds`.
#[track_caller]
pub fn split(rows: u32, folds: u32, fold: u32, seed: u64) -> Split {
    assert!(fold < folds, "fold {fold} of {folds}: the folds count from 0");
    let mut training = permutation(rows, seed, 0);
    let held_out = training.drain(part(rows, folds, fold)).collect();
    Split { training, held_out }
}

/// Part `index` of `total` things cut into `parts` whose sizes differ by at most one.
pub(crate) fn part(total: u32, parts: u32, index: u32) -> Range<usize> {
    let cut = |index: u32| (u64::from(total) * u64::from(index) / u64::from(parts)) as usize;
    cut(index)..cut(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_held_out_exactly_once() {
        for (rows, folds) in [(1797, 5), (5, 5), (3, 5), (0, 2), (100, 1)] {
            let mut held_out = Vec::new();
            for fold in 0..folds {
                let split = split(rows, folds, fold, 0);
                assert_eq!(split.training.len() + split.held_out.len(), rows as usize);
                assert!(split.held_out.iter().all(|row| !split.training.contains(row)));
                assert!(split.held_out.len().abs_diff((rows / folds) as usize) <= 1);
                held_out.extend(split.held_out);
            }
            held_out.sort_unstable();
            assert!(held_out.into_iter().eq(0..rows), "{rows} rows in {folds} folds");
        }
    }
}
