//! The SDK.
extern crate self as anneal_sdk;
#[doc(hidden)]
pub mod bindings;
