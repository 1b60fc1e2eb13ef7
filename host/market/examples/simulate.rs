//! Simulates networks of thousands of providers under the default rules, and prints what came of it as tables.
//!
//! `cargo run --release -p anneal-market --example simulate` prints the table of VERIFICATION.md, `… -- attack` that
//! of fresh keys, and `… -- cost` what a task costs the market, from the first to the millionth.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table is its output")]

#[path = "../simulation/simulation.rs"]
mod simulation;

#[path = "simulate/cost.rs"]
mod cost;
#[path = "simulate/networks.rs"]
mod networks;

use std::time::Instant;

use simulation::{Outcome, Setup, is_harmful, simulate};

/// Seeds of one row.
const SEEDS: u64 = 5;

fn main() {
    let mode = std::env::args().nth(1);
    match mode.as_deref() {
        Some("cost") => cost::table(),
        Some("attack") => table(&networks::attacks()),
        Some(other) => {
            eprintln!("there is no `{other}`: leave it out for the table, or say `attack` or `cost`");
        }
        None => table(&networks::networks()),
    }
}

fn table(networks: &[(String, Setup)]) {
    let columns = [
        "network",
        "providers",
        "tasks",
        "leases (shadows) per task",
        "replayed gas, % of paid (second half)",
        "longest wait for a worker, min",
        "lies",
        "faults",
        "honest at fault or unpaid",
        "wrong verdicts",
        "overturned",
        "final lies (documented at most)",
        "jobs open",
        "paid for lies",
        "forfeited",
        "profit of lying",
        "newcomer's first pay, min (pay to others')",
    ];
    println!("| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
    for (name, setup) in networks {
        let started = Instant::now();
        let outcomes: Vec<Outcome> =
            (0..SEEDS).map(|seed| simulate(&Setup { seed: setup.seed + seed, ..setup.clone() })).collect();
        println!("{}", row(name, &outcomes));
        let commands: u64 = outcomes.iter().map(|outcome| outcome.commands).sum();
        eprintln!("{name}: {commands} commands in {:.1} s", started.elapsed().as_secs_f64());
    }
}

fn row(name: &str, outcomes: &[Outcome]) -> String {
    let sum = |of: &dyn Fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let sums = |of: &dyn Fn(&simulation::Sums) -> i128| -> i128 {
        let harmful =
            outcomes.iter().flat_map(|outcome| &outcome.by_kind).filter(|(kind, _)| is_harmful(**kind));
        harmful.map(|(_, sums)| of(sums)).sum()
    };
    let everybody = sum(&|outcome| outcome.by_kind.values().map(|sums| sums.providers).sum());
    let tasks = sum(&|outcome| outcome.tasks_final);
    let expected: f64 = outcomes.iter().map(|outcome| outcome.misses_expected).sum();
    let variance: f64 = outcomes.iter().map(|outcome| outcome.misses_variance).sum();
    let per_task = |count: u64| count as f64 / tasks.max(1) as f64;
    let per_cent = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
    let minutes = |of: &dyn Fn(&Outcome) -> u64| outcomes.iter().map(of).max().unwrap_or(0) as f64 / 60_000.0;
    let discrepancies = sum(&|outcome| outcome.audit.discrepancies.len() as u64);
    assert_eq!(discrepancies, 0, "{name}: the log does not hold");
    let newcomers = outcomes.iter().map(|outcome| outcome.newcomer_pay).sum::<f64>();
    let others = outcomes.iter().map(|outcome| outcome.established_pay).sum::<f64>();
    let newcomer = match newcomers > 0.0 {
        true => format!("{:.0} ({:.2})", minutes(&|outcome| outcome.first_pay_max.0), newcomers / others),
        false => "–".to_owned(),
    };
    let cells = [
        name.to_owned(),
        (everybody / outcomes.len() as u64).to_string(),
        tasks.to_string(),
        format!(
            "{:.2} ({:.2})",
            per_task(sum(&|outcome| outcome.leases)),
            per_task(sum(&|outcome| outcome.shadows))
        ),
        format!(
            "{:.1} ({:.1})",
            per_cent(sum(&|outcome| outcome.gas_replayed), sum(&|outcome| outcome.gas_paid)),
            per_cent(sum(&|outcome| outcome.late_gas_replayed), sum(&|outcome| outcome.late_gas_paid))
        ),
        format!("{:.1}", minutes(&|outcome| outcome.replay_age_max.0)),
        sums(&|sums| sums.lies.into()).to_string(),
        sums(&|sums| sums.faults.into()).to_string(),
        format!("{} / {}", sum(&|outcome| outcome.honest_faulted), sum(&|outcome| outcome.honest_starved)),
        sum(&|outcome| outcome.wrong_verdicts).to_string(),
        sum(&|outcome| outcome.overturned).to_string(),
        format!("{} ({:.1})", sum(&|outcome| outcome.wrong_accepted), expected + 4.0 * variance.sqrt()),
        sum(&|outcome| outcome.jobs_open.into()).to_string(),
        sums(&|sums| sums.lie_pay.into()).to_string(),
        sums(&|sums| sums.forfeited.into()).to_string(),
        sums(&|sums| sums.profit_of_lying()).to_string(),
        newcomer,
    ];
    format!("| {} |", cells.join(" | "))
}
