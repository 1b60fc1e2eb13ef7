//! Measures every adapter against the CPU of the same machine, in one run: sums of products in GFLOP/s,
//! everything else in GB/s of what is read and written once.
//!
//! `cargo run --release -p anneal-tensor-gpu --example bench_gpu` prints a table. Not a test: see `tests/gpu`.
#![expect(clippy::print_stdout, reason = "a table for people is what this program is for")]

use std::time::{Duration, Instant};

use anneal_tensor::{AdamwOptions, Cpu, Executor, ExecutorError, Graph, Meter, Recorded, Tensor};
use anneal_tensor_gpu::{GpuExecutor, adapters};

/// How long each measurement repeats.
const DURATION: Duration = Duration::from_millis(500);

/// One line of the table.
struct Work {
    name: String,
    unit: &'static str,
    /// Operations or bytes of one evaluation.
    amount: f64,
    /// Inputs, as their sizes.
    inputs: Vec<Vec<usize>>,
    record: fn(&mut Graph, &[Tensor]) -> Recorded<Vec<Tensor>>,
}

/// A backend that can be waited for.
enum Backend {
    Cpu(Box<Cpu>),
    Gpu(Box<GpuExecutor>),
}

impl Backend {
    fn executor(&mut self) -> &mut dyn Executor {
        match self {
            Backend::Cpu(cpu) => &mut **cpu,
            Backend::Gpu(gpu) => &mut **gpu,
        }
    }

    fn finish(&mut self) -> Result<(), ExecutorError> {
        match self {
            Backend::Cpu(_) => Ok(()),
            Backend::Gpu(gpu) => gpu.finish(),
        }
    }
}

fn work() -> Vec<Work> {
    let elements = 1 << 22;
    let bytes = |tensors: usize| (4 * tensors * elements) as f64;
    let mut work = Vec::new();
    for n in [128, 512, 1024] {
        work.push(Work {
            name: format!("matmul {n} × {n} × {n}"),
            unit: "GFLOP/s",
            amount: 2.0 * (n * n * n) as f64,
            inputs: vec![vec![n, n], vec![n, n]],
            record: |graph, x| Ok(vec![graph.matmul(&x[0], &x[1], false, false)?]),
        });
    }
    let mut element = |name: &str, tensors, inputs, record| {
        let inputs = vec![vec![elements / 1024, 1024]; inputs];
        work.push(Work { name: name.to_owned(), unit: "GB/s", amount: bytes(tensors), inputs, record });
    };
    element("a · b + a, relu", 3, 2, |graph, x| {
        let product = graph.mul(&x[0], &x[1])?;
        let sum = graph.add(&product, &x[0])?;
        Ok(vec![graph.relu(&sum)?])
    });
    element("gelu", 2, 1, |graph, x| Ok(vec![graph.gelu(&x[0])?]));
    element("adamw", 7, 4, |graph, x| {
        let options = AdamwOptions {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            step: 3,
        };
        let (parameter, first, second) = graph.adamw(&x[0], &x[1], &x[2], &x[3], options)?;
        Ok(vec![parameter, first, second])
    });
    element("sum of rows", 1, 1, |graph, x| Ok(vec![graph.sum(&x[0], &[1], false)?]));
    element("sum of columns", 1, 1, |graph, x| Ok(vec![graph.sum(&x[0], &[0], false)?]));
    element("softmax", 2, 1, |graph, x| Ok(vec![graph.softmax(&x[0], 1)?]));
    element("transpose", 2, 1, |graph, x| {
        let transposed = graph.permute(&x[0], &[1, 0])?;
        Ok(vec![graph.neg(&transposed)?])
    });
    work
}

/// What one backend does of one kind of work in a second.
fn measure(backend: &mut Backend, work: &Work) -> Result<f64, Box<dyn std::error::Error>> {
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let mut inputs = Vec::new();
    for (stream, sizes) in work.inputs.iter().enumerate() {
        let drawn = graph.uniform(sizes, stream as u64)?;
        let value = backend.executor().evaluate(&[drawn])?.remove(0);
        inputs.push(graph.leaf(value)?);
    }
    let targets = (work.record)(&mut graph, &inputs)?;
    let mut once = || -> Result<(), ExecutorError> {
        drop(backend.executor().evaluate(&targets)?);
        backend.finish()
    };
    once()?;
    let (started, mut times) = (Instant::now(), 0);
    while times < 3 || started.elapsed() < DURATION {
        once()?;
        times += 1;
    }
    Ok(work.amount * f64::from(times) / started.elapsed().as_secs_f64() / 1e9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut backends = vec![Backend::Cpu(Box::new(Cpu::new(threads)?))];
    for adapter in adapters() {
        backends.push(Backend::Gpu(Box::new(GpuExecutor::new(&adapter)?)));
    }
    for (column, backend) in backends.iter_mut().enumerate() {
        let info = backend.executor().device();
        println!("[{column}] {}: {} {} {} threads", info.backend, info.name, info.driver, info.threads);
    }
    print!("\n{:24} {:8}", "", "");
    (0..backends.len()).for_each(|column| print!(" {:>10}", format!("[{column}]")));
    println!();
    for work in work() {
        print!("{:24} {:>8}", work.name, work.unit);
        for backend in &mut backends {
            print!(" {:>10.2}", measure(backend, &work)?);
        }
        println!();
    }
    Ok(())
}
