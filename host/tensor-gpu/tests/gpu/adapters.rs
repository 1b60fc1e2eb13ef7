//! Real kernels on every adapter.

use anneal_tensor::{
    DType, Elements, Executor, ExecutorError, Graph, Meter, Shape, Storage, Value, conformance,
    testing::random_graph,
};

use anneal_tensor_gpu::{GpuExecutor, adapters, kernel::Tuning};

use crate::{cases, check, executors, recorded};

#[test]
fn random_graphs_give_the_reference_bits() {
    for executor in &mut executors() {
        for seed in cases(60) {
            let case = random_graph(seed, 10 + seed as usize % 60);
            check(&format!("seed {seed}"), executor, &case);
        }
    }
}

/// What Metal and DX12 get, as far as a Vulkan device can show it.
#[test]
fn plain_wgsl_gives_the_reference_bits() {
    for adapter in &adapters() {
        let tuning = Tuning { no_contraction: false, barrier_each_step: true, ..Tuning::default() };
        let mut executor = GpuExecutor::unchecked(adapter, tuning).unwrap();
        for seed in cases(15) {
            check(&format!("seed {seed}"), &mut executor, &random_graph(seed, 40));
        }
    }
}

#[test]
fn the_conformance_vectors_are_met() {
    for executor in &mut executors() {
        let failures = conformance::run(executor);
        let shown: Vec<String> = failures.iter().take(10).map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{} failed, first {shown:#?}", failures.len());
    }
}

#[test]
fn a_new_scalar_or_batch_compiles_nothing() {
    for executor in &mut executors() {
        let mut compiled = Vec::new();
        for (rate, rows) in [(0.5, 40), (0.25, 50), (0.125, 60)] {
            let case = recorded(|graph| {
                let x = graph.normal(&[rows, 9], 1)?;
                let weight = graph.normal(&[9, 17], 2)?;
                let y = graph.matmul(&x, &weight, false, false)?;
                let rate = graph.full(DType::F32, &[], rate)?;
                let y = graph.mul(&y, &rate)?;
                Ok(vec![graph.sum(&y, &[0], false)?])
            });
            check("a step", executor, &case);
            compiled.push(executor.gpu().kernels_compiled());
        }
        assert_eq!(compiled[1..], [compiled[0]; 2]);
    }
}

#[test]
fn values_stay_on_the_device_until_they_are_read() {
    let numbers = Elements::F32(vec![1.0, 2.0, 3.0]);
    let value = Value::host(DType::F32, Shape::of(&[3]), numbers.clone());
    for executor in &mut executors() {
        let placed = executor.place(value.clone()).unwrap();
        assert!(matches!(placed.storage, Storage::Device(_)));
        assert_eq!(*executor.read(&placed).unwrap(), numbers);
        let mut graph = Graph::new(0, Meter::new(1 << 30));
        let x = graph.leaf(placed.clone()).unwrap();
        let doubled = graph.add(&x, &x).unwrap();
        let values = executor.evaluate(&[doubled, x]).unwrap();
        assert!(values.iter().all(|value| matches!(value.storage, Storage::Device(_))));
        assert_eq!(*executor.read(&values[0]).unwrap(), Elements::F32(vec![2.0, 4.0, 6.0]));
        assert_eq!(*executor.read(&values[1]).unwrap(), numbers);
        for mut other in executors() {
            assert!(matches!(other.read(&placed), Err(ExecutorError::ForeignValue(_))));
        }
    }
}

#[test]
fn every_dtype_survives_the_way_to_the_device_and_back() {
    let values = [
        (DType::F32, Elements::F32(vec![-1.5, 0.0, 4e18, 1e-30])),
        (DType::I32, Elements::I32(vec![i32::MIN, -1, 0, i32::MAX])),
        (DType::U8, Elements::U8(vec![0, 1, 128, 255])),
        (DType::Bool, Elements::U8(vec![0, 1, 1, 0])),
        (DType::Bf16, Elements::U16(vec![0, 0x3f80, 0xbf80, 1])),
        (DType::F16, Elements::U16(vec![0, 0x3c00, 0xbc00, 1])),
    ];
    for executor in &mut executors() {
        for (dtype, elements) in &values {
            let placed = executor.place(Value::host(*dtype, Shape::of(&[2, 2]), elements.clone())).unwrap();
            assert_eq!(*executor.read(&placed).unwrap(), *elements, "{dtype}");
        }
    }
}

#[test]
fn a_tensor_beyond_the_device_is_an_error_and_no_panic() {
    for executor in &mut executors() {
        let limit = executor.gpu().info().software;
        let mut graph = Graph::new(0, Meter::new(1 << 40));
        let large = graph.full(DType::U8, &[1 << 27], 1.0).unwrap();
        match executor.evaluate(&[large]) {
            Ok(_) => assert!(!limit, "lavapipe binds 128 MiB at most"),
            Err(ExecutorError::OutOfMemory(message)) => assert!(message.contains("134217728 elements")),
            Err(error) => panic!("{error}"),
        }
        // And it goes on.
        let case = recorded(|graph| Ok(vec![graph.full(DType::F32, &[5], 2.0)?]));
        check("after a failure", executor, &case);
    }
}
