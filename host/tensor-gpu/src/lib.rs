//! The tensor executor on wgpu: devices, and kernels generated from the canonical definitions.

pub mod emit;
pub mod kernel;
