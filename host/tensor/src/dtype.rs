//! The element types of a tensor. Not arithmetic: see `numerics` for what is computed on them.

use std::fmt;

/// An element type.
///
/// Arithmetic happens on `F32` and `I32`; `Bool` is what comparisons give; `U8`, `Bf16` and `F16` are
/// storage, converted by a cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// Canonical binary32 (rule 1 of NUMERICS.md).
    F32,
    /// Two's complement, wrapping.
    I32,
    /// Unsigned byte.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// The upper half of a binary32.
    Bf16,
    /// IEEE-754 binary16.
    F16,
}

impl DType {
    /// Every element type.
    pub const ALL: [DType; 6] = [DType::F32, DType::I32, DType::U8, DType::Bool, DType::Bf16, DType::F16];

    /// Bytes of one element, in memory, on disk and in a digest.
    pub const fn byte_size(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::Bf16 | DType::F16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }

    /// The name used in messages, manifests and digests.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I32 => "i32",
            DType::U8 => "u8",
            DType::Bool => "bool",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
