//! The networks that are simulated: those of VERIFICATION.md's tables.

use anneal_job::{Redundancy, Span};

use crate::simulation::{Setup, actor::Kind};

const TWO: Redundancy = Redundancy::Fixed(2);

/// 60 jobs of 62 tasks each, submitted over two hours.
fn base() -> Setup {
    Setup { jobs: 60, segments: 12, workers: 4, ..Setup::small(1000) }
}

fn with(providers: &[(Kind, u32)], redundancy: Redundancy) -> Setup {
    Setup { providers: providers.iter().copied().collect(), redundancy, ..base() }
}

/// A network with everybody in it, and smaller ones with one kind of harm each.
pub fn networks() -> Vec<(String, Setup)> {
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
    let adaptive = Redundancy::Adaptive;
    let farm =
        |redundancy| Setup { tiny_jobs: 20, ..with(&[(Kind::Honest, 42), (Kind::Sybil, 18)], redundancy) };
    let rows = [
        ("two thousand, everybody", with(&everybody, TWO)),
        ("two thousand, everybody, adaptive", with(&everybody, adaptive)),
        ("40 % lie alone", with(&[(Kind::Honest, 60), (Kind::Lying, 30), (Kind::Forging, 10)], TWO)),
        ("10 % collude", with(&[(Kind::Honest, 90), (Kind::Colluding, 10)], TWO)),
        ("30 % collude", with(&[(Kind::Honest, 70), (Kind::Colluding, 30)], TWO)),
        ("30 % collude, adaptive", with(&[(Kind::Honest, 70), (Kind::Colluding, 30)], adaptive)),
        ("60 % collude", with(&[(Kind::Honest, 40), (Kind::Colluding, 60)], TWO)),
        ("30 % farm trust, adaptive", with(&[(Kind::Honest, 42), (Kind::Farming, 18)], adaptive)),
        ("30 % Sybils with own jobs, adaptive", farm(adaptive)),
        ("30 % Sybils with own jobs", farm(TWO)),
        (
            "15 % of messages lost, 15 % repeated",
            Setup { lost: 150, repeated: 150, ..with(&[(Kind::Honest, 60), (Kind::Churning, 40)], TWO) },
        ),
    ];
    let day = |name: &str, anchors, redundancy| {
        let setup = Setup {
            jobs: 400,
            anchors,
            jobs_over: Span::hours(30),
            newcomers_at: Span::hours(10),
            ..with(&[(Kind::Honest, 40), (Kind::Newcomer, 4)], redundancy)
        };
        (name.to_owned(), setup)
    };
    let mut all: Vec<(String, Setup)> = rows.map(|(name, setup)| (name.to_owned(), setup)).into();
    all.push(day("honest, thirty hours, nobody listed", 0, TWO));
    all.push(day("honest, thirty hours, three listed", 3, TWO));
    all.push(day("honest, thirty hours, three listed, adaptive", 3, adaptive));
    all
}

/// Fresh keys that cost nothing, on one prefix and on five, beside a few that are honest; without and with listed
/// anchors; and Sybils that pay themselves.
pub fn attacks() -> Vec<(String, Setup)> {
    let mut rows = Vec::new();
    for keys in [20, 100, 500] {
        for prefixes in [1, 5, 0] {
            for anchors in [0, 3] {
                let network = with(&[(Kind::Honest, 6), (Kind::Newcomer, 2), (Kind::Fresh, keys)], TWO);
                let spread = if prefixes == 0 { "one each".to_owned() } else { prefixes.to_string() };
                let name = format!("{keys} fresh keys, prefixes: {spread}, {anchors} listed");
                let setup = Setup { jobs: 12, anchors, prefixes, newcomers_at: Span::minutes(20), ..network };
                rows.push((name, setup));
            }
        }
    }
    for keys in [20, 100] {
        let network = with(&[(Kind::Honest, 6), (Kind::Sybil, keys)], TWO);
        let setup = Setup { jobs: 12, tiny_jobs: 20, prefixes: 5, ..network };
        rows.push((format!("{keys} Sybils with own jobs, prefixes: 5, 3 listed"), setup));
    }
    rows
}
