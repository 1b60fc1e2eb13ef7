//! IDX, the format of the MNIST files: a type, sizes, and big-endian elements.

use anneal_tensor::{DType, limits::RANK_MAX};
use anyhow::{Context, Result, bail, ensure};

use super::{
    Part,
    numbers::{self, Source},
    shape,
};

/// The element type of a file that begins like this.
pub(super) fn check_beginning(bytes: &[u8]) -> Result<Source> {
    let header = bytes.get(..4).context("the file is too short for IDX: it is cut off")?;
    ensure!(
        header[..2] == [0, 0],
        "this is no IDX file: it begins with {:02x} {:02x}, not 00 00",
        header[0],
        header[1]
    );
    Ok(match header[2] {
        0x08 => Source::Same(DType::U8),
        0x09 => Source::I8,
        0x0b => Source::I16,
        0x0c => Source::Same(DType::I32),
        0x0d => Source::Same(DType::F32),
        0x0e => Source::F64,
        other => bail!("this is no IDX file: there is no element type {other:#04x}"),
    })
}

pub(super) fn read(mut bytes: Vec<u8>) -> Result<Part> {
    let source = check_beginning(&bytes)?;
    let rank = usize::from(bytes[3]);
    ensure!(rank <= RANK_MAX, "the file has {rank} axes, a tensor has at most {RANK_MAX}: reshape it before");
    let sizes = bytes.get(4..4 + 4 * rank).context("the file is cut off within its sizes")?;
    let sizes: Vec<usize> =
        sizes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let elements = &mut bytes[4 + 4 * rank..];
    for element in elements.chunks_exact_mut(source.byte_size()) {
        element.reverse();
    }
    let value = numbers::value(source, shape(&sizes)?, elements)?;
    Ok(Part { name: None, value, note: source.note() })
}
