//! Named tensors on disk, as safetensors: what PyTorch opens, and what one task leaves for the next.
//!
//! Converting other formats and types is the command line's work; here a type the engine lacks is refused.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use anneal_files::{ReadError, read_bounded_in, write_whole};
use anneal_tensor::{DType, Elements, ImportError, Shape, Value, limits};
use cap_std::fs::Dir;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, View},
};
use thiserror::Error;

use crate::state::{Inputs, NamedValue, State, StateError};

/// Why a file is no state or no inputs.
#[derive(Debug, Error)]
pub enum FileError {
    /// It could not be read.
    #[error("{file} cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: ReadError,
    },
    /// It could not be written.
    #[error("{file} cannot be written ({source}); check the space and the rights of its folder")]
    Write {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no safetensors file.
    #[error("{file} is no safetensors file, or is damaged: {message}")]
    Format {
        /// The file.
        file: String,
        /// What the parser met.
        message: String,
    },
    /// A tensor that the engine does not take.
    #[error("the tensor \"{tensor}\" of {file} {message}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// Its tensors are no state.
    #[error("{file} holds no state: {source}")]
    State {
        /// The file.
        file: String,
        /// Why.
        source: StateError,
    },
}

/// Writes a state; an existing file is replaced once the new one is whole.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_state(folder: &Dir, name: &Path, state: &State) -> Result<(), FileError> {
    write(folder, name, state.tensors().iter().map(|tensor| (tensor.name.as_str(), &tensor.value)))
}

/// Reads a state of at most this many bytes.
///
/// # Errors
/// Where the file cannot be read, is no safetensors file, or holds what is no state.
pub fn read_state(folder: &Dir, name: &Path, bytes_max: u64) -> Result<State, FileError> {
    let tensors = read(folder, name, bytes_max)?;
    State::new(tensors).map_err(|source| FileError::State { file: name.display().to_string(), source })
}

/// Writes inputs, as a state is written.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_inputs(folder: &Dir, name: &Path, inputs: &Inputs) -> Result<(), FileError> {
    write(folder, name, inputs.iter())
}

/// Reads inputs of at most this many bytes.
///
/// # Errors
/// As for a state.
pub fn read_inputs(folder: &Dir, name: &Path, bytes_max: u64) -> Result<Inputs, FileError> {
    let tensors = read(folder, name, bytes_max)?;
    let inputs: BTreeMap<String, Value> =
        tensors.into_iter().map(|tensor| (tensor.name, tensor.value)).collect();
    Inputs::new(inputs).map_err(|source| FileError::State { file: name.display().to_string(), source })
}

fn write<'a>(
    folder: &Dir,
    name: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Result<(), FileError> {
    let file = || name.display().to_string();
    let views = tensors.map(|(name, value)| {
        let elements = value.elements().expect("states and inputs were checked to be in host memory");
        (name_in_file(name), Written { value, elements })
    });
    let whole = safetensors::serialize(views, None)
        .map_err(|error| FileError::Format { file: file(), message: error.to_string() })?;
    write_whole(folder, name, &whole).map_err(|source| FileError::Write { file: file(), source })
}

/// A tensor as it is written: its bytes are made when they are, if at all.
struct Written<'a> {
    value: &'a Value,
    elements: &'a Elements,
}

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        file_dtype(self.value.dtype)
    }

    fn shape(&self) -> &[usize] {
        &self.value.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.elements.bytes()
    }

    fn data_len(&self) -> usize {
        self.elements.len() * self.value.dtype.byte_size()
    }
}

fn read(folder: &Dir, name: &Path, bytes_max: u64) -> Result<Vec<NamedValue>, FileError> {
    let file = name.display().to_string();
    let bytes = read_bounded_in(folder, name, bytes_max)
        .map_err(|source| FileError::Read { file: file.clone(), source })?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|error| FileError::Format { file: file.clone(), message: error.to_string() })?;
    let named = tensors.iter().map(|(tensor, view)| {
        let value = import(&view).map_err(|message| FileError::Tensor {
            file: file.clone(),
            tensor: tensor.to_owned(),
            message,
        })?;
        Ok(NamedValue { name: name_from_file(tensor).to_owned(), value })
    });
    named.collect()
}

fn import(view: &TensorView<'_>) -> Result<Value, String> {
    let Some(dtype) = engine_dtype(view.dtype()) else {
        return Err(format!(
            "is {:?}; the engine takes F32, I32, U8, BOOL, BF16 and F16: convert it first (to F32 or I32)",
            view.dtype()
        ));
    };
    let too_large = || {
        format!(
            "has the shape {:?}; a tensor has at most {} axes and {} bytes: split it",
            view.shape(),
            limits::RANK_MAX,
            limits::TENSOR_BYTES_MAX
        )
    };
    let shape = Shape::new(view.shape()).ok_or_else(too_large)?;
    Value::import(dtype, shape, view.data())
        .map_err(|error: ImportError| format!("is not canonical: {error}"))
}

/// safetensors keeps this name for itself.
const RESERVED_NAME: &str = "__metadata__";

/// The reserved name is a legal one of the contract: a zero character before it keeps them apart.
fn name_in_file(name: &str) -> Cow<'_, str> {
    match name.trim_start_matches('\0') {
        RESERVED_NAME => Cow::Owned(format!("\0{name}")),
        _ => Cow::Borrowed(name),
    }
}

fn name_from_file(name: &str) -> &str {
    let inner = name.strip_prefix('\0').unwrap_or(name);
    if inner.trim_start_matches('\0') == RESERVED_NAME { inner } else { name }
}

fn file_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::I32 => Dtype::I32,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
        DType::Bf16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
    }
}

fn engine_dtype(dtype: Dtype) -> Option<DType> {
    DType::ALL.into_iter().find(|&engine| file_dtype(engine) == dtype)
}
