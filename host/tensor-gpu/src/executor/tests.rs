//! What one task leaves on a device for the next (nothing), how much it may take, and what becomes of a device
//! that hangs or is lost. On every adapter; there is always one, which `tests/setup` installs.

use anneal_tensor::{Graph, Meter, Shape};

use super::*;

/// No number that any kernel makes by itself.
const PATTERN: f32 = 1234.5;
/// Larger than what drivers keep at hand in small pieces.
const ELEMENTS: usize = 1 << 20;

fn executors() -> Vec<GpuExecutor> {
    let adapters = adapters();
    assert!(!adapters.is_empty(), "no GPU adapter was found; tests/setup installs lavapipe, which is one");
    adapters.iter().map(open).collect()
}

fn open(adapter: &Adapter) -> GpuExecutor {
    GpuExecutor::new(adapter).expect("it computes canonical results")
}

/// Computes tensors full of the pattern; they are dropped, and their buffers are the pool's.
fn leave_patterns(executor: &mut GpuExecutor) {
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let patterns: Vec<Tensor> = (0..8)
        .map(|_| graph.full(DType::F32, &[ELEMENTS], f64::from(PATTERN)).expect("it is legal"))
        .collect();
    let values = executor.evaluate(&patterns).expect("it computes");
    let read = executor.read(&values[7]).expect("it is read");
    assert!(matches!(&*read, Elements::F32(read) if read.iter().all(|&x| x == PATTERN)));
}

/// What a kernel reads of a buffer that nobody wrote.
fn unwritten(executor: &mut GpuExecutor) -> Vec<f32> {
    let buffer = Arc::new(executor.gpu.buffer(ELEMENTS).expect("there is memory"));
    let tensor = DeviceTensor { device: executor.gpu.id, elements: ELEMENTS, buffer };
    let shape = Shape::of(&[ELEMENTS]);
    let value = Value { dtype: DType::F32, shape, storage: Storage::Device(Arc::new(tensor)) };
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let x = graph.leaf(value).expect("it is legal");
    let x = graph.abs(&x).expect("it is legal");
    let values = executor.evaluate(&[x]).expect("it computes");
    match &*executor.read(&values[0]).expect("it is read") {
        Elements::F32(read) => read.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_finds_nothing_of_the_one_before() {
    for mut executor in executors() {
        leave_patterns(&mut executor);
        // The test can see what is left: within one task a buffer comes back as it was.
        let left = unwritten(&mut executor);
        assert!(left.contains(&PATTERN), "the pool did not give a used buffer");
        executor.forget();
        for _ in 0..16 {
            assert!(unwritten(&mut executor).iter().all(|&x| x == 0.0), "{}", executor.device().name);
        }
    }
}

#[test]
fn another_device_finds_nothing_of_the_one_before() {
    for adapter in adapters() {
        for _ in 0..3 {
            let mut first = open(&adapter);
            leave_patterns(&mut first);
            drop(first);
            let mut second = open(&adapter);
            for _ in 0..16 {
                assert!(unwritten(&mut second).iter().all(|&x| x == 0.0), "{}", adapter.info().name);
            }
        }
    }
}

#[test]
fn a_task_takes_no_more_memory_than_it_may() {
    for mut executor in executors() {
        executor.forget();
        executor.limit_memory(Some(3 * ELEMENTS as u64 * 4));
        let mut graph = Graph::new(1, Meter::new(1 << 40));
        let mut full = |value| graph.full(DType::F32, &[ELEMENTS], value).expect("it is legal");
        let (one, two) = (executor.evaluate(&[full(1.0)]), executor.evaluate(&[full(2.0)]));
        let (one, _two) = (one.expect("it fits"), two.expect("it fits"));
        let error = executor.evaluate(&[full(3.0), full(4.0)]).expect_err("it does not fit");
        let limit = (3 * ELEMENTS * 4).to_string();
        assert!(matches!(&error, ExecutorError::OutOfMemory(message) if message.contains(&limit)), "{error}");
        // What is held is whole, and without the limit it goes on.
        executor.limit_memory(None);
        executor.evaluate(&[full(3.0), full(4.0)]).expect("it fits");
        let read = executor.read(&one[0]).expect("it is read");
        assert!(matches!(&*read, Elements::F32(read) if read.iter().all(|&x| x == 1.0)));
    }
}

/// Work of more than a moment.
fn heavy() -> Tensor {
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let mut x = graph.uniform(&[2048, 2048], 1).expect("it is legal");
    for _ in 0..4 {
        x = graph.matmul(&x, &x, false, true).expect("it is legal");
    }
    x
}

#[test]
fn a_device_that_hangs_is_given_up_and_another_works() {
    for adapter in adapters() {
        let mut executor = open(&adapter);
        executor.patience = Duration::ZERO;
        let heavy = heavy();
        // It can be launched, or is given up already; a read waits and gives it up.
        let ended = executor.evaluate(&[heavy]).and_then(|values| executor.read(&values[0]));
        let error = ended.expect_err("nobody waited");
        assert!(
            matches!(&error, ExecutorError::DeviceLost(message) if message.contains("it hangs")),
            "{error}"
        );
        // It stays lost, however patient anyone is.
        executor.patience = PATIENCE;
        let mut graph = Graph::new(1, Meter::new(1 << 40));
        let one = graph.full(DType::F32, &[1], 1.0).expect("it is legal");
        assert!(matches!(executor.evaluate(&[one]), Err(ExecutorError::DeviceLost(_))));
        drop(executor);
        leave_patterns(&mut open(&adapter));
    }
}

#[test]
fn a_lost_device_is_said_and_another_works() {
    for adapter in adapters() {
        let mut executor = open(&adapter);
        leave_patterns(&mut executor);
        executor.gpu.device.destroy();
        let mut graph = Graph::new(1, Meter::new(1 << 40));
        let one = graph.full(DType::F32, &[ELEMENTS], 1.0).expect("it is legal");
        let ended = executor.evaluate(&[one]).and_then(|values| executor.read(&values[0]));
        assert!(matches!(ended, Err(ExecutorError::DeviceLost(_))), "{ended:?}");
        drop(executor);
        leave_patterns(&mut open(&adapter));
    }
}
