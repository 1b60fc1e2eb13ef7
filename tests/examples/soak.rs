//! The long fault tests, by hand: `tests/soak faults [KILLS] [SEED]` runs this and keeps its table. Not a test:
//! those are in `end_to_end/faults.rs`, with a few kills of each kind.

use std::{env, process::ExitCode};

use anneal_tests::{
    campaign::{Campaign, Outcome, spread},
    flood::Waste,
    network::{Kept, Kill},
};

/// Kills where nothing is said.
const KILLS: u64 = 300;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program, and its table is its output")]
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize, default: u64| match arguments.get(at).map(|text| text.parse::<u64>()) {
        None => Ok(default),
        Some(number) => number,
    };
    let (Ok(kills), Ok(seed)) = (number(0, KILLS), number(1, 1)) else {
        eprintln!("usage: soak [KILLS] [SEED]");
        return ExitCode::from(2);
    };
    let share = |per_cent: u64| (kills * per_cent).div_ceil(100);
    let single = |flooded: bool| Campaign {
        kept: Kept::Sqlite,
        kills: vec![(Kill::Coordinator, share(20)), (Kill::Provider, share(22)), (Kill::Worker, share(25))],
        seed,
        providers: 4,
        flooded,
    };
    let campaigns = [
        ("SQLite, one coordinator", single(false)),
        ("The same kills, and strangers who flood the coordinator", single(true)),
        (
            "PostgreSQL, two coordinators",
            Campaign {
                kept: Kept::Postgres,
                kills: vec![
                    (Kill::Leader, share(10)),
                    (Kill::Follower, share(4)),
                    (Kill::LeaderStopped, share(4)),
                    (Kill::Provider, share(7)),
                    (Kill::Worker, share(8)),
                ],
                seed: seed + 1,
                providers: 4,
                flooded: false,
            },
        ),
    ];
    for (name, campaign) in campaigns {
        let outcome = campaign.run(&mut |line| eprintln!("{name}: {line}"));
        println!("{}", table(name, &outcome));
    }
    ExitCode::SUCCESS
}

fn table(name: &str, outcome: &Outcome) -> String {
    let Outcome { struck, jobs, waste, resumed, ledger, time } = outcome;
    let attempts: Vec<String> =
        ledger.attempts.iter().map(|(fate, count)| format!("{count} {fate}")).collect();
    let rows = outcome.rows().join("\n");
    let (jobs, took) = (jobs.len(), spread(jobs.clone()));
    let waste = waste.map_or_else(String::new, |Waste { keys, requests, refused }| {
        format!(
            "Meanwhile {keys} strangers' keys made {requests} requests and endless connections, of which {refused} were\n\
             refused.\n"
        )
    });
    format!(
        "## {name}\n\n\
         {} kills in {} s. {jobs} jobs ended, {jobs} with the digest that they have undisturbed; {resumed} times a\n\
         job was paused because two machines had failed on one task, and resumed. A job took {took} s.\n{waste}\
         Log: {} entries, chain and audit without a finding, {} replays, nobody faulted.\n\
         Attempts, every one with an end: {}.\n\n\
         | killed | times | ready again, s | next attempt finished, s |\n| --- | ---: | ---: | ---: |\n{rows}\n",
        struck.len(),
        time.as_secs(),
        ledger.entries,
        ledger.replays,
        attempts.join(", "),
    )
}
