//! The CPU gives the reference's bits: on random graphs, on large and odd shapes, for every instruction set
//! and number of threads.

use super::*;
use crate::{
    Conv2dAttributes, DType, FloatMode, Graph, Meter, Op, Recorded, Reference, Shape,
    testing::{Case, check_equal, random_graph},
};

/// An executor that cuts even the smallest work for its threads.
fn eager(threads: usize, set: InstructionSet) -> Cpu {
    let mut cpu = Cpu::with_instruction_set(threads, set).unwrap();
    cpu.team.work_min = 1;
    cpu
}

/// A gate that holds nobody, and counts who passes.
#[derive(Debug, Default)]
struct Open(std::sync::atomic::AtomicUsize);

impl Gate for Open {
    fn limits(&self) -> bool {
        true
    }

    fn pass(&self) -> Result<(), ExecutorError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// A gate that does what a library in the process may do at any call.
#[derive(Debug)]
struct Disturbs(FloatMode);

impl Gate for Disturbs {
    fn limits(&self) -> bool {
        true
    }

    fn pass(&self) -> Result<(), ExecutorError> {
        self.0.set_for_tests();
        Ok(())
    }
}

#[test]
fn a_mode_that_changes_while_threads_compute_is_no_result() {
    let mut graph = Graph::new(0, Meter::new(1 << 20));
    let x = graph.uniform(&[64, 64], 1).unwrap();
    let targets = [graph.sum(&x, &[0], false).unwrap()];
    for threads in [1, 3] {
        let mut cpu = eager(threads, InstructionSet::detect());
        let expected = cpu.evaluate(&targets).unwrap()[0].elements().unwrap().to_bytes();
        for mode in FloatMode::others_for_tests() {
            cpu.govern(Some(Arc::new(Disturbs(mode))));
            let found = cpu.evaluate(&targets);
            assert!(
                matches!(&found, Err(ExecutorError::FloatMode(wrong)) if wrong.found == mode),
                "{mode}: {found:?}"
            );
            // It was set right on every thread.
            cpu.govern(None);
            assert_eq!(cpu.evaluate(&targets).unwrap()[0].elements().unwrap().to_bytes(), expected, "{mode}");
        }
    }
}

/// A gate that ends everything.
#[derive(Debug)]
struct Shut;

impl Gate for Shut {
    fn limits(&self) -> bool {
        true
    }

    fn pass(&self) -> Result<(), ExecutorError> {
        Err(ExecutorError::Stopped)
    }
}

/// Every instruction set of this machine with 1, 2 and 3 threads, large work cut and small work too.
fn executors() -> Vec<Cpu> {
    let mut executors = vec![Cpu::new(2).unwrap()];
    for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
        executors.extend([1, 2, 3].map(|threads| eager(threads, set)));
    }
    for threads in [1, 2] {
        let mut governed = eager(threads, InstructionSet::detect());
        governed.govern(Some(Arc::new(Open::default())));
        executors.push(governed);
    }
    executors
}

#[track_caller]
fn check(executors: &mut [Cpu], name: &str, case: &Case) {
    for cpu in executors {
        let outcome = check_equal(&mut Reference::new(), cpu, case);
        if let Err(mismatch) = outcome {
            panic!("{name}, {:?}: {mismatch}", cpu.device);
        }
    }
}

#[test]
fn random_graphs_give_the_reference_bits() {
    let cases: u64 = std::env::var("ANNEAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60);
    let mut executors = executors();
    for seed in 0..cases {
        // Each case on some of the executors, all of them in turn.
        let count = executors.len();
        let chosen = [seed as usize % count, (seed as usize * 7 + 3) % count];
        let case = random_graph(seed, 40 + seed as usize % 160);
        for at in chosen {
            check(&mut executors[at..=at], &format!("seed {seed}"), &case);
        }
    }
}

fn record(name: &str, executors: &mut [Cpu], make: impl FnOnce(&mut Graph) -> Recorded<Vec<Tensor>>) {
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let targets = make(&mut graph).unwrap();
    check(executors, name, &Case { graph, targets });
}

/// Values of many magnitudes, so that every order of additions has its own bits.
fn rough(graph: &mut Graph, sizes: &[usize], stream: u64) -> Recorded {
    let normal = graph.normal(sizes, stream)?;
    let scale = graph.full(DType::F32, &[], 3.0)?;
    let exponent = graph.normal(sizes, stream + 1000)?;
    let exponent = graph.mul(&exponent, &scale)?;
    let scale = graph.exp(&exponent)?;
    graph.mul(&normal, &scale)
}

#[test]
fn matrices_of_every_kind_of_size() {
    let mut executors = executors();
    let sizes = [
        [1, 1, 1],
        [1, 300, 700],
        [300, 1, 513],
        [15, 33, 256],
        [14, 32, 257],
        [29, 600, 3],
        [70, 70, 1030],
        [5, 40, 0],
        [3, 900, 20],
    ];
    for [m, n, k] in sizes {
        for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
            record(&format!("matmul {m} {n} {k}"), &mut executors, |graph| {
                let a = rough(graph, &if transpose_a { [k, m] } else { [m, k] }, 1)?;
                let b = rough(graph, &if transpose_b { [n, k] } else { [k, n] }, 2)?;
                Ok(vec![graph.matmul(&a, &b, transpose_a, transpose_b)?])
            });
        }
    }
    record("batched", &mut executors, |graph| {
        let a = rough(graph, &[3, 2, 17, 40], 1)?;
        let b = rough(graph, &[2, 40, 19], 2)?;
        let c = rough(graph, &[40, 19], 3)?;
        Ok(vec![graph.matmul(&a, &b, false, false)?, graph.matmul(&a, &c, false, false)?])
    });
}

#[test]
fn reductions_of_every_kind_of_size() {
    let mut executors = executors();
    let cases: [(&[usize], &[usize]); 14] = [
        (&[5000], &[0]),
        (&[1_100_000], &[0]),
        (&[3, 1030], &[1]),
        (&[1030, 3], &[0]),
        (&[2100, 70], &[0]),
        (&[70, 2100], &[1]),
        (&[100, 10], &[1]),
        (&[9, 65], &[1]),
        (&[9, 64], &[1]),
        (&[4, 3, 20, 21], &[0, 2, 3]),
        (&[4, 3, 20, 21], &[1]),
        (&[6, 40, 50], &[0, 2]),
        (&[1025, 1, 33], &[0, 1]),
        (&[7, 7], &[0, 1]),
    ];
    for (sizes, axes) in cases {
        record(&format!("reduce {sizes:?} over {axes:?}"), &mut executors, |graph| {
            let x = rough(graph, sizes, 1)?;
            let words = graph.cast(&x, DType::I32)?;
            let mut made = vec![graph.arg_reduce(true, &x, axes)?];
            for x in [&x, &words] {
                made.extend([
                    graph.sum(x, axes, false)?,
                    graph.max(x, axes, true)?,
                    graph.min(x, axes, false)?,
                ]);
            }
            Ok(made)
        });
    }
}

/// A tensor without elements may be long in its other dimensions: nothing may be as long as they are.
#[test]
fn a_reduction_of_no_elements_takes_no_room() {
    record("reduce nothing", &mut executors(), |graph| {
        let x = graph.full(DType::F32, &[0, 1 << 31, 2], 1.0)?;
        Ok(vec![graph.sum(&x, &[1, 2], false)?, graph.arg_reduce(true, &x, &[1, 2])?])
    });
}

#[test]
fn convolutions_and_their_gradients() {
    let mut executors = executors();
    let attributes =
        |stride, padding, dilation, groups| Conv2dAttributes { stride, padding, dilation, groups };
    let cases = [
        ([2, 3, 11, 9], [8, 3, 3, 3], attributes([1, 1], [1, 1], [1, 1], 1)),
        ([1, 4, 9, 10], [6, 2, 2, 3], attributes([2, 1], [0, 2], [1, 2], 2)),
        ([3, 2, 12, 12], [4, 1, 5, 1], attributes([3, 4], [2, 0], [2, 1], 2)),
        ([2, 40, 8, 8], [5, 40, 3, 3], attributes([1, 1], [0, 0], [1, 1], 1)),
        ([1, 1, 5, 5], [1, 1, 1, 1], attributes([2, 2], [3, 3], [1, 1], 1)),
        ([20, 2, 10, 10], [3, 2, 1, 1], attributes([1, 1], [0, 0], [1, 1], 1)),
        ([0, 2, 10, 10], [3, 2, 1, 1], attributes([1, 1], [0, 0], [1, 1], 1)),
        ([2, 0, 10, 10], [3, 0, 1, 1], attributes([1, 1], [1, 0], [1, 1], 1)),
    ];
    for (x, w, conv) in cases {
        record(&format!("conv2d {x:?} {w:?} {conv:?}"), &mut executors, |graph| {
            let image = rough(graph, &x, 1)?;
            let weight = rough(graph, &w, 2)?;
            let y = graph.conv2d(&image, &weight, conv)?;
            let dy = rough(graph, y.shape(), 3)?;
            let to_x = Op::Conv2dInputGradient(conv);
            let to_w = Op::Conv2dWeightGradient(conv);
            let dx = graph.record(to_x, &[&dy, &weight], Shape::of(&x), DType::F32)?;
            let dw = graph.record(to_w, &[&image, &dy], Shape::of(&w), DType::F32)?;
            Ok(vec![y, dx, dw])
        });
    }
}

#[test]
fn large_maps_with_strange_views() {
    let mut executors = executors();
    record("maps", &mut executors, |graph| {
        let x = rough(graph, &[70, 90], 1)?;
        let t = graph.permute(&x, &[1, 0])?;
        let flipped = graph.flip(&t, &[0])?;
        let row = rough(graph, &[70], 5)?;
        let sum = graph.add(&t, &row)?;
        let product = graph.mul(&sum, &flipped)?;
        let wide = graph.pad(&product, &[1, 2], &[3, 0], 0.5)?;
        let flat = graph.reshape(&t, &[6300])?;
        let joined = graph.concat(&[&wide, &wide], 1)?;
        let half = graph.cast(&joined, DType::Bf16)?;
        let half = graph.slice(&half, &[1, 1], &[60, 80], &[3, 2])?;
        let byte = graph.cast(&half, DType::U8)?;
        let drawn = graph.uniform(&[90, 70], 9)?;
        let mask = graph.lt(&drawn, &sum)?;
        let kept = graph.select(&mask, &product, &drawn)?;
        Ok(vec![kept, flat, joined, half, byte, mask])
    });
}

#[test]
fn a_step_with_other_scalars_and_values_reuses_its_plan() {
    let mut cpu = Cpu::new(1).unwrap();
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let mut x = rough(&mut graph, &[30], 1).unwrap();
    for step in 0..5 {
        let scale = graph.full(DType::F32, &[], f64::from(step)).unwrap();
        let y = graph.mul(&x, &scale).unwrap();
        let y = graph.exp(&y).unwrap();
        x = graph.commit(&[y], &mut cpu).unwrap().unwrap().remove(0);
    }
    // The first step starts from random numbers, the others from a leaf.
    assert_eq!(cpu.plans().built(), 2);
}

#[test]
fn buffers_come_back() {
    let mut cpu = Cpu::new(1).unwrap();
    for _ in 0..3 {
        record("pool", std::slice::from_mut(&mut cpu), |graph| {
            let x = rough(graph, &[100], 1)?;
            let sums = graph.sum(&x, &[0], true)?;
            let y = graph.div(&x, &sums)?;
            let largest = graph.max(&y, &[0], true)?;
            Ok(vec![graph.sub(&y, &largest)?])
        });
    }
}

#[test]
fn a_gate_is_passed_often_and_changes_no_bit() {
    let gate = Arc::new(Open::default());
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let record = |graph: &mut Graph| {
        let x = rough(graph, &[1 << 11, 1 << 10], 1)?;
        let product = graph.matmul(&x, &x, false, true)?;
        let map = graph.exp(&x)?;
        Ok::<_, crate::RecordError>([product, map])
    };
    let targets = record(&mut graph).unwrap();
    let evaluated = |gate: Option<Arc<dyn Gate>>| {
        let mut cpu = Cpu::new(1).unwrap();
        cpu.govern(gate);
        let values = cpu.evaluate(&targets);
        values
            .map(|values| values.iter().map(|value| value.elements().unwrap().to_bytes()).collect::<Vec<_>>())
    };
    let free = evaluated(None).unwrap();
    assert!(evaluated(Some(gate.clone())).unwrap() == free);
    // 2^32 products, and some functions of 2^21 elements, in pieces of some milliseconds.
    let passed = gate.0.load(std::sync::atomic::Ordering::Relaxed);
    assert!(passed > 1000, "passed {passed} times");
    assert!(matches!(evaluated(Some(Arc::new(Shut))), Err(ExecutorError::Stopped)));
}
