//! Rules that take time: waiting, giving back, budgets, hours, clocks that jump, machines that sleep.

use super::*;

fn with(change: impl FnOnce(&mut Readings)) -> Readings {
    let mut readings = calm();
    change(&mut readings);
    readings
}

fn in_use() -> Readings {
    with(|readings| readings.idle_s = Sensor::Value(0.0))
}

/// How long it stands, at readings of once a second, from when they are calm again.
fn seconds_until_it_runs(running: &mut Running, readings: &Readings, at_most: usize) -> Option<usize> {
    (1..=at_most).find(|_| running.step(readings).decision.runs())
}

#[test]
fn work_comes_back_only_after_a_calm_while() {
    let mut running = Running::warm("[owner]\nfullscreen = true\nresume-after-seconds = 20", &calm());
    let covered = with(|readings| readings.fullscreen = Sensor::Value(true));
    running.step(&covered);
    for _ in 0..15 {
        assert_eq!(kind(running.step(&calm()).decision), "release");
    }
    // A flicker begins the wait again.
    running.step(&covered);
    let decided = running.step(&calm());
    assert_eq!(decided.reasons[0].to_string(), "nothing is in the way any more; work waits 20 s in case");
    assert_eq!(seconds_until_it_runs(&mut running, &calm(), 60), Some(20));
    assert_eq!(running.history.duty().fraction(), 0.1, "gently");
}

#[test]
fn a_pause_that_lasts_gives_the_task_back() {
    let mut running = Running::warm("[owner]\nidle-minutes = 5\npause-at-most-minutes = 2", &calm());
    let decisions: Vec<&str> = (0..180).map(|_| kind(running.step(&in_use()).decision)).collect();
    assert_eq!(decisions.iter().filter(|kind| **kind == "pause").count(), 120);
    assert!(decisions[120..].iter().all(|kind| *kind == "release"), "and never half back");
    // On a network paid by volume a task is kept: giving it back would send its state.
    let mut running = Running::warm("[owner]\npause-at-most-minutes = 1", &calm());
    let metered = with(|readings| readings.metered = Sensor::Value(true));
    assert!((0..300).all(|_| kind(running.step(&metered).decision) == "pause"));
}

#[test]
fn after_the_limit_it_cools_to_below_the_target() {
    let mut running = Running::warm("", &calm());
    let at = |celsius| with(|readings| readings.gpu = Sensor::Value(Celsius(celsius)));
    running.step(&at(83.0));
    let cooling = running.step(&at(75.0));
    let said = cooling.reasons[0].to_string();
    assert_eq!(said, "the GPU's temperature reached its limit and has to fall from 75 °C to 67 °C");
    assert_eq!(seconds_until_it_runs(&mut running, &at(67.1), 300), None);
    assert_eq!(seconds_until_it_runs(&mut running, &at(67.0), 300), Some(31));
}

#[test]
fn what_was_learnt_of_a_warm_device_is_forgotten_when_it_cools() {
    let warm = with(|readings| readings.gpu = Sensor::Value(Celsius(71.0)));
    let learnt = || {
        let mut running = Running::new("[owner]\nidle-minutes = 1\npause-at-most-minutes = 60");
        (0..3000).for_each(|_| drop(running.step(&warm)));
        assert!(running.history.duty().fraction() > 0.6, "{}", running.history.duty());
        running
    };
    let duty_again = |mut running: Running| {
        seconds_until_it_runs(&mut running, &warm, 60).expect("it comes back");
        (0..30).for_each(|_| drop(running.step(&warm)));
        running.history.duty().fraction()
    };
    let mut slept = learnt();
    slept.step_by(&warm, 3600.0);
    assert!(duty_again(slept) < 0.1, "after a sleep");
    let mut paused = learnt();
    let typing = with(|readings| (readings.gpu, readings.idle_s) = (warm.gpu, Sensor::Value(0.0)));
    (0..600).for_each(|_| drop(paused.step(&typing)));
    paused.history.idle_s = Some(60.0);
    assert!(duty_again(paused) < 0.1, "after a pause");
}

#[test]
fn input_is_remembered_against_a_sensor_that_forgets() {
    let mut running = Running::warm("[owner]\nidle-minutes = 5", &calm());
    running.step(&in_use());
    // The sensor now looks at another screen and says hours.
    for second in 1..=299 {
        let decided = running.step(&calm());
        assert!(!decided.decision.runs(), "at {second}");
        assert_eq!(decided.history.idle_s(), Some(f64::from(second)));
    }
    assert_eq!(seconds_until_it_runs(&mut running, &calm(), 60), Some(31));
}

#[test]
fn a_days_energy_ends_at_midnight() {
    // 360 W with the overhead use up 0.05 kWh in 500 s of work.
    let mut running = Running::new("[power]\nkwh-per-day = 0.05\noverhead-watts = 220");
    running.now.wall = "2026-11-30T23:40:00Z".parse().expect("a time");
    let ran = (0..1199).filter(|_| running.step(&calm()).decision.runs()).count();
    assert_eq!(ran, 500, "no second more; the last of them is found used up");
    let decided = running.step(&calm());
    let midnight = decided.reasons.iter().any(|reason| reason.remedy().contains("midnight"));
    assert!(!midnight, "{:?}: it is December", decided.reasons);
    assert_eq!(seconds_until_it_runs(&mut running, &calm(), 60), Some(30));
}

#[test]
fn never_less_energy_is_counted_than_was_used() {
    // 100 and 300 W by turns: nobody knows when between two readings it changed.
    let mut running = Running::new("[power]\nkwh-per-day = 5");
    let watts = |watts| {
        with(|readings| {
            (readings.gpu_watts, readings.cpu_watts) = (Sensor::Value(Watts(watts)), Sensor::Absent);
        })
    };
    for second in 0..=1200 {
        running.step(&watts(if second % 2 == 0 { 100.0 } else { 300.0 }));
    }
    let used = running.history.energy_on(jiff::civil::date(2026, 11, 23)).day.0;
    assert!((used - 0.1).abs() < 1e-6, "1200 s at 300 W are 0.1 kWh, not {used}");
    // What another device's host says can only add to it.
    let elsewhere = with(|readings| readings.energy_elsewhere.day = crate::KilowattHours(-100.0));
    let mut spent = Running::warm("[power]\nkwh-per-day = 0.01\noverhead-watts = 2000", &calm());
    let said = spent.step(&elsewhere).reasons[0].to_string();
    assert!(said.starts_with("today used"), "{said}");
}

#[test]
fn a_device_without_work_uses_nothing_of_its_budget() {
    let idle = Readings { is_idle: true, ..calm() };
    let mut running = Running::warm("[power]\nkwh-per-day = 5\noverhead-watts = 60", &idle);
    let used = |running: &Running| running.history.energy_on(jiff::civil::date(2026, 11, 23)).day.0;
    assert_eq!(used(&running), 0.0);
    running.step(&calm());
    assert!(used(&running) > 0.0);
}

#[test]
fn a_months_energy_ends_with_the_month() {
    let mut running = Running::new("[power]\nkwh-per-month = 0.05\noverhead-watts = 220");
    running.now.wall = "2026-11-29T23:45:00Z".parse().expect("a time");
    let ran = (0..1800).filter(|_| running.step(&calm()).decision.runs()).count();
    assert_eq!(ran, 500, "midnight does not bring a new month");
    let said = running.step(&calm()).reasons[0].to_string();
    assert_eq!(said, "this month used 0.05 kWh of its 0.05 kWh");
    running.now.wall = "2026-12-01T00:00:00Z".parse().expect("a time");
    assert!(seconds_until_it_runs(&mut running, &calm(), 60).is_some());
}

#[test]
fn the_machines_other_devices_use_the_same_budget() {
    let mut running = Running::warm("[power]\nkwh-per-day = 1", &calm());
    let elsewhere = with(|readings| readings.energy_elsewhere.day = crate::KilowattHours(1.0));
    let decided = running.step(&elsewhere);
    assert_eq!(kind(decided.decision), "release");
    assert!(decided.reasons[0].to_string().starts_with("today used 1.00 kWh"), "{}", decided.reasons[0]);
}

#[test]
fn hours_end_to_the_second() {
    let mut running = Running::warm("[time]\nzone = \"Europe/Berlin\"\nwindows = [\"until 13:10\"]", &calm());
    let closes: Timestamp = "2026-11-23T12:10:00Z".parse().expect("a time");
    loop {
        let decided = running.step(&calm());
        if running.now.wall >= closes {
            assert_eq!(kind(decided.decision), "release");
            let said = decided.reasons[0].to_string();
            assert_eq!(said, "your hours are over until Tue 2026-11-24 00:00");
            break;
        }
        assert!(decided.decision.runs());
        assert_eq!(decided.until, Some(closes));
    }
}

#[test]
fn the_night_the_clock_is_set_back_has_no_hour_more() {
    let mut running = Running::new("[time]\nzone = \"Europe/Berlin\"\nwindows = [\"01:30-02:30\"]");
    running.now.wall = "2026-10-24T22:00:00Z".parse().expect("a time");
    let ran = (0..6 * 3600).filter(|_| running.step(&calm()).decision.runs()).count();
    assert_eq!(ran, 3570, "an hour less the calm while at its beginning");
}

#[test]
fn a_clock_that_jumps_is_survived() {
    for jump_s in [-86_400 * 400, -3600, 3600, 86_400 * 40, 86_400 * 3000] {
        let mut running = Running::warm("[power]\nkwh-per-day = 2", &calm());
        let used = running.history.energy_on(jiff::civil::date(2026, 11, 23));
        running.now.wall += i64::from(jump_s).seconds();
        let decided = running.step(&calm());
        assert_eq!(kind(decided.decision), "pause", "{jump_s}");
        assert!(decided.reasons[0].to_string().starts_with("the clock was set"), "{}", decided.reasons[0]);
        running.now.wall -= i64::from(jump_s).seconds();
        running.step(&calm());
        assert_eq!(seconds_until_it_runs(&mut running, &calm(), 60), Some(31), "{jump_s}");
        let then = running.history.energy_on(jiff::civil::date(2026, 11, 23));
        assert!(then.day >= used.day, "what was used stays used");
    }
}

#[test]
fn a_clock_before_its_time_keeps_no_hours() {
    let early = "1970-01-01T00:00:30Z".parse().expect("a time");
    for (text, expected) in [
        ("", "run"),
        ("[power]\nkwh-per-day = 2", "pause"),
        ("[time]\nzone = \"UTC\"\nwindows = [\"00:00-24:00\"]", "pause"),
    ] {
        let mut running = Running::new(text);
        running.now.wall = early;
        assert_eq!(kind(running.step(&calm()).decision), expected, "{text}");
    }
}

#[test]
fn sleep_and_restart_begin_anew() {
    // Asleep for eight hours: the budget is not charged, the controllers start over, and work waits.
    let mut running = Running::warm("[power]\nkwh-per-day = 2", &calm());
    let used = |running: &Running| running.history.energy_on(jiff::civil::date(2026, 11, 23)).day.0;
    let before = used(&running);
    let decided = running.step_by(&calm(), 8.0 * 3600.0);
    assert_eq!(
        decided.reasons[0].to_string(),
        "nothing was read for 8 h 0 min: the machine slept or stalled"
    );
    assert!(used(&running) - before < 0.002, "ten seconds at most");
    assert_eq!(seconds_until_it_runs(&mut running, &calm(), 60), Some(31));
    // A restart: the steady clock begins again, and the history is read back from a file.
    let text = serde_json::to_string(&running.history).expect("a history is JSON");
    running.history = serde_json::from_str(&text).expect("and back");
    running.now = Moment { wall: running.now.wall + 90.seconds(), steady_ms: 5000 };
    let decided = running.decide(&calm());
    assert_eq!(decided.reasons[0].to_string(), "the machine was restarted");
    assert_eq!(seconds_until_it_runs(&mut running, &calm(), 60), Some(31));
}

#[test]
fn a_history_stays_small() {
    let mut running = Running::new("[power]\nkwh-per-day = 100\n[owner]\nidle-minutes = 1");
    for day in 0..200 {
        for second in 0..40 {
            running.step(&if second == day % 40 { in_use() } else { calm() });
        }
        running.now.wall += 24.hours();
        running.now.steady_ms += 86_400_000;
    }
    let text = serde_json::to_string(&running.history).expect("a history is JSON");
    assert!(text.len() < 4000, "{} bytes: {text}", text.len());
}
