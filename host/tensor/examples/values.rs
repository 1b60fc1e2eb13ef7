//! Writes operands and results of every operation of the contract as JSON to standard output, for
//! `tests/values/compare.py`, which computes them again with NumPy.
//!
//! A tensor is `{"dtype", "shape", "words"}`; a word is an f32's or i32's bits, a smaller element's value.
//! What is computed is the reference interpreter's: backends are compared with that one bit for bit.

use std::io::Write;

use anneal_tensor::{
    AdamwOptions, Conv2dAttributes, DType, Elements, Executor, Graph, Meter, Pool2dOptions, Recorded,
    Reference, SgdOptions, Shape, Tensor, Value,
    testing::values::{Random, Stratum},
};

const SEED: u64 = 0x0123_4567_89ab_cdef;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut writer = Writer {
        graph: Graph::new(SEED, Meter::new(1 << 40)),
        random: Random::new(1),
        reference: Reference::new(),
        cases: Vec::new(),
    };
    creation(&mut writer)?;
    movement(&mut writer)?;
    elementwise(&mut writer)?;
    reductions(&mut writer)?;
    linear(&mut writer)?;
    normalising(&mut writer)?;
    indexing(&mut writer)?;
    training(&mut writer)?;
    writeln!(std::io::stdout(), "[\n{}\n]", writer.cases.join(",\n"))?;
    Ok(())
}

type Written = Result<(), Box<dyn std::error::Error>>;

struct Writer {
    graph: Graph,
    random: Random,
    reference: Reference,
    cases: Vec<String>,
}

impl Writer {
    fn leaf(&mut self, dtype: DType, sizes: &[usize], stratum: Stratum) -> Tensor {
        let shape = Shape::new(sizes).expect("a small shape");
        let value = self.random.value(dtype, shape, stratum);
        self.graph.leaf(value).expect("a small leaf")
    }

    fn ordinary(&mut self, sizes: &[usize]) -> Tensor {
        self.leaf(DType::F32, sizes, Stratum::Ordinary)
    }

    fn floats(&mut self, elements: &[f32]) -> Tensor {
        let shape = Shape::new(&[elements.len()]).expect("a small shape");
        let value = Value::host(DType::F32, shape, Elements::F32(elements.to_vec()));
        self.graph.leaf(value).expect("a small leaf")
    }

    /// Arguments are the members of a JSON object, without its braces.
    fn write(&mut self, operation: &str, arguments: &str, inputs: &[&Tensor], recorded: Recorded) -> Written {
        self.write_all(operation, arguments, inputs, recorded.map(|output| vec![output]))
    }

    fn write_all(
        &mut self,
        operation: &str,
        arguments: &str,
        inputs: &[&Tensor],
        recorded: Recorded<Vec<Tensor>>,
    ) -> Written {
        let outputs = recorded?;
        let inputs: Vec<Tensor> = inputs.iter().map(|&input| input.clone()).collect();
        let [inputs, outputs] =
            [inputs, outputs].map(|tensors| -> Result<String, anneal_tensor::ExecutorError> {
                let values = self.reference.evaluate(&tensors)?;
                Ok(values.iter().map(tensor).collect::<Vec<_>>().join(", "))
            });
        self.cases.push(format!(
            "{{\"operation\": \"{operation}\", \"arguments\": {{{arguments}}}, \"inputs\": [{}], \"outputs\": [{}]}}",
            inputs?, outputs?
        ));
        Ok(())
    }
}

fn tensor(value: &Value) -> String {
    let elements = value.elements().expect("the reference computes in host memory");
    let words: Vec<u32> = (0..elements.len()).map(|index| elements.word(index)).collect();
    format!("{{\"dtype\": \"{}\", \"shape\": {}, \"words\": {words:?}}}", value.dtype, value.shape)
}

fn creation(w: &mut Writer) -> Written {
    let values =
        [(DType::F32, 2.5), (DType::I32, -7.0), (DType::U8, 255.0), (DType::Bool, 1.0), (DType::F16, 0.0)];
    for (dtype, value) in values {
        let full = w.graph.full(dtype, &[2, 3], value);
        w.write(
            "full",
            &format!("\"dtype\": \"{dtype}\", \"shape\": [2, 3], \"value\": {value:?}"),
            &[],
            full,
        )?;
    }
    let iota = w.graph.iota(&[3, 0]);
    w.write("iota", "\"shape\": [3, 0]", &[], iota)?;
    let iota = w.graph.iota(&[3, 5]);
    w.write("iota", "\"shape\": [3, 5]", &[], iota)?;
    for stream in [0u64, 5, 1 << 40] {
        let arguments = format!("\"shape\": [50, 11], \"seed\": {SEED}, \"stream\": {stream}");
        let uniform = w.graph.uniform(&[50, 11], stream);
        w.write("uniform", &arguments, &[], uniform)?;
        let normal = w.graph.normal(&[50, 11], stream);
        w.write("normal", &arguments, &[], normal)?;
    }
    Ok(())
}

fn movement(w: &mut Writer) -> Written {
    for dtype in DType::ALL {
        let x = w.leaf(dtype, &[4, 5, 6], Stratum::Mixed);
        let reshaped = w.graph.reshape(&x, &[3, 1, 40]);
        w.write("reshape", "\"shape\": [3, 1, 40]", &[&x], reshaped)?;
        let permuted = w.graph.permute(&x, &[2, 0, 1]);
        w.write("permute", "\"axes\": [2, 0, 1]", &[&x], permuted.clone())?;
        let flipped = w.graph.flip(&permuted?, &[0, 2]);
        w.write("permute_flip", "\"axes\": [2, 0, 1], \"flipped\": [0, 2]", &[&x], flipped)?;
        let sliced = w.graph.slice(&x, &[1, 0, 2], &[4, 5, 6], &[2, 1, 3]);
        w.write("slice", "\"starts\": [1, 0, 2], \"ends\": [4, 5, 6], \"steps\": [2, 1, 3]", &[&x], sliced)?;
        let value = if matches!(dtype, DType::Bf16 | DType::F16) { 0.0 } else { 1.0 };
        let padded = w.graph.pad(&x, &[0, 1, 2], &[3, 0, 1], value);
        let arguments = format!("\"low\": [0, 1, 2], \"high\": [3, 0, 1], \"value\": {value:?}");
        w.write("pad", &arguments, &[&x], padded)?;
        let column = w.leaf(dtype, &[4, 1], Stratum::Mixed);
        let wide = w.graph.broadcast_to(&column, &[2, 4, 3]);
        w.write("broadcast_to", "\"shape\": [2, 4, 3]", &[&column], wide)?;
        let other = w.leaf(dtype, &[4, 2, 6], Stratum::Mixed);
        let joined = w.graph.concat(&[&x, &other, &x], 1);
        w.write("concat", "\"axis\": 1", &[&x, &other, &x], joined)?;
        let detached = w.graph.detach(&x);
        w.write("detach", "", &[&x], detached)?;
        for to in DType::ALL {
            // From floats also what lies near whole numbers and near the ends of the integers.
            for stratum in [Stratum::Ordinary, Stratum::Mixed, Stratum::Ties] {
                let x = w.leaf(dtype, &[300], stratum);
                let cast = w.graph.cast(&x, to);
                w.write("cast", &format!("\"dtype\": \"{to}\""), &[&x], cast)?;
            }
        }
    }
    Ok(())
}

type Unary = fn(&mut Graph, &Tensor) -> Recorded;
type Binary = fn(&mut Graph, &Tensor, &Tensor) -> Recorded;

const UNARY: [(&str, Unary); 14] = [
    ("recip", Graph::recip),
    ("exp", Graph::exp),
    ("ln", Graph::ln),
    ("sqrt", Graph::sqrt),
    ("rsqrt", Graph::rsqrt),
    ("tanh", Graph::tanh),
    ("sigmoid", Graph::sigmoid),
    ("erf", Graph::erf),
    ("sin", Graph::sin),
    ("cos", Graph::cos),
    ("floor", Graph::floor),
    ("relu", Graph::relu),
    ("gelu", Graph::gelu),
    ("silu", Graph::silu),
];

const BINARY: [(&str, Binary); 9] = [
    ("add", Graph::add),
    ("sub", Graph::sub),
    ("mul", Graph::mul),
    ("div", Graph::div),
    ("maximum", Graph::maximum),
    ("minimum", Graph::minimum),
    ("eq", Graph::eq),
    ("lt", Graph::lt),
    ("le", Graph::le),
];

fn elementwise(w: &mut Writer) -> Written {
    let edges =
        w.floats(&[0.0, 1.0, -1.0, 2.0, -2.5, 0.5, 100.0, -100.0, 4.6e18, -4.6e18, 1e-30, -1e-30, 43.0]);
    for stratum in [Stratum::Ordinary, Stratum::Mixed, Stratum::Whole] {
        let x = w.leaf(DType::F32, &[500], stratum);
        for x in [&x, &edges] {
            for (name, operation) in UNARY {
                let y = operation(&mut w.graph, x);
                w.write(name, "", &[x], y)?;
            }
        }
        let base = w.leaf(DType::F32, &[20, 1, 20], stratum);
        let exponent = w.leaf(DType::F32, &[20, 1], stratum);
        let power = w.graph.pow(&base, &exponent);
        w.write("pow", "", &[&base, &exponent], power)?;
    }
    let left = w.graph.reshape(&edges, &[13, 1])?;
    let power = w.graph.pow(&left, &edges);
    w.write("pow", "", &[&left, &edges], power)?;
    let quotient = w.graph.div(&left, &edges);
    w.write("div", "", &[&left, &edges], quotient)?;
    for (dtype, stratum) in
        [(DType::F32, Stratum::Ordinary), (DType::F32, Stratum::Mixed), (DType::I32, Stratum::Mixed)]
    {
        let [x, y] = [w.leaf(dtype, &[9, 1, 30], stratum), w.leaf(dtype, &[7, 1], stratum)];
        for (name, operation) in BINARY {
            let z = operation(&mut w.graph, &x, &y);
            w.write(name, "", &[&x, &y], z)?;
        }
        for (name, operation) in [("neg", Graph::neg as Unary), ("abs", Graph::abs), ("sign", Graph::sign)] {
            let z = operation(&mut w.graph, &x);
            w.write(name, "", &[&x], z)?;
        }
    }
    let [x, y] = [w.leaf(DType::U8, &[50, 1], Stratum::Mixed), w.leaf(DType::U8, &[50], Stratum::Mixed)];
    for (name, operation) in &BINARY[6..] {
        let z = operation(&mut w.graph, &x, &y);
        w.write(name, "", &[&x, &y], z)?;
    }
    let [x, y] = [w.leaf(DType::Bool, &[8, 1], Stratum::Mixed), w.leaf(DType::Bool, &[8], Stratum::Mixed)];
    let logic =
        [("eq", Graph::eq as Binary), ("logical_and", Graph::logical_and), ("logical_or", Graph::logical_or)];
    for (name, operation) in logic {
        let z = operation(&mut w.graph, &x, &y);
        w.write(name, "", &[&x, &y], z)?;
    }
    let not = w.graph.logical_not(&x);
    w.write("logical_not", "", &[&x], not)?;
    for dtype in DType::ALL {
        let [yes, no] = [w.leaf(dtype, &[3, 8, 1], Stratum::Mixed), w.leaf(dtype, &[8], Stratum::Mixed)];
        let z = w.graph.select(&x, &yes, &no);
        w.write("where", "", &[&x, &yes, &no], z)?;
    }
    Ok(())
}

type Reduction = fn(&mut Graph, &Tensor, &[usize], bool) -> Recorded;

fn reductions(w: &mut Writer) -> Written {
    let reductions: [(&str, Reduction); 3] = [("sum", Graph::sum), ("max", Graph::max), ("min", Graph::min)];
    for dtype in [DType::F32, DType::I32] {
        let x = w.leaf(dtype, &[3, 40, 5, 20], Stratum::Ordinary);
        let whole = w.leaf(dtype, &[3, 40, 5, 20], Stratum::Whole);
        for (axes, keep) in [(&[1usize, 3][..], false), (&[0], true), (&[], false), (&[3, 0, 1], true)] {
            let arguments = format!("\"axes\": {axes:?}, \"keep\": {keep}");
            for (name, operation) in reductions {
                let y = operation(&mut w.graph, &x, axes, keep);
                w.write(name, &arguments, &[&x], y)?;
            }
            if dtype == DType::F32 {
                let y = w.graph.mean(&x, axes, keep);
                w.write("mean", &arguments, &[&x], y)?;
            }
        }
        for axis in 0..4 {
            // Whole numbers have ties.
            let arguments = format!("\"axis\": {axis}, \"keep\": false");
            let y = w.graph.argmax(&whole, axis, false);
            w.write("argmax", &arguments, &[&whole], y)?;
            let y = w.graph.argmin(&whole, axis, false);
            w.write("argmin", &arguments, &[&whole], y)?;
        }
        let empty = w.leaf(dtype, &[4, 0], Stratum::Ordinary);
        for (name, operation) in reductions {
            let y = operation(&mut w.graph, &empty, &[1], false);
            w.write(name, "\"axes\": [1], \"keep\": false", &[&empty], y)?;
        }
    }
    let long = w.ordinary(&[2, 5000]);
    let y = w.graph.sum(&long, &[1], false);
    w.write("sum", "\"axes\": [1], \"keep\": false", &[&long], y)
}

fn linear(w: &mut Writer) -> Written {
    for [transpose_a, transpose_b] in [[false, false], [false, true], [true, false], [true, true]] {
        let problems: [(&[usize], &[usize], [usize; 3]); 5] = [
            (&[], &[], [5, 7, 3]),
            (&[2], &[2], [4, 300, 6]),
            (&[3, 1], &[2], [2, 9, 4]),
            (&[], &[2, 2], [1, 600, 1]),
            (&[], &[], [3, 0, 2]),
        ];
        for (batch_a, batch_b, [m, k, n]) in problems {
            let a = w.ordinary(&[batch_a, &if transpose_a { [k, m] } else { [m, k] }].concat());
            let b = w.ordinary(&[batch_b, &if transpose_b { [n, k] } else { [k, n] }].concat());
            let y = w.graph.matmul(&a, &b, transpose_a, transpose_b);
            let arguments = format!("\"transpose_a\": {transpose_a}, \"transpose_b\": {transpose_b}");
            w.write("matmul", &arguments, &[&a, &b], y)?;
        }
    }
    let plain = Conv2dAttributes { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    let problems: [([usize; 4], [usize; 4], Conv2dAttributes); 4] = [
        ([2, 3, 6, 7], [4, 3, 3, 2], plain),
        ([1, 40, 5, 5], [3, 40, 3, 3], Conv2dAttributes { padding: [1, 1], ..plain }),
        (
            [2, 4, 9, 8],
            [6, 2, 3, 2],
            Conv2dAttributes { stride: [2, 3], padding: [2, 1], groups: 2, ..plain },
        ),
        ([1, 6, 9, 9], [6, 1, 2, 3], Conv2dAttributes { dilation: [3, 2], groups: 6, ..plain }),
    ];
    for (x, weight, attributes) in problems {
        let [x, weight] = [w.ordinary(&x), w.ordinary(&weight)];
        let Conv2dAttributes { stride, padding, dilation, groups } = attributes;
        let arguments = format!(
            "\"stride\": {stride:?}, \"padding\": {padding:?}, \"dilation\": {dilation:?}, \"groups\": {groups}"
        );
        let y = w.graph.conv2d(&x, &weight, attributes);
        w.write("conv2d", &arguments, &[&x, &weight], y)?;
    }
    Ok(())
}

fn normalising(w: &mut Writer) -> Written {
    let image = w.ordinary(&[2, 3, 7, 8]);
    for (kernel, stride, padding) in
        [([2, 2], [2, 2], [0, 0]), ([3, 2], [1, 2], [1, 1]), ([2, 3], [3, 1], [1, 0])]
    {
        let options = Pool2dOptions { kernel, stride, padding };
        let arguments = format!("\"kernel\": {kernel:?}, \"stride\": {stride:?}, \"padding\": {padding:?}");
        let y = w.graph.max_pool2d(&image, options);
        w.write("max_pool2d", &arguments, &[&image], y)?;
        let y = w.graph.avg_pool2d(&image, options);
        w.write("avg_pool2d", &arguments, &[&image], y)?;
    }
    let x = w.ordinary(&[6, 11, 5]);
    for axis in 0..3 {
        let arguments = format!("\"axis\": {axis}");
        let y = w.graph.softmax(&x, axis);
        w.write("softmax", &arguments, &[&x], y)?;
        let y = w.graph.log_softmax(&x, axis);
        w.write("log_softmax", &arguments, &[&x], y)?;
        let y = w.graph.layer_norm(&x, axis + 1, 1e-5);
        w.write("layer_norm", &format!("\"axes\": {}, \"epsilon\": 1e-5", axis + 1), &[&x], y)?;
    }
    Ok(())
}

fn indexing(w: &mut Writer) -> Written {
    let indices = w.leaf(DType::I32, &[4, 10], Stratum::Mixed);
    for dtype in DType::ALL {
        let x = w.leaf(dtype, &[3, 7, 2], Stratum::Mixed);
        for axis in 0..3 {
            let y = w.graph.gather(&x, axis, &indices);
            w.write("gather", &format!("\"axis\": {axis}"), &[&x, &indices], y)?;
        }
    }
    for dtype in [DType::F32, DType::I32] {
        let base = w.leaf(dtype, &[3, 7, 2], Stratum::Ordinary);
        for (axis, sizes) in [[4, 10, 7, 2], [3, 4, 10, 2], [3, 7, 4, 10]].into_iter().enumerate() {
            let source = w.leaf(dtype, &sizes, Stratum::Ordinary);
            let y = w.graph.scatter_add(&base, axis, &indices, &source);
            w.write("scatter_add", &format!("\"axis\": {axis}"), &[&base, &indices, &source], y)?;
        }
    }
    let y = w.graph.one_hot(&indices, 5);
    w.write("one_hot", "\"classes\": 5", &[&indices], y)
}

fn training(w: &mut Writer) -> Written {
    let [p, g, m, v] = [0, 1, 2, 3].map(|_| w.ordinary(&[200]));
    let v = w.graph.mul(&v, &v)?;
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        let options = SgdOptions { learning_rate: 0.1, momentum, weight_decay: 0.01, nesterov };
        let stepped = w.graph.sgd(&p, &g, &m, options).map(|(p, m)| vec![p, m]);
        let arguments = format!(
            "\"learning_rate\": 0.1, \"momentum\": {momentum:?}, \"weight_decay\": 0.01, \"nesterov\": {nesterov}"
        );
        w.write_all("sgd", &arguments, &[&p, &g, &m], stepped)?;
    }
    for step in [1, 2, 1000] {
        let options = AdamwOptions {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.1,
            step,
        };
        let stepped = w.graph.adamw(&p, &g, &m, &v, options).map(|(p, m, v)| vec![p, m, v]);
        let arguments = format!(
            "\"learning_rate\": 0.01, \"beta1\": 0.9, \"beta2\": 0.999, \"epsilon\": 1e-8, \"weight_decay\": 0.1, \
             \"step\": {step}"
        );
        w.write_all("adamw", &arguments, &[&p, &g, &m, &v], stepped)?;
    }
    Ok(())
}
