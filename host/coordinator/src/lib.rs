//! The coordinator's service around the market.

pub mod blobs;
pub mod store;
