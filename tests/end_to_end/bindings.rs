//! The SDK's bindings are committed, so that building a job compiles no generator. They are what wit-bindgen makes of
//! the contract in `wit/`: this makes them again and compares, or writes them where `ANNEAL_WRITE_BINDINGS` is set.

use std::{env, fs};

use anneal_tests::workspace;
use wit_bindgen_core::{Files, WorldGenerator, wit_parser::Resolve};
use wit_bindgen_rust::{Opts, WithOption};

/// Interfaces that both worlds import; the world `function` uses what the world `training` has of them.
const SHARED: [&str; 4] = ["tensors", "data", "report", "context"];

#[test]
fn the_bindings_are_those_of_the_contract() {
    for world in ["training", "function"] {
        let path = workspace().join(format!("guest-sdk/src/bindings/{world}.rs"));
        let made = generate(world);
        if env::var_os("ANNEAL_WRITE_BINDINGS").is_some() {
            fs::write(&path, made).expect("the bindings can be written");
            continue;
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == made,
            "{} is not what wit-bindgen makes of wit/: run this test with ANNEAL_WRITE_BINDINGS=1",
            path.display()
        );
    }
}

fn generate(world: &str) -> String {
    let shared = |name: &str| {
        let path = format!("crate::bindings::training::anneal::job::{name}");
        (format!("anneal:job/{name}@0.1.0"), WithOption::Path(path))
    };
    let options = Opts {
        format: true,
        runtime_path: Some("::anneal_sdk::bindings::rt".to_owned()),
        default_bindings_module: Some(format!("::anneal_sdk::bindings::{world}")),
        export_macro_name: Some(format!("__export_{world}_world")),
        pub_export_macro: true,
        with: if world == "function" { SHARED.map(shared).to_vec() } else { Vec::new() },
        ..Opts::default()
    };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(workspace().join("wit")).expect("the contract can be read");
    let id = resolve.select_world(&[package], Some(world)).expect("it has this world");
    let mut files = Files::default();
    options.build().generate(&mut resolve, id, &mut files).expect("the bindings can be made");
    let (_, made) = files.iter().next().expect("a world makes one file");
    let made = std::str::from_utf8(made).expect("Rust is text");
    format!(
        "//! Made of `wit/` by the test `the_bindings_are_those_of_the_contract`, for the world `{world}`. Not edited by \
         hand.\n\n{made}"
    )
}
