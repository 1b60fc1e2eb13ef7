//! What is told of a run while it runs: who hears it, and the words for its tasks and numbers.

use anneal_job::{Entry, PlannedTask};
use anneal_sandbox::Observer;

/// Hears what is done, a line at a time.
pub type Listener<'a> = dyn FnMut(&str) + 'a;

/// Takes words for the person who waits.
pub trait Console {
    /// What is done.
    fn note(&self, line: String);
    /// What looks wrong, and is none of our errors.
    fn warn(&self, line: String);
}

/// Sees a run as it goes.
pub trait Progress: Observer {
    /// A task begins.
    fn begin(&mut self, task: &PlannedTask, tasks: usize);
    /// The task has ended.
    fn end(&mut self);
    /// A line that stays.
    fn line(&mut self, line: String);
    /// The run is over.
    fn finish(&mut self);
}

/// A task in words: `segment 2/3`, `round 1/4 worker 2/2`.
pub fn describe(task: &PlannedTask, tasks: usize) -> String {
    let place = &task.place;
    let (round, rounds) = (place.round + 1, place.segments);
    match task.entry {
        Entry::Train if place.workers > 1 => {
            format!("round {round}/{rounds} worker {}/{}", place.worker + 1, place.workers)
        }
        Entry::Train => format!("segment {round}/{rounds}"),
        Entry::Merge => format!("round {round}/{rounds} merge"),
        Entry::Run if tasks > 1 => format!("run {}/{tasks}", task.index + 1),
        entry => entry.name().to_owned(),
    }
}

/// A metric as people read it.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e6).contains(&magnitude) {
        let text = format!("{value:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.4e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.9777777, "0.977778"), (12.0, "12"), (1e-5, "1.0000e-5"), (-2.5, "-2.5")]
        {
            assert_eq!(number(value), text);
        }
    }
}
