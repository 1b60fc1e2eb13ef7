//! When a parent holds a child from outside, because the child does not hold itself to its pace: a guest's call that
//! never reaches the governor, a driver that spins, a compiler. Pure: times are handed in; who acts is the parent.
//!
//! A pause is a word first, which a worker obeys within milliseconds. [`STANDS_WITHIN`] later its process is
//! stopped, whatever it says of itself; it goes on where it was when the pause is over. A duty is a budget of
//! processor time, of which a worker that obeys never uses as much: over it, the process is stopped until the
//! budget has caught up.
//!
//! What a GPU was handed goes on although the process is stopped. So a worker on one has to say that it stands, which
//! it does when nothing of its own is on the device; one that does not is ended, and its device with it.

use std::time::Duration;

use anneal_tensor::Pace;

/// From the word until a process on a processor is stopped. A policy is asked once a second, so the machine is quiet
/// within two of what a sensor says.
pub(crate) const STANDS_WITHIN: Duration = Duration::from_secs(1);
/// The same until a worker on a GPU is ended: the longest piece of work that it was handed is over long before.
pub(crate) const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// Processor time over the budget at which a process is stopped, for each of its threads.
const SURPLUS_MAX: Duration = Duration::from_secs(3);
/// No single look counts for more.
const COUNTED_MAX: Duration = Duration::from_secs(10);

/// What is to become of a child now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It runs.
    Go,
    /// Its process is stopped.
    Stop,
    /// Its process is ended.
    End,
}

/// What a parent sees of a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// The pace that it was told.
    pub pace: Pace,
    /// Processor time of all its threads, by the kernel's count; `None` where that is not told.
    pub processor: Option<Duration>,
    /// It says that it stands, and has nothing on a device.
    pub stands: bool,
}

/// Decides about one child.
#[derive(Debug)]
pub(crate) struct Brake {
    threads: u32,
    hardware: bool,
    /// It was let run at some time.
    has_run: bool,
    paused_since: Option<Duration>,
    last: Option<(Duration, Seen)>,
    /// Processor time over the budget, for each thread.
    surplus: Duration,
    is_stopped: bool,
}

impl Brake {
    /// For a child that computes with so many threads, and, where it is `hardware`, on a GPU that is no program.
    pub(crate) fn new(threads: u32, hardware: bool) -> Brake {
        Brake {
            threads: threads.max(1),
            hardware,
            has_run: false,
            paused_since: None,
            last: None,
            surplus: Duration::ZERO,
            is_stopped: false,
        }
    }

    /// What to do at this time, counted from any moment.
    pub(crate) fn ask(&mut self, now: Duration, seen: Seen) -> Hold {
        self.count(now, seen);
        let hold = match seen.pace {
            Pace::Pause => self.paused(now, seen.stands),
            Pace::Run { .. } => {
                (self.has_run, self.paused_since) = (true, None);
                let most = if self.is_stopped { Duration::ZERO } else { SURPLUS_MAX };
                if self.surplus > most { Hold::Stop } else { Hold::Go }
            }
        };
        self.is_stopped = hold == Hold::Stop;
        hold
    }

    fn paused(&mut self, now: Duration, stands: bool) -> Hold {
        let passed = now.saturating_sub(*self.paused_since.get_or_insert(now));
        match self.hardware {
            // Where it stood still already, nothing of its own is on the device any more.
            _ if self.is_stopped => Hold::Stop,
            false if passed >= STANDS_WITHIN => Hold::Stop,
            true if self.has_run && !stands && passed >= ENDS_WITHIN => Hold::End,
            _ => Hold::Go,
        }
    }

    /// Counts what was used since it was asked last against what the pace of then allowed.
    fn count(&mut self, now: Duration, seen: Seen) {
        let Some((then, before)) = self.last.replace((now, seen)) else { return };
        let Pace::Run { duty } = before.pace else { return };
        if before.pace == Pace::FULL {
            self.surplus = Duration::ZERO;
            return;
        }
        let (Some(used_before), Some(used)) = (before.processor, seen.processor) else { return };
        let used = used.saturating_sub(used_before).min(COUNTED_MAX * self.threads) / self.threads;
        let allowed = now.saturating_sub(then).min(COUNTED_MAX).mul_f64(duty.fraction());
        self.surplus = (self.surplus + used).saturating_sub(allowed).min(COUNTED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use anneal_tensor::Duty;
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    /// A child that uses so much of `threads` processors whenever it is not stopped, looked at every tick.
    fn play(brake: &mut Brake, from: Duration, ticks: u32, pace: Pace, busy: f64, stands: bool) -> Vec<Hold> {
        let mut processor = brake.last.and_then(|(_, seen)| seen.processor).unwrap_or_default();
        let mut holds = Vec::new();
        for tick in 0..ticks {
            let hold = brake.ask(from + TICK * tick, Seen { pace, processor: Some(processor), stands });
            if hold == Hold::Go {
                processor += TICK.mul_f64(busy);
            }
            holds.push(hold);
        }
        holds
    }

    fn duty(per_mille: u16) -> Pace {
        Pace::of_per_mille(per_mille).expect("in range")
    }

    #[test]
    fn a_pause_stops_a_process_within_a_second_and_lets_it_go_on() {
        for stands in [false, true] {
            let mut brake = Brake::new(2, false);
            assert!(play(&mut brake, TICK, 100, Pace::FULL, 2.0, false).iter().all(|hold| *hold == Hold::Go));
            let holds = play(&mut brake, TICK * 101, 100, Pace::Pause, 2.0, stands);
            let until = holds.iter().position(|hold| *hold == Hold::Stop).expect("it is stopped") as u32;
            assert_eq!(TICK * until, STANDS_WITHIN);
            assert!(holds[until as usize..].iter().all(|hold| *hold == Hold::Stop));
            assert_eq!(play(&mut brake, TICK * 201, 1, Pace::FULL, 2.0, false), [Hold::Go]);
            // A new pause is a new word.
            assert_eq!(play(&mut brake, TICK * 202, 1, Pace::Pause, 2.0, false), [Hold::Go]);
        }
    }

    #[test]
    fn a_worker_on_a_gpu_is_ended_unless_it_stands_or_never_ran() {
        let pause = |brake: &mut Brake, stands| play(brake, TICK * 10, 100, Pace::Pause, 0.0, stands);
        let mut never_ran = Brake::new(2, true);
        assert!(pause(&mut never_ran, false).iter().all(|hold| *hold == Hold::Go));
        for stands in [true, false] {
            let mut brake = Brake::new(2, true);
            play(&mut brake, TICK, 2, Pace::FULL, 1.0, false);
            let holds = pause(&mut brake, stands);
            let end = holds.iter().position(|hold| *hold == Hold::End);
            assert_eq!(end.map(|ticks| TICK * ticks as u32), (!stands).then_some(ENDS_WITHIN));
        }
    }

    #[test]
    fn one_call_that_ignores_a_duty_is_held_to_it_on_average() {
        for (threads, busy, per_mille) in [(1, 1.0, 100), (2, 1.0, 250), (8, 8.0, 50), (2, 2.0, 900)] {
            let mut brake = Brake::new(threads, false);
            let ticks = 40_000;
            let holds = play(&mut brake, TICK, ticks, duty(per_mille), busy, false);
            let ran =
                holds.iter().filter(|hold| **hold == Hold::Go).count() as f64 * TICK.as_secs_f64() * busy;
            let allowed = f64::from(ticks) * TICK.as_secs_f64() * f64::from(per_mille) / 1000.0;
            let over = ran / f64::from(threads) - allowed;
            assert!(over <= (SURPLUS_MAX + TICK * 2).as_secs_f64(), "{threads} {busy} {per_mille}: {over}");
            assert!(
                over > -(SURPLUS_MAX + TICK).as_secs_f64() - allowed * 0.1,
                "{threads} {per_mille}: {over}"
            );
        }
    }

    proptest! {
        /// Whoever keeps within a second of its duty, as a worker's own governor does, is never stopped for it.
        #[test]
        fn who_obeys_is_never_stopped(
            steps in prop::collection::vec((1u16..=1000, 0.0..1.0f64, 1u32..200), 1..50),
            threads in 1u32..16,
        ) {
            let mut brake = Brake::new(threads, false);
            let (mut now, mut processor) = (TICK, Duration::ZERO);
            for (per_mille, part, ticks) in steps {
                let pace = Pace::Run { duty: Duty::of_per_mille(per_mille).expect("in range") };
                for _ in 0..ticks {
                    let seen = Seen { pace, processor: Some(processor), stands: false };
                    prop_assert_eq!(brake.ask(now, seen), Hold::Go);
                    now += TICK;
                    processor += (TICK * threads).mul_f64(part * f64::from(per_mille) / 1000.0);
                }
            }
        }
    }
}
