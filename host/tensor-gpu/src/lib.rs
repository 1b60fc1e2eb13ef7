//! The tensor executor on wgpu: devices, and kernels generated from the canonical definitions.
//!
//! The way of a plan's step: [`kernel`] writes its WGSL with the [`emit::Emitter`], which runs the canonical
//! functions of `anneal-tensor` and puts a barrier behind every float result; [`spirv`] compiles it with
//! `NoContraction` where the device takes SPIR-V; [`GpuExecutor`] binds buffers and launches it. A device is
//! used only after its canary computed the reference's bits. The `lint` names every float result that
//! escapes its barrier, and the `hostile` interpreter runs the kernels on a machine that does everything
//! WGSL allows; both look at the text that ships.

mod canary;
mod device;
pub mod emit;
mod executor;
pub mod hostile;
pub mod kernel;
pub mod lint;
mod pool;
mod speed;
pub mod spirv;

pub use device::{Adapter, Gpu, GpuError, adapters};
pub use executor::GpuExecutor;
