//! The picture: a tree of elements that closes, with the values where they belong, and nothing of a stranger's.

use super::*;
use crate::simulate::{read_trace, simulate};

/// A night of 10 hours, simulated.
fn night(policy: &Policy) -> Simulation {
    let mut text = String::from("time,ambient_c,idle_s,earnings_piconero_per_hour\n");
    let start: Timestamp = "2026-11-23T19:00:00Z".parse().expect("a time");
    for minute in 0..600 {
        let time = start + SignedDuration::from_mins(minute);
        let _ = writeln!(text, "{time},22,99999,900000000");
    }
    simulate(policy, &read_trace(&text).expect("a trace"))
}

fn policy() -> Policy {
    Policy::parse(
        "[time]\nzone = \"Europe/Berlin\"\nwindows = [\"22:00-04:00\"]\n\
         [earnings]\ncurrency = \"<€>\u{202e}\u{200b}\"\nxmr-price = 150\nprice-per-kwh = 0.2\nworking-watts = 300",
    )
    .expect("a policy")
}

/// Every element that opens closes, in order.
fn check_tree(svg: &str) {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("every < has its >");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

#[test]
fn a_night_is_drawn() {
    let policy = policy();
    let svg = picture(&policy, &night(&policy));
    check_tree(&svg);
    for part in [
        "temperature, °C",
        "duty, %",
        "prefers-color-scheme:dark",
        ">22:00<",
        "class=\"limit\"",
        "Mon 2026-11-23 20:00",
    ] {
        assert!(svg.contains(part), "{part} is in the picture");
    }
    assert!(svg.contains("money, &lt;€&gt;") && !svg.contains("<€>"), "a currency is no element");
    assert!(svg.lines().all(|line| anneal_job::shown(line) == line), "a currency turns no direction");
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    assert!(svg.len() < 60_000, "{} bytes", svg.len());
}

#[test]
fn the_duty_is_drawn_where_it_was() {
    let policy = policy();
    let svg = picture(&policy, &night(&policy));
    let duty =
        svg.split("class=\"duty\" d=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a duty");
    // Windows open two of ten hours after the left edge and close after eight: 870 pixels wide from 70.
    let level = |x: f64| {
        let mut level = 0.0;
        let mut at = 0.0;
        for step in duty.split('H') {
            let (step_x, y) = step.split_once('V').expect("steps");
            at = step_x.trim_start_matches('M').split(' ').next().and_then(|x| x.parse().ok()).unwrap_or(at);
            if at <= x {
                level = y.parse::<f64>().expect("a number");
            }
        }
        level
    };
    let bottom = TOP + PANEL_HEIGHT + PANEL_GAP + PANEL_HEIGHT;
    assert_eq!(level(70.0 + 87.0), bottom);
    assert!(level(70.0 + 5.0 * 87.0) < bottom - 100.0, "{duty}");
    assert_eq!(level(70.0 + 9.0 * 87.0), bottom);
}

#[test]
fn nothing_and_everything_are_drawn() {
    let policy = Policy::default();
    check_tree(&picture(&policy, &simulate(&policy, &[])));
    let one = read_trace("time,gpu_c\n2026-11-23T12:00:00Z,255\n").expect("a trace");
    check_tree(&picture(&policy, &simulate(&policy, &one)));
    let year: String = (0..12).fold("time,gpu_c\n".to_owned(), |text, month| {
        text + &format!("2026-{:02}-01T00:00:00Z,50\n", month + 1)
    });
    check_tree(&picture(&policy, &simulate(&policy, &read_trace(&year).expect("a trace"))));
}
