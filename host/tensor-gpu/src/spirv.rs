//! SPIR-V for a kernel, with `NoContraction` on every float operation.
//!
//! naga's SPIR-V says nothing about contraction, so a driver may fuse and rearrange; the decoration forbids
//! both. The barrier keeps the bits where a driver ignores it, this keeps them where one sees through the
//! barrier, and it is what holds the order of an fma chain. Not an optimiser and no validator of drivers.

use naga::{
    back::spv,
    proc::{BoundsCheckPolicies, BoundsCheckPolicy},
    valid::{Capabilities, ValidationFlags, Validator},
};
use thiserror::Error;

/// Why a kernel's text could not be compiled: a bug of ours.
#[derive(Debug, Error)]
#[error("a generated kernel does not compile: {message}")]
pub struct CompileError {
    /// What naga said.
    pub message: String,
}

/// Parses and checks a kernel's text.
///
/// # Errors
/// Where naga refuses it.
pub fn parse(text: &str) -> Result<(naga::Module, naga::valid::ModuleInfo), CompileError> {
    let failed = |message: String| CompileError { message };
    let module = naga::front::wgsl::parse_str(text).map_err(|error| failed(error.emit_to_string(text)))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|error| failed(error.emit_to_string(text)))?;
    Ok((module, info))
}

/// A kernel as SPIR-V 1.3 words.
///
/// Buffer accesses are not bounded here: kernels compute indices in range (the hostile interpreter checks
/// every access), and the device is opened with robust buffer access.
///
/// # Errors
/// Where naga refuses the text.
pub fn compile(text: &str) -> Result<Vec<u32>, CompileError> {
    let (module, info) = parse(text)?;
    let options = spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Unchecked,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        // Every divisor is a size or was made safe by the emitter.
        emit_int_div_checks: false,
        ..spv::Options::default()
    };
    let words = spv::write_vec(&module, &info, &options, None)
        .map_err(|error| CompileError { message: error.to_string() })?;
    Ok(without_contraction(&words))
}

const HEADER_WORDS: usize = 5;
const OP_EXT_INST: u32 = 12;
const OP_TYPE_VOID: u32 = 19;
const OP_TYPE_LAST: u32 = 39;
const OP_DECORATE: u32 = 71;
const NO_CONTRACTION: u32 = 42;
/// FNegate, FAdd, FSub, FMul, FDiv, FRem, FMod, VectorTimesScalar … Dot.
const FLOAT_OPERATIONS: [u32; 14] = [127, 129, 131, 133, 136, 140, 141, 142, 143, 144, 145, 146, 147, 148];
/// Sqrt, InverseSqrt and Fma of GLSL.std.450.
const FLOAT_EXTENSIONS: [u32; 3] = [31, 32, 50];

/// The module with `OpDecorate … NoContraction` for every float operation.
fn without_contraction(words: &[u32]) -> Vec<u32> {
    let mut decorations = Vec::new();
    // Annotations come before the first type.
    let mut annotations_at = words.len();
    let mut at = HEADER_WORDS;
    while at < words.len() {
        let (length, operation) = ((words[at] >> 16) as usize, words[at] & 0xffff);
        assert!(length > 0, "naga writes whole instructions");
        if matches!(operation, OP_DECORATE | OP_TYPE_VOID..=OP_TYPE_LAST) {
            annotations_at = annotations_at.min(at);
        }
        let decorated = FLOAT_OPERATIONS.contains(&operation)
            || operation == OP_EXT_INST && FLOAT_EXTENSIONS.contains(&words[at + 4]);
        if decorated {
            decorations.extend([3 << 16 | OP_DECORATE, words[at + 2], NO_CONTRACTION]);
        }
        at += length;
    }
    let (before, after) = words.split_at(annotations_at);
    [before, &decorations, after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        @group(0) @binding(0) var<storage, read_write> b: array<f32>;
        @compute @workgroup_size(1) fn main() { b[0] = fma(b[1], b[2], b[3] * b[4]) + sqrt(b[5]) / b[6]; }";

    #[test]
    fn every_float_operation_is_decorated() {
        let words = compile(TEXT).unwrap();
        let decorations =
            words.windows(3).filter(|w| w[0] == (3 << 16 | OP_DECORATE) && w[2] == NO_CONTRACTION).count();
        assert_eq!(decorations, 5);
    }
}
