//! Windows over weeks, nights in which the clock is set, holidays, and texts that are no windows.

use super::*;

fn schedule(zone_name: &str, windows: &[&str]) -> Schedule {
    Schedule {
        zone: zone(zone_name).expect(zone_name),
        windows: windows.iter().map(|text| text.parse().expect(text)).collect(),
        ..Schedule::default()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn check(schedule: &Schedule, moment: &str, expected: &str) {
    let found = match schedule.at(at(moment)) {
        Opening::Open { closes: None } => "open".to_owned(),
        Opening::Open { closes: Some(closes) } => format!("open until {closes}"),
        Opening::Closed { opens: None } => "closed".to_owned(),
        Opening::Closed { opens: Some(opens) } => format!("closed until {opens}"),
    };
    assert_eq!(found, expected, "at {moment}");
}

/// Minutes of work allowed between two moments, asked minute by minute.
fn open_minutes(schedule: &Schedule, from: &str, until: &str) -> i64 {
    let (mut now, until) = (at(from), at(until));
    let mut minutes = 0;
    while now < until {
        minutes += i64::from(matches!(schedule.at(now), Opening::Open { .. }));
        now += 60.seconds();
    }
    minutes
}

#[test]
fn no_window_is_always() {
    check(&Schedule::default(), "2026-11-23T12:00:00Z", "open");
}

#[test]
fn a_night_goes_over_midnight_and_belongs_to_its_first_day() {
    let nights = schedule("Europe/Berlin", &["mon-fri 22:00-07:30"]);
    // Berlin is one hour ahead of UTC in November; the 23rd is a Monday.
    check(&nights, "2026-11-23T20:59:59Z", "closed until 2026-11-23T21:00:00Z");
    check(&nights, "2026-11-23T21:00:00Z", "open until 2026-11-24T06:30:00Z");
    check(&nights, "2026-11-24T06:29:59Z", "open until 2026-11-24T06:30:00Z");
    check(&nights, "2026-11-24T06:30:00Z", "closed until 2026-11-24T21:00:00Z");
    // Friday's night lasts into Saturday; Sunday has none.
    check(&nights, "2026-11-28T02:00:00Z", "open until 2026-11-28T06:30:00Z");
    check(&nights, "2026-11-29T22:00:00Z", "closed until 2026-11-30T21:00:00Z");
}

#[test]
fn windows_that_touch_are_one() {
    let split = schedule("UTC", &["sat", "sun 00:00-12:00", "fri 20:00-24:00"]);
    check(&split, "2026-11-27T21:00:00Z", "open until 2026-11-29T12:00:00Z");
    check(&schedule("UTC", &["00:00-24:00"]), "2026-11-27T21:00:00Z", "open");
    check(&schedule("UTC", &["mon-sun 08:00-20:00", "20:00-08:00"]), "2026-11-27T21:00:00Z", "open");
    check(&schedule("UTC", &["mon-sat"]), "2026-11-23T00:00:00Z", "open until 2026-11-29T00:00:00Z");
}

#[test]
fn the_hour_that_is_leapt_over_is_no_hour() {
    // On 2026-03-29 Berlin goes from 02:00 to 03:00 at 01:00 UTC.
    let inside = schedule("Europe/Berlin", &["02:15-02:45"]);
    assert_eq!(open_minutes(&inside, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 0);
    assert_eq!(open_minutes(&inside, "2026-03-29T12:00:00Z", "2026-03-30T12:00:00Z"), 30);
    check(
        &schedule("Europe/Berlin", &["22:00-02:30"]),
        "2026-03-29T00:00:00Z",
        "open until 2026-03-29T01:00:00Z",
    );
    check(
        &schedule("Europe/Berlin", &["02:30-06:00"]),
        "2026-03-29T00:59:00Z",
        "closed until 2026-03-29T01:00:00Z",
    );
    // 22:00 to 07:30 by the clock has an hour less that night.
    let night = schedule("Europe/Berlin", &["22:00-07:30"]);
    assert_eq!(open_minutes(&night, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), 510);
}

#[test]
fn the_hour_that_comes_twice_closes_the_first_time() {
    // On 2026-10-25 Berlin goes from 03:00 back to 02:00 at 01:00 UTC.
    let evening = schedule("Europe/Berlin", &["22:00-02:30"]);
    check(&evening, "2026-10-25T00:10:00Z", "open until 2026-10-25T00:30:00Z");
    assert_eq!(open_minutes(&evening, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 270);
    let inside = schedule("Europe/Berlin", &["02:15-02:45"]);
    assert_eq!(open_minutes(&inside, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"), 30);
    let night = schedule("America/New_York", &["22:00-07:30"]);
    assert_eq!(open_minutes(&night, "2026-11-01T00:00:00Z", "2026-11-01T20:00:00Z"), 630);
}

#[test]
fn a_midnight_that_is_leapt_over_still_begins_the_day() {
    // Cairo goes from 00:00 to 01:00 on Friday 2026-04-24.
    let fridays = schedule("Africa/Cairo", &["fri"]);
    assert_eq!(open_minutes(&fridays, "2026-04-23T00:00:00Z", "2026-04-25T23:00:00Z"), 23 * 60);
}

#[test]
fn a_holiday_has_windows_of_its_own() {
    let mut work = schedule("UTC", &["mon-fri 08:00-18:00"]);
    work.holidays = [Holiday::Once(Date::constant(2026, 11, 24)), Holiday::Yearly(11, 25)].into();
    check(&work, "2026-11-24T09:00:00Z", "closed until 2026-11-26T08:00:00Z");
    work.holiday_windows = vec!["until 10:00".parse().expect("a window")];
    check(&work, "2026-11-24T09:00:00Z", "open until 2026-11-24T10:00:00Z");
    assert_eq!(open_minutes(&work, "2027-11-25T00:00:00Z", "2027-11-26T00:00:00Z"), 600);
    // Holidays without windows: every other day is free.
    let mut free = schedule("UTC", &[]);
    free.holidays = [Holiday::Once(Date::constant(2026, 12, 25))].into();
    check(&free, "2026-12-24T09:00:00Z", "open until 2026-12-25T00:00:00Z");
    check(&free, "2026-12-25T09:00:00Z", "closed until 2026-12-26T00:00:00Z");
    check(&free, "2026-11-23T00:00:00Z", "open");
}

#[test]
fn until_is_the_last_moment() {
    let mut night = schedule("Europe/Berlin", &["22:00-10:00"]);
    let now = at("2026-11-23T22:00:00Z");
    let until = night.next(now, Time::constant(7, 30, 0, 0)).expect("07:30 comes");
    assert_eq!(until, at("2026-11-24T06:30:00Z"));
    night.until = Some(until);
    check(&night, "2026-11-23T22:00:00Z", "open until 2026-11-24T06:30:00Z");
    check(&night, "2026-11-24T06:30:00Z", "closed");
    check(&night, "2026-11-23T12:00:00Z", "closed until 2026-11-23T21:00:00Z");
    assert_eq!(night.next(until, Time::constant(7, 30, 0, 0)), Some(at("2026-11-25T06:30:00Z")));
    assert_eq!(night.local(until), "Tue 2026-11-24 07:30");
}

#[test]
fn windows_read_and_show() {
    for (text, shown) in [
        ("mon-fri 22:00-07:30", "mon,tue,wed,thu,fri 22:00-07:30"),
        ("SAT,sun", "sat,sun 00:00-24:00"),
        ("fri-mon 1:00-2:00", "mon,fri,sat,sun 01:00-02:00"),
        ("until 07:30", "00:00-07:30"),
        ("tue from 18:00", "tue 18:00-24:00"),
        ("mon-sun 00:00-24:00", "00:00-24:00"),
    ] {
        let window: Window = text.parse().expect(text);
        assert_eq!(window.to_string(), shown);
        assert_eq!(shown.parse::<Window>().as_ref(), Ok(&window));
    }
    for text in [
        "",
        "mon-",
        "monday 1:00-2:00",
        "25:00-26:00",
        "12:60-13:00",
        "8-9",
        "08:00",
        "08:00-08:00",
        "24:00-08:00",
        "+8:00-9:00",
        "mon 8:00-9:00-10:00",
        "until",
        "mon,,tue",
    ] {
        assert!(text.parse::<Window>().is_err(), "{text:?}");
    }
}

#[test]
fn the_ends_of_time_do_not_panic() {
    let night = schedule("Europe/Berlin", &["22:00-07:30"]);
    for moment in [Timestamp::MIN, Timestamp::MAX] {
        let _ = night.at(moment);
        let _ = night.next(moment, Time::midnight());
        let _ = night.local(moment);
    }
}

proptest::proptest! {
    #[test]
    fn open_and_closed_agree_with_their_ends(second in 1_700_000_000i64..1_900_000_000, which in 0usize..5) {
        let zones = ["Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu"];
        let schedule = schedule(zones[which], &["mon-fri 22:00-07:30", "sat 01:30-02:30", "sun"]);
        let now = Timestamp::from_second(second).expect("in range");
        match schedule.at(now) {
            Opening::Open { closes } => {
                let closes = closes.expect("there are closed hours every week");
                assert!(closes > now);
                assert!(matches!(schedule.at(closes), Opening::Closed { .. }), "{closes}");
                assert!(matches!(schedule.at(closes - 1.seconds()), Opening::Open { .. }));
            }
            Opening::Closed { opens } => {
                let opens = opens.expect("there are open hours every week");
                assert!(opens > now);
                assert!(matches!(schedule.at(opens), Opening::Open { .. }), "{opens}");
                assert!(matches!(schedule.at(opens - 1.seconds()), Opening::Closed { .. }));
            }
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = text.parse::<Window>();
    }
}
