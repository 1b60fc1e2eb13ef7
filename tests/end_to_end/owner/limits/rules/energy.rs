//! Energy of a day and of a month, by a clock that the test sets.

use super::*;

use anneal_tests::clock::Clock;

/// Friday 2027-01-15, 12:00 UTC.
const NOON: i64 = 1_800_014_400;
const DAY: i64 = 24 * 3600;

#[test]
fn a_day_s_and_a_month_s_energy_hold_work_and_change_no_digest() {
    let machine = MachineStandIn::new(CALM);
    let folder = anneal_tests::scratch();
    let clock = Clock::new(folder.path(), "clock");
    let mut scene = Scene::new("cpu", &machine).with(clock.environment());
    clock.shows(NOON);
    // The least budget that can be written: a quarter of a minute of all that a machine is believed to draw. Work
    // that is as slow as can be takes longer.
    let day = scene.submit_of("digits", &["--segments", "1", "--param", "epochs=60"]);
    let spent = "today used 0.01 kWh of its 0.01 kWh";
    scene.provide(&format!(
        "[power]\nkwh-per-day = 0.01\noverhead-watts = 2500\n[shares]\nduty = 0.05\n{FREE}"
    ));
    scene.is_told(spent);
    scene.sees("the task given back", |device| device["work"].is_null());
    assert_eq!(scene.summary(&day)["state"], "running");
    // It is remembered over a restart, until the last minute of the day. Nothing draws anything any more.
    clock.shows(NOON + DAY / 2 - 60);
    scene.provide(&format!("[power]\nkwh-per-day = 0.01\n{FREE}"));
    scene.is_told(spent);
    assert_eq!(scene.summary(&day)["state"], "running");
    clock.shows(NOON + DAY / 2);
    scene.ends(&day, "the next day");

    scene.leave();
    let month = scene.submit();
    // Midnight comes in the owner's zone: the last day of January in Berlin, an hour before it is February there.
    clock.shows(NOON + 16 * DAY + DAY / 2 - 2 * 3600);
    scene.provide(&format!("[time]\nzone = \"Europe/Berlin\"\n[power]\nkwh-per-month = 0.01\n{FREE}"));
    scene.is_held("this month used 0.01 kWh of its 0.01 kWh", &month);
    clock.shows(NOON + 16 * DAY + DAY / 2 - 3600);
    scene.ends(&month, "the next month");
}
