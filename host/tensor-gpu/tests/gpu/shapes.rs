//! Sizes around every boundary of the kernels: tiles, chunks, blocks, workgroups and the grid.

use anneal_tensor::{Cpu, DType, Executor, Tensor, testing::Case};
use anneal_tensor_gpu::{GpuExecutor, adapters, kernel::Tuning};

use crate::{check, executors, recorded, rough};

/// Executors that cut work in every way a device may ask for.
fn tuned() -> Vec<GpuExecutor> {
    let mut executors = Vec::new();
    for adapter in &adapters() {
        for invocations in [1, 1 << 20] {
            for barrier_each_step in [false, true] {
                let tuning = Tuning { barrier_each_step, invocations, ..Tuning::default() };
                executors.push(GpuExecutor::unchecked(adapter, tuning).unwrap());
            }
        }
    }
    for adapter in &adapters() {
        let tuning = Tuning { pieces: Some(5), invocations: 1 << 20, ..Tuning::default() };
        executors.push(GpuExecutor::unchecked(adapter, tuning).unwrap());
    }
    assert!(!executors.is_empty());
    executors
}

/// As [`check`], with the CPU as the reference: for what is too large for the reference.
fn check_against_cpu(executor: &mut dyn Executor, case: &Case) {
    let mut cpu = Cpu::new(2).unwrap();
    let expected = cpu.evaluate(&case.targets).unwrap();
    let found = executor.evaluate(&case.targets).unwrap();
    for (at, target) in case.targets.iter().enumerate() {
        let expected = cpu.read(&expected[at]).unwrap().to_bytes();
        assert!(executor.read(&found[at]).unwrap().to_bytes() == expected, "{target:?}");
    }
}

#[test]
fn matmuls_around_tiles_and_chunks() {
    let sizes = [
        (1, 1, 1),
        (1, 300, 1),
        (3, 17, 130),
        (130, 16, 3),
        (33, 255, 31),
        (64, 256, 64),
        (65, 257, 63),
        (40, 515, 9),
        (2, 1030, 70),
        (129, 33, 65),
        (5, 0, 4),
    ];
    for (at, executor) in tuned().iter_mut().enumerate() {
        for (m, k, n) in sizes {
            let case = recorded(|graph| {
                let mut results = Vec::new();
                for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true)] {
                    let a = rough(graph, &(if transpose_a { [2, k, m] } else { [2, m, k] }), 1)?;
                    let b = rough(graph, &(if transpose_b { [2, n, k] } else { [2, k, n] }), 2)?;
                    results.push(graph.matmul(&a, &b, transpose_a, transpose_b)?);
                }
                Ok(results)
            });
            check(&format!("{m} × {k} × {n}, tuning {at}"), executor, &case);
        }
    }
}

#[test]
fn reductions_around_blocks() {
    for executor in &mut executors() {
        for count in [0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 500, 1023, 1024, 1025, 2049, 70_000] {
            let case = recorded(|graph| {
                let rows = rough(graph, &[3, count], 1)?;
                let columns = graph.permute(&rows, &[1, 0])?;
                let halves = graph.reshape(&rows, &[3, count, 1])?;
                let tall = graph.reshape(&rows, &[count, 3])?;
                let wide = rough(graph, &[2, count.min(2100), 19], 2)?;
                let integers = graph.cast(&rows, DType::I32)?;
                let mut results: Vec<Tensor> = Vec::new();
                let reduced: [(&Tensor, &[usize]); 6] = [
                    (&rows, &[1]),
                    (&columns, &[0]),
                    (&halves, &[0, 1]),
                    (&tall, &[0]),
                    (&wide, &[1]),
                    (&integers, &[0, 1]),
                ];
                for (x, axes) in reduced {
                    results.push(graph.sum(x, axes, false)?);
                    results.push(graph.max(x, axes, false)?);
                    results.push(graph.min(x, axes, true)?);
                    if count > 0 {
                        results.push(graph.argmax(x, axes[0], false)?);
                    }
                }
                Ok(results)
            });
            check(&format!("{count} elements"), executor, &case);
        }
    }
}

#[test]
fn grids_fold_and_sums_recurse() {
    let cases = [
        // More than 65,535 workgroups of a map, then of a reduction.
        recorded(|graph| {
            let x = graph.uniform(&[9_000_000], 1)?;
            Ok(vec![graph.add(&x, &x)?])
        }),
        recorded(|graph| {
            let x = rough(graph, &[66_000, 40], 1)?;
            Ok(vec![graph.sum(&x, &[1], false)?, graph.argmax(&x, 1, false)?])
        }),
        // Three levels of blocks.
        recorded(|graph| {
            let x = rough(graph, &[1025 * 1024 + 1], 1)?;
            Ok(vec![graph.sum(&x, &[0], false)?])
        }),
    ];
    for executor in &mut executors() {
        for case in &cases {
            check_against_cpu(executor, case);
        }
    }
}

#[test]
fn scatters_whatever_the_parts() {
    for executor in &mut tuned() {
        let case = recorded(|graph| {
            let source = rough(graph, &[3, 500, 4], 1)?;
            let base = rough(graph, &[3, 37, 4], 2)?;
            let spread = graph.uniform(&[500], 3)?;
            let scale = graph.full(DType::F32, &[], 40.0)?;
            let spread = graph.mul(&spread, &scale)?;
            let indices = graph.cast(&spread, DType::I32)?;
            let sums = graph.scatter_add(&base, 1, &indices, &source)?;
            let gathered = graph.gather(&sums, 1, &indices)?;
            Ok(vec![sums, gathered])
        });
        check("scatter", executor, &case);
    }
}
