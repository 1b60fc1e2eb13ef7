//! What wit-bindgen makes of the contract in `wit/`. Not for jobs: the rest of this crate wraps it.
//!
//! Both worlds share one set of imports. The exports (and the component type that names them) are written
//! by the macros `export_training!` and `export_function!`, so a job has those of its own world only.
#![allow(
    missing_docs,
    clippy::too_many_arguments,
    reason = "generated; the documentation is that of the WIT"
)]

pub use wit_bindgen::rt;

/// The world `training` and the imports of both worlds.
pub mod training {
    wit_bindgen::generate!({
        world: "training",
        path: "wit",
        runtime_path: "::anneal_sdk::bindings::rt",
        default_bindings_module: "::anneal_sdk::bindings::training",
        export_macro_name: "__export_training_world",
        pub_export_macro: true,
    });
}

/// The world `function`, on the imports of [`training`].
pub mod function {
    wit_bindgen::generate!({
        world: "function",
        path: "wit",
        runtime_path: "::anneal_sdk::bindings::rt",
        default_bindings_module: "::anneal_sdk::bindings::function",
        export_macro_name: "__export_function_world",
        pub_export_macro: true,
        with: {
            "anneal:job/tensors@0.1.0": crate::bindings::training::anneal::job::tensors,
            "anneal:job/data@0.1.0": crate::bindings::training::anneal::job::data,
            "anneal:job/report@0.1.0": crate::bindings::training::anneal::job::report,
            "anneal:job/context@0.1.0": crate::bindings::training::anneal::job::context,
        },
    });
}

pub use training::anneal::job::{context, data, report, tensors};
