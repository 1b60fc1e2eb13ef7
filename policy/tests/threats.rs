//! The threat model names tests; this holds that they exist. Not that they show what it says they do.

use std::{fs, path::Path};

const THREATS: &str = include_str!("../THREATS.md");
const STATES: [&str; 4] = ["Held", "In part", "Not yet", "Not held"];

/// Every `path.rs: name` in the text.
fn named() -> Vec<(&'static str, &'static str)> {
    THREATS.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs: ")).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = named();
    assert!(named.len() > 40, "{} tests are named", named.len());
    for (path, name) in named {
        let text = fs::read_to_string(root.join(format!("{path}.rs"))).unwrap_or_default();
        assert!(text.contains(&format!("fn {name}(")), "{path}.rs has no test `{name}`");
    }
}

#[test]
fn every_row_says_whether_it_is_held() {
    let (threats, _advisories) = THREATS.split_once("## wasmtime").expect("the advisories come last");
    let rows: Vec<&str> =
        threats.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |")).collect();
    let rows = rows.iter().filter(|row| !row.contains("---") && !row.ends_with("| State |"));
    let mut count = 0;
    for row in rows {
        let state = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        assert!(STATES.iter().any(|known| state.starts_with(known)), "{row}\nsays {state:?}");
        // What is called held is shown by a test, or says why none can show it.
        let is_shown = row.contains(".rs: ") || state.contains("no test can show it");
        assert!(!state.starts_with("Held") || is_shown, "{row}");
        count += 1;
    }
    assert!(count > 40, "{count} rows");
}
