//! How the operands of a conformance vector are drawn and what is recorded. Frozen: the table depends on it.

use crate::{
    Conv2dAttributes, DType, ElementOp, Graph, Meter, Op, Pool2dOptions, ReduceKind, Shape, Tensor,
    WindowAttributes,
    graph::{conv2d_shape, window_shape},
    testing::{
        dtypes_of, every_element_op,
        values::{Random, Stratum},
    },
};

/// The shape of most element vectors: no power of two, over one block of a sum.
const SHAPE: [usize; 2] = [67, 31];
/// What a seed's remainder modulo 8 chooses among.
const STRATA: u64 = Stratum::ALL.len() as u64;

/// The operation, sizes and seed of every vector, in the table's order.
pub(super) fn every() -> Vec<(String, Vec<usize>, u64)> {
    let mut all = Vec::new();
    for op in every_element_op() {
        for (from, to) in dtypes_of(&op) {
            let name = if op == ElementOp::Cast {
                format!("cast:{from}:{to}")
            } else {
                format!("{}:{from}", op.name())
            };
            // An f32 operand is drawn from every stratum, others have only one.
            let seeds = if from == DType::F32 { 0..STRATA } else { 0..1 };
            all.extend(seeds.map(|seed| (name.clone(), SHAPE.to_vec(), seed)));
        }
    }
    for (operations, problems) in PROBLEMS {
        for operation in *operations {
            for (number, sizes) in problems.iter().enumerate() {
                // Two seeds of different strata, orientations and storage orders.
                let seed = 5 * number as u64;
                all.push(((*operation).to_owned(), sizes.to_vec(), seed));
                all.push(((*operation).to_owned(), sizes.to_vec(), seed + 11));
            }
        }
    }
    all
}

/// Names of operations, and the sizes of their problems.
type Problems = (&'static [&'static str], &'static [&'static [usize]]);

const PROBLEMS: &[Problems] = &[
    (
        &["reshape", "permute", "broadcast", "slice", "detach", "flip", "pad", "concat"],
        &[&[5, 7, 3], &[2, 1, 3, 1, 2, 2, 1, 3], &[1300], &[4, 0, 3]],
    ),
    // Kept, reduced. The last two make two and three levels of blocks.
    (
        &["sum:f32", "sum:i32", "max:f32", "max:i32", "min:f32", "min:i32"],
        &[&[5, 64], &[3, 1000], &[2, 1025], &[4, 0], &[3000, 2], &[1, 70_000]],
    ),
    (&["sum:f32"], &[&[1, 1_049_000]]),
    (&["argmax:f32", "argmax:i32", "argmin:f32", "argmin:i32"], &[&[5, 64], &[2, 1025], &[300, 3], &[4, 0]]),
    // Batch, m, k, n.
    (
        &["matmul"],
        &[
            &[1, 1, 1, 1],
            &[2, 5, 7, 3],
            &[1, 64, 300, 48],
            &[1, 1, 1000, 1],
            &[3, 17, 256, 9],
            &[1, 33, 257, 65],
            &[2, 4, 0, 4],
            &[1, 8, 5000, 8],
            &[1, 1, 64, 200],
            &[1, 200, 64, 1],
        ],
    ),
    // n, c, h, w, o, kernel (rows, columns), stride, padding, dilation (rows, columns), groups.
    (
        &["conv2d", "conv2d_input_gradient", "conv2d_weight_gradient"],
        &[
            &[2, 3, 8, 9, 4, 3, 3, 1, 1, 1, 1, 1],
            &[2, 4, 9, 7, 6, 3, 2, 2, 1, 1, 2, 2],
            &[1, 64, 5, 6, 3, 3, 3, 1, 0, 1, 1, 1],
            &[3, 6, 10, 11, 6, 2, 3, 3, 2, 2, 1, 6],
            &[4, 1, 12, 12, 70, 1, 1, 1, 0, 1, 1, 1],
            &[0, 2, 4, 4, 2, 3, 3, 1, 1, 1, 1, 1],
        ],
    ),
    // n, c, h, w, kernel (rows, columns), stride, dilation.
    (
        &["window", "fold", "max_pool2d", "avg_pool2d"],
        &[&[2, 3, 8, 9, 3, 2, 2, 1], &[1, 2, 7, 7, 2, 3, 1, 2]],
    ),
    // Before, indexed, after, how many indices.
    (
        &["gather", "scatter_add:f32", "scatter_add:i32"],
        &[&[1, 50, 8, 40], &[3, 7, 5, 60], &[4, 9, 1, 11], &[2, 0, 3, 5], &[2, 3, 0, 5]],
    ),
    (&["one_hot"], &[&[9, 20], &[0, 20]]),
    (&["softmax", "log_softmax", "layer_norm", "mean"], &[&[7, 33], &[3, 1500], &[40, 1]]),
    (&["relu", "gelu", "silu"], &[&[67, 31]]),
];

/// Records a vector's operation on its operands.
///
/// # Panics
/// Where there is no such operation or the sizes do not fit it: a bug in the table.
pub(super) fn record(operation: &str, sizes: &[usize], seed: u64) -> Tensor {
    let mut maker = Maker {
        graph: Graph::new(seed, Meter::new(1 << 40)),
        random: Random::new(seed),
        stratum: Stratum::ALL[(seed % STRATA) as usize],
        strided: seed % 2 == 1,
    };
    let mut words = operation.split(':');
    let name = words.next().unwrap_or_default();
    let dtypes: Vec<DType> = words.map(dtype_named).collect();
    let element = every_element_op().into_iter().find(|op| op.name() == name);
    match element {
        Some(op) => maker.element(op, &dtypes, sizes),
        None => maker.other(name, dtypes.first().copied().unwrap_or(DType::F32), sizes),
    }
}

fn dtype_named(name: &str) -> DType {
    DType::ALL.into_iter().find(|dtype| dtype.name() == name).expect("a dtype of the table")
}

/// What a vector is made with.
struct Maker {
    graph: Graph,
    random: Random,
    stratum: Stratum,
    /// Operands are stored in another order than they are seen.
    strided: bool,
}

impl Maker {
    fn operand(&mut self, dtype: DType, sizes: &[usize]) -> Tensor {
        if !self.strided {
            let value = self.random.value(dtype, Shape::of(sizes), self.stratum);
            return self.graph.leaf(value).expect("a small leaf");
        }
        let backwards: Vec<usize> = sizes.iter().rev().copied().collect();
        let axes: Vec<usize> = (0..sizes.len()).rev().collect();
        let value = self.random.value(dtype, Shape::of(&backwards), self.stratum);
        let leaf = self.graph.leaf(value).expect("a small leaf");
        self.graph.permute(&leaf, &axes).expect("a permutation")
    }

    fn element(&mut self, op: ElementOp, dtypes: &[DType], sizes: &[usize]) -> Tensor {
        let dtype = dtypes[0];
        match op {
            ElementOp::Full(_) => {
                let value = self.random.value(dtype, Shape::SCALAR, self.stratum);
                let bits = value.elements().expect("on the host").word(0);
                self.graph.record(Op::Element(ElementOp::Full(bits)), &[], Shape::of(sizes), dtype)
            }
            ElementOp::Iota => self.graph.iota(sizes),
            ElementOp::Uniform(_) => self.graph.uniform(sizes, u64::from(self.random.word())),
            ElementOp::Normal(_) => self.graph.normal(sizes, u64::from(self.random.word())),
            ElementOp::Cast => {
                let x = self.operand(dtype, sizes);
                self.graph.cast(&x, dtypes[1])
            }
            op => {
                let mut operands: Vec<Tensor> = (0..op.arity()).map(|_| self.operand(dtype, sizes)).collect();
                if op == ElementOp::Where {
                    operands[0] = self.operand(DType::Bool, &[sizes[0], 1]);
                }
                self.graph.element(op, &operands.iter().collect::<Vec<_>>())
            }
        }
        .expect("an element vector")
    }

    fn other(&mut self, name: &str, dtype: DType, sizes: &[usize]) -> Tensor {
        match name {
            "matmul" => self.matmul(sizes),
            "conv2d" | "conv2d_input_gradient" | "conv2d_weight_gradient" => self.convolution(name, sizes),
            "window" | "fold" | "max_pool2d" | "avg_pool2d" => self.windowed(name, sizes),
            "gather" | "scatter_add" => self.indexed(name, dtype, sizes),
            "one_hot" => {
                let indices = self.operand(DType::I32, &sizes[..1]);
                self.graph.one_hot(&indices, sizes[1]).expect("a vector")
            }
            "sum" | "max" | "min" | "argmax" | "argmin" => self.reduction(name, dtype, sizes),
            "softmax" | "log_softmax" | "layer_norm" | "mean" | "relu" | "gelu" | "silu" => {
                self.composite(name, sizes)
            }
            _ => self.movement(name, sizes),
        }
    }

    fn movement(&mut self, name: &str, sizes: &[usize]) -> Tensor {
        let x = self.operand(DType::F32, sizes);
        let rank = sizes.len();
        let graph = &mut self.graph;
        match name {
            "reshape" => graph.reshape(&x, &[1, sizes.iter().product()]),
            "permute" => graph.permute(&x, &(0..rank).map(|axis| (axis + 1) % rank).collect::<Vec<_>>()),
            "broadcast" => {
                // As many ones as there are become 3, and a new axis in front where there is room.
                let mut to: Vec<usize> = sizes.iter().map(|&size| if size == 1 { 3 } else { size }).collect();
                if rank < 8 {
                    to.insert(0, 2);
                }
                graph.broadcast_to(&x, &to)
            }
            "slice" => {
                let starts: Vec<usize> = sizes.iter().map(|&size| size / 3).collect();
                graph.slice(&x, &starts, sizes, &vec![2; rank])
            }
            "detach" => graph.detach(&x),
            "flip" => graph.flip(&x, &(0..rank).step_by(2).collect::<Vec<_>>()),
            "pad" => {
                let low: Vec<usize> = (0..rank).map(|axis| axis % 3).collect();
                let between: Vec<usize> = (0..rank).map(|axis| (axis + 1) % 2).collect();
                graph.pad_bits(&x, &low, &vec![1; rank], &between, 0x3f80_0000)
            }
            "concat" => {
                let other = self.operand(DType::F32, sizes);
                self.graph.concat(&[&x, &other, &x], rank / 2)
            }
            _ => panic!("no operation {name}"),
        }
        .expect("a movement vector")
    }

    fn reduction(&mut self, name: &str, dtype: DType, sizes: &[usize]) -> Tensor {
        let x = self.operand(dtype, sizes);
        let graph = &mut self.graph;
        match name {
            "sum" => graph.reduce(ReduceKind::Sum, &x, &[1], false),
            "max" => graph.reduce(ReduceKind::Max, &x, &[1], false),
            "min" => graph.reduce(ReduceKind::Min, &x, &[1], true),
            _ => graph.arg_reduce(name == "argmax", &x, &[1]),
        }
        .expect("a reduction vector")
    }

    fn composite(&mut self, name: &str, sizes: &[usize]) -> Tensor {
        let x = self.operand(DType::F32, sizes);
        let graph = &mut self.graph;
        match name {
            "softmax" => graph.softmax(&x, 1),
            "log_softmax" => graph.log_softmax(&x, 1),
            "layer_norm" => graph.layer_norm(&x, 1, 1e-5),
            "mean" => graph.mean(&x, &[0], false),
            "relu" => graph.relu(&x),
            "gelu" => graph.gelu(&x),
            _ => graph.silu(&x),
        }
        .expect("a composite vector")
    }

    fn matmul(&mut self, sizes: &[usize]) -> Tensor {
        let [batch, m, k, n] = sizes[..] else { panic!("a matmul has four sizes") };
        let [transpose_a, transpose_b] = [self.random.chance(50), self.random.chance(50)];
        let a = self.operand(DType::F32, &if transpose_a { [batch, k, m] } else { [batch, m, k] });
        let b = self.operand(DType::F32, &if transpose_b { [batch, n, k] } else { [batch, k, n] });
        self.graph.matmul(&a, &b, transpose_a, transpose_b).expect("a matmul vector")
    }

    fn convolution(&mut self, name: &str, sizes: &[usize]) -> Tensor {
        let [n, c, h, w, o, rows, columns, stride, padding, down, along, groups] = sizes[..] else {
            panic!("a convolution has twelve sizes")
        };
        let attributes = Conv2dAttributes {
            stride: [stride, 1],
            padding: [padding, padding],
            dilation: [down, along],
            groups,
        };
        let x = Shape::of(&[n, c, h, w]);
        let weight = Shape::of(&[o, c / groups, rows, columns]);
        let y = Shape::of(&conv2d_shape(&x, &weight, &attributes).expect("a convolution that fits"));
        let (op, [first, second], to) = match name {
            "conv2d" => (Op::Conv2d(attributes), [&x, &weight], y),
            "conv2d_input_gradient" => (Op::Conv2dInputGradient(attributes), [&y, &weight], x),
            _ => (Op::Conv2dWeightGradient(attributes), [&x, &y], weight),
        };
        let first = self.operand(DType::F32, first);
        let second = self.operand(DType::F32, second);
        self.graph.record(op, &[&first, &second], to, DType::F32).expect("a convolution vector")
    }

    fn windowed(&mut self, name: &str, sizes: &[usize]) -> Tensor {
        let [n, c, h, w, rows, columns, stride, dilation] = sizes[..] else { panic!("eight sizes") };
        let kernel = [rows, columns];
        let window = WindowAttributes { kernel, stride: [stride, 1], dilation: [dilation, 1] };
        let pool = Pool2dOptions { kernel, stride: [stride, 1], padding: [rows / 2, columns / 2] };
        let image = Shape::of(&[n, c, h, w]);
        if name == "fold" {
            let windows = window_shape(&image, &window).expect("a window that fits");
            let windows = self.operand(DType::F32, &windows);
            return self
                .graph
                .record(Op::Fold(window), &[&windows], image, DType::F32)
                .expect("a fold vector");
        }
        let x = self.operand(DType::F32, &image);
        match name {
            "window" => self.graph.window(&x, window),
            "max_pool2d" => self.graph.max_pool2d(&x, pool),
            _ => self.graph.avg_pool2d(&x, pool),
        }
        .expect("a window vector")
    }

    fn indexed(&mut self, name: &str, dtype: DType, sizes: &[usize]) -> Tensor {
        let [before, size, after, count] = sizes[..] else { panic!("four sizes") };
        let base = self.operand(dtype, &[before, size, after]);
        // Most indices inside, some twice, some not.
        let indices: Vec<i32> = (0..count).map(|_| self.random.below(size + 2) as i32 - 1).collect();
        let bytes: Vec<u8> = indices.iter().flat_map(|index| index.to_le_bytes()).collect();
        let indices = self.graph.from_bytes(DType::I32, &[count], &bytes).expect("small");
        if name == "gather" {
            return self.graph.gather(&base, 1, &indices).expect("a gather vector");
        }
        let source = self.operand(dtype, &[before, count, after]);
        self.graph.scatter_add(&base, 1, &indices, &source).expect("a scatter vector")
    }
}
