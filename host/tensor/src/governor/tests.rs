//! What a meter holds to, over generated pieces of work, late wakings and paces.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A worker that always has work: each piece takes so long, each waking is so late.
struct Worker {
    meter: DutyMeter,
    now: Duration,
    /// Work and standing, each with when it began and ended.
    lived: Vec<(bool, Duration, Duration)>,
}

impl Worker {
    fn new() -> Worker {
        Worker { meter: DutyMeter::new(), now: Duration::ZERO, lived: Vec::new() }
    }

    /// One that has lived at this duty for half a minute.
    fn lived(duty: Duty, lives: impl Iterator<Item = (Duration, Duration)> + Clone) -> Worker {
        let mut worker = Worker::new();
        for (piece, late) in lives.cycle() {
            worker.step(Pace::Run { duty }, piece, late);
            if worker.now > 30 * SECOND {
                break;
            }
        }
        worker
    }

    /// The busy fractions of windows of ten seconds, with where each begins.
    fn windows(&self) -> impl Iterator<Item = (Duration, f64)> {
        let starts = (0..200).map(|start| SECOND * start / 10);
        starts.map(|from| (from, self.busy(from, from + 10 * SECOND)))
    }

    /// Asks, and does what it is told once.
    fn step(&mut self, pace: Pace, piece: Duration, late: Duration) -> Advice {
        let advice = self.meter.ask(self.now, pace);
        let (works, time) = match advice {
            Advice::Go => (true, piece),
            Advice::Stand(Some(time)) => (false, time + late),
            Advice::Stand(None) => (false, SECOND),
        };
        self.lived.push((works, self.now, self.now + time));
        self.now += time;
        advice
    }

    /// The busy fraction of a window.
    fn busy(&self, from: Duration, to: Duration) -> f64 {
        let within = |&(works, begin, end): &(bool, Duration, Duration)| {
            if works { end.min(to).saturating_sub(begin.max(from)) } else { Duration::ZERO }
        };
        self.lived.iter().map(within).sum::<Duration>().as_secs_f64() / (to - from).as_secs_f64()
    }
}

fn duty() -> impl Strategy<Value = Duty> {
    (50u16..=1000).prop_map(|per_mille| Duty::of_per_mille(per_mille).expect("in range"))
}

fn pace() -> impl Strategy<Value = Pace> {
    prop_oneof![duty().prop_map(|duty| Pace::Run { duty }), Just(Pace::Pause)]
}

/// A piece of work, and how late a waking is.
fn life() -> impl Strategy<Value = (Duration, Duration)> {
    (1u64..100_000, 0u64..5_000)
        .prop_map(|(piece, late)| (Duration::from_micros(piece), Duration::from_micros(late)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_duty_is_held_over_any_ten_seconds(duty in duty(), lives in prop::collection::vec(life(), 1..50)) {
        for (from, busy) in Worker::lived(duty, lives.into_iter()).windows() {
            prop_assert!((busy - duty.fraction()).abs() < 0.03, "{busy} for {duty:?} from {from:?}");
        }
    }

    #[test]
    fn a_duty_is_held_where_wakings_are_late(
        duty in duty(),
        lives in prop::collection::vec((1u64..100, 0u64..250), 1..50),
    ) {
        let lives = lives.into_iter();
        let lives = lives.map(|(piece, late)| (Duration::from_millis(piece), Duration::from_millis(late)));
        for (from, busy) in Worker::lived(duty, lives).windows() {
            prop_assert!((busy - duty.fraction()).abs() < 0.05, "{busy} for {duty:?} from {from:?}");
        }
    }

    #[test]
    fn a_new_duty_holds_from_when_it_is_given(
        before in prop::collection::vec((pace(), life()), 0..200),
        duty in duty(),
        lives in prop::collection::vec(life(), 1..50),
    ) {
        let mut worker = Worker::new();
        for (pace, (piece, late)) in before {
            worker.step(pace, piece, late);
        }
        let from = worker.now;
        for &(piece, late) in lives.iter().cycle() {
            worker.step(Pace::Run { duty }, piece, late);
            if worker.now > from + 10 * SECOND {
                break;
            }
        }
        let busy = worker.busy(from, from + 10 * SECOND);
        prop_assert!((busy - duty.fraction()).abs() < 0.05, "{busy} for {duty:?}");
    }

    #[test]
    fn whatever_happens_no_work_is_lost_or_invented(
        steps in prop::collection::vec((pace(), life()), 1..300),
    ) {
        let mut worker = Worker::new();
        for (pace, (piece, late)) in steps {
            let advice = worker.step(pace, piece, late);
            match pace {
                // A pause stands until something changes, full duty never stands.
                Pace::Pause => prop_assert_eq!(advice, Advice::Stand(None)),
                Pace::FULL => prop_assert_eq!(advice, Advice::Go),
                // No debt is larger than what ten seconds of work leave.
                Pace::Run { duty } => if let Advice::Stand(time) = advice {
                    let most = COUNTED_MAX.as_secs_f64() / duty.fraction();
                    prop_assert!(time.expect("it ends").as_secs_f64() <= most + 0.001);
                },
            }
        }
        let spent = worker.meter.spent(worker.now);
        prop_assert_eq!(spent.busy + spent.held, worker.now);
        let worked: Duration =
            worker.lived.iter().filter(|(works, ..)| *works).map(|(_, begin, end)| *end - *begin).sum();
        prop_assert_eq!(spent.busy, worked);
    }

    #[test]
    fn a_lower_duty_never_stands_less(
        lower in duty(), higher in duty(), busy_ms in 1u64..5000,
    ) {
        let (lower, higher) = (lower.min(higher), lower.max(higher));
        let stands = |duty: Duty| {
            let mut meter = DutyMeter::new();
            meter.ask(Duration::ZERO, Pace::Run { duty });
            match meter.ask(Duration::from_millis(busy_ms), Pace::Run { duty }) {
                Advice::Go => Duration::ZERO,
                Advice::Stand(time) => time.expect("it runs"),
            }
        };
        prop_assert!(stands(lower) >= stands(higher));
    }

    #[test]
    fn a_clock_that_goes_back_counts_nothing(times in prop::collection::vec(0u64..10_000, 1..50)) {
        let mut meter = DutyMeter::new();
        let pace = Pace::Run { duty: Duty::of_fraction(0.5) };
        for &time in &times {
            meter.ask(Duration::from_millis(time), pace);
        }
        let (first, most) = (times[0], times.iter().copied().max().expect("there are some"));
        let spent = meter.spent(Duration::ZERO);
        prop_assert_eq!(spent.busy + spent.held, Duration::from_millis(most - first));
    }
}

#[test]
fn duties_and_paces_are_what_they_say() {
    for per_mille in 1..=1000 {
        let duty = Duty::of_per_mille(per_mille).expect("in range");
        assert_eq!(Duty::of_fraction(duty.fraction()), duty);
        assert_eq!(Pace::of_per_mille(per_mille), Some(Pace::Run { duty }));
    }
    assert_eq!((Duty::of_per_mille(0), Duty::of_per_mille(1001)), (None, None));
    assert_eq!((Pace::of_per_mille(0), Pace::of_per_mille(1001)), (Some(Pace::Pause), None));
    for (fraction, per_mille) in [(f64::NAN, 1), (-1.0, 1), (0.0, 1), (0.2509, 250), (7.0, 1000)] {
        assert_eq!(Duty::of_fraction(fraction).per_mille(), per_mille, "{fraction}");
    }
    assert_eq!(Pace::Pause.per_mille(), 0);
}
