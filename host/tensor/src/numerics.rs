//! Canonical arithmetic: what every backend computes, written once over [`Scalar`].
//!
//! `NUMERICS.md` of this crate is the specification in words. Nothing here knows about tensors, shapes or
//! memory; the sums over many elements, matmul and convolution are elsewhere and only take their constants
//! from [`canonical`].

pub mod arithmetic;
pub mod canonical;
pub mod convert;
pub mod corrected;
mod double;
pub mod element;
pub mod error_function;
pub mod exponential;
pub mod integer;
pub mod logarithm;
pub mod optimizer;
pub mod power;
pub mod proof;
mod scalar;
pub mod threefry;
pub mod trigonometric;

pub use element::{Lane, evaluate};
pub use scalar::{Native, Scalar};

/// Stub, replaced by the numerics branch.
pub const MAX: f32 = 4611686018427387904.0;
/// Stub.
pub struct NotFinite;
/// Stub.
pub fn import(x: f32) -> Result<f32, NotFinite> {
    if x.is_finite() { Ok(x) } else { Err(NotFinite) }
}
/// Stub.
pub fn sub(a: f32, b: f32) -> f32 {
    a - b
}
/// Stub.
pub fn powi(a: f32, n: u32) -> f32 {
    a.powi(n as i32)
}
/// Stub.
pub mod threefry {
    /// Stub.
    pub fn subkey(seed: u64, stream: u64) -> [u32; 2] {
        [seed as u32, stream as u32]
    }
}
