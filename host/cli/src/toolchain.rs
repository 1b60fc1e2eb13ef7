//! Finding a compiler for wasm32-unknown-unknown and the linker that makes components, so that a developer
//! need not know of either. Not the build itself.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The target of every job that imports no WASI.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// The rustup toolchain that tests/setup makes where the default one has no such target.
const GUEST_TOOLCHAIN: &str = "guest";

/// What a build needs.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// `RUSTUP_TOOLCHAIN` for cargo, where it is not the default.
    pub name: Option<String>,
    /// What the compiler says of itself.
    pub version: String,
    /// `wasm-component-ld`.
    pub linker: PathBuf,
    /// `wasm-ld`, which it calls.
    pub wasm_ld: PathBuf,
}

impl Toolchain {
    /// The toolchain for a project in `directory`.
    ///
    /// # Errors
    /// Says what is missing and which command installs it.
    pub fn find(directory: &Path) -> Result<Toolchain> {
        let default = Compiler::ask(directory, None).context(
            "cannot run rustc; install Rust from https://rustup.rs, and open a new terminal afterwards",
        )?;
        let guest = || Compiler::ask(directory, Some(GUEST_TOOLCHAIN)).ok().filter(Compiler::has_target);
        let (name, compiler) = if default.has_target() {
            (None, default.clone())
        } else if let Some(guest) = guest() {
            (Some(GUEST_TOOLCHAIN.to_owned()), guest)
        } else {
            bail!(
                "{} cannot compile for {TARGET}; run `rustup target add {TARGET}`, or tests/setup of the \
                 Anneal sources where rustup cannot download it",
                default.version
            );
        };
        let (linker, wasm_ld) = linker(directory, &[&compiler, &default])?;
        Ok(Toolchain { name, version: compiler.version, linker, wasm_ld })
    }
}

#[derive(Clone, Debug)]
struct Compiler {
    version: String,
    host: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask(directory: &Path, toolchain: Option<&str>) -> Result<Compiler> {
        let verbose = output(rustc(directory, toolchain).arg("-vV"))?;
        let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name));
        Ok(Compiler {
            version: verbose.lines().next().unwrap_or_default().to_owned(),
            host: field("host: ").context("rustc -vV names no host")?.to_owned(),
            sysroot: output(rustc(directory, toolchain).args(["--print", "sysroot"]))?.trim().into(),
        })
    }

    fn has_target(&self) -> bool {
        let library = self.sysroot.join("lib/rustlib").join(TARGET).join("lib");
        std::fs::read_dir(library).is_ok_and(|files| {
            files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        })
    }

    fn tools(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin")
    }
}

/// The linker beside the compiler, or that of any other toolchain: they are interchangeable.
fn linker(directory: &Path, compilers: &[&Compiler]) -> Result<(PathBuf, PathBuf)> {
    let host = &compilers[0].host;
    let listed = output(Command::new("rustup").current_dir(directory).args(["toolchain", "list", "-v"]));
    let others = listed.unwrap_or_default();
    let others = others
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(|sysroot| Path::new(sysroot).join("lib/rustlib").join(host).join("bin"));
    let folders: Vec<PathBuf> = compilers.iter().map(|compiler| compiler.tools()).chain(others).collect();
    for folder in &folders {
        let linker = folder.join(format!("wasm-component-ld{}", std::env::consts::EXE_SUFFIX));
        let wasm_ld = folder.join("gcc-ld").join(format!("wasm-ld{}", std::env::consts::EXE_SUFFIX));
        if linker.is_file() && wasm_ld.is_file() {
            return Ok((linker, wasm_ld));
        }
    }
    bail!(
        "no Rust toolchain here carries wasm-component-ld (looked in {}); run `rustup toolchain install \
         stable`",
        folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
    )
}

fn rustc(directory: &Path, toolchain: Option<&str>) -> Command {
    let mut command = Command::new("rustc");
    command.current_dir(directory);
    if let Some(toolchain) = toolchain {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
