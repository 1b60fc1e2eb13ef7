//! `anneal build`: cargo, told everything that makes a component, the same bytes wherever the project lies.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anneal_job::{
    ByteCount, Digest,
    report::{BuildReport, ComponentReport},
};
use anneal_sandbox::admission;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::toolchain::{TARGET, Toolchain};

/// A component that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The file.
    pub path: PathBuf,
    /// What is told.
    pub report: BuildReport,
}

/// A line of cargo's JSON messages, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<MessageTarget>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct MessageTarget {
    crate_types: Vec<String>,
}

/// Builds the package in a directory.
///
/// # Errors
/// Where there is no package, no toolchain, or cargo refuses; cargo has said why on stderr.
pub fn build(directory: &Path) -> Result<Built> {
    let directory = directory
        .canonicalize()
        .with_context(|| format!("cannot open {}; name the job's directory", directory.display()))?;
    let manifest = directory.join("Cargo.toml");
    ensure!(
        manifest.is_file(),
        "{} has no Cargo.toml; name a job's directory, or make one with `anneal new DIR`",
        directory.display()
    );
    let toolchain = Toolchain::find(&directory)?;
    let output = cargo(&directory, &manifest, &toolchain)
        .output()
        .context("cannot run cargo; install Rust from https://rustup.rs")?;
    ensure!(output.status.success(), "cargo could not build {}; its messages are above", directory.display());
    let path = artefact(&String::from_utf8_lossy(&output.stdout), &manifest)?;
    let bytes = admission::read(&path)?;
    let component = ComponentReport { digest: Digest::of(&bytes), bytes: bytes.len() as u64 };
    let report = BuildReport { path: path.display().to_string(), component, toolchain: toolchain.version };
    Ok(Built { path, report })
}

/// What a person is told.
pub fn describe(report: &BuildReport) -> Vec<String> {
    let ComponentReport { digest, bytes } = &report.component;
    vec![report.path.clone(), format!("{}  sha256 {digest}", ByteCount(*bytes))]
}

fn cargo(directory: &Path, manifest: &Path, toolchain: &Toolchain) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(directory)
        .args(["build", "--release", "--lib", "--message-format=json-render-diagnostics", "--target", TARGET])
        .arg("--manifest-path")
        .arg(manifest)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(directory, toolchain).join("\x1f"))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &toolchain.linker)
        // A panic keeps its file and line without them, and paths would make the bytes depend on the place.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo")
        .env_remove("RUSTFLAGS")
        .stderr(Stdio::inherit());
    if let Some(name) = &toolchain.name {
        // The `cargo` on the path may be one toolchain's own, set by an outer cargo: these two would win.
        command.env("RUSTUP_TOOLCHAIN", name).env_remove("RUSTC").env_remove("CARGO");
    }
    command
}

fn flags(directory: &Path, toolchain: &Toolchain) -> Vec<String> {
    let mut flags = vec![
        "-C".to_owned(),
        format!("link-arg=--wasm-ld-path={}", toolchain.wasm_ld.display()),
        "-C".to_owned(),
        "link-arg=--wasi-adapter=none".to_owned(),
    ];
    if let Some(home) = cargo_home() {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags.push(format!("--remap-path-prefix={}=/job", directory.display()));
    flags
}

fn cargo_home() -> Option<PathBuf> {
    let given = env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    given.or_else(|| env::home_dir().map(|home| home.join(".cargo")))
}

/// The component that cargo made of this very package.
fn artefact(messages: &str, manifest: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()) {
        let ours = message.manifest_path.as_deref() == Some(manifest);
        let component =
            message.target.is_some_and(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
        if message.reason == "compiler-artifact" && ours && component {
            found.extend(
                message.filenames.into_iter().filter(|name| name.extension().is_some_and(|e| e == "wasm")),
            );
        }
    }
    match found.pop() {
        Some(path) => Ok(path),
        None => bail!(
            "cargo made no component of {}: its Cargo.toml needs\n[lib]\ncrate-type = [\"cdylib\"]",
            manifest.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_artefact_is_the_packages_own() {
        let line = |manifest: &str, kind: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"{manifest}","filenames":["{file}"],
                "target":{{"crate_types":["{kind}"]}}}}"#
            )
            .replace('\n', "")
        };
        let messages = [
            line("/sdk/Cargo.toml", "lib", "/t/libsdk.rlib"),
            line("/other/Cargo.toml", "cdylib", "/t/other.wasm"),
            line("/job/Cargo.toml", "cdylib", "/t/job.wasm"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ]
        .join("\n");
        let found = artefact(&messages, Path::new("/job/Cargo.toml")).expect("a component");
        assert_eq!(found, Path::new("/t/job.wasm"));
        let error = artefact(&messages, Path::new("/none/Cargo.toml")).expect_err("nothing");
        assert!(error.to_string().contains("cdylib"), "{error}");
    }
}
