//! What operations take on one thread of the CPU executor beside their gas, at shapes that are worst for it.
//!
//! `cargo run --release -p anneal-tensor --example gas` prints nanoseconds a gas. The table of costs is for the work
//! that trainings do; here one sees how far a guest can get from it. It decides nothing.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anneal_tensor::{Conv2dAttributes, Cpu, DType, Graph, Meter, Pool2dOptions, Recorded, Tensor};

type Record = fn(&mut Graph, &[Tensor]) -> Recorded<Vec<Tensor>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<40} {:>12} {:>12} {:>10}", "operation", "gas", "ms", "ns a gas")?;
    for (name, shapes, record) in CASES {
        let (gas, time) = measure(shapes, record)?;
        let rate = time.as_nanos() as f64 / gas as f64;
        writeln!(out, "{name:<40} {gas:>12} {:>12.2} {rate:>10.2}", time.as_secs_f64() * 1e3)?;
    }
    Ok(())
}

/// The gas of recording and evaluating, and the shortest time of three.
fn measure(shapes: &[&[usize]], record: &Record) -> Result<(u64, Duration), Box<dyn std::error::Error>> {
    let mut cpu = Cpu::new(1)?;
    let meter = Meter::new(1 << 40);
    let mut graph = Graph::new(1, meter.clone());
    let mut drawn = Vec::new();
    for (stream, shape) in shapes.iter().enumerate() {
        drawn.push(graph.uniform(shape, stream as u64)?);
    }
    let given = graph.commit(&drawn, &mut cpu)??;
    let (mut gas, mut shortest) = (0, Duration::MAX);
    for _ in 0..3 {
        meter.take_gas();
        let start = Instant::now();
        let targets = record(&mut graph, &given)?;
        drop(graph.commit(&targets, &mut cpu)??);
        drop(targets);
        shortest = shortest.min(start.elapsed());
        gas = meter.take_gas();
    }
    Ok((gas, shortest))
}

const CASES: &[(&str, &[&[usize]], Record)] = &[
    ("2000 scalars in a chain", &[&[]], |g, x| chain(g, &x[0], 2000)),
    ("60,000 scalars in a chain", &[&[]], |g, x| chain(g, &x[0], 60_000)),
    ("30,000 scalars, each kept", &[&[]], |g, x| (0..30_000).map(|_| g.exp(&x[0])).collect()),
    ("20,000 sums of one element", &[&[1]], |g, x| (0..20_000).map(|_| g.sum(&x[0], &[], true)).collect()),
    ("20,000 matrices of one element", &[&[1, 1]], |g, x| {
        (0..20_000).map(|_| g.matmul(&x[0], &x[0], false, false)).collect()
    }),
    ("a power of each element", &[&[4 << 20], &[4 << 20]], |g, x| Ok(vec![g.pow(&x[0], &x[1])?])),
    ("a sine of each element", &[&[4 << 20]], |g, x| Ok(vec![g.sin(&x[0])?])),
    ("a transposed copy", &[&[4096, 4096]], |g, x| {
        let turned = g.permute(&x[0], &[1, 0])?;
        Ok(vec![g.neg(&turned)?])
    }),
    ("a sum over one element each", &[&[4 << 20, 1]], |g, x| Ok(vec![g.sum(&x[0], &[1], false)?])),
    ("a sum over the first axis", &[&[4096, 4096]], |g, x| Ok(vec![g.sum(&x[0], &[0], false)?])),
    ("the largest over the first axis", &[&[4096, 4096]], |g, x| Ok(vec![g.max(&x[0], &[0], false)?])),
    ("the largest's place over the first axis", &[&[4096, 4096]], |g, x| {
        Ok(vec![g.argmax(&x[0], 0, false)?])
    }),
    ("a million matrices of one element", &[&[1 << 20, 1, 1], &[1 << 20, 1, 1]], |g, x| {
        Ok(vec![g.matmul(&x[0], &x[1], false, false)?])
    }),
    ("one column by one row", &[&[5000, 1], &[1, 5000]], |g, x| {
        Ok(vec![g.matmul(&x[0], &x[1], false, false)?])
    }),
    ("one row by one column", &[&[1, 4 << 20], &[4 << 20, 1]], |g, x| {
        Ok(vec![g.matmul(&x[0], &x[1], false, false)?])
    }),
    ("a convolution of a million groups", &[&[1, 1 << 20, 1, 1], &[1 << 20, 1, 1, 1]], |g, x| {
        Ok(vec![g.conv2d(&x[0], &x[1], conv(1, 0, 1 << 20))?])
    }),
    ("a convolution of little with much padding", &[&[1, 1, 1, 1], &[1, 1, 1, 1]], |g, x| {
        Ok(vec![g.conv2d(&x[0], &x[1], conv(4000, 4000, 1))?])
    }),
    ("its gradient", &[&[1, 1, 1, 1], &[1, 1, 1, 1]], |g, x| {
        let y = g.conv2d(&x[0], &x[1], conv(4000, 4000, 1))?;
        let loss = g.sum(&y, &[], false)?;
        g.gradients(&loss, &[&x[0], &x[1]])
    }),
    ("the largest of windows of one", &[&[1, 1, 1000, 1000]], |g, x| {
        let options = Pool2dOptions { kernel: [1; 2], stride: [1; 2], padding: [0; 2] };
        Ok(vec![g.max_pool2d(&x[0], options)?])
    }),
    ("the gradient of one large window", &[&[1, 1, 100, 100]], |g, x| {
        let options = Pool2dOptions { kernel: [100; 2], stride: [100; 2], padding: [0; 2] };
        let pooled = g.avg_pool2d(&x[0], options)?;
        let loss = g.sum(&pooled, &[], false)?;
        g.gradients(&loss, &[&x[0]])
    }),
    ("slices anywhere", &[&[4 << 20], &[1 << 20]], |g, x| {
        let size = g.full(DType::F32, &[], f64::from(4u32 << 20))?;
        let places = g.mul(&x[1], &size)?;
        let places = g.cast(&places, DType::I32)?;
        Ok(vec![g.gather(&x[0], 0, &places)?])
    }),
    ("sums anywhere", &[&[4 << 20], &[1 << 20]], |g, x| {
        let size = g.full(DType::F32, &[], f64::from(4u32 << 20))?;
        let places = g.mul(&x[1], &size)?;
        let places = g.cast(&places, DType::I32)?;
        Ok(vec![g.scatter_add(&x[0], 0, &places, &x[1])?])
    }),
    ("1000 joins of 64 elements", &[&[1]], |g, x| (0..1000).map(|_| g.concat(&[&x[0]; 64], 0)).collect()),
    ("windows over windows", &[&[1, 1, 64, 64]], |g, x| {
        let options = Pool2dOptions { kernel: [32; 2], stride: [1; 2], padding: [0; 2] };
        Ok(vec![g.avg_pool2d(&x[0], options)?])
    }),
];

fn chain(graph: &mut Graph, x: &Tensor, length: usize) -> Recorded<Vec<Tensor>> {
    let mut last = x.clone();
    for _ in 0..length {
        last = graph.neg(&last)?;
    }
    Ok(vec![last])
}

fn conv(stride: usize, padding: usize, groups: usize) -> Conv2dAttributes {
    Conv2dAttributes { stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], groups }
}
