//! Elements of the types that files have, as elements of the types that the contract has.

use anneal_tensor::{DType, Elements, ImportError, Shape, Value};
use anyhow::{Result, anyhow, bail, ensure};

/// An element type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Stays as it is.
    Same(DType),
    I8,
    I16,
    U16,
    U32,
    I64,
    U64,
    F64,
}

impl Source {
    pub(super) fn byte_size(self) -> usize {
        match self {
            Source::Same(dtype) => dtype.byte_size(),
            Source::I8 => 1,
            Source::I16 | Source::U16 => 2,
            Source::U32 => 4,
            Source::I64 | Source::U64 | Source::F64 => 8,
        }
    }

    /// What a developer is told where values are converted.
    pub(super) fn note(self) -> Option<String> {
        match self {
            Source::Same(_) => None,
            Source::F64 => Some("converted from f64 to f32".to_owned()),
            other => Some(format!("converted from {other:?} to i32").to_lowercase()),
        }
    }

    fn integer(self, bytes: &[u8]) -> i128 {
        let mut all = [0u8; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        match self {
            Source::I8 => i128::from(all[0] as i8),
            Source::I16 => i128::from(i16::from_le_bytes([all[0], all[1]])),
            Source::I64 => i128::from(i64::from_le_bytes(all)),
            _ => i128::from(u64::from_le_bytes(all)),
        }
    }
}

/// A tensor from row-major little-endian elements.
pub(super) fn value(source: Source, shape: Shape, bytes: &[u8]) -> Result<Value> {
    let expected = shape.elements() * source.byte_size();
    ensure!(
        bytes.len() == expected,
        "the shape {shape} needs {expected} bytes of elements, the file has {}: it is cut off or damaged",
        bytes.len()
    );
    match source {
        Source::Same(dtype) => Value::import(dtype, shape, bytes).map_err(|error| explain(error, &shape)),
        Source::F64 => {
            let narrow = bytes.chunks_exact(8).enumerate().map(|(index, bytes)| {
                let wide = f64::from_le_bytes(bytes.try_into().expect("a chunk of eight"));
                let narrow = wide as f32;
                if narrow.is_finite() { Ok(narrow) } else { Err(float_error(wide, index, &shape)) }
            });
            floats(narrow.collect::<Result<_>>()?, shape)
        }
        _ => integers(source, shape, bytes),
    }
}

/// A tensor of f32.
pub(super) fn floats(elements: Vec<f32>, shape: Shape) -> Result<Value> {
    let bytes: Vec<u8> = elements.into_iter().flat_map(f32::to_le_bytes).collect();
    Value::import(DType::F32, shape, &bytes).map_err(|error| explain(error, &shape))
}

fn integers(source: Source, shape: Shape, bytes: &[u8]) -> Result<Value> {
    let mut elements = Vec::with_capacity(shape.elements());
    for (index, bytes) in bytes.chunks_exact(source.byte_size()).enumerate() {
        let number = source.integer(bytes);
        match i32::try_from(number) {
            Ok(number) => elements.push(number),
            Err(_) => {
                bail!("{}: {number} does not fit i32; rescale the data or store f32", place(&shape, index))
            }
        }
    }
    Ok(Value::host(DType::I32, shape, Elements::I32(elements)))
}

/// Where an element is, in words.
pub(super) fn place(shape: &Shape, index: usize) -> String {
    match shape.unravel(index).as_slice() {
        [] => "the only element".to_owned(),
        [row] => format!("row {row}"),
        [row, column] => format!("row {row}, column {column}"),
        [row, rest @ ..] => format!("row {row}, at {rest:?}"),
    }
}

fn explain(error: ImportError, shape: &Shape) -> anyhow::Error {
    match error {
        ImportError::NotFinite { index } => {
            anyhow!("{}: NaN or infinity; clean the data first", place(shape, index))
        }
        ImportError::NotBoolean { index, value } => {
            anyhow!("{}: the boolean {value} is neither 0 nor 1", place(shape, index))
        }
        ImportError::Length { .. } => error.into(),
    }
}

fn float_error(wide: f64, index: usize, shape: &Shape) -> anyhow::Error {
    let place = place(shape, index);
    if wide.is_finite() {
        anyhow!("{place}: {wide:e} does not fit f32; rescale the data")
    } else {
        anyhow!("{place}: NaN or infinity; clean the data first")
    }
}
