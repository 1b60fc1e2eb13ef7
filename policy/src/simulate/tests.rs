//! Days gone through: numbers that can be checked by hand, traces that are none, and how fast it is.

use std::fmt::Write;

use super::*;

fn trace(text: &str) -> Vec<TraceRow> {
    read_trace(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn check(text: &str, expected: &str) {
    let error = read_trace(text).expect_err(text).to_string();
    assert!(error.contains(expected), "for {text:?}\n  got  {error}\n  want {expected}");
}

#[test]
fn a_trace_reads() {
    let rows = trace(
        "time, gpu_c, programs, fullscreen, gpu_memory_by_others, idle_s\n\
         2026-11-23T12:00:00+01:00, 61.5, obs; sh, true, 2 GiB, 5\n\
         2026-11-23T11:00:01Z,,,,,\n",
    );
    let first = &rows[0].readings;
    assert_eq!(rows[0].time.to_string(), "2026-11-23T11:00:00Z");
    assert_eq!(first.gpu, Sensor::Value(Celsius(61.5)));
    assert_eq!(first.programs, Sensor::Value(vec!["obs".to_owned(), "sh".to_owned()]));
    assert_eq!(first.fullscreen, Sensor::Value(true));
    assert_eq!(first.memory_by_others, Sensor::Value(anneal_job::ByteCount(2 << 30)));
    assert_eq!(first.hot_spot, Sensor::Absent, "no column, no sensor");
    let second = &rows[1].readings;
    assert_eq!((second.gpu, second.idle_s), (Sensor::Lost, Sensor::Lost), "no value, a lost one");
    assert_eq!(second.programs, Sensor::Value(Vec::new()));
}

#[test]
fn what_is_no_trace_names_line_and_column() {
    let head = "time,gpu_c,fullscreen\n2026-11-23T12:00:00Z,60,false\n";
    check(
        &format!("{head}2026-11-23T12:00:01Z,warm,false"),
        "line 3, column `gpu_c`: found \"warm\", but expected a number",
    );
    check(&format!("{head}2026-11-23T12:00:01Z,60,no"), "line 3, column `fullscreen`: found \"no\"");
    check(
        &format!("{head}yesterday,60,false"),
        "line 3, column `time`: found \"yesterday\", but expected a time like",
    );
    check(&format!("{head},60,false"), "line 3, column `time`: found \"\"");
    check(
        &format!("{head}2026-11-23T12:00:00Z,60,false"),
        "line 3, column `time`: 2026-11-23T12:00:00Z does not come after",
    );
    check(&format!("{head}2026-11-23T12:00:01Z,60"), "line 3: 2 cells, but the first line names 3 columns");
    check("time,gpu\n", "unknown column `gpu` (did you mean `gpu_c`?)");
    check("gpu_c\n60\n", "the column `time` must be there once, but is there 0 times");
    check("time,gpu_c,gpu_c\n", "the column `gpu_c` must be there once, but is there 2 times");
    check("time,gpu_c\n", "the trace has no rows");
    check("", "the column `time` must be there once");
}

/// Rows every half minute from noon, each with the rest of its cells.
fn rows(columns: &str, cells: impl Iterator<Item = String>) -> Vec<TraceRow> {
    let start: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
    let mut text = format!("time,{columns}\n");
    for (index, cells) in cells.enumerate() {
        let time = start + SignedDuration::from_secs(30 * index as i64);
        let _ = writeln!(text, "{time},{cells}");
    }
    trace(&text)
}

#[test]
fn an_hour_adds_up() {
    let policy = Policy::parse(
        "[earnings]\nxmr-price = 100\nprice-per-kwh = 0.25\nworking-watts = 200\n[shares]\nduty = 0.5",
    )
    .expect("a policy");
    let columns = "gpu_c,gpu_watts,earnings_piconero_per_hour";
    let hour = rows(columns, (0..=120).map(|_| "45,200,2000000000".to_owned()));
    let Simulation { rows, summary, .. } = simulate(&policy, &hour);
    assert_eq!(rows.len(), 121);
    assert_eq!((summary.seconds, summary.ran_s, summary.starts), (3600.0, 3600.0, 1));
    // Half of 0.002 XMR, less the first 20 s, in which the duty rose from 0.1 to 0.5; 0.2 kWh at 0.25.
    let missed_s: f64 = (0..20).map(|second| 0.5 - (0.1 + 0.02 * f64::from(second))).sum();
    let expected = 0.002 * (1800.0 - missed_s) / 3600.0;
    assert!((summary.earned_xmr - expected).abs() < 1e-7, "{} for {expected}", summary.earned_xmr);
    assert!((summary.energy.0 - 0.2).abs() < 1e-9 && (summary.cost - 0.05).abs() < 1e-9);
    let said = summary.to_string();
    assert!(
        said.contains("ran 60 min of 60 min (100 %)")
            && said.contains("= 0.10 EUR, energy cost 0.05 EUR, left 0.05 EUR"),
        "{said}"
    );
    assert!(rows.windows(2).all(|pair| pair[0].earned_xmr < pair[1].earned_xmr));
}

#[test]
fn an_owner_who_comes_and_goes() {
    let policy = Policy::parse("[owner]\nidle-minutes = 5\npause-at-most-minutes = 60").expect("a policy");
    // Half an hour of calm, a moment of input, calm again.
    let idle = |index: i32| if index < 60 { 900 + 30 * index } else { 30 * (index - 60) };
    let trace = rows("gpu_c,idle_s", (0..=120).map(|index| format!("45,{}", idle(index))));
    let summary = simulate(&policy, &trace).summary;
    assert_eq!(summary.starts, 2);
    assert_eq!(summary.standstills["you"].seconds, 300.0);
    assert_eq!(summary.standstills["waiting in case"].seconds, 30.0);
    assert_eq!(summary.ran_s, 3270.0);
}

#[test]
fn a_simulated_device_is_held_at_its_target() {
    let policy = Policy::parse("[temperature.gpu]\ntarget = 60\nlimit = 70").expect("a policy");
    let trace = rows("ambient_c", (0..=360).map(|_| "28".to_owned()));
    let Simulation { rows, summary, .. } = simulate(&policy, &trace);
    let last = rows.last().and_then(|row| row.temperature).expect("a temperature");
    assert!((last.0 - 60.0).abs() < 0.5, "{last}");
    assert!(summary.hottest.is_some_and(|hottest| hottest.0 < 62.0) && summary.releases == 0);
    let duty = rows.last().map(|row| row.decision.duty().fraction()).expect("a duty");
    assert!((duty - 32.0 / 48.0).abs() < 0.03, "{duty}");
}

#[test]
fn a_machine_that_sleeps_does_no_work() {
    let text = "time,gpu_c,gpu_watts\n2026-11-23T12:00:00Z,45,200\n2026-11-23T12:10:00Z,45,200\n\
                2026-11-23T20:00:00Z,45,200\n2026-11-23T20:10:00Z,45,200\n";
    let Simulation { rows, summary, .. } = simulate(&Policy::default(), &trace(text));
    assert_eq!((summary.seconds, summary.starts), (1200.0, 2));
    assert!(!rows[2].decision.runs(), "the first reading after it waits");
    assert_eq!(summary.ran_s, 1200.0 - 31.0);
}

#[test]
fn a_trace_that_is_too_long_is_cut_and_says_so() {
    let trace = rows("gpu_c", (0..100).map(|_| "45".to_owned()));
    let plant = ThermalPlant::card();
    let cut = simulate_at_most(&Policy::default(), &trace, plant, 301);
    assert_eq!((cut.rows.len(), cut.rows_left_out), (11, 89));
    assert!((299.0..=301.0).contains(&cut.summary.seconds), "{}", cut.summary.seconds);
    assert_eq!(simulate(&Policy::default(), &trace).rows_left_out, 0);
}

#[test]
fn a_day_of_readings_is_gone_through() {
    let policy = Policy::parse(include_str!("../../policy.toml").replace("until = ", "# until = ").as_str());
    let policy = policy.expect("the reference");
    let columns = "ambient_c,hot_spot_c,gpu_memory_c,cpu_c,fan_percent,cpu_watts,idle_s,fullscreen,programs,\
                   gpu_memory_by_others,gpu_percent_by_others,on_battery,metered,earnings_piconero_per_hour";
    let day = rows(
        columns,
        (0..2880).map(|index: i32| {
            format!("21,50,50,50,40,30,{},false,sh,100 MiB,1,false,false,900000000", 300 + 30 * index)
        }),
    );
    let Simulation { rows, summary, .. } = simulate(&policy, &day);
    assert_eq!(rows.len(), 2880);
    assert_eq!(summary.seconds, 2879.0 * 30.0);
    // From Monday noon UTC, the window is 22:00 to 07:30 in Berlin.
    let hours = summary.ran_s / 3600.0;
    assert!((9.4..=9.5).contains(&hours), "{hours} h: {summary}");
    assert!(summary.standstills.contains_key("hours"));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(time|gpu_c|,|\n|2026-11-23T12:00:0[0-9]Z|[0-9.-]{0,4}|\\PC){0,40}") {
        if let Ok(rows) = read_trace(&text) {
            let _ = simulate(&Policy::default(), &rows);
        }
    }
}
