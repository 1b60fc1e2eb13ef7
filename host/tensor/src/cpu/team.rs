//! How work is divided over threads. Dividing decides who computes, never what.

use std::{ops::Range, sync::Arc};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::instruction_set::Detected;
use crate::{float_mode::FirstWrong, governor::Gate};

/// The threads of a CPU executor and the loops they run. Used inside the executor's thread pool.
#[derive(Clone, Debug)]
pub struct Team {
    /// Threads of the pool.
    pub threads: usize,
    /// The instruction set.
    pub set: Detected,
    /// Element operations below which another thread is not worth waking: [`WORK_MIN`], less in tests.
    pub work_min: usize,
    /// What is passed between two pieces of work.
    pub gate: Option<Arc<dyn Gate>>,
    /// Where its threads say that their floating-point mode was wrong.
    pub modes: Arc<FirstWrong>,
}

/// What changed a mode between two pieces of work.
pub const BEFORE: &str = "what ran on a computing thread of the CPU before";
/// What changed a mode during one.
pub const AFTER: &str = "something that ran while a thread of the CPU computed";

/// Element operations, or products of a contraction over 16, that are worth a thread.
pub const WORK_MIN: usize = 1 << 14;

/// Element operations between two passes of a gate: a few milliseconds, tens for the slowest functions.
const GATED_WORK_MAX: usize = 1 << 21;

impl Team {
    /// Does every task, on several threads if there is more than one.
    pub fn each<T: Send>(&self, mut tasks: Vec<T>, run: impl Fn(T) + Sync + Send) {
        let run = |task| {
            self.pass();
            self.modes.check(BEFORE);
            run(task);
            self.modes.check(AFTER);
        };
        if self.threads == 1 || tasks.len() == 1 {
            tasks.drain(..).for_each(run);
        } else {
            tasks.into_par_iter().for_each(run);
        }
    }

    /// Into how many parts to cut `work` element operations that consist of `units` indivisible pieces.
    pub fn parts(&self, units: usize, work: usize) -> usize {
        let held = if self.gate.is_some() { work / GATED_WORK_MAX } else { 0 };
        let shared = if self.threads == 1 { 1 } else { (work / self.work_min).min(4 * self.threads) };
        shared.max(held).min(units).max(1)
    }

    /// Between two pieces of work: stands here for as long as it is held. Work that is to stop goes on to the
    /// end of its step, where the run looks.
    pub fn pass(&self) {
        if let Some(gate) = &self.gate {
            let _the_run_looks = gate.pass();
        }
    }
}

/// `0 .. units` in `parts` nearly equal ranges, none empty unless `units` is 0.
pub fn ranges(units: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, units.max(1));
    (0..parts).map(|part| units * part / parts..units * (part + 1) / parts).collect()
}

/// A slice cut into consecutive pieces of these lengths.
pub fn cut<T>(mut elements: &mut [T], lengths: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = elements.split_at_mut(length);
        pieces.push(piece);
        elements = rest;
    }
    pieces
}
