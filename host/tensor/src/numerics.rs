//! Canonical arithmetic: what every backend computes, written once over [`Scalar`].

mod scalar;

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
