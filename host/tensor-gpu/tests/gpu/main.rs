//! The GPU backend against the reference: on every adapter, and on the hostile interpreter.
//!
//! `ANNEAL_FIRST=60 ANNEAL_CASES=3000 cargo test --release -p anneal-tensor-gpu` runs other and more random
//! graphs.

mod adapters;
mod governed;
mod hostile;
mod lint;
mod shapes;

use anneal_tensor::{
    AdamwOptions, DType, Elements, Executor, Graph, Meter, Recorded, Reference, Shape, Tensor, Value,
    testing::{Case, check_equal, values::Random},
};
use anneal_tensor_gpu::{GpuExecutor, adapters};

/// An executor for every adapter. There is always one: `tests/setup` installs lavapipe.
fn executors() -> Vec<GpuExecutor> {
    let adapters = adapters();
    assert!(!adapters.is_empty(), "no GPU adapter was found; tests/setup installs lavapipe, which is one");
    adapters.iter().map(|adapter| GpuExecutor::new(adapter).expect("it computes canonical results")).collect()
}

/// The seeds of random graphs: this many from 0, unless the environment says otherwise.
fn cases(default: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let first = number("ANNEAL_FIRST").unwrap_or(0);
    first..first + number("ANNEAL_CASES").unwrap_or(default)
}

/// What a closure records.
fn recorded(make: impl FnOnce(&mut Graph) -> Recorded<Vec<Tensor>>) -> Case {
    let mut graph = Graph::new(1, Meter::new(1 << 40));
    let targets = make(&mut graph).expect("the test records legal operations");
    Case { graph, targets }
}

/// The candidate computes the reference's bits.
#[track_caller]
fn check(name: &str, candidate: &mut dyn Executor, case: &Case) {
    if let Err(mismatch) = check_equal(&mut Reference::new(), candidate, case) {
        panic!("{name}, {}: {mismatch}", candidate.device().name);
    }
}

/// Small graphs with every kind of kernel that computes floats.
fn samples() -> Vec<(&'static str, Case)> {
    type Unary = fn(&mut Graph, &Tensor) -> Recorded;
    type Binary = fn(&mut Graph, &Tensor, &Tensor) -> Recorded;
    let unary: [(&str, Unary); 10] = [
        ("exp", Graph::exp),
        ("ln", Graph::ln),
        ("sqrt", Graph::sqrt),
        ("rsqrt", Graph::rsqrt),
        ("recip", Graph::recip),
        ("tanh", Graph::tanh),
        ("sigmoid", Graph::sigmoid),
        ("erf", Graph::erf),
        ("sin", Graph::sin),
        ("sum of a few", |graph, x| graph.sum(x, &[1], false)),
    ];
    let binary: [(&str, Binary); 7] = [
        ("add", Graph::add),
        ("sub", Graph::sub),
        ("mul", Graph::mul),
        ("div", Graph::div),
        ("pow", Graph::pow),
        ("a product and sums", |graph, x, y| {
            let product = graph.mul(x, y)?;
            let sum = graph.add(&product, x)?;
            graph.sub(&sum, &product)
        }),
        ("scatter", |graph, x, y| {
            let indices = graph.cast(y, DType::I32)?;
            let indices = graph.slice(&indices, &[0, 0], &[1, 9], &[1, 1])?;
            let indices = graph.reshape(&indices, &[9])?;
            graph.scatter_add(y, 1, &indices, x)
        }),
    ];
    let mut samples = Vec::new();
    for (name, record) in unary {
        samples.push((
            name,
            recorded(|graph| {
                let x = rough(graph, &[13, 9], 1)?;
                Ok(vec![record(graph, &x)?])
            }),
        ));
    }
    for (name, record) in binary {
        samples.push((
            name,
            recorded(|graph| {
                let (x, y) = (rough(graph, &[13, 9], 1)?, rough(graph, &[13, 9], 2)?);
                Ok(vec![record(graph, &x, &y)?])
            }),
        ));
    }
    samples.push((
        "sum of columns",
        recorded(|graph| {
            let x = rough(graph, &[1100, 3], 1)?;
            Ok(vec![graph.sum(&x, &[0], false)?])
        }),
    ));
    samples.push((
        "sum of many",
        recorded(|graph| {
            let x = rough(graph, &[2, 1500], 1)?;
            Ok(vec![graph.sum(&x, &[1], false)?])
        }),
    ));
    for (name, columns) in [("matmul", 5), ("matmul of several tiles", 66)] {
        samples.push((
            name,
            recorded(|graph| {
                let (x, y) = (rough(graph, &[7, 600], 1)?, rough(graph, &[600, columns], 2)?);
                Ok(vec![graph.matmul(&x, &y, false, false)?])
            }),
        ));
    }
    samples.push((
        "adamw",
        recorded(|graph| {
            let inputs = [1, 2, 3, 4].map(|stream| rough(graph, &[50], stream));
            let [parameter, gradient, first, second] = inputs;
            let options = AdamwOptions {
                learning_rate: 0.01,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.1,
                step: 3,
            };
            let (parameter, first, second) =
                graph.adamw(&parameter?, &gradient?, &first?, &second?, options)?;
            Ok(vec![parameter, first, second])
        }),
    ));
    samples
}

/// f32 values of many magnitudes, so that every order of additions has its own bits.
fn rough(graph: &mut Graph, sizes: &[usize], seed: u64) -> Recorded {
    let shape = Shape::of(sizes);
    let mut random = Random::new(seed);
    let elements = (0..shape.elements()).map(|_| {
        let word = random.word();
        // A sign, eight exponents from 2^-5 to 2^2 and any fraction.
        f32::from_bits(word & 0x8000_0000 | (122 + (word >> 24) % 8) << 23 | word & 0x007f_ffff)
    });
    graph.leaf(Value::host(DType::F32, shape, Elements::F32(elements.collect())))
}
