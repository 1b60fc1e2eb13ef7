//! The lint accepts every generated kernel, and none of them with a barrier missing.

use std::collections::HashSet;

use anneal_tensor::{plan::Plan, testing::random_graph};
use anneal_tensor_gpu::{
    kernel::{Dispatch, Tuning, lower},
    lint,
};

use crate::{cases, samples};

fn dispatches(plan: &Plan, tuning: Tuning) -> Vec<Dispatch> {
    plan.steps.iter().flat_map(|step| lower(&step.kind, &plan.slots, tuning).dispatches).collect()
}

#[test]
fn every_generated_kernel_passes() {
    let mut seen = HashSet::new();
    for seed in cases(60) {
        let case = random_graph(seed, 60);
        let (plan, _) = Plan::build(&case.targets);
        for (barrier_each_step, invocations) in [(false, 1 << 14), (true, 1 << 20)] {
            let tuning = Tuning { barrier_each_step, invocations, ..Tuning::default() };
            for dispatch in dispatches(&plan, tuning) {
                if seen.insert(dispatch.kernel.text.clone())
                    && let Err(error) = lint::check(&dispatch.kernel.text)
                {
                    panic!("seed {seed}: {error}\n{}", dispatch.kernel.text);
                }
            }
        }
    }
    assert!(seen.len() > 100, "{} kernels", seen.len());
}

#[test]
fn each_missing_barrier_is_named() {
    for (name, case) in samples() {
        let (plan, _) = Plan::build(&case.targets);
        // The values of a sample come from a map of their own, which is a sample as well.
        for step in &plan.steps {
            let whole = lower(&step.kind, &plan.slots, Tuning::default()).dispatches;
            for (at, dispatch) in whole.iter().enumerate() {
                assert!(lint::check(&dispatch.kernel.text).is_ok());
                for barrier in 0..dispatch.kernel.barriers {
                    let tuning = Tuning { leave_out_barrier: Some(barrier), ..Tuning::default() };
                    let without = lower(&step.kind, &plan.slots, tuning).dispatches;
                    let text = &without[at].kernel.text;
                    let outcome = lint::check(text);
                    assert!(
                        matches!(outcome, Err(lint::LintError::Escapes(_))),
                        "{name}: barrier {barrier} is missed by nobody\n{text}"
                    );
                }
            }
        }
    }
}

#[test]
fn float_functions_of_the_platform_are_refused() {
    for function in ["exp(x)", "min(x, 1.0)", "abs(x)", "-x", "floor(x)", "x * 2.0", "x % 3.0"] {
        let text = format!(
            "@group(0) @binding(0) var<storage, read> arguments: array<u32>;
             @group(0) @binding(1) var<storage, read_write> b1: array<u32>;
             @compute @workgroup_size(1) fn main() {{
                 let x = bitcast<f32>(b1[0]);
                 let y = {function};
                 b1[0] = bitcast<u32>(y);
             }}"
        );
        assert!(matches!(lint::check(&text), Err(lint::LintError::Escapes(_))), "{function}");
    }
}
