//! Simulated networks, with everybody in them who could do harm.

use std::collections::BTreeMap;

use anneal_job::Redundancy;

use crate::simulation::{Outcome, Setup, actor::Kind, is_harmful, simulate};

/// What must hold in every network.
fn check(setup: &Setup) -> Outcome {
    let outcome = simulate(setup);
    let seed = setup.seed;
    assert_eq!(outcome.audit.discrepancies, [], "seed {seed}: the log does not hold");
    assert_eq!(outcome.honest_faulted, 0, "seed {seed}: somebody honest is at fault");
    assert_eq!(outcome.jobs_open, 0, "seed {seed}: jobs that never end: {outcome:#?}");
    assert_eq!(outcome.findings_wrong, 0, "seed {seed}: a finding names the wrong operation");
    let bound = outcome.misses_expected + 4.0 * outcome.misses_variance.sqrt();
    assert!(outcome.wrong_accepted as f64 <= bound, "seed {seed}: more lies than documented: {outcome:#?}");
    let chain_is_right = outcome.wrong_accepted > 0 || outcome.wrong_states == 0;
    assert!(chain_is_right, "seed {seed}: a wrong state without a wrong verdict");
    for (kind, sums) in &outcome.by_kind {
        let honest = !is_harmful(*kind);
        assert!(!honest || sums.forfeited == 0, "seed {seed}: {kind:?} lost {}", sums.forfeited);
    }
    outcome
}

fn only(providers: &[(Kind, u32)]) -> BTreeMap<Kind, u32> {
    providers.iter().copied().collect()
}

#[test]
fn small_networks_with_everybody_in_them() {
    let mut lies = 0;
    for seed in 1..=6 {
        let redundancy = if seed % 2 == 0 { Redundancy::Adaptive } else { Redundancy::Fixed(2) };
        let setup = Setup { check_every: 400, redundancy, ..Setup::small(seed) };
        let outcome = check(&setup);
        lies += outcome.by_kind.values().map(|sums| sums.faults).sum::<u64>();
        assert!(outcome.audit.draws > 0, "seed {seed}: no epoch was opened");
    }
    assert!(lies > 15, "the simulated liars were caught {lies} times only");
}

#[test]
fn liars_alone_are_paid_nothing() {
    let setup = Setup {
        providers: only(&[(Kind::Honest, 10), (Kind::Lying, 10), (Kind::Forging, 5), (Kind::Copying, 5)]),
        ..Setup::small(11)
    };
    let outcome = check(&setup);
    for kind in [Kind::Lying, Kind::Forging, Kind::Copying] {
        assert_eq!(outcome.by_kind[&kind].lie_pay, 0, "{kind:?}");
        assert!(outcome.by_kind[&kind].lies > 0, "{kind:?}");
    }
    assert_eq!((outcome.wrong_verdicts, outcome.wrong_accepted), (0, 0));
    assert!(outcome.findings["operation"] > 0 && outcome.findings["forged"] > 0);
}

#[test]
fn lying_together_costs_more_than_it_brings() {
    let (mut profit, mut lies, mut wrong) = (0, 0, 0);
    for seed in 21..=26 {
        let setup = Setup {
            providers: only(&[(Kind::Honest, 8), (Kind::Colluding, 8)]),
            jobs: 10,
            ..Setup::small(seed)
        };
        let outcome = check(&setup);
        let sums = outcome.by_kind[&Kind::Colluding];
        profit += sums.profit_of_lying();
        lies += sums.lies;
        wrong += outcome.wrong_verdicts;
    }
    assert!(lies > 20 && wrong > 10, "they lied {lies} times, {wrong} times as one");
    assert!(profit < 0, "colluding brought {profit} credits");
}

#[test]
fn trust_that_was_farmed_is_worth_less_than_it_costs() {
    let (mut profit, mut lies) = (0, 0);
    for seed in 31..=40 {
        let setup = Setup {
            providers: only(&[(Kind::Honest, 8), (Kind::Farming, 6), (Kind::Sybil, 6)]),
            redundancy: Redundancy::Adaptive,
            tiny_jobs: 4,
            jobs: 12,
            ..Setup::small(seed)
        };
        let outcome = check(&setup);
        for kind in [Kind::Farming, Kind::Sybil] {
            profit += outcome.by_kind[&kind].profit_of_lying();
            lies += outcome.by_kind[&kind].lies;
        }
    }
    assert!(lies > 10, "they lied {lies} times only");
    assert!(profit < 0, "farming trust brought {profit} credits");
}

#[test]
fn a_bad_network_loses_nothing() {
    let providers =
        only(&[(Kind::Honest, 6), (Kind::Churning, 10), (Kind::Straggling, 6), (Kind::Silent, 4)]);
    let setup = Setup { providers, lost: 150, repeated: 150, check_every: 1000, ..Setup::small(41) };
    let outcome = check(&setup);
    assert_eq!(outcome.wrong_states, 0);
}

#[test]
fn hundreds_of_providers() {
    let providers = only(&[
        (Kind::Honest, 150),
        (Kind::Churning, 60),
        (Kind::Straggling, 30),
        (Kind::Silent, 20),
        (Kind::Lying, 20),
        (Kind::Colluding, 20),
    ]);
    let setup = Setup { providers, jobs: 40, redundancy: Redundancy::Adaptive, ..Setup::small(51) };
    check(&setup);
}
