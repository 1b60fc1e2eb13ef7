//! The operations that a graph is made of: what they are called, what they take and give.
//!
//! This is the vocabulary between the recorder (`graph`), the gradients (`gradient`), the reference
//! interpreter (`reference`), the planner (`plan`) and the executors. It computes nothing. The guest's
//! larger operations (softmax, layer norm, pooling) are recorded as compositions of these.

use crate::DType;

/// One recorded operation. Inputs, output shape and output dtype are the node's.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A value that was imported, committed or read before; no inputs.
    Leaf,
    /// One output element from one element of each input; each input is broadcast to the output's shape.
    Element(ElementOp),
    /// The same elements seen through another index; nothing is computed.
    View(ViewOp),
    /// The input surrounded by a constant: `low[i]` elements before and `high[i]` after along each axis,
    /// and `interior[i]` between two neighbours.
    Pad {
        /// Elements before.
        low: Vec<usize>,
        /// Elements after.
        high: Vec<usize>,
        /// Elements between neighbours (dilation minus one).
        interior: Vec<usize>,
        /// The constant's bits in the input's dtype.
        value: u32,
    },
    /// The inputs one after the other along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// A reduction over `axes` (sorted, each kept with size 1 in the output); the reduced elements are
    /// ordered row-major over the axes in that order.
    Reduce {
        /// What is computed.
        kind: ReduceKind,
        /// The axes, ascending.
        axes: Vec<usize>,
    },
    /// The row-major position, within `axes` (ascending), of the largest or smallest element; ties take the
    /// lowest. Output i32, reduced axes kept with size 1.
    ArgReduce {
        /// True: of the largest; false: of the smallest.
        largest: bool,
        /// The axes, ascending.
        axes: Vec<usize>,
    },
    /// Batched matrix product by rule 4. Inputs `[batch…, m, k]` and `[batch…, k, n]` (each transposed in
    /// its last two axes where the flag says so); the batch shapes are equal.
    MatMul {
        /// The first input is stored `[…, k, m]`.
        transpose_a: bool,
        /// The second input is stored `[…, n, k]`.
        transpose_b: bool,
    },
    /// 2-D convolution, `x [n, c, h, w]`, `weight [o, c / groups, kh, kw]` → `[n, o, oh, ow]`;
    /// k is (input channel, kernel row, kernel column).
    Conv2d(Conv2dAttributes),
    /// The gradient of [`Op::Conv2d`] with respect to x: inputs `dy`, `weight` → the node's shape;
    /// k is (output channel within the group, kernel row, kernel column).
    Conv2dInputGradient(Conv2dAttributes),
    /// The gradient of [`Op::Conv2d`] with respect to the weight: inputs `x`, `dy` → the node's shape;
    /// k is (n, output row, output column).
    Conv2dWeightGradient(Conv2dAttributes),
    /// The adjoint of [`ViewOp::Window`]: `[n, c, oh, ow, kh, kw]` → `[n, c, h, w]`; each output element is
    /// the sum by rule 5 over its kernel positions (row-major over kh × kw, absent ones counted as zero).
    Fold(WindowAttributes),
    /// `x [a…, size, b…]`, `indices` i32 `[i…]` → `[a…, i…, b…]`; an index out of range gives zero.
    Gather {
        /// The axis of `x` that is indexed.
        axis: usize,
    },
    /// `base [a…, size, b…]`, `indices` i32 `[i…]`, `source [a…, i…, b…]` → base's shape: starts from the
    /// base and adds in ascending source index; an index out of range is dropped.
    ScatterAdd {
        /// The axis of `base` that is indexed.
        axis: usize,
    },
}

/// Views: each is an affine map from output index to input index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ViewOp {
    /// The same elements in row-major order under another shape.
    Reshape,
    /// Output axis i is input axis `axes[i]`.
    Permute {
        /// A permutation of the axes.
        axes: Vec<usize>,
    },
    /// NumPy broadcasting to the node's shape (rank may grow at the front; size 1 may become n).
    Broadcast,
    /// Output element i along an axis is input element `starts + i * steps`; steps ≥ 1.
    Slice {
        /// First element, per axis.
        starts: Vec<usize>,
        /// Distance, per axis.
        steps: Vec<usize>,
    },
    /// The input itself; its gradient is zero.
    Detach,
    /// The elements in opposite order along each axis of `axes`.
    Flip {
        /// The axes, ascending.
        axes: Vec<usize>,
    },
    /// `[n, c, h, w]` → `[n, c, oh, ow, kh, kw]`, every kernel position of a sliding window.
    Window(WindowAttributes),
}

/// A sliding window over the last two of four axes; no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowAttributes {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Rows and columns between windows, ≥ 1.
    pub stride: [usize; 2],
    /// Rows and columns between taps, ≥ 1.
    pub dilation: [usize; 2],
}

/// The attributes of a 2-D convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dAttributes {
    /// Rows and columns between outputs, ≥ 1.
    pub stride: [usize; 2],
    /// Zero rows and columns added on both sides.
    pub padding: [usize; 2],
    /// Rows and columns between taps, ≥ 1.
    pub dilation: [usize; 2],
    /// Channel groups; divides both channel counts.
    pub groups: usize,
}

/// What a reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Rule 5's sum for f32, wrapping for i32. Over nothing: 0.
    Sum,
    /// The largest element. Over nothing: the dtype's lowest value (−2^62, i32::MIN).
    Max,
    /// The smallest element. Over nothing: the dtype's highest value.
    Min,
}

/// An element-wise operation: one output element from one element of each input.
///
/// Float operations end in canon. `f32` and `i32` share a name where both are legal. Scalars are run-time
/// arguments: they are not part of a plan's structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ElementOp {
    /// No input: a constant of any dtype, given by its bits.
    Full(u32),
    /// No input, i32: the row-major index of the element.
    Iota,
    /// No input, f32 in [0, 1): the upper 24 bits of Threefry(key, (index, 0))[0], times 2^-24.
    Uniform([u32; 2]),
    /// No input, f32: Box–Muller on the two words of Threefry(key, (index, 0)).
    Normal([u32; 2]),
    /// Conversion from the input's dtype to the node's (rule 6's table where it does not fit).
    Cast,

    /// −x (f32, i32 wrapping).
    Neg,
    /// |x| (f32, i32 wrapping).
    Abs,
    /// −1, 0 or 1 (f32, i32).
    Sign,
    /// 1 / x.
    Recip,
    /// e^x.
    Exp,
    /// Natural logarithm.
    Ln,
    /// Square root.
    Sqrt,
    /// 1 / sqrt(x), two roundings.
    Rsqrt,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^−x).
    Sigmoid,
    /// Error function.
    Erf,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Largest integer not above x.
    Floor,
    /// Logical not (bool).
    Not,

    /// a + b (f32, i32 wrapping).
    Add,
    /// a − b (f32, i32 wrapping).
    Sub,
    /// a · b (f32, i32 wrapping).
    Mul,
    /// a / b (f32 by rule 1; i32 truncated, x / 0 = 0).
    Div,
    /// The larger (f32, i32).
    Max,
    /// The smaller (f32, i32).
    Min,
    /// a to the power b (f32).
    Pow,
    /// a = b → bool (f32, i32, u8, bool).
    Eq,
    /// a < b → bool (f32, i32, u8).
    Lt,
    /// a ≤ b → bool (f32, i32, u8).
    Le,
    /// Logical and (bool).
    And,
    /// Logical or (bool).
    Or,
    /// Logical exclusive or (bool).
    Xor,
    /// Inputs condition (bool), yes, no (one dtype): yes where the condition holds.
    Where,

    /// Inputs velocity, gradient, parameter → the new velocity μ·v + (g + λ·p).
    SgdVelocity(SgdScalars),
    /// Inputs parameter, gradient, new velocity → the new parameter p − η·(v), or with Nesterov
    /// p − η·((g + λ·p) + μ·v).
    SgdParameter(SgdScalars),
    /// Inputs m, gradient → β₁·m + (1 − β₁)·g.
    AdamwFirst(AdamwScalars),
    /// Inputs v, gradient → β₂·v + (1 − β₂)·g².
    AdamwSecond(AdamwScalars),
    /// Inputs parameter, new m, new v → (p − η·λ·p) − η·(m / c₁) / (√(v / c₂) + ε), the divisions by c₁ and c₂
    /// as products with their reciprocals (NUMERICS.md has the exact sequence).
    AdamwParameter(AdamwScalars),
}

/// The scalars of an SGD step, each canonical.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdScalars {
    /// η.
    pub learning_rate: f32,
    /// μ, 0 for plain SGD.
    pub momentum: f32,
    /// λ, added to the gradient.
    pub weight_decay: f32,
    /// Look ahead along the new velocity.
    pub nesterov: bool,
}

/// The scalars of an AdamW step, each canonical; the derived ones are computed when recorded, with
/// canonical arithmetic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwScalars {
    /// η.
    pub learning_rate: f32,
    /// β₁.
    pub beta1: f32,
    /// β₂.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// λ, decoupled.
    pub weight_decay: f32,
    /// c₁ = 1 − β₁^t.
    pub correction1: f32,
    /// c₂ = 1 − β₂^t.
    pub correction2: f32,
}

impl ElementOp {
    /// The name in messages, traces and plans.
    pub const fn name(&self) -> &'static str {
        match self {
            ElementOp::Full(_) => "full",
            ElementOp::Iota => "iota",
            ElementOp::Uniform(_) => "uniform",
            ElementOp::Normal(_) => "normal",
            ElementOp::Cast => "cast",
            ElementOp::Neg => "neg",
            ElementOp::Abs => "abs",
            ElementOp::Sign => "sign",
            ElementOp::Recip => "recip",
            ElementOp::Exp => "exp",
            ElementOp::Ln => "ln",
            ElementOp::Sqrt => "sqrt",
            ElementOp::Rsqrt => "rsqrt",
            ElementOp::Tanh => "tanh",
            ElementOp::Sigmoid => "sigmoid",
            ElementOp::Erf => "erf",
            ElementOp::Sin => "sin",
            ElementOp::Cos => "cos",
            ElementOp::Floor => "floor",
            ElementOp::Not => "not",
            ElementOp::Add => "add",
            ElementOp::Sub => "sub",
            ElementOp::Mul => "mul",
            ElementOp::Div => "div",
            ElementOp::Max => "maximum",
            ElementOp::Min => "minimum",
            ElementOp::Pow => "pow",
            ElementOp::Eq => "eq",
            ElementOp::Lt => "lt",
            ElementOp::Le => "le",
            ElementOp::And => "and",
            ElementOp::Or => "or",
            ElementOp::Xor => "xor",
            ElementOp::Where => "where",
            ElementOp::SgdVelocity(_) => "sgd_velocity",
            ElementOp::SgdParameter(_) => "sgd_parameter",
            ElementOp::AdamwFirst(_) => "adamw_first",
            ElementOp::AdamwSecond(_) => "adamw_second",
            ElementOp::AdamwParameter(_) => "adamw_parameter",
        }
    }

    /// How many inputs it takes.
    pub const fn arity(&self) -> usize {
        use ElementOp::*;
        match self {
            Full(_) | Iota | Uniform(_) | Normal(_) => 0,
            Cast | Neg | Abs | Sign | Recip | Exp | Ln | Sqrt | Rsqrt | Tanh | Sigmoid | Erf | Sin | Cos
            | Floor | Not => 1,
            Add | Sub | Mul | Div | Max | Min | Pow | Eq | Lt | Le | And | Or | Xor | AdamwFirst(_)
            | AdamwSecond(_) => 2,
            Where | SgdVelocity(_) | SgdParameter(_) | AdamwParameter(_) => 3,
        }
    }

    /// The scalar arguments as words, in a fixed order. They are bound when a plan runs; two operations
    /// that differ only in them have the same structure.
    pub fn scalars(&self) -> Vec<u32> {
        match *self {
            ElementOp::Full(bits) => vec![bits],
            ElementOp::Uniform(key) | ElementOp::Normal(key) => key.to_vec(),
            ElementOp::SgdVelocity(s) | ElementOp::SgdParameter(s) => s.words().to_vec(),
            ElementOp::AdamwFirst(s) | ElementOp::AdamwSecond(s) | ElementOp::AdamwParameter(s) => {
                s.words().to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// The dtype of the result for these input dtypes, or `None` where the operation does not take them.
    /// `Full` and `Cast` can give any dtype, so for them the node decides and this gives `None`.
    pub fn result(&self, inputs: &[DType]) -> Option<DType> {
        use ElementOp::*;
        let all = |dtype| inputs.iter().all(|&input| input == dtype).then_some(dtype);
        let number = || all(DType::F32).or_else(|| all(DType::I32));
        match self {
            Full(_) | Cast => None,
            Iota => Some(DType::I32),
            Uniform(_) | Normal(_) => Some(DType::F32),
            Neg | Abs | Sign | Add | Sub | Mul | Div | Max | Min => number(),
            Recip | Exp | Ln | Sqrt | Rsqrt | Tanh | Sigmoid | Erf | Sin | Cos | Floor | Pow
            | SgdVelocity(_) | SgdParameter(_) | AdamwFirst(_) | AdamwSecond(_) | AdamwParameter(_) => {
                all(DType::F32)
            }
            Not | And | Or | Xor => all(DType::Bool),
            Eq => number().or_else(|| all(DType::U8)).or_else(|| all(DType::Bool)).map(|_| DType::Bool),
            Lt | Le => number().or_else(|| all(DType::U8)).map(|_| DType::Bool),
            Where => match inputs {
                [DType::Bool, yes, no] if yes == no => Some(*yes),
                _ => None,
            },
        }
    }
}

impl SgdScalars {
    /// As words, in the order of the fields; the flag is 0 or 1.
    pub const fn words(&self) -> [u32; 4] {
        [
            self.learning_rate.to_bits(),
            self.momentum.to_bits(),
            self.weight_decay.to_bits(),
            self.nesterov as u32,
        ]
    }
}

impl AdamwScalars {
    /// As words, in the order of the fields.
    pub const fn words(&self) -> [u32; 7] {
        [
            self.learning_rate.to_bits(),
            self.beta1.to_bits(),
            self.beta2.to_bits(),
            self.epsilon.to_bits(),
            self.weight_decay.to_bits(),
            self.correction1.to_bits(),
            self.correction2.to_bits(),
        ]
    }
}

impl Op {
    /// The name in messages, traces and plans.
    pub const fn name(&self) -> &'static str {
        match self {
            Op::Leaf => "leaf",
            Op::Element(op) => op.name(),
            Op::View(ViewOp::Reshape) => "reshape",
            Op::View(ViewOp::Permute { .. }) => "permute",
            Op::View(ViewOp::Broadcast) => "broadcast",
            Op::View(ViewOp::Slice { .. }) => "slice",
            Op::View(ViewOp::Detach) => "detach",
            Op::View(ViewOp::Flip { .. }) => "flip",
            Op::View(ViewOp::Window(_)) => "window",
            Op::Pad { .. } => "pad",
            Op::Concat { .. } => "concat",
            Op::Reduce { kind: ReduceKind::Sum, .. } => "sum",
            Op::Reduce { kind: ReduceKind::Max, .. } => "max",
            Op::Reduce { kind: ReduceKind::Min, .. } => "min",
            Op::ArgReduce { largest: true, .. } => "argmax",
            Op::ArgReduce { largest: false, .. } => "argmin",
            Op::MatMul { .. } => "matmul",
            Op::Conv2d(_) => "conv2d",
            Op::Conv2dInputGradient(_) => "conv2d_input_gradient",
            Op::Conv2dWeightGradient(_) => "conv2d_weight_gradient",
            Op::Fold(_) => "fold",
            Op::Gather { .. } => "gather",
            Op::ScatterAdd { .. } => "scatter_add",
        }
    }
}
