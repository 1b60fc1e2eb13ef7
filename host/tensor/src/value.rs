//! Evaluated tensors: elements in host memory, or something that only its executor can open.

use std::{any::Any, borrow::Cow, fmt, sync::Arc};

use crate::{DType, Shape, numerics};

/// The elements of an evaluated tensor, row-major and contiguous.
#[derive(Clone)]
pub struct Value {
    /// The element type.
    pub dtype: DType,
    /// The shape.
    pub shape: Shape,
    /// Where the elements are.
    pub storage: Storage,
}

/// Where the elements of a value are.
#[derive(Clone)]
pub enum Storage {
    /// In host memory: what every executor takes.
    Host(Arc<Elements>),
    /// On a device; only the executor that made it can open it.
    Device(Arc<dyn Any + Send + Sync>),
}

/// Elements in host memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// f32.
    F32(Vec<f32>),
    /// i32.
    I32(Vec<i32>),
    /// u8 and bool.
    U8(Vec<u8>),
    /// bf16 and f16, as bits.
    U16(Vec<u16>),
}

/// Bytes that are not a tensor of the dtype and shape they were given with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Too few or too many bytes.
    #[error("{found} bytes were given, {expected} are needed")]
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes that shape and dtype need.
        expected: usize,
    },
    /// NaN or infinity.
    #[error("element {index} is NaN or infinite; clean the data first")]
    NotFinite {
        /// Row-major position.
        index: usize,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("element {index} of a boolean tensor is {value}, not 0 or 1")]
    NotBoolean {
        /// Row-major position.
        index: usize,
        /// What was there.
        value: u8,
    },
}

impl Elements {
    /// `count` elements with all bits zero.
    pub fn zeros(dtype: DType, count: usize) -> Elements {
        match dtype {
            DType::F32 => Elements::F32(vec![0.0; count]),
            DType::I32 => Elements::I32(vec![0; count]),
            DType::U8 | DType::Bool => Elements::U8(vec![0; count]),
            DType::Bf16 | DType::F16 => Elements::U16(vec![0; count]),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Elements::F32(elements) => elements.len(),
            Elements::I32(elements) => elements.len(),
            Elements::U8(elements) => elements.len(),
            Elements::U16(elements) => elements.len(),
        }
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One element as a word: an f32's or i32's bits, a small integer's value.
    pub fn word(&self, index: usize) -> u32 {
        match self {
            Elements::F32(elements) => elements[index].to_bits(),
            Elements::I32(elements) => elements[index] as u32,
            Elements::U8(elements) => u32::from(elements[index]),
            Elements::U16(elements) => u32::from(elements[index]),
        }
    }

    /// Elements from words (see [`Elements::word`]).
    pub fn from_words(dtype: DType, words: impl Iterator<Item = u32>) -> Elements {
        match dtype {
            DType::F32 => Elements::F32(words.map(f32::from_bits).collect()),
            DType::I32 => Elements::I32(words.map(|word| word as i32).collect()),
            DType::U8 | DType::Bool => Elements::U8(words.map(|word| word as u8).collect()),
            DType::Bf16 | DType::F16 => Elements::U16(words.map(|word| word as u16).collect()),
        }
    }

    /// Row-major little-endian bytes, the sign of a float's zero cleared: what a guest reads, what a file
    /// holds and what a digest covers.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Elements::F32(elements) => elements.iter().flat_map(|&x| unsigned_f32(x).to_le_bytes()).collect(),
            Elements::I32(elements) => elements.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Elements::U8(elements) => elements.clone(),
            Elements::U16(elements) => elements.iter().flat_map(|&x| unsigned_f16(x).to_le_bytes()).collect(),
        }
    }

    /// As [`Elements::to_bytes`], without a copy where memory holds these very bytes already.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        let same = cfg!(target_endian = "little").then(|| match self {
            Elements::F32(elements) => {
                let same = |&x: &f32| unsigned_f32(x).to_bits() == x.to_bits();
                elements.iter().all(same).then(|| bytemuck::cast_slice(elements))
            }
            Elements::I32(elements) => Some(bytemuck::cast_slice(elements)),
            Elements::U8(elements) => Some(elements.as_slice()),
            Elements::U16(elements) => {
                elements.iter().all(|&x| unsigned_f16(x) == x).then(|| bytemuck::cast_slice(elements))
            }
        });
        same.flatten().map_or_else(|| Cow::Owned(self.to_bytes()), Cow::Borrowed)
    }
}

/// Adding +0 turns −0 into +0 and keeps everything else.
fn unsigned_f32(x: f32) -> f32 {
    x + 0.0
}

/// The same for the bits of a bf16 or f16.
fn unsigned_f16(bits: u16) -> u16 {
    if bits == 0x8000 { 0 } else { bits }
}

impl Value {
    /// A value in host memory.
    ///
    /// # Panics
    /// Where the number of elements is not the shape's: a bug of ours.
    pub fn host(dtype: DType, shape: Shape, elements: Elements) -> Value {
        assert_eq!(elements.len(), shape.elements(), "elements match their shape");
        Value { dtype, shape, storage: Storage::Host(Arc::new(elements)) }
    }

    /// A value from row-major little-endian bytes, made canonical (rule 1: values that enter the engine).
    ///
    /// # Errors
    /// Where the length is wrong, a float is NaN or infinite, or a boolean is neither 0 nor 1.
    pub fn import(dtype: DType, shape: Shape, bytes: &[u8]) -> Result<Value, ImportError> {
        let expected = shape.elements() * dtype.byte_size();
        if bytes.len() != expected {
            return Err(ImportError::Length { found: bytes.len(), expected });
        }
        let halves = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let words = || bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let elements = match dtype {
            DType::F32 => Elements::F32(
                words()
                    .enumerate()
                    .map(|(index, word)| {
                        numerics::import(f32::from_bits(word)).map_err(|_| ImportError::NotFinite { index })
                    })
                    .collect::<Result<_, _>>()?,
            ),
            DType::I32 => Elements::I32(words().map(|word| word as i32).collect()),
            DType::U8 => Elements::U8(bytes.to_vec()),
            DType::Bool => match bytes.iter().position(|&byte| byte > 1) {
                Some(index) => return Err(ImportError::NotBoolean { index, value: bytes[index] }),
                None => Elements::U8(bytes.to_vec()),
            },
            DType::Bf16 | DType::F16 => {
                let exponent = if dtype == DType::F16 { 0x7c00 } else { 0x7f80 };
                match halves().position(|half| half & exponent == exponent) {
                    Some(index) => return Err(ImportError::NotFinite { index }),
                    None => Elements::U16(halves().collect()),
                }
            }
        };
        Ok(Value::host(dtype, shape, elements))
    }

    /// The elements, where they are in host memory.
    pub fn elements(&self) -> Option<&Arc<Elements>> {
        match &self.storage {
            Storage::Host(elements) => Some(elements),
            Storage::Device(_) => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.storage {
            Storage::Host(_) => "host",
            Storage::Device(_) => "device",
        };
        write!(f, "Value({} {} on {place})", self.dtype, self.shape)
    }
}
