//! The owner's hours, by a clock that the test sets: nights in which the clock is set, days off, the last moment.

use super::*;

use anneal_tests::clock::Clock;

/// Sunday 2027-03-28, 01:00 UTC: in Berlin it is 01:59:59, and then 03:00.
const SPRING: i64 = 1_806_195_600;
/// Sunday 2027-10-31, 00:10 UTC: in Berlin 02:10, and an hour later 02:10 again.
const AUTUMN: i64 = 1_824_941_400;
/// Saturday 2027-12-25, 10:00 UTC.
const CHRISTMAS: i64 = 1_829_728_800;
const HOUR: i64 = 3600;
const BERLIN: &str = "[time]\nzone = \"Europe/Berlin\"\n";

/// A provider whose clock the test sets; the folder has the clock's files.
fn scene(machine: &MachineStandIn) -> (Scene, Clock, tempfile::TempDir) {
    let folder = anneal_tests::scratch();
    let clock = Clock::new(folder.path(), "clock");
    let scene = Scene::new("cpu", machine).with(clock.environment());
    (scene, clock, folder)
}

#[test]
fn a_night_without_an_hour_and_one_with_it_twice_open_and_close_when_they_should() {
    let machine = MachineStandIn::new(CALM);
    let (mut scene, clock, _folder) = scene(&machine);
    // 02:30 does not come in this night: the window opens when the clock leaps over it.
    let job = scene.submit();
    clock.shows(SPRING - HOUR / 2);
    scene.provide(&format!("{BERLIN}windows = [\"sun 02:30-04:00\"]\n{FREE}"));
    scene.is_held("your hours are over until Sun 2027-03-28 03:00", &job);
    clock.shows(SPRING - 1);
    scene.ends(&job, "the leap to 03:00");

    scene.leave();
    // 02:30 comes twice: the window closes at the first, so it is closed at the second 02:10, not at the first.
    let job = scene.submit();
    clock.shows(AUTUMN + HOUR);
    scene.provide(&format!("{BERLIN}windows = [\"sun 00:00-02:30\"]\n{FREE}"));
    scene.is_held("your hours are over until Sun 2027-11-07 00:00", &job);
    clock.shows(AUTUMN);
    scene.ends(&job, "the first 02:10");
}

#[test]
fn days_off_and_the_last_moment_hold_work_and_change_no_digest() {
    let machine = MachineStandIn::new(CALM);
    let (mut scene, clock, _folder) = scene(&machine);
    let job = scene.submit();
    clock.shows(CHRISTMAS);
    let time = |rules: &str| format!("{BERLIN}{rules}\n");
    let rules = [
        ("your hours are over until Sun 2027-12-26 00:00", time("holidays = [\"12-25\"]")),
        ("your hours are over until Sun 2027-12-26 00:00", time("holidays = [\"2027-12-25\"]")),
        (
            "your hours are over until Sat 2027-12-25 20:00",
            time("holidays = [\"12-25\"]\nholiday-windows = [\"until 09:00\", \"from 20:00\"]"),
        ),
        ("your hours are over for good", time("until = \"2027-12-25 11:00\"")),
    ];
    scene.texts(&job, &rules);
    // A minute and a half before the hours end, for a task of two.
    clock.shows(CHRISTMAS + HOUR - 90);
    let text =
        time("holidays = [\"12-25\"]\nholiday-windows = [\"09:00-12:00\"]\nuntil = \"2027-12-25 13:00\"");
    scene.texts(&job, &[("it would not end before Sat 2027-12-25 12:00, when your hours end", text)]);
    clock.shows(CHRISTMAS);
    scene.ends(&job, "hours that are open");
}
