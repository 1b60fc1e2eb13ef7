//! Simulates networks of thousands of providers, and prints what came of it as a table.
//!
//! `cargo run --release -p anneal-market --example simulate` prints the table of VERIFICATION.md;
//! `… -- cost` prints what a task costs the market, from the first to the millionth.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table is its output")]

#[path = "../simulation/simulation.rs"]
mod simulation;

#[path = "simulate/cost.rs"]
mod cost;

use std::{collections::BTreeMap, time::Instant};

use anneal_job::Redundancy;
use simulation::{Outcome, Setup, actor::Kind, simulate};

/// Seeds of one row.
const SEEDS: u64 = 5;

fn main() {
    let mode = std::env::args().nth(1);
    match mode.as_deref() {
        Some("cost") => cost::table(),
        Some(other) => eprintln!("there is no `{other}`: leave it out for the table, or say `cost`"),
        None => table(),
    }
}

fn table() {
    println!(
        "| network | providers | tasks | leases per task | replays per task | lies | faults | honest at fault | \
         wrong verdicts | overturned | final lies (documented at most) | jobs open | paid for lies | \
         forfeited | profit of lying |"
    );
    println!("|{}", " --- |".repeat(15));
    for (name, setup) in networks() {
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
        outcomes.iter().flat_map(|outcome| outcome.by_kind.values()).map(of).sum()
    };
    let tasks = sum(&|outcome| outcome.tasks_final);
    let expected: f64 = outcomes.iter().map(|outcome| outcome.misses_expected).sum();
    let variance: f64 = outcomes.iter().map(|outcome| outcome.misses_variance).sum();
    let per_task = |count: u64| count as f64 / tasks.max(1) as f64;
    let discrepancies = sum(&|outcome| outcome.audit.discrepancies.len() as u64);
    assert_eq!(discrepancies, 0, "{name}: the log does not hold");
    format!(
        "| {name} | {} | {tasks} | {:.2} | {:.3} | {} | {} | {} | {} | {} | {} ({:.1}) | {} | {} | {} | {} |",
        sums(&|sums| sums.providers.into()) / outcomes.len() as i128,
        per_task(sum(&|outcome| outcome.leases)),
        per_task(sum(&|outcome| outcome.replays)),
        sums(&|sums| sums.lies.into()),
        sums(&|sums| sums.faults.into()),
        sum(&|outcome| outcome.honest_faulted),
        sum(&|outcome| outcome.wrong_verdicts),
        sum(&|outcome| outcome.overturned),
        sum(&|outcome| outcome.wrong_accepted),
        expected + 4.0 * variance.sqrt(),
        sum(&|outcome| outcome.jobs_open.into()),
        sums(&|sums| sums.lie_pay.into()),
        sums(&|sums| sums.forfeited.into()),
        sums(&|sums| sums.profit_of_lying()),
    )
}

fn networks() -> Vec<(&'static str, Setup)> {
    let base = Setup { jobs: 60, segments: 12, workers: 4, ..Setup::small(1000) };
    let with = |providers: &[(Kind, u32)], redundancy| Setup {
        providers: providers.iter().copied().collect::<BTreeMap<_, _>>(),
        redundancy,
        ..base.clone()
    };
    let two = Redundancy::Fixed(2);
    let everybody = [
        (Kind::Honest, 1400),
        (Kind::Churning, 300),
        (Kind::Straggling, 100),
        (Kind::Silent, 50),
        (Kind::Lying, 50),
        (Kind::Farming, 20),
        (Kind::Copying, 20),
        (Kind::Forging, 20),
        (Kind::Colluding, 40),
    ];
    vec![
        ("two thousand, everybody", with(&everybody, two)),
        ("two thousand, everybody, adaptive", with(&everybody, Redundancy::Adaptive)),
        ("honest only", with(&[(Kind::Honest, 60)], two)),
        ("honest only, adaptive", with(&[(Kind::Honest, 60)], Redundancy::Adaptive)),
        ("40 % lie alone", with(&[(Kind::Honest, 60), (Kind::Lying, 30), (Kind::Forging, 10)], two)),
        ("10 % collude", with(&[(Kind::Honest, 90), (Kind::Colluding, 10)], two)),
        ("30 % collude", with(&[(Kind::Honest, 70), (Kind::Colluding, 30)], two)),
        ("30 % collude, adaptive", with(&[(Kind::Honest, 70), (Kind::Colluding, 30)], Redundancy::Adaptive)),
        ("60 % collude", with(&[(Kind::Honest, 40), (Kind::Colluding, 60)], two)),
        ("30 % farm trust, adaptive", with(&[(Kind::Honest, 42), (Kind::Farming, 18)], Redundancy::Adaptive)),
        (
            "30 % Sybils with tiny jobs, adaptive",
            Setup { tiny_jobs: 20, ..with(&[(Kind::Honest, 42), (Kind::Sybil, 18)], Redundancy::Adaptive) },
        ),
        (
            "30 % Sybils with tiny jobs",
            Setup { tiny_jobs: 20, ..with(&[(Kind::Honest, 42), (Kind::Sybil, 18)], two) },
        ),
        (
            "15 % of messages lost, 15 % repeated",
            Setup { lost: 150, repeated: 150, ..with(&[(Kind::Honest, 60), (Kind::Churning, 40)], two) },
        ),
    ]
}
