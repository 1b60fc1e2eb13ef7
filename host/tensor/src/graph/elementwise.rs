//! Element by element: one to three tensors, broadcast.

use super::{Graph, Recorded, shape_error};
use crate::{CallErrorCode, DType, ElementOp, Op, RecordError, Shape, Tensor};

macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident($($input:ident),+) = $op:ident;)*) => {
        impl Graph {
            $($(#[$doc])* pub fn $name(&mut self, $($input: &Tensor),+) -> Recorded {
                self.element(ElementOp::$op, &[$($input),+])
            })*
        }
    };
}

elementwise! {
    /// −x.
    neg(x) = Neg;
    /// |x|.
    abs(x) = Abs;
    /// −1, 0 or 1.
    sign(x) = Sign;
    /// 1 / x.
    recip(x) = Recip;
    /// e^x.
    exp(x) = Exp;
    /// Natural logarithm.
    ln(x) = Ln;
    /// Square root.
    sqrt(x) = Sqrt;
    /// 1 / sqrt(x).
    rsqrt(x) = Rsqrt;
    /// Hyperbolic tangent.
    tanh(x) = Tanh;
    /// 1 / (1 + e^−x).
    sigmoid(x) = Sigmoid;
    /// Error function.
    erf(x) = Erf;
    /// Sine.
    sin(x) = Sin;
    /// Cosine.
    cos(x) = Cos;
    /// Largest integer not above x.
    floor(x) = Floor;
    /// Logical not.
    logical_not(x) = Not;
    /// a + b.
    add(a, b) = Add;
    /// a − b.
    sub(a, b) = Sub;
    /// a · b.
    mul(a, b) = Mul;
    /// a / b.
    div(a, b) = Div;
    /// a to the power b.
    pow(a, b) = Pow;
    /// The larger.
    maximum(a, b) = Max;
    /// The smaller.
    minimum(a, b) = Min;
    /// a = b.
    eq(a, b) = Eq;
    /// a < b.
    lt(a, b) = Lt;
    /// a ≤ b.
    le(a, b) = Le;
    /// Logical and.
    logical_and(a, b) = And;
    /// Logical or.
    logical_or(a, b) = Or;
    /// `yes` where the condition holds, else `no`.
    select(condition, yes, no) = Where;
}

impl Graph {
    /// Records an element operation on inputs that are broadcast together.
    pub(crate) fn element(&mut self, op: ElementOp, inputs: &[&Tensor]) -> Recorded {
        let label = op.name();
        let dtypes: Vec<DType> = inputs.iter().map(|input| input.dtype()).collect();
        let Some(dtype) = op.result(&dtypes) else {
            let names: Vec<&str> = dtypes.iter().map(|dtype| dtype.name()).collect();
            let message = format!("does not take {}; cast first", names.join(", "));
            return Err(RecordError::call(CallErrorCode::DType, label, message));
        };
        let mut shape = Shape::SCALAR;
        for input in inputs {
            shape = match shape.broadcast(input.shape()) {
                Some(shape) => shape,
                None => {
                    let shapes: Vec<String> = inputs.iter().map(|input| input.shape().to_string()).collect();
                    let message = format!("the shapes {} do not broadcast together", shapes.join(" and "));
                    return shape_error(label, message);
                }
            };
        }
        self.record(Op::Element(op), inputs, shape, dtype)
    }
}
