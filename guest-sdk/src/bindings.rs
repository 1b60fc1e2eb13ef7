//! What wit-bindgen makes of the contract in `wit/`. Not for jobs: the rest of this crate wraps it. It is committed, so
//! that a job compiles no generator; `tests/end_to_end/bindings.rs` makes it and checks that it is the contract's.
//!
//! Both worlds share one set of imports. The exports (and the component type that names them) are written
//! by the macros `export_training!` and `export_function!`, so a job has those of its own world only.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is that of the WIT, and the canonical ABI is made of pointers"
)]

pub use wit_bindgen::rt;

/// The world `training` and the imports of both worlds.
#[rustfmt::skip]
pub mod training;

/// The world `function`, on the imports of [`training`].
#[rustfmt::skip]
pub mod function;

pub use training::anneal::job::{context, data, report, tensors};
