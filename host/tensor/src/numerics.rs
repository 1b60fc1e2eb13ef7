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

/// The version of the canonical numerics: part of every task's identity. Changes whenever a bit of a result may.
pub const NUMERICS_VERSION: u32 = 1;

pub use canonical::{MAX, NotFinite, import, powi, sub};
pub use element::{Lane, evaluate};
pub use scalar::{Native, Scalar};
