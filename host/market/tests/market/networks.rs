//! Simulated networks, with everybody in them who could do harm.

use anneal_job::Redundancy;

use crate::simulation::{Outcome, Setup, simulate};

/// What must hold in every network.
fn check(setup: &Setup) -> Outcome {
    let outcome = simulate(setup);
    let seed = setup.seed;
    assert_eq!(outcome.audit.discrepancies, [], "seed {seed}: the log does not hold");
    assert_eq!(outcome.honest_faulted, 0, "seed {seed}: somebody honest is at fault");
    assert_eq!(outcome.jobs_open, 0, "seed {seed}: jobs that never end: {outcome:#?}");
    assert_eq!(outcome.findings_wrong, 0, "seed {seed}: a finding names the wrong operation");
    outcome
}

#[test]
fn a_small_network() {
    let mut setup = Setup::small(1);
    setup.check_every = 50;
    let outcome = check(&setup);
    eprintln!("{outcome:#?}");
    setup.redundancy = Redundancy::Adaptive;
    check(&setup);
}
