//! What the CPU executor takes, beside a plain loop over the same numbers in the same run.
//!
//! `cargo run --release -p anneal-tensor --example bench [threads] [section]` prints a table; the
//! sections are `matrices`, `elements` and `training`. A plain loop is what a
//! careful programmer writes without vector code: it rounds nothing to the canon, so it is a yardstick for
//! time and no check of results.

use std::{
    hint::black_box,
    io::Write,
    time::{Duration, Instant},
};

use anneal_tensor::{
    Cpu, DType, Executor, Graph, Meter, Recorded, SgdOptions, Shape, Tensor, Value, plan::PlanCache,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let all = std::thread::available_parallelism()?.get();
    let threads = std::env::args().nth(1).map_or(Ok(all), |threads| threads.parse())?;
    let mut cpu = Cpu::new(threads)?;
    let mut table = Table { out: std::io::stdout().lock() };
    let device = format!("{}, {threads} threads", cpu.device().name);
    table.row([&device, "canonical", "", "plain loop", "ratio"])?;
    let only = std::env::args().nth(2);
    let wanted = |section: &str| only.as_deref().is_none_or(|only| only == section);
    if wanted("matrices") {
        matrices(&mut cpu, &mut table)?;
    }
    if wanted("elements") {
        elements(&mut cpu, &mut table)?;
    }
    if wanted("training") {
        training(&mut cpu, &mut table)?;
    }
    Ok(())
}

struct Table<'a> {
    out: std::io::StdoutLock<'a>,
}

impl Table<'_> {
    fn row(&mut self, cells: [&str; 5]) -> std::io::Result<()> {
        let [name, value, unit, plain, ratio] = cells;
        writeln!(self.out, "{name:<32} {value:>10} {unit:<10} {plain:>10} {ratio:>7}")
    }

    /// A rate beside that of a plain loop.
    fn rate(
        &mut self,
        name: &str,
        unit: &str,
        work: f64,
        took: Duration,
        plain: Duration,
    ) -> std::io::Result<()> {
        let rate = |time: Duration| work / time.as_secs_f64() / 1e9;
        let ratio = plain.as_secs_f64() / took.as_secs_f64();
        self.row([
            name,
            &format!("{:.2}", rate(took)),
            unit,
            &format!("{:.2}", rate(plain)),
            &format!("{ratio:.1}"),
        ])
    }

    fn time(&mut self, name: &str, took: Duration, plain: Option<Duration>) -> std::io::Result<()> {
        let micros = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e6);
        let ratio =
            plain.map_or(String::new(), |plain| format!("{:.1}", plain.as_secs_f64() / took.as_secs_f64()));
        self.row([name, &micros(took), "µs", &plain.map_or(String::new(), micros), &ratio])
    }
}

/// The shortest of several runs: what the machine can do when nothing else runs.
fn shortest(runs: usize, mut run: impl FnMut()) -> Duration {
    run();
    let times = (0..runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

fn new_graph() -> Graph {
    Graph::new(1, Meter::new(1 << 36))
}

/// A leaf of random numbers.
fn leaf(
    graph: &mut Graph,
    cpu: &mut Cpu,
    sizes: &[usize],
    stream: u64,
) -> Result<Tensor, Box<dyn std::error::Error>> {
    let drawn = graph.normal(sizes, stream)?;
    Ok(graph.commit(&[drawn], cpu)??.remove(0))
}

/// The time of evaluating what `record` records.
fn evaluation(
    graph: &mut Graph,
    cpu: &mut Cpu,
    runs: usize,
    record: impl Fn(&mut Graph) -> Recorded,
) -> Duration {
    shortest(runs, || {
        let target = record(graph).expect("the bench records what is legal");
        black_box(cpu.evaluate(&[target]).expect("a CPU does not go away"));
    })
}

fn matrices(cpu: &mut Cpu, table: &mut Table<'_>) -> Result<(), Box<dyn std::error::Error>> {
    for n in [448, 896, 1344, 1792] {
        let graph = &mut new_graph();
        let (a, b) = (leaf(graph, cpu, &[n, n], 1)?, leaf(graph, cpu, &[n, n], 2)?);
        let took = evaluation(graph, cpu, 5, |graph| graph.matmul(&a, &b, false, false));
        let (a, b) = (vec![1.5f32; n * n], vec![0.5f32; n * n]);
        let plain = shortest(1, || drop(black_box(plain_matmul(&a, &b, n, n, n))));
        table.rate(&format!("matmul {n}"), "GFLOP/s", 2.0 * (n * n * n) as f64, took, plain)?;
    }
    Ok(())
}

fn plain_matmul(a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> Vec<f32> {
    let mut out = vec![0.0; m * n];
    for (row, out) in out.chunks_mut(n).enumerate() {
        for term in 0..k {
            let a = a[row * k + term];
            for (out, &b) in out.iter_mut().zip(&b[term * n..][..n]) {
                *out += a * b;
            }
        }
    }
    out
}

fn elements(cpu: &mut Cpu, table: &mut Table<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let count = 1 << 22;
    let graph = &mut new_graph();
    let (x, y) = (leaf(graph, cpu, &[count], 1)?, leaf(graph, cpu, &[count], 2)?);
    let (px, py) = (vec![1.5f32; count], vec![0.5f32; count]);
    let bytes = 4.0 * count as f64;

    let took = evaluation(graph, cpu, 5, |graph| {
        let half = graph.full(DType::F32, &[], 0.5)?;
        let scaled = graph.mul(&x, &half)?;
        let sum = graph.add(&scaled, &y)?;
        let product = graph.mul(&sum, &x)?;
        graph.relu(&product)
    });
    let chain = |(x, y): (&f32, &f32)| ((x * 0.5 + y) * x).max(0.0);
    let plain = shortest(5, || drop(black_box(px.iter().zip(&py).map(chain).collect::<Vec<f32>>())));
    table.rate("4 operations, 2 in, 1 out", "GB/s", 3.0 * bytes, took, plain)?;

    let took = evaluation(graph, cpu, 5, |graph| graph.exp(&x));
    let plain = shortest(5, || drop(black_box(px.iter().map(|x| x.exp()).collect::<Vec<f32>>())));
    table.rate("exp", "GB/s", 2.0 * bytes, took, plain)?;

    let took = evaluation(graph, cpu, 5, |graph| graph.sum(&x, &[], false));
    let plain = shortest(5, || _ = black_box(px.iter().sum::<f32>()));
    table.rate("sum of all", "GB/s", bytes, took, plain)?;

    let rows = graph.reshape(&x, &[count / 256, 256])?;
    let took = evaluation(graph, cpu, 5, |graph| graph.sum(&rows, &[0], false));
    let plain = shortest(5, || {
        let mut sums = vec![0.0f32; 256];
        for row in px.chunks(256) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        drop(black_box(sums));
    });
    table.rate("sum of columns", "GB/s", bytes, took, plain)?;

    let rows = graph.reshape(&x, &[count / 64, 64])?;
    let took = evaluation(graph, cpu, 5, |graph| graph.softmax(&rows, 1));
    let plain = shortest(5, || drop(black_box(plain_softmax(&px, 64))));
    table.rate("softmax of 64", "GB/s", 2.0 * bytes, took, plain)?;
    Ok(())
}

fn plain_softmax(x: &[f32], width: usize) -> Vec<f32> {
    let mut out = x.to_vec();
    for row in out.chunks_mut(width) {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        row.iter_mut().for_each(|x| *x = (*x - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
    out
}

const BATCH: usize = 64;
const LAYERS: [usize; 3] = [64, 128, 10];

/// A network of the size that learns handwritten digits: one hidden layer, cross-entropy, SGD.
fn training(cpu: &mut Cpu, table: &mut Table<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let graph = &mut new_graph();
    let images = leaf(graph, cpu, &[BATCH, LAYERS[0]], 1)?;
    let labels: Vec<u8> = (0..BATCH as i32).flat_map(|label| (label % 10).to_le_bytes()).collect();
    let labels = graph.leaf(Value::import(DType::I32, Shape::of(&[BATCH]), &labels)?)?;
    let mut state = Vec::new();
    for (stream, layer) in LAYERS.windows(2).enumerate() {
        for sizes in [&[layer[0], layer[1]][..], &[layer[1]][..]] {
            state.push((
                leaf(graph, cpu, sizes, stream as u64 + 10)?,
                leaf(graph, cpu, sizes, stream as u64 + 20)?,
            ));
        }
    }
    let mut plans = PlanCache::default();
    let (mut record, mut plan, mut all) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..200 {
        let start = Instant::now();
        let targets = step(graph, &images, &labels, &state)?;
        record = record.min(start.elapsed());
        let start = Instant::now();
        drop(black_box(plans.plan(&targets)));
        plan = plan.min(start.elapsed());
        let start = Instant::now();
        let leaves = graph.commit(&targets, cpu)??;
        all = all.min(start.elapsed());
        state = leaves[1..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    }
    table.time("MLP step: record", record, None)?;
    table.time("MLP step: find the plan", plan, None)?;
    table.time("MLP step: run", all.saturating_sub(plan), Some(shortest(20, plain_step)))?;
    Ok(())
}

/// Loss, new parameters and velocities.
fn step(
    graph: &mut Graph,
    images: &Tensor,
    labels: &Tensor,
    state: &[(Tensor, Tensor)],
) -> Recorded<Vec<Tensor>> {
    let hidden = graph.matmul(images, &state[0].0, false, false)?;
    let hidden = graph.add(&hidden, &state[1].0)?;
    let hidden = graph.relu(&hidden)?;
    let logits = graph.matmul(&hidden, &state[2].0, false, false)?;
    let logits = graph.add(&logits, &state[3].0)?;
    let logarithms = graph.log_softmax(&logits, 1)?;
    let hot = graph.one_hot(labels, LAYERS[2])?;
    let chosen = graph.mul(&logarithms, &hot)?;
    let sums = graph.sum(&chosen, &[1], false)?;
    let mean = graph.mean(&sums, &[], false)?;
    let loss = graph.neg(&mean)?;
    let parameters: Vec<&Tensor> = state.iter().map(|(parameter, _)| parameter).collect();
    let gradients = graph.gradients(&loss, &parameters)?;
    let options = SgdOptions { learning_rate: 0.01, momentum: 0.9, weight_decay: 1e-4, nesterov: false };
    let mut targets = vec![loss];
    for ((parameter, velocity), gradient) in state.iter().zip(&gradients) {
        let (parameter, velocity) = graph.sgd(parameter, gradient, velocity, options)?;
        targets.extend([parameter, velocity]);
    }
    Ok(targets)
}

/// The matrix products of such a step alone, as plain loops.
fn plain_step() {
    for layer in LAYERS.windows(2) {
        let [input, output] = [layer[0], layer[1]];
        let (x, w, dy) =
            (vec![0.5f32; BATCH * input], vec![0.5f32; input * output], vec![0.5f32; BATCH * output]);
        black_box(plain_matmul(&x, &w, BATCH, output, input));
        black_box(plain_matmul(&x, &dy, input, output, BATCH));
        black_box(plain_matmul(&dy, &w, BATCH, input, output));
    }
}
