//! Puts the SDK's sources and the contract into the binary, for `anneal new`: neither is on a registry.
//!
//! The SDK's Cargo.toml inherits from the workspace; here it is made to stand alone.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../..");
    let sdk = root.join("guest-sdk");
    let mut files = Vec::new();
    walk(&sdk, &sdk, &mut files);
    files.sort();

    let out = PathBuf::from(variable("OUT_DIR"));
    let manifest = alone(&read(&sdk.join("Cargo.toml")), &read(&root.join("Cargo.toml")));
    fs::write(out.join("sdk_manifest.toml"), manifest).expect("OUT_DIR can be written");

    let mut list = String::from("&[\n");
    list += "    (\"Cargo.toml\", include_str!(concat!(env!(\"OUT_DIR\"), \"/sdk_manifest.toml\"))),\n";
    for file in files.iter().filter(|file| *file != Path::new("Cargo.toml")) {
        let name = file.to_str().expect("SDK files have plain names");
        list += &format!("    ({name:?}, include_str!({:?})),\n", sdk.join(file));
    }
    list += "]\n";
    fs::write(out.join("sdk_files.rs"), list).expect("OUT_DIR can be written");

    for watched in ["guest-sdk", "wit", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets its variables")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every source file below a folder; `wit` is a link, and is followed.
fn walk(base: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != "tests") {
                walk(base, &path, files);
            }
        } else if path.extension().is_some_and(|end| ["rs", "wit", "toml", "md"].iter().any(|e| end == *e)) {
            files.push(path.strip_prefix(base).expect("below the base").to_owned());
        }
    }
}

/// A member's manifest with every `….workspace = true` replaced by what the workspace says.
fn alone(member: &str, workspace: &str) -> String {
    let mut text = String::new();
    let mut lines = member.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "[lints]" && lines.peek().is_some_and(|next| next.trim() == "workspace = true") {
            lines.next();
            for table in ["rust", "clippy"] {
                text += &format!("[lints.{table}]\n");
                text += &section(workspace, &format!("[workspace.lints.{table}]")).join("\n");
                text += "\n\n";
            }
        } else if let Some(key) = line.strip_suffix(".workspace = true") {
            let wanted = format!("{key} = ");
            let package = section(workspace, "[workspace.package]");
            let dependencies = section(workspace, "[workspace.dependencies]");
            let found = package.iter().chain(&dependencies).find(|line| line.starts_with(&wanted));
            text += found.unwrap_or_else(|| panic!("the workspace says nothing of {key}"));
            text.push('\n');
        } else {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// The lines of a table.
fn section<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    text.lines()
        .skip_while(|line| line.trim() != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .collect()
}
