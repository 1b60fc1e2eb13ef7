//! Creation: constants, indices and random numbers.

use super::{Graph, Recorded, argument_error, shape_of};
use crate::{CallErrorCode, DType, ElementOp, Op, RecordError, Tensor, Value, numerics};

impl Graph {
    /// A tensor of these row-major little-endian elements.
    pub fn from_bytes(&mut self, dtype: DType, sizes: &[usize], bytes: &[u8]) -> Recorded {
        let shape = shape_of("from_bytes", sizes)?;
        super::check_size("from_bytes", &shape, dtype)?;
        let value = Value::import(dtype, shape, bytes)
            .map_err(|error| RecordError::call(CallErrorCode::Argument, "from_bytes", error.to_string()))?;
        let elements = shape.elements() as u64;
        self.meter().charge_gas(crate::gas::operation(0, bytes.len() as u64, elements))?;
        self.leaf(value)
    }

    /// Every element `value`.
    pub fn full(&mut self, dtype: DType, sizes: &[usize], value: f64) -> Recorded {
        let shape = shape_of("full", sizes)?;
        let bits = scalar_bits("full", dtype, value)?;
        self.record(Op::Element(ElementOp::Full(bits)), &[], shape, dtype)
    }

    /// i32 0, 1, 2 … in row-major order.
    pub fn iota(&mut self, sizes: &[usize]) -> Recorded {
        let shape = shape_of("iota", sizes)?;
        self.record(Op::Element(ElementOp::Iota), &[], shape, DType::I32)
    }

    /// f32 uniform in [0, 1) from a stream of the task's generator.
    pub fn uniform(&mut self, sizes: &[usize], stream: u64) -> Recorded {
        let shape = shape_of("uniform", sizes)?;
        let key = numerics::threefry::subkey(self.seed(), stream);
        self.record(Op::Element(ElementOp::Uniform(key)), &[], shape, DType::F32)
    }

    /// f32 from the standard normal distribution, from a stream of the task's generator.
    pub fn normal(&mut self, sizes: &[usize], stream: u64) -> Recorded {
        let shape = shape_of("normal", sizes)?;
        let key = numerics::threefry::subkey(self.seed(), stream);
        self.record(Op::Element(ElementOp::Normal(key)), &[], shape, DType::F32)
    }

    /// A canonical f32 scalar as a tensor of rank 0.
    pub(crate) fn scalar(&mut self, value: f32) -> Recorded<Tensor> {
        let op = Op::Element(ElementOp::Full(value.to_bits()));
        self.record(op, &[], crate::Shape::SCALAR, DType::F32)
    }
}

/// The bits of a scalar argument in a dtype.
///
/// # Errors
/// NaN, infinity, a fraction or a value out of range for an integer, a storage dtype other than zero.
pub(super) fn scalar_bits(operation: &'static str, dtype: DType, value: f64) -> Recorded<u32> {
    let whole = |low: f64, high: f64| {
        let fits = value.fract() == 0.0 && (low..=high).contains(&value);
        if fits { Ok(value as i64 as u32) } else { refuse(operation, dtype, value) }
    };
    match dtype {
        // The nearest f32 of the guest's f64; both conversions are exact IEEE roundings on every host.
        DType::F32 => match numerics::import(value as f32) {
            Ok(canonical) if value.is_finite() => Ok(canonical.to_bits()),
            _ => refuse(operation, dtype, value),
        },
        DType::I32 => whole(f64::from(i32::MIN), f64::from(i32::MAX)),
        DType::U8 => whole(0.0, 255.0),
        DType::Bool => whole(0.0, 1.0),
        DType::Bf16 | DType::F16 if value == 0.0 => Ok(0),
        DType::Bf16 | DType::F16 => {
            argument_error(operation, format!("{dtype} is storage: make an f32 of {value} and cast it"))
        }
    }
}

fn refuse<T>(operation: &'static str, dtype: DType, value: f64) -> Recorded<T> {
    argument_error(operation, format!("{value} is not a value of {dtype}"))
}
