//! Canonical arithmetic: what every backend computes, written once over [`Scalar`].

mod scalar;

pub use scalar::{Native, Scalar};
