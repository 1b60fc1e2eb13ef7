//! Input files become canonical tensors here, at the edge; after this only tensors and digests are spoken of.
//!
//! One file gives one tensor by the input's name; a safetensors file with several gives `input/tensor` each.
//! Where the contract has no such element type, values are converted: integers of other widths to i32 where
//! each fits, f64 to f32 by rounding to nearest. NaN and infinity are refused, with their place.

mod csv;
mod gzip;
mod idx;
mod npy;
mod numbers;
mod safetensors;

use std::{
    fs::File,
    io::{Read, Take},
    path::Path,
};

use anneal_job::InputFormat;
use anneal_tensor::{DType, Elements, Shape, Value};
use anyhow::{Context, Result, bail, ensure};

/// Bytes of an input, as a file and unpacked.
pub const INPUT_BYTES_MAX: u64 = 2 << 30;
/// Tensors of one file.
pub const TENSORS_MAX: usize = 4096;

/// A tensor that a file gave.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The name the guest asks for.
    pub name: String,
    /// The elements, canonical.
    pub value: Value,
    /// What was changed on the way in, for the developer to know.
    pub note: Option<String>,
}

/// A tensor within a file: `None` where the file gives but one.
struct Part {
    name: Option<String>,
    value: Value,
    note: Option<String>,
}

/// Reads an input file.
///
/// # Errors
/// Says what is wrong with the file, where in it, and what to do.
pub fn import(name: &str, path: &Path, format: InputFormat) -> Result<Vec<Imported>> {
    let context = || format!("input `{name}` from {}", path.display());
    let (format, packed) = resolve(path, format).with_context(context)?;
    let mut bytes = read_file(path).with_context(context)?;
    if packed && bytes.starts_with(&gzip::MAGIC) {
        bytes = gzip::unpack(&bytes, INPUT_BYTES_MAX).with_context(context)?;
    }
    let parts = read(&bytes, format).with_context(context)?;
    Ok(parts
        .into_iter()
        .map(|part| Imported {
            name: part.name.map_or_else(|| name.to_owned(), |inner| format!("{name}/{inner}")),
            value: part.value,
            note: part.note,
        })
        .collect())
}

fn read(bytes: &[u8], format: InputFormat) -> Result<Vec<Part>> {
    match format {
        InputFormat::Safetensors => safetensors::read(bytes),
        InputFormat::Npy => npy::read(bytes).map(|part| vec![part]),
        InputFormat::Csv => csv::read(bytes).map(|part| vec![part]),
        InputFormat::Idx => idx::read(bytes).map(|part| vec![part]),
        InputFormat::Auto | InputFormat::Raw => raw(bytes).map(|part| vec![part]),
    }
}

/// The format by the name's ending, and whether it may be packed with gzip.
fn resolve(path: &Path, format: InputFormat) -> Result<(InputFormat, bool)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let (stem, packed) = match name.strip_suffix(".gz") {
        Some(stem) => (stem, true),
        None => (name.as_str(), false),
    };
    if format != InputFormat::Auto {
        return Ok((format, packed && format != InputFormat::Raw));
    }
    let ends = |endings: &[&str]| endings.iter().any(|ending| stem.ends_with(ending));
    let found = if ends(&[".safetensors"]) {
        InputFormat::Safetensors
    } else if ends(&[".npy"]) {
        InputFormat::Npy
    } else if ends(&[".csv"]) {
        InputFormat::Csv
    } else if ends(&[".idx", "-ubyte"]) || stem.ends_with("ubyte") && stem.contains(".idx") {
        InputFormat::Idx
    } else if ends(&[".npz"]) {
        bail!(
            "an .npz holds several arrays; save each with numpy.save, or all with safetensors.numpy.save_file"
        );
    } else {
        // A packed file of no known kind stays as it is: the guest gets the bytes of the file.
        return Ok((InputFormat::Raw, false));
    };
    Ok((found, packed))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).context("cannot open the file; inputs are relative to job.toml")?;
    let metadata = file.metadata().context("cannot look at the file")?;
    ensure!(!metadata.is_dir(), "this is a directory; name a file");
    let mut bytes = Vec::new();
    limited(file, INPUT_BYTES_MAX).read_to_end(&mut bytes).context("cannot read the file")?;
    ensure!(
        bytes.len() as u64 <= INPUT_BYTES_MAX,
        "the file is larger than 2 GiB; split it into several inputs"
    );
    Ok(bytes)
}

/// One byte more than the limit can be read, so that going over it shows.
fn limited<R: Read>(reader: R, limit: u64) -> Take<R> {
    reader.take(limit + 1)
}

fn raw(bytes: &[u8]) -> Result<Part> {
    let shape = shape(&[bytes.len()])?;
    Ok(Part { name: None, value: Value::host(DType::U8, shape, Elements::U8(bytes.to_vec())), note: None })
}

/// The shape with these sizes, where a tensor can have it.
fn shape(sizes: &[usize]) -> Result<Shape> {
    let fits = sizes.iter().all(|&size| u32::try_from(size).is_ok());
    Shape::new(sizes)
        .filter(|_| fits)
        .with_context(|| format!("a tensor cannot have the shape {sizes:?}: at most 8 axes, 2^48 elements"))
}

#[cfg(test)]
mod tests;
