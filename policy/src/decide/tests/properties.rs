//! Properties over generated policies and days: what must hold whatever a machine and its owner do.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{CHANNELS, SensorName, controller::ChannelRule};

const POLICIES: [&str; 6] = [
    "",
    include_str!("../../../presets/quiet-night.toml"),
    include_str!("../../../presets/gamer.toml"),
    include_str!("../../../presets/laptop.toml"),
    include_str!("../../../presets/solar.toml"),
    "[fan]\nlimit-percent = 60\n[power]\nwatts = 250\nkwh-per-day = 0.2\noverhead-watts = 80\n\
     [earnings]\nxmr-price = 150\nprice-per-kwh = 0.3\nworking-watts = 300\n\
     [owner]\nidle-minutes = 0.2\ngpu-percent-by-others = 20\nresume-after-seconds = 10\npause-at-most-minutes = 0.5",
];

/// A number that a sensor gives: mostly believable, sometimes not, sometimes nothing.
fn sensor(low: f64, high: f64) -> impl Strategy<Value = Sensor<f64>> {
    prop_oneof![
        40 => (low..high).prop_map(Sensor::Value),
        2 => select(vec![0.0, 255.0, -1.0, f64::NAN, f64::INFINITY, 1e300]).prop_map(Sensor::Value),
        1 => Just(Sensor::Lost),
        1 => Just(Sensor::Absent),
    ]
}

fn flag(weight: u32) -> impl Strategy<Value = Sensor<bool>> {
    prop_oneof![
        60 => Just(Sensor::Value(false)),
        weight => Just(Sensor::Value(true)),
        1 => Just(Sensor::Lost),
        1 => Just(Sensor::Absent),
    ]
}

fn readings() -> impl Strategy<Value = Readings> {
    let heat = (sensor(30.0, 90.0), sensor(30.0, 100.0), sensor(30.0, 100.0), sensor(30.0, 92.0));
    let other = (sensor(0.0, 70.0), sensor(10.0, 260.0), sensor(0.0, 1200.0), sensor(0.0, 25.0));
    let owner = (flag(2), flag(2), flag(1), select(vec!["sh", "obs", "blender"]), 0u64..900_000_000);
    (heat, other, owner).prop_map(|(heat, other, owner)| Readings {
        gpu: heat.0.map(|value| Celsius(*value)),
        hot_spot: heat.1.map(|value| Celsius(*value)),
        gpu_memory: heat.2.map(|value| Celsius(*value)),
        cpu: heat.3.map(|value| Celsius(*value)),
        fan: other.0.map(|value| Percent(*value)),
        gpu_watts: other.1.map(|value| Watts(*value)),
        idle_s: other.2,
        use_by_others: other.3.map(|value| Percent(*value)),
        fullscreen: owner.0,
        on_battery: owner.1,
        metered: owner.2,
        programs: Sensor::Value(vec![owner.3.to_owned()]),
        earnings_per_hour: (owner.4 % 7 > 0).then_some(Piconero(owner.4)),
        ..calm()
    })
}

/// How both clocks go on before a reading: mostly a second, sometimes anything.
fn tick() -> impl Strategy<Value = (i64, u64)> {
    prop_oneof![
        30 => Just((1000, 1000)),
        3 => (100u64..5000).prop_map(|ms| (ms as i64, ms)),
        1 => (-100_000_000_000i64..100_000_000_000, 0u64..5000),
        1 => (0u64..1_000_000_000).prop_map(|ms| (ms as i64, ms)),
        1 => (-10_000_000_000i64..10_000_000_000, 0u64..1_000_000_000),
    ]
}

type Day = Vec<(Readings, (i64, u64))>;

/// Stretches of readings that stay the same for a while, as days do, so that work also runs.
fn day() -> impl Strategy<Value = Day> {
    let stretch = (prop_oneof![1 => readings(), 2 => Just(calm())], 1usize..80, tick());
    vec(stretch, 1..12).prop_map(|stretches| {
        let repeated = stretches.into_iter().flat_map(|(readings, times, tick)| {
            (0..times).map(move |time| (readings.clone(), if time == 0 { tick } else { (1000, 1000) }))
        });
        repeated.collect()
    })
}

/// Goes through a day and hands over each reading with the history before it and what was decided.
fn live(policy_text: &str, day: &Day, mut look: impl FnMut(&Policy, &Readings, &History, Moment, &Decided)) {
    let mut running = Running::new(policy_text);
    for (readings, (wall_ms, steady_ms)) in day {
        let wall = running.now.wall.checked_add(wall_ms.milliseconds()).unwrap_or(running.now.wall);
        running.now = Moment { wall, steady_ms: running.now.steady_ms + steady_ms };
        let before = running.history.clone();
        let decided = running.decide(readings);
        look(&running.policy, readings, &before, running.now, &decided);
    }
}

fn is_over_a_limit(policy: &Policy, readings: &Readings) -> bool {
    CHANNELS.iter().any(|name| {
        let value = readings.channel(*name).value().copied();
        ChannelRule::of(policy, *name)
            .zip(value)
            .is_some_and(|(rule, value)| value >= rule.limit || !name.believed().contains(&value))
    })
}

fn set(readings: &mut Readings, name: SensorName, sensor: Sensor<f64>) {
    match name {
        SensorName::GpuCore => readings.gpu = sensor.map(|value| Celsius(*value)),
        SensorName::HotSpot => readings.hot_spot = sensor.map(|value| Celsius(*value)),
        SensorName::GpuMemory => readings.gpu_memory = sensor.map(|value| Celsius(*value)),
        SensorName::Cpu => readings.cpu = sensor.map(|value| Celsius(*value)),
        SensorName::Fan => readings.fan = sensor.map(|value| Percent(*value)),
        _ => readings.gpu_watts = sensor.map(|value| Watts(*value)),
    }
}

fn lose(readings: &mut Readings, which: usize) {
    match which {
        0..=5 => set(readings, CHANNELS[which], Sensor::Lost),
        6 => readings.idle_s = Sensor::Lost,
        7 => readings.fullscreen = Sensor::Lost,
        8 => readings.programs = Sensor::Lost,
        9 => readings.memory_by_others = Sensor::Lost,
        10 => readings.use_by_others = Sensor::Lost,
        11 => readings.on_battery = Sensor::Lost,
        12 => readings.metered = Sensor::Lost,
        _ => readings.earnings_per_hour = None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Never above a limit for longer than one sensor period: the reading that shows it stops work.
    #[test]
    fn over_a_limit_nothing_runs(which in 0..POLICIES.len(), day in day()) {
        live(POLICIES[which], &day, |policy, readings, _, now, decided| {
            if is_over_a_limit(policy, readings) {
                assert!(!decided.decision.runs(), "{readings:?}");
            }
            if let crate::schedule::Opening::Closed { .. } = policy.schedule.at(now.wall) {
                assert!(!decided.decision.runs(), "{now:?}");
            }
            let duty = decided.decision.duty().fraction();
            assert!(duty <= policy.shares.duty.fraction());
            assert!(!decided.decision.runs() || duty >= 0.05);
        });
    }

    /// For equal history, a hotter reading never raises the duty.
    #[test]
    fn hotter_is_never_busier(
        which in 0..POLICIES.len(),
        day in day(),
        channel in 0..CHANNELS.len(),
        low in 2.0..125.0f64,
        more in 0.0..60.0f64,
    ) {
        live(POLICIES[which], &day, |policy, readings, before, now, _| {
            let (mut cool, mut hot) = (readings.clone(), readings.clone());
            set(&mut cool, CHANNELS[channel], Sensor::Value(low));
            set(&mut hot, CHANNELS[channel], Sensor::Value((low + more).min(129.0)));
            let duty = |readings: &Readings| decide(policy, readings, before, now).decision.duty();
            assert!(duty(&hot) <= duty(&cool), "{:?} from {low} by {more}", CHANNELS[channel]);
        });
    }

    /// A lost sensor never raises the duty, and what an hour earns is such a sensor, too.
    #[test]
    fn a_lost_sensor_is_never_busier(which in 0..POLICIES.len(), day in day(), lost in 0usize..14) {
        live(POLICIES[which], &day, |policy, readings, before, now, decided| {
            let mut blind = readings.clone();
            lose(&mut blind, lost);
            let duty = decide(policy, &blind, before, now).decision.duty();
            assert!(duty <= decided.decision.duty(), "without {lost}");
        });
    }

    /// No flapping: whatever flickers, work begins at most once in the calm while.
    #[test]
    fn nothing_flaps(which in 0..POLICIES.len(), day in day()) {
        let (mut begun_ms, mut ran) = (None, false);
        live(POLICIES[which], &day, |policy, _, before, now, decided| {
            let runs = decided.decision.runs();
            if runs && !ran {
                if let Some(begun_ms) = begun_ms {
                    let apart_s = (now.steady_ms - begun_ms) as f64 / 1000.0;
                    assert!(apart_s >= policy.owner.resume_after_s, "{apart_s}");
                }
                begun_ms = Some(now.steady_ms);
            }
            // A task that was given back is not half kept: from release it goes on only by running or refusing.
            let was_released = before.standing.is_some_and(|standing| standing.is_released);
            assert!(!was_released || decided.decision != Decision::Pause);
            ran = runs;
        });
    }

    /// Nothing that a sensor or a clock says panics, every stop is explained in whole sentences, and the
    /// history comes back the same through a file.
    #[test]
    fn every_stop_is_explained(which in 0..POLICIES.len(), day in day()) {
        live(POLICIES[which], &day, |_, _, _, _, decided| {
            assert_eq!(decided.decision.runs(), decided.limited_by.is_some());
            for reason in &decided.reasons {
                assert!(reason.to_string().len() > 10 && reason.remedy().len() > 10, "{reason:?}");
            }
        });
        let mut last = History::default();
        live(POLICIES[which], &day, |_, _, _, _, decided| last = decided.history.clone());
        let text = serde_json::to_string(&last).expect("a history is JSON");
        assert_eq!(serde_json::from_str::<History>(&text).expect("and back"), last);
    }

    /// Energy is never counted down, and work stops at the budget.
    #[test]
    fn budgets_hold(day in day()) {
        let text = POLICIES[5];
        live(text, &day, |policy, _, before, now, decided| {
            let date = policy.schedule.date(now.wall);
            let (used, then) = (before.energy_on(date).day, decided.history.energy_on(date).day);
            assert!(then >= used);
            if then.0 >= 0.2 {
                assert!(!decided.decision.runs());
            }
        });
    }
}

/// A history's file may hold anything that is JSON of its shape.
#[test]
fn a_history_that_was_tampered_with_is_survived() {
    let mut running = Running::warm(POLICIES[5], &calm());
    running.step(&calm());
    let text = serde_json::to_string(&running.history).expect("a history is JSON");
    for number in ["1e308", "-1e308", "0", "-1", "3e-320"] {
        for key in ["smoothed", "integral", "missed_s", "duty", "watts", "idle_s"] {
            let marker = format!("\"{key}\":");
            assert!(text.contains(&marker), "{key} is in {text}");
            let parts: Vec<&str> = text.split(&marker).collect();
            let tampered = parts[1..].iter().fold(parts[0].to_owned(), |text, part| {
                let end = part.find([',', '}']).expect("a value ends");
                format!("{text}{marker}{number}{}", &part[end..])
            });
            running.history = serde_json::from_str(&tampered).expect("it has its shape");
            for _ in 0..40 {
                let duty = running.step(&calm()).decision.duty().fraction();
                assert!((0.0..=1.0).contains(&duty), "{key} = {number}");
            }
        }
    }
}

/// Generated days would prove nothing if work never ran in them.
#[test]
fn generated_days_run_and_stop() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    for text in POLICIES {
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..150 {
            let day = day().new_tree(&mut runner).expect("a day").current();
            live(text, &day, |_, _, _, _, decided| *counts.entry(kind(decided.decision)).or_insert(0) += 1);
        }
        for decision in ["run", "pause", "release"] {
            assert!(counts.get(decision).copied().unwrap_or(0) > 200, "{text}: {counts:?}");
        }
    }
}
