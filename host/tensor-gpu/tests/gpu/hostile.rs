//! The shipped kernels on a machine that misbehaves wherever WGSL allows: the bits must not move, and they
//! must move where a barrier is missing.

use anneal_tensor::{
    Reference,
    testing::{check_equal, random_graph},
};
use anneal_tensor_gpu::{
    hostile::{Hostile, Hostility},
    kernel::Tuning,
};

use crate::{cases, check, samples};

/// Every hostility alone, then all together.
fn hostilities() -> Vec<Hostility> {
    let none = Hostility::NONE;
    vec![
        none,
        Hostility { contract: true, ..none },
        Hostility { reassociate: true, ..none },
        Hostility { flush: true, zero_sign: true, ..none },
        Hostility { units_off: 6, ..none },
        Hostility { unfuse: true, ..none },
        Hostility::FULL,
    ]
}

fn tunings() -> [Tuning; 2] {
    let tuning = Tuning::default();
    [Tuning { invocations: 64, ..tuning }, Tuning { barrier_each_step: true, invocations: 1 << 20, ..tuning }]
}

#[test]
fn samples_keep_their_bits() {
    for (name, case) in samples() {
        let each = hostilities().into_iter().map(|hostility| (hostility, tunings()[0]));
        let all = (Hostility::FULL, tunings()[1]);
        for (seed, (hostility, tuning)) in each.chain([all]).enumerate() {
            let mut hostile = Hostile::new(hostility, seed as u64, tuning);
            check(&format!("{name}, {hostility:?}"), &mut hostile, &case);
        }
    }
}

#[test]
fn random_graphs_keep_their_bits() {
    for seed in cases(60) {
        let case = random_graph(seed, 10 + seed as usize % 30);
        let hostility = hostilities()[if seed % 2 == 0 { 6 } else { seed as usize % 6 }];
        let mut hostile = Hostile::new(hostility, seed, tunings()[seed as usize % 2]);
        check(&format!("seed {seed}, {hostility:?}"), &mut hostile, &case);
    }
}

/// Kernels with a single rounding before their clamp: nothing can be fused with it, so nothing is to be seen.
/// (The lint names their missing barriers all the same.)
const ONE_ROUNDING: [&str; 8] = ["sqrt", "rsqrt", "recip", "add", "sub", "mul", "div", "scatter"];

#[test]
fn a_missing_barrier_moves_bits() {
    let mut report = Vec::new();
    for (name, case) in samples() {
        let caught = |barrier| {
            let tuning = Tuning { leave_out_barrier: Some(barrier), ..tunings()[0] };
            (0..4).any(|seed| {
                let mut hostile = Hostile::new(Hostility::FULL, seed, tuning);
                check_equal(&mut Reference::new(), &mut hostile, &case).is_err()
            })
        };
        report.push((name, (0..12).filter(|&barrier| caught(barrier)).count()));
    }
    let blind: Vec<_> =
        report.iter().filter(|(name, caught)| *caught == 0 && !ONE_ROUNDING.contains(name)).collect();
    assert!(blind.is_empty(), "nothing is noticed in {blind:?} (all: {report:?})");
}
