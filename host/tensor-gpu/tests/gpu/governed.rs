//! A gate between launches, and launches cut in pieces: the same bits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use anneal_tensor::{Executor, ExecutorError, Gate, testing::random_graph};
use anneal_tensor_gpu::{GpuExecutor, adapters, kernel::Tuning};

use crate::{cases, check, executors, recorded, rough};

/// A gate that holds nobody, counts who passes, and can be shut for good.
#[derive(Debug, Default)]
struct Counted {
    passed: AtomicUsize,
    is_shut: AtomicBool,
    limits: bool,
}

impl Gate for Counted {
    fn limits(&self) -> bool {
        self.limits
    }

    fn pass(&self) -> Result<(), ExecutorError> {
        self.passed.fetch_add(1, Ordering::Relaxed);
        if self.is_shut.load(Ordering::Relaxed) { Err(ExecutorError::Stopped) } else { Ok(()) }
    }
}

#[test]
fn launches_in_pieces_give_the_same_bits() {
    for adapter in &adapters() {
        let tuning = Tuning { pieces: Some(3), ..Tuning::default() };
        let mut executor = GpuExecutor::unchecked(adapter, tuning).expect("it opens");
        for seed in cases(5) {
            check(&format!("seed {seed}"), &mut executor, &random_graph(seed, 60));
        }
    }
}

#[test]
fn a_gate_is_passed_after_each_submission_and_can_end_the_work() {
    for executor in &mut executors() {
        for limits in [false, true] {
            let gate = Arc::new(Counted { limits, ..Counted::default() });
            executor.govern(Some(gate.clone()));
            let case = recorded(|graph| {
                let x = rough(graph, &[40, 300], 1)?;
                Ok(vec![graph.matmul(&x, &x, false, true)?, graph.exp(&x)?])
            });
            check("governed", executor, &case);
            assert!(gate.passed.load(Ordering::Relaxed) > 0);
            gate.is_shut.store(true, Ordering::Relaxed);
            let ended = executor.evaluate(&case.targets);
            assert!(matches!(ended, Err(ExecutorError::Stopped)), "{ended:?}");
            // Whoever comes next finds a device that works.
            executor.govern(None);
            check("free again", executor, &case);
        }
    }
}
