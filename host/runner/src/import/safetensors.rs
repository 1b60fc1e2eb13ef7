//! Safetensors: named tensors. One gives the input itself, several give `input/tensor` each.

use anneal_job::shown_name;
use anneal_tensor::DType;
use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};

use super::{
    Part, TENSORS_MAX,
    numbers::{self, Source},
    shape,
};

const NOT_ONE: &str = "this is no safetensors file, or it is cut off";

/// Refuses what does not begin like safetensors: the length of a header, and its JSON.
pub(super) fn check_beginning(bytes: &[u8]) -> Result<()> {
    ensure!(bytes.get(8) == Some(&b'{'), NOT_ONE);
    Ok(())
}

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Part>> {
    let file = SafeTensors::deserialize(bytes).context(NOT_ONE)?;
    let mut names: Vec<&str> = file.names();
    names.sort_unstable();
    ensure!(!names.is_empty(), "the file holds no tensor");
    ensure!(names.len() <= TENSORS_MAX, "the file holds {} tensors; at most {TENSORS_MAX}", names.len());
    let alone = names.len() == 1;
    names
        .iter()
        .map(|name| part(&file, name, alone).with_context(|| format!("tensor `{}`", shown_name(name))))
        .collect()
}

fn part(file: &SafeTensors<'_>, name: &str, alone: bool) -> Result<Part> {
    let tensor = file.tensor(name)?;
    let source = source(tensor.dtype())?;
    let value = numbers::value(source, shape(tensor.shape())?, tensor.data())?;
    Ok(Part { name: (!alone).then(|| name.to_owned()), value, note: source.note() })
}

fn source(dtype: Dtype) -> Result<Source> {
    Ok(match dtype {
        Dtype::BOOL => Source::Same(DType::Bool),
        Dtype::U8 => Source::Same(DType::U8),
        Dtype::I8 => Source::I8,
        Dtype::I16 => Source::I16,
        Dtype::U16 => Source::U16,
        Dtype::F16 => Source::Same(DType::F16),
        Dtype::BF16 => Source::Same(DType::Bf16),
        Dtype::I32 => Source::Same(DType::I32),
        Dtype::U32 => Source::U32,
        Dtype::F32 => Source::Same(DType::F32),
        Dtype::I64 => Source::I64,
        Dtype::U64 => Source::U64,
        Dtype::F64 => Source::F64,
        other => bail!("elements of type {other:?} are not taken; save them as f32, f16, bf16 or i32"),
    })
}
