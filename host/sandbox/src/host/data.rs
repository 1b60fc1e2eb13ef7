//! Interface `data`: the job's inputs, as they are or row by row.

use anneal_tensor::{CallErrorCode, DType, Elements, RecordError, Shape, Tensor, Value, gas};
use wasmtime::component::Resource;

use super::{Host, Refusal, bindings::data, bindings::tensors as wit, shown, size, word};
use crate::limits;

impl data::Host for Host {
    fn inputs(&mut self) -> wasmtime::Result<Vec<data::InputInfo>> {
        self.charge(limits::CALL_GAS + gas::LISTED * self.inputs.iter().len() as u64)?;
        Ok(self.inputs.iter().map(|(name, value)| info(name, value)).collect())
    }

    fn info(&mut self, name: String) -> Result<data::InputInfo, Refusal> {
        self.charge_call(name.len())?;
        let value = self.input("info", &name)?;
        Ok(info(&name, value))
    }

    fn rows(&mut self, name: String, indices: Vec<u32>) -> Result<Resource<Tensor>, Refusal> {
        self.charge_call(name.len())?;
        self.charge(limits::ROW_GAS * indices.len() as u64)?;
        let value = self.input("rows", &name)?.clone();
        let shape = rows_shape(&name, &value.shape, &indices)?;
        let bytes = (shape.elements() * value.dtype.byte_size()) as u64;
        check_bytes("rows", bytes)?;
        self.charge(gas::moved(bytes))?;
        let elements = rows(host_elements(&value), value.shape[1..].iter().product(), &indices);
        let leaf = self.graph.leaf(Value::host(value.dtype, shape, elements))?;
        self.hand_out(leaf)
    }

    fn whole(&mut self, name: String) -> Result<Resource<Tensor>, Refusal> {
        self.charge_call(name.len())?;
        let value = self.input("whole", &name)?.clone();
        let bytes = (value.shape.elements() * value.dtype.byte_size()) as u64;
        check_bytes("whole", bytes)?;
        self.charge(gas::moved(bytes))?;
        let value = self.executor.place(value)?;
        let leaf = self.graph.leaf(value)?;
        self.hand_out(leaf)
    }

    fn bytes(&mut self, name: String, offset: u64, length: u32) -> Result<Vec<u8>, Refusal> {
        self.charge_call(name.len())?;
        let value = self.input("bytes", &name)?;
        if length > limits::DATA_BYTES_MAX {
            let message =
                format!("{length} bytes at once; at most {}: read in pieces", limits::DATA_BYTES_MAX);
            return Err(refuse(CallErrorCode::Limit, "bytes", message));
        }
        let total = (value.shape.elements() * value.dtype.byte_size()) as u64;
        let end = offset.checked_add(u64::from(length)).filter(|&end| end <= total);
        let (Some(end), Ok(start)) = (end, usize::try_from(offset)) else {
            let message =
                format!("{length} bytes from {offset} of the input \"{name}\", which has {total} bytes");
            return Err(refuse(CallErrorCode::Argument, "bytes", message));
        };
        self.charge(u64::from(length))?;
        Ok(part(host_elements(value), value.dtype, start, end as usize))
    }
}

impl Host {
    fn input(&self, operation: &'static str, name: &str) -> Result<&Value, Refusal> {
        self.inputs.get(name).ok_or_else(|| {
            let name = shown(name, limits::QUOTE_BYTES_MAX);
            let names: Vec<&str> =
                self.inputs.iter().map(|(name, _)| name).take(limits::QUOTE_NAMES_MAX).collect();
            let more = if names.len() < self.inputs.iter().len() { ", …" } else { "" };
            let message = match names[..] {
                [] => format!(
                    "there is no input \"{name}\"; the job has none: name it in job.toml under [inputs]"
                ),
                _ => format!("there is no input \"{name}\"; the job has {}{more}", names.join(", ")),
            };
            refuse(CallErrorCode::NotFound, operation, message)
        })
    }
}

fn info(name: &str, value: &Value) -> data::InputInfo {
    let shape = value.shape.iter().map(|&size| word(size)).collect();
    data::InputInfo { name: name.to_owned(), dtype: dtype(value.dtype), shape }
}

/// The contract's name of an element type.
pub(super) fn dtype(dtype: DType) -> wit::Dtype {
    match dtype {
        DType::F32 => wit::Dtype::F32,
        DType::I32 => wit::Dtype::I32,
        DType::U8 => wit::Dtype::U8,
        DType::Bool => wit::Dtype::Boolean,
        DType::Bf16 => wit::Dtype::Bf16,
        DType::F16 => wit::Dtype::F16,
    }
}

/// The shape of rows, every index checked.
fn rows_shape(name: &str, shape: &Shape, indices: &[u32]) -> Result<Shape, Refusal> {
    let Some((&count, row)) = shape.split_first() else {
        let message = format!("the input \"{name}\" is a single element and has no rows; use whole");
        return Err(refuse(CallErrorCode::Shape, "rows", message));
    };
    if let Some((at, index)) = indices.iter().enumerate().find(|&(_, &index)| size(index) >= count) {
        let message = format!("index {index} (at {at}) of the input \"{name}\", which has {count} rows");
        return Err(refuse(CallErrorCode::Argument, "rows", message));
    }
    Shape::new(&[&[indices.len()], row].concat()).ok_or_else(|| {
        let message = format!("{} rows of shape {row:?} are too many elements; take fewer", indices.len());
        refuse(CallErrorCode::Limit, "rows", message)
    })
}

fn check_bytes(operation: &'static str, bytes: u64) -> Result<(), Refusal> {
    let limit = anneal_tensor::limits::TENSOR_BYTES_MAX as u64;
    if bytes > limit {
        let message =
            format!("the tensor would hold {bytes} bytes, at most {limit} are allowed; take fewer rows");
        return Err(refuse(CallErrorCode::Limit, operation, message));
    }
    Ok(())
}

fn rows(elements: &Elements, row: usize, indices: &[u32]) -> Elements {
    fn gather<T: Copy>(elements: &[T], row: usize, indices: &[u32]) -> Vec<T> {
        let mut rows = Vec::with_capacity(indices.len() * row);
        for &index in indices {
            rows.extend_from_slice(&elements[size(index) * row..][..row]);
        }
        rows
    }
    match elements {
        Elements::F32(elements) => Elements::F32(gather(elements, row, indices)),
        Elements::I32(elements) => Elements::I32(gather(elements, row, indices)),
        Elements::U8(elements) => Elements::U8(gather(elements, row, indices)),
        Elements::U16(elements) => Elements::U16(gather(elements, row, indices)),
    }
}

/// Bytes `start .. end` of the elements as [`Elements::to_bytes`] has them, without making the others.
fn part(elements: &Elements, dtype: DType, start: usize, end: usize) -> Vec<u8> {
    let width = dtype.byte_size();
    let (first, last) = (start / width, end.div_ceil(width));
    let part = match elements {
        Elements::F32(elements) => Elements::F32(elements[first..last].to_vec()),
        Elements::I32(elements) => Elements::I32(elements[first..last].to_vec()),
        Elements::U8(elements) => Elements::U8(elements[first..last].to_vec()),
        Elements::U16(elements) => Elements::U16(elements[first..last].to_vec()),
    };
    part.to_bytes()[start - first * width..end - first * width].to_vec()
}

fn host_elements(value: &Value) -> &Elements {
    value.elements().expect("inputs were checked to be in host memory")
}

fn refuse(code: CallErrorCode, operation: &'static str, message: String) -> Refusal {
    RecordError::call(code, operation, message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_the_order_of_their_indices() {
        let table = Elements::I32((0..12).collect());
        assert_eq!(rows(&table, 4, &[2, 0, 2]), Elements::I32(vec![8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]));
        assert_eq!(rows(&table, 0, &[5, 6]), Elements::I32(vec![]));
        let shape = rows_shape("x", &Shape::of(&[3, 4]), &[2, 0]).expect("they are below 3");
        assert_eq!(shape, Shape::of(&[2, 4]));
        assert!(rows_shape("x", &Shape::of(&[3, 4]), &[0, 3]).is_err());
        assert!(rows_shape("x", &Shape::SCALAR, &[]).is_err());
    }

    #[test]
    fn a_part_is_what_it_is_of_all_bytes() {
        let elements = Elements::F32(vec![1.5, -0.0, 3e-5, -7.25]);
        let all = elements.bytes();
        for start in 0..=all.len() {
            for end in start..=all.len() {
                assert_eq!(part(&elements, DType::F32, start, end), all[start..end]);
            }
        }
    }
}
