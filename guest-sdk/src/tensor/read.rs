//! Elements back in the guest. Reading waits for the device: read seldom, once an epoch rather than a step.

use super::{DType, Tensor, operations};
use crate::error::{Error, ErrorCode};

/// What the contract gives at once.
const READ_BYTES_MAX: u64 = 4 << 20;

operations! {
    /// The elements of an f32 tensor, row-major. Fails with `overflow` where one is ±2^62.
    fn to_vec_f32 / try_to_vec_f32(self) -> Vec<f32> {
        let bytes = self.elements(DType::F32)?;
        Ok(bytes.as_chunks().0.iter().map(|&element| f32::from_le_bytes(element)).collect())
    }

    /// The elements of an i32 tensor, row-major.
    fn to_vec_i32 / try_to_vec_i32(self) -> Vec<i32> {
        let bytes = self.elements(DType::I32)?;
        Ok(bytes.as_chunks().0.iter().map(|&element| i32::from_le_bytes(element)).collect())
    }

    /// The bytes of a tensor of any dtype: row-major, little-endian.
    fn to_bytes / try_to_bytes(self) -> Vec<u8> {
        let count = self.element_count();
        let size = element_bytes(self.dtype());
        if count * size <= READ_BYTES_MAX {
            return Ok(self.0.read()?);
        }
        let flat = self.try_reshape(&[u32::try_from(count).map_err(|_| Error::argument("read: too many elements"))?])?;
        let chunk = READ_BYTES_MAX / size;
        let mut bytes = Vec::with_capacity((count * size) as usize);
        for start in (0..count).step_by(chunk as usize) {
            let length = chunk.min(count - start);
            bytes.extend(flat.try_narrow(0, start as u32, length as u32)?.0.read()?);
        }
        Ok(bytes)
    }

    /// The only element of an f32 tensor.
    fn item / try_item(self) -> f32 {
        only(&self.try_to_vec_f32()?)
    }

    /// The only element of an i32 tensor.
    fn item_i32 / try_item_i32(self) -> i32 {
        only(&self.try_to_vec_i32()?)
    }
}

impl Tensor {
    fn elements(&self, expected: DType) -> Result<Vec<u8>, Error> {
        let dtype = self.dtype();
        if dtype == expected {
            return self.try_to_bytes();
        }
        let message = format!("read: the tensor is {dtype:?} and {expected:?} was asked for; cast it first");
        Err(Error { code: ErrorCode::Dtype, message })
    }
}

fn element_bytes(dtype: DType) -> u64 {
    match dtype {
        DType::F32 | DType::I32 => 4,
        DType::Bf16 | DType::F16 => 2,
        DType::U8 | DType::Boolean => 1,
    }
}

fn only<T: Copy>(elements: &[T]) -> Result<T, Error> {
    match elements {
        [element] => Ok(*element),
        _ => Err(Error {
            code: ErrorCode::Shape,
            message: format!("item: the tensor has {} elements and must have one", elements.len()),
        }),
    }
}
