//! Which operations some cases have used, and which they should have.

use std::collections::BTreeSet;

use crate::{AdamwScalars, DType, ElementOp, Op, SgdScalars, Tensor, reachable};

/// The operations that were seen, each with the dtype it worked on.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeSet<String>);

impl Coverage {
    /// Counts what the targets are made of.
    pub fn add(&mut self, targets: &[Tensor]) {
        self.0.extend(reachable(targets).iter().map(key));
    }

    /// The operations of the contract, on every dtype that they take, that were not seen.
    pub fn missing(&self) -> Vec<String> {
        every_key().into_iter().filter(|key| !self.0.contains(key)).collect()
    }
}

const SGD: SgdScalars = SgdScalars { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov: false };
const ADAMW: AdamwScalars = AdamwScalars {
    learning_rate: 0.001,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.01,
    correction1: 0.1,
    correction2: 0.001,
};

macro_rules! every_element_op {
    ($($pattern:pat => $example:expr),+ $(,)?) => {
        /// One of each element operation.
        pub fn every_element_op() -> Vec<ElementOp> {
            use ElementOp::*;
            // A new operation does not compile until it is listed below.
            let _listed = |op: &ElementOp| match op { $($pattern => ()),+ };
            vec![$($example),+]
        }
    };
}

every_element_op! {
    Full(_) => Full(0), Iota => Iota, Uniform(_) => Uniform([1, 2]), Normal(_) => Normal([1, 2]), Cast => Cast,
    Neg => Neg, Abs => Abs, Sign => Sign, Recip => Recip, Exp => Exp, Ln => Ln, Sqrt => Sqrt, Rsqrt => Rsqrt,
    Tanh => Tanh, Sigmoid => Sigmoid, Erf => Erf, Sin => Sin, Cos => Cos, Floor => Floor, Not => Not,
    Add => Add, Sub => Sub, Mul => Mul, Div => Div, Max => Max, Min => Min, Pow => Pow,
    Eq => Eq, Lt => Lt, Le => Le, And => And, Or => Or, Xor => Xor, Where => Where,
    SgdVelocity(_) => SgdVelocity(SGD), SgdParameter(_) => SgdParameter(SGD),
    AdamwFirst(_) => AdamwFirst(ADAMW), AdamwSecond(_) => AdamwSecond(ADAMW),
    AdamwParameter(_) => AdamwParameter(ADAMW),
}

/// The operations that are not element operations, with the dtypes that matter.
const OTHER: [&str; 26] = [
    "reshape",
    "permute",
    "broadcast",
    "slice",
    "detach",
    "flip",
    "window",
    "pad",
    "concat",
    "sum f32",
    "sum i32",
    "max f32",
    "max i32",
    "min f32",
    "min i32",
    "argmax f32",
    "argmax i32",
    "argmin f32",
    "argmin i32",
    "matmul",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "fold",
    "gather",
    "scatter_add f32",
];

fn every_key() -> BTreeSet<String> {
    let other = OTHER.iter().map(|&name| name.to_owned());
    let elements = every_element_op()
        .into_iter()
        .flat_map(|op| dtypes_of(&op).into_iter().map(move |(from, to)| element_key(&op, from, to)));
    other.chain(["scatter_add i32".to_owned()]).chain(elements).collect()
}

/// The dtypes that an operation takes and gives. The first of a `where` is always a truth value, so its
/// second counts.
pub fn dtypes_of(op: &ElementOp) -> Vec<(DType, DType)> {
    let pairs = || DType::ALL.iter().flat_map(|&from| DType::ALL.iter().map(move |&to| (from, to)));
    match op {
        ElementOp::Full(_) => DType::ALL.iter().map(|&dtype| (dtype, dtype)).collect(),
        ElementOp::Cast => pairs().filter(|(from, to)| from != to).collect(),
        ElementOp::Where => DType::ALL.iter().map(|&dtype| (dtype, dtype)).collect(),
        op if op.arity() == 0 => op.result(&[]).map(|dtype| (dtype, dtype)).into_iter().collect(),
        op => pairs().filter(|&(from, to)| op.result(&vec![from; op.arity()]) == Some(to)).collect(),
    }
}

fn element_key(op: &ElementOp, from: DType, to: DType) -> String {
    format!("{} {from} → {to}", op.name())
}

fn key(node: &Tensor) -> String {
    let input = |at: usize| node.inputs()[at].dtype();
    match node.op() {
        Op::Element(op) => {
            let from = match op {
                ElementOp::Where => input(1),
                op if op.arity() == 0 => node.dtype(),
                _ => input(0),
            };
            element_key(op, from, node.dtype())
        }
        op @ (Op::Reduce { .. } | Op::ArgReduce { .. } | Op::ScatterAdd { .. }) => {
            format!("{} {}", op.name(), input(0))
        }
        op => op.name().to_owned(),
    }
}
