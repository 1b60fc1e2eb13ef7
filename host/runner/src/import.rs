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
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use anneal_files::ReadError;
use anneal_job::InputFormat;
use anneal_tensor::{DType, Elements, Shape, Value};
use anyhow::{Context, Result, bail, ensure};
use cap_std::{ambient_authority, fs::Dir};

/// Bytes of an input, as a file and unpacked.
pub const INPUT_BYTES_MAX: u64 = 2 << 30;
/// Bytes by which a file shows what it is not.
const BEGINNING_BYTES: u64 = 16;
/// Tensors of one file.
pub const TENSORS_MAX: usize = 4096;

/// A file that gives an input.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// The name the guest asks for.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// How it is read.
    pub format: InputFormat,
    /// It must lie in this folder, whatever links say.
    pub within: Option<PathBuf>,
}

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
pub fn import(file: &InputFile) -> Result<Vec<Imported>> {
    let InputFile { name, path, format, within } = file;
    let context = || format!("input `{name}` from {}", path.display());
    let (format, packed) = resolve(path, *format).with_context(context)?;
    let file = open(path, within.as_deref()).with_context(context)?;
    let bytes = contents(file, format, packed).with_context(context)?;
    let parts = read(bytes, format).with_context(context)?;
    Ok(parts
        .into_iter()
        .map(|part| Imported {
            name: part.name.map_or_else(|| name.clone(), |inner| format!("{name}/{inner}")),
            value: part.value,
            note: part.note,
        })
        .collect())
}

fn read(bytes: Vec<u8>, format: InputFormat) -> Result<Vec<Part>> {
    match format {
        InputFormat::Safetensors => safetensors::read(&bytes),
        InputFormat::Npy => npy::read(&bytes).map(|part| vec![part]),
        InputFormat::Csv => csv::read(&bytes).map(|part| vec![part]),
        InputFormat::Idx => idx::read(bytes).map(|part| vec![part]),
        InputFormat::Auto | InputFormat::Raw => raw(bytes).map(|part| vec![part]),
    }
}

/// Refuses what begins unlike its format, before two gigabytes of it are read.
fn check_beginning(bytes: &[u8], format: InputFormat) -> Result<()> {
    match format {
        InputFormat::Safetensors => safetensors::check_beginning(bytes),
        InputFormat::Npy => npy::check_beginning(bytes),
        InputFormat::Idx => idx::check_beginning(bytes).map(|_| ()),
        InputFormat::Csv | InputFormat::Auto | InputFormat::Raw => Ok(()),
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

fn open(path: &Path, within: Option<&Path>) -> Result<File> {
    let missing = "cannot open the file; inputs are relative to job.toml";
    let metadata = std::fs::metadata(path).context(missing)?;
    ensure!(!metadata.is_dir(), "this is a directory; name a file");
    ensure!(metadata.is_file(), "this is a pipe, a socket or a device; name a file");
    match within {
        None => anneal_files::open_regular(path).context(missing),
        Some(folder) => {
            let (folder, name) = inside(path, folder)?;
            let folder = Dir::open_ambient_dir(folder, ambient_authority()).context(missing)?;
            // A link that is put there meanwhile leads nowhere out of the folder.
            Ok(anneal_files::open_regular_in(&folder, &name).context(missing)?.into_std())
        }
    }
}

/// The bytes of a file, unpacked.
fn contents(mut file: File, format: InputFormat, packed: bool) -> Result<Vec<u8>> {
    let mut beginning = Vec::new();
    (&file).take(BEGINNING_BYTES).read_to_end(&mut beginning).context("cannot read the file")?;
    file.rewind().context("cannot read the file")?;
    if packed && beginning.starts_with(&gzip::MAGIC) {
        return gzip::unpack(BufReader::new(file), INPUT_BYTES_MAX, |beginning| {
            check_beginning(beginning, format)
        });
    }
    check_beginning(&beginning, format)?;
    anneal_files::read_rest(&file, INPUT_BYTES_MAX).map_err(|error| match error {
        ReadError::TooLarge { .. } => {
            anyhow::anyhow!("the file is larger than 2 GiB; split it into several inputs")
        }
        other => anyhow::Error::from(other).context("cannot read the file"),
    })
}

/// The folder, and the path of a file in it, both without links.
///
/// # Errors
/// Where the path leads out of the folder.
pub fn inside(path: &Path, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let context = || format!("cannot look at {}", folder.display());
    let (folder, file) = (folder.canonicalize().with_context(context)?, path.canonicalize()?);
    match file.strip_prefix(&folder) {
        Ok(name) => Ok((folder.clone(), name.to_owned())),
        Err(_) => bail!(
            "{} is outside of the job's folder {}, and would be uploaded: put it there, or say --allow-outside",
            file.display(),
            folder.display()
        ),
    }
}

fn raw(bytes: Vec<u8>) -> Result<Part> {
    let shape = shape(&[bytes.len()])?;
    Ok(Part { name: None, value: Value::host(DType::U8, shape, Elements::U8(bytes)), note: None })
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
