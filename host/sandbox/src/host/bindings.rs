//! What wasmtime's bindgen makes of the contract in `wit/`: the imports, which both worlds share. Nothing by
//! hand; the traits are implemented by the files beside this one, and exports are called by `run`.
#![allow(missing_docs, clippy::all, reason = "generated; the documentation is that of the WIT")]

/// World `training`; `function` imports the same.
pub mod training {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "training",
        imports: { default: trappable },
        with: { "anneal:job/tensors.tensor": anneal_tensor::Tensor },
        trappable_error_type: { "anneal:job/tensors.error" => crate::host::Refusal },
    });
}

pub use training::{
    Training,
    anneal::job::{context, data, report, tensors},
};
