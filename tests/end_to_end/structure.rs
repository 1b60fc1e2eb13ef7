//! The rules of the house, checked over the sources: what a file begins with, which crate may know which,
//! what the pure crates may not touch. Not style: that is rustfmt and clippy.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anneal_tests::workspace;

/// Layers from the bottom: a crate depends on lower ones only.
const LAYERS: [&[&str]; 6] = [
    &["job", "files"],
    &["tensor", "policy", "ledger", "market"],
    &["tensor-gpu", "sandbox", "sensors", "wallet", "api"],
    &["runner"],
    &["coordinator", "provider"],
    &["cli"],
];

/// Libraries that only one crate may name.
const OWNED: [(&str, &str); 9] = [
    ("wgpu", "tensor-gpu"),
    ("naga", "tensor-gpu"),
    ("wasmtime", "sandbox"),
    ("wasmtime-wasi", "sandbox"),
    ("nvml-wrapper", "sensors"),
    ("rusqlite", "coordinator"),
    ("tokio-postgres", "coordinator"),
    ("object_store", "coordinator"),
    ("axum", "coordinator"),
];

/// What a pure crate may not do, and how doing it reads.
const IMPURE: [(&str, &str); 10] = [
    ("std::fs", "touch files"),
    ("std::net", "use the network"),
    ("std::process", "start or end processes"),
    ("env::var", "read the environment"),
    ("Instant::now", "read a clock"),
    ("SystemTime", "read a clock"),
    ("thread::sleep", "wait"),
    ("println!", "print"),
    ("eprintln!", "print"),
    ("thread_rng", "be random"),
];

const PURE: [&str; 5] = ["job", "tensor", "policy", "ledger", "market"];

#[test]
fn every_source_file_says_what_it_is() {
    let missing: Vec<PathBuf> = sources(&workspace())
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("a source file is readable");
            !text.starts_with("//! ") || text.lines().next().is_some_and(|line| line.len() < 20)
        })
        .collect();
    assert!(
        missing.is_empty(),
        "these files do not open with `//! what this is, and what not`: {missing:#?}"
    );
}

#[test]
fn dependencies_point_down() {
    for (name, manifest) in crates() {
        let layer = layer(&name);
        for dependency in dependencies(&manifest) {
            if let Some(other) = dependency.strip_prefix("anneal-") {
                assert!(
                    self::layer(other) < layer,
                    "{name} depends on {other}, which is not below it: see ARCHITECTURE.md"
                );
            }
            for (library, owner) in OWNED {
                assert!(dependency != library || name == owner, "{name} names {library}; only {owner} may");
            }
        }
    }
}

#[test]
fn pure_crates_are_pure() {
    for name in PURE {
        for path in sources(&room(name).join("src")) {
            let text = fs::read_to_string(&path).expect("a source file is readable");
            // Tests at a file's end may do as they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (line, content) in code.lines().enumerate() {
                if content.trim_start().starts_with("//") || is_test_file(&path) {
                    continue;
                }
                for (word, what) in IMPURE {
                    assert!(
                        !content.contains(word),
                        "{}:{}: a pure crate may not {what} (`{word}`)",
                        path.display(),
                        line + 1
                    );
                }
            }
        }
    }
}

#[test]
fn only_the_command_reads_the_environment_and_exits() {
    for (name, _manifest) in crates() {
        if name == "cli" {
            continue;
        }
        for path in sources(&room(&name).join("src")) {
            let text = fs::read_to_string(&path).expect("a source file is readable");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in ["process::exit", "env::var", "env::args"] {
                assert!(
                    is_test_file(&path) || !code.contains(word),
                    "{}: only host/cli may use {word}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn wasmtime_has_no_more_features_than_chosen() {
    // Feature unification would silently bring back what the sandbox leaves out.
    let root = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace has a manifest");
    let root: toml::Table = toml::from_str(&root).expect("the manifest is TOML");
    let wasmtime = &root["workspace"]["dependencies"]["wasmtime"];
    assert_eq!(wasmtime["default-features"].as_bool(), Some(false));
    let features = wasmtime["features"].as_array().expect("features are listed");
    for refused in ["gc", "threads", "component-model-async", "cache", "winch", "pooling-allocator", "wat"] {
        assert!(
            !features.iter().any(|feature| feature.as_str() == Some(refused)),
            "wasmtime's {refused} is attack surface that the sandbox leaves out"
        );
    }
}

fn layer(name: &str) -> usize {
    LAYERS
        .iter()
        .position(|crates| crates.contains(&name))
        .unwrap_or_else(|| panic!("{name} has no layer: add it to LAYERS and ARCHITECTURE.md"))
}

/// The crates that are rooms of their own, beside those below host/.
const ROOMS: [&str; 1] = ["policy"];

/// Where a crate is.
fn room(name: &str) -> PathBuf {
    if ROOMS.contains(&name) { workspace().join(name) } else { workspace().join("host").join(name) }
}

/// The crates below host/ and the rooms beside it, by directory, with their manifests.
fn crates() -> BTreeMap<String, toml::Table> {
    let host = fs::read_dir(workspace().join("host")).expect("host/ is a folder");
    let crates: BTreeMap<String, toml::Table> = host
        .map(|entry| entry.expect("host/ is readable").path())
        .chain(ROOMS.map(room))
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| {
            let name = path.file_name().expect("a crate has a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(path.join("Cargo.toml")).expect("a manifest is readable");
            (name, toml::from_str(&text).expect("a manifest is TOML"))
        })
        .collect();
    assert!(crates.len() >= 6, "found {} crates", crates.len());
    for room in ROOMS {
        assert!(crates.contains_key(room), "{room}/ is a crate");
    }
    crates
}

fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

/// Every Rust file below a folder, without what is built or vendored.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a folder is readable").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            if path.is_symlink() || name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
        || path.components().any(|part| part.as_os_str() == "tests")
}
