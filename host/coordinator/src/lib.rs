//! The coordinator's service around the market.

pub mod store;
