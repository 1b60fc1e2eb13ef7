//! NPY, NumPy's file of one array: versions 1 to 3, little-endian, rows or columns first.
//!
//! The header is a Python dictionary of three known keys; exactly that much of Python is read here.

use anneal_tensor::{DType, Shape};
use anyhow::{Context, Result, bail, ensure};

use super::{
    Part,
    numbers::{self, Source},
    shape,
};

const MAGIC: &[u8] = b"\x93NUMPY";
const HEADER_BYTES_MAX: usize = 1 << 16;

#[derive(Debug, PartialEq, Eq)]
struct Header {
    source: Source,
    columns_first: bool,
    sizes: Vec<usize>,
}

/// Refuses what does not begin like NPY.
pub(super) fn check_beginning(bytes: &[u8]) -> Result<()> {
    ensure!(bytes.starts_with(MAGIC), "this is no NPY file; numpy.save writes one");
    Ok(())
}

pub(super) fn read(bytes: &[u8]) -> Result<Part> {
    check_beginning(bytes)?;
    let version = *bytes.get(6).context("the file is cut off within its header")?;
    let (length, start) = match (version, bytes.get(8..12)) {
        (1, Some(size)) => (usize::from(u16::from_le_bytes([size[0], size[1]])), 10),
        (2 | 3, Some(size)) => (u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize, 12),
        (1..=3, None) => bail!("the file is cut off within its header"),
        _ => bail!("this is NPY version {version}; versions 1 to 3 are known"),
    };
    ensure!(length <= HEADER_BYTES_MAX, "the header has {length} bytes; at most {HEADER_BYTES_MAX}");
    let text = bytes.get(start..start + length).context("the file is cut off within its header")?;
    let text = std::str::from_utf8(text).context("the header is no text")?;
    let header = header(text)?;
    let shape = shape(&header.sizes)?;
    let elements = &bytes[start + length..];
    let value = if header.columns_first && shape.rank() > 1 {
        let size = header.source.byte_size();
        ensure!(elements.len() == shape.elements() * size, "the file is cut off or damaged");
        numbers::value(header.source, shape, &rows_first(&shape, size, elements))?
    } else {
        numbers::value(header.source, shape, elements)?
    };
    Ok(Part { name: None, value, note: header.source.note() })
}

/// The same elements with the last axis varying fastest, instead of the first.
fn rows_first(shape: &Shape, size: usize, elements: &[u8]) -> Vec<u8> {
    let mut strides = vec![1; shape.rank()];
    for axis in 1..shape.rank() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut rows = Vec::with_capacity(elements.len());
    let mut index = vec![0; shape.rank()];
    for _ in 0..shape.elements() {
        let at: usize = index.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
        rows.extend_from_slice(&elements[at * size..(at + 1) * size]);
        for axis in (0..shape.rank()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    rows
}

fn header(text: &str) -> Result<Header> {
    let descr = entry(text, "descr")?;
    let descr = descr.trim_matches(['\'', '"']);
    let columns_first = match entry(text, "fortran_order")? {
        "True" => true,
        "False" => false,
        other => bail!("the header's fortran_order is {other:?}"),
    };
    let sizes = entry(text, "shape")?;
    let inner = sizes.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let sizes = inner.with_context(|| format!("the header's shape is {sizes:?}"))?;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: Vec<usize> =
        sizes.map(str::parse).collect::<Result<_, _>>().context("the header's shape holds no sizes")?;
    Ok(Header { source: source(descr)?, columns_first, sizes })
}

/// The text of a key's value: up to the comma or brace after it, a tuple up to its parenthesis.
fn entry<'a>(text: &'a str, key: &str) -> Result<&'a str> {
    let found = ['\'', '"'].into_iter().find_map(|quote| {
        let (_, rest) = text.split_once(&format!("{quote}{key}{quote}"))?;
        rest.trim_start().strip_prefix(':').map(str::trim_start)
    });
    let rest = found.with_context(|| format!("the header has no `{key}`; numpy.save writes one"))?;
    let end = match rest.chars().next() {
        Some('(') => rest.find(')').map(|at| at + 1),
        Some('[') => bail!("a structured array holds several types; save each field as an array of its own"),
        _ => rest.find([',', '}']),
    };
    Ok(rest[..end.context("the header is cut off")?].trim())
}

fn source(descr: &str) -> Result<Source> {
    Ok(match descr {
        "|b1" => Source::Same(DType::Bool),
        "|u1" => Source::Same(DType::U8),
        "|i1" => Source::I8,
        "<i2" => Source::I16,
        "<u2" => Source::U16,
        "<i4" => Source::Same(DType::I32),
        "<u4" => Source::U32,
        "<i8" => Source::I64,
        "<u8" => Source::U64,
        "<f2" => Source::Same(DType::F16),
        "<f4" => Source::Same(DType::F32),
        "<f8" => Source::F64,
        other if other.starts_with('>') => {
            bail!("the array is big-endian ({other}); save array.astype(array.dtype.newbyteorder('<'))")
        }
        other => bail!("arrays of type {other:?} are not taken; save array.astype('float32') or 'int32'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them() {
        let header = header("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }          \n")
            .expect("a header");
        assert_eq!(
            header,
            Header { source: Source::Same(DType::F32), columns_first: true, sizes: vec![3, 4] }
        );
        for (shape, sizes) in [("()", vec![]), ("(5,)", vec![5]), ("(2, 0, 3)", vec![2, 0, 3])] {
            let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
            assert_eq!(super::header(&text).expect("a header").sizes, sizes);
        }
    }

    #[test]
    fn headers_that_are_none() {
        for text in [
            "",
            "{'descr': '<f4'",
            "{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
        ] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
