//! How long work takes on a device: learnt from what was handed to it before, to plan what is handed to it next.
//!
//! Work is counted in units that mean about the same on one device for one kind of step, no more. A guess that
//! is wrong costs a longer or a shorter wait between two launches, and never a bit.

use std::{ops::Range, time::Duration};

use anneal_tensor::{governor::PIECE_MAX, plan::StepKind};

use crate::kernel::GRID_AXIS_MAX;

/// Kinds of steps, each with a speed of its own.
const KINDS: usize = 7;
/// Before anything was measured: slower than any GPU, and than most programs that play one.
const FIRST_NANOSECONDS: f64 = 10.0;
/// What a unit takes at least: faster ones change no plan.
const LEAST_NANOSECONDS: f64 = 1e-6;
/// A submission costs this whatever is in it.
const SUBMISSION: Duration = Duration::from_micros(100);
/// What was done sooner says nothing about being slow.
const NOISE: Duration = Duration::from_millis(2);
/// How much one measurement may change a speed.
const CHANGE_MAX: f64 = 10.0;
/// Products of a contraction that are one unit.
const PRODUCTS_PER_UNIT: f64 = 16.0;
/// Units of a workgroup of a launch that only adds up what others of its step computed.
const UNITS_PER_WORKGROUP: f64 = 64.0;

/// Units of work by kind of step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Work([f64; KINDS]);

/// What a unit of each kind takes, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Speed([f64; KINDS]);

impl Work {
    /// The work of a step's launch, by its number and how many workgroups it has.
    pub(crate) fn of(step: &StepKind, launch: usize, workgroups: u32) -> Work {
        let count = |sizes: &[usize]| sizes.iter().product::<usize>() as f64;
        let (kind, units) = match step {
            StepKind::Map(map) => {
                let each = map.instructions.len() + map.loads.len() + map.stores.len();
                (0, count(&map.shape) * each as f64)
            }
            StepKind::Reduce(reduce) => (1, count(&reduce.kept) * count(&reduce.reduced)),
            StepKind::ArgReduce(reduce) => (2, count(&reduce.kept) * count(&reduce.reduced)),
            StepKind::Contract(contract) => {
                let outputs = count(&contract.batch) * count(&contract.m) * count(&contract.n);
                (3, outputs * count(&contract.k) / PRODUCTS_PER_UNIT)
            }
            StepKind::Fold(fold) => (4, count(&fold.windows_shape)),
            StepKind::Gather(gather) => {
                (5, count(&gather.before) * count(&gather.indices_shape) * count(&gather.after))
            }
            StepKind::ScatterAdd(scatter) => {
                let line = count(&scatter.before) * count(&scatter.after);
                (6, line * (count(&scatter.indices_shape) + scatter.size as f64))
            }
        };
        let own = UNITS_PER_WORKGROUP * f64::from(workgroups);
        let mut work = Work::default();
        work.0[kind] = if launch == 0 { units.max(own) } else { own };
        work
    }

    /// A part of it.
    pub(crate) fn part(self, part: f64) -> Work {
        Work(self.0.map(|units| units * part))
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Work) -> Work {
        self.0.iter_mut().zip(other.0).for_each(|(units, more)| *units += more);
        self
    }
}

impl Speed {
    /// Of a device that has done nothing yet.
    pub(crate) fn unknown() -> Speed {
        Speed([FIRST_NANOSECONDS; KINDS])
    }

    /// How long work is expected to take.
    pub(crate) fn planned(&self, work: &Work) -> Duration {
        let nanoseconds: f64 = self.0.iter().zip(work.0).map(|(unit, units)| unit * units).sum();
        Duration::from_secs_f64(nanoseconds.clamp(0.0, 1e15) / 1e9)
    }

    /// Into how many workgroups a launch is cut, so that each part is planned no longer than a piece of work
    /// may be.
    pub(crate) fn cut(&self, work: &Work, workgroups: u32) -> Vec<Range<u32>> {
        let parts = (self.planned(work).as_secs_f64() / PIECE_MAX.as_secs_f64()).ceil();
        cut(workgroups, parts as u32)
    }

    /// Learns from work that is done. Where `exact` is false it took this long at most: it was done when
    /// somebody looked.
    pub(crate) fn learn(&mut self, work: &Work, took: Duration, exact: bool) {
        let planned = self.planned(work) + SUBMISSION;
        let change = (took.as_secs_f64() / planned.as_secs_f64()).clamp(1.0 / CHANGE_MAX, CHANGE_MAX);
        if change > 1.0 && (!exact || took < NOISE) {
            return;
        }
        // Slower is believed at once, faster by and by.
        let change = if change < 1.0 { change.sqrt() } else { change };
        let total: f64 = self.0.iter().zip(work.0).map(|(unit, units)| unit * units).sum();
        for (unit, units) in self.0.iter_mut().zip(work.0) {
            let share = if total > 0.0 { *unit * units / total } else { 0.0 };
            *unit = (*unit * change.powf(share)).max(LEAST_NANOSECONDS);
        }
    }
}

/// Workgroups in about so many parts, or as many as there are. Each part is a whole rectangle of the grid, so
/// that no workgroup runs twice.
pub(crate) fn cut(workgroups: u32, parts: u32) -> Vec<Range<u32>> {
    if parts <= 1 || workgroups <= 1 {
        return std::iter::once(0..workgroups).collect();
    }
    let length = (workgroups / parts).max(1);
    let length = if length > GRID_AXIS_MAX { length - length % GRID_AXIS_MAX } else { length };
    let starts = (0..workgroups).step_by(length as usize);
    starts.map(|start| start..start.saturating_add(length).min(workgroups)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A device on which a unit of each kind takes so many nanoseconds.
    fn took(device: &[f64; KINDS], work: &Work) -> Duration {
        SUBMISSION + Speed(*device).planned(work)
    }

    fn kinds(values: impl Strategy<Value = f64> + Clone + 'static) -> impl Strategy<Value = [f64; KINDS]> {
        prop::collection::vec(values, KINDS)
            .prop_map(|values| std::array::from_fn(|kind| values.get(kind).copied().unwrap_or_default()))
    }

    proptest! {
        #[test]
        fn parts_are_the_whole_and_short_enough(
            workgroups in 1u32..200_000, units in 0.0..1e12f64, nanoseconds in 1e-3..100f64,
        ) {
            let (speed, mut work) = (Speed([nanoseconds; KINDS]), Work::default());
            work.0[3] = units;
            let parts = speed.cut(&work, workgroups);
            let mut next = 0;
            for part in &parts {
                prop_assert_eq!(part.start, next);
                prop_assert!(!part.is_empty());
                next = part.end;
                let planned = speed.planned(&work.part(part.len() as f64 / f64::from(workgroups)));
                prop_assert!(planned <= PIECE_MAX.mul_f64(1.001) || part.len() == 1);
            }
            prop_assert_eq!(next, workgroups);
        }

        #[test]
        fn no_workgroup_runs_twice(workgroups in 1u32..10_000_000, units in 0.0..1e11f64) {
            let (speed, mut work) = (Speed::unknown(), Work::default());
            work.0[0] = units;
            let parts = speed.cut(&work, workgroups);
            for part in parts.iter().take(parts.len() - 1) {
                let (x, y) = crate::kernel::grid(part.len() as u32);
                prop_assert_eq!(x * y, part.len() as u32);
            }
        }

        #[test]
        fn a_device_is_known_after_a_while(
            device in kinds(1e-3..50.0f64), works in prop::collection::vec(kinds(0.0..1e8f64), 1..20),
        ) {
            let mut speed = Speed::unknown();
            for work in works.iter().cycle().take(2000) {
                let work = Work(*work);
                speed.learn(&work, took(&device, &work), true);
            }
            for work in works {
                let work = Work(work);
                let (planned, took) = (speed.planned(&work).as_secs_f64(), took(&device, &work).as_secs_f64());
                prop_assert!(planned < 2.5 * took && took < 2.5 * planned + 0.01, "{planned} for {took}");
            }
        }

        #[test]
        fn what_was_not_seen_to_end_makes_nothing_slower(work in kinds(0.0..1e9f64), seconds in 0.0..100f64) {
            let (mut speed, work) = (Speed::unknown(), Work(work));
            speed.learn(&work, Duration::from_secs_f64(seconds), false);
            prop_assert!(speed.planned(&work) <= Speed::unknown().planned(&work));
        }
    }
}
