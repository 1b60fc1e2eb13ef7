//! From a component's bytes to code that this machine runs.
//!
//! A hostile component can make a compiler slow or large, so it is compiled by a process of its own
//! ([`serve`], started by [`run`]) with limits of time and memory; what comes out is kept in a private
//! folder and loaded by the worker. [`in_process`] compiles right here: for tests and for trusted components.

mod cache;
mod key;
mod service;

use std::{path::Path, time::Duration};

use anneal_job::Digest;
use thiserror::Error;
use wasmtime::{Engine, component::Component};

pub use cache::{CompiledFile, check, run, run_governed};
pub use service::{serve, serve_with};

use crate::{
    admission::{self, AdmissionError, ComponentInfo},
    confine::{Confinement, Requirement},
    ending::chain,
    engine::engine,
    run::linker,
};

/// What a compilation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Wall-clock time.
    pub time: Duration,
    /// CPU time of all its threads together.
    pub cpu: Duration,
    /// Bytes of address space.
    pub memory_bytes: u64,
    /// How the process is confined, and what of that is insisted on.
    pub confinement: Confinement,
}

/// A component that can be run.
#[derive(Clone)]
pub struct CompiledComponent {
    component: Component,
}

/// Why a component was not compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// It was not admitted.
    #[error("the component is refused: {0}")]
    Admission(#[from] AdmissionError),
    /// The compiling process says that it was refused or invalid.
    #[error("{0}")]
    Refused(String),
    /// It is no valid component, or uses what is switched off.
    #[error("the component is invalid: {0}; build it again with `anneal build`")]
    Invalid(String),
    /// What it imports does not fit this host's functions.
    #[error("the component does not fit this host: {0}; build it against this version's SDK")]
    Link(String),
    /// Over the limits.
    #[error(
        "the component took more than {} s or {} MiB to compile and was given up: make its functions smaller",
        .0.cpu.as_secs(), .0.memory_bytes >> 20
    )]
    Limits(CompileLimits),
    /// Somebody stopped it.
    #[error("the compilation was stopped")]
    Stopped,
    /// The compiling process is not confined as its parent insists.
    #[error("{0}")]
    Confinement(String),
    /// The compiling process died or spoke nonsense.
    #[error("the compiling process failed: {0}; try again, and report it if it happens again")]
    Process(String),
    /// A folder or file of the cache.
    #[error(
        "the folder of compiled components, {path}, cannot be used ({message}); check that it can be written"
    )]
    Cache {
        /// The folder or file.
        path: String,
        /// Why.
        message: String,
    },
    /// wasmtime does not run here.
    #[error("this machine cannot run components: {0}")]
    Engine(String),
}

impl CompileLimits {
    /// Generous for 16 MiB of code.
    pub const DEFAULT: CompileLimits = CompileLimits {
        time: Duration::from_secs(120),
        cpu: Duration::from_secs(240),
        memory_bytes: 8 << 30,
        confinement: Confinement::new(Requirement::BEST_EFFORT),
    };
}

impl CompiledComponent {
    /// The engine it was compiled for.
    pub(crate) fn engine(&self) -> &Engine {
        self.component.engine()
    }

    /// The component.
    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    /// Loads what [`run`] compiled.
    ///
    /// The file must come from [`run`]: it is code, and what is in it is executed.
    ///
    /// # Errors
    /// Where the file is missing, or was made for another engine.
    pub fn load(file: &Path) -> Result<CompiledComponent, CompileError> {
        let engine = new_engine()?;
        #[expect(
            unsafe_code,
            reason = "compiled code is trusted by its origin: nobody else writes the folder"
        )]
        // SAFETY: the file was written by a process of this program that ran `serve`, into a folder that only
        // this user can write (mode 0700, checked when it is opened), and `run` found its seal whole; wasmtime checks version and settings.
        let component = unsafe { Component::deserialize_file(&engine, file) };
        let component = component.map_err(|error| CompileError::Cache {
            path: file.display().to_string(),
            message: chain(&error),
        })?;
        Ok(CompiledComponent { component })
    }
}

/// Admits and compiles a component in this process.
///
/// # Errors
/// Where it is refused, invalid, or imports what this host does not have.
pub fn in_process(bytes: &[u8]) -> Result<(CompiledComponent, ComponentInfo), CompileError> {
    let info = admission::inspect(bytes)?;
    let engine = new_engine()?;
    let component =
        Component::from_binary(&engine, bytes).map_err(|error| CompileError::Invalid(chain(&error)))?;
    let component = CompiledComponent { component };
    let linked = linker(&component).and_then(|linker| linker.instantiate_pre(component.component()));
    linked.map_err(|error| CompileError::Link(chain(&error)))?;
    Ok((component, info))
}

fn new_engine() -> Result<Engine, CompileError> {
    engine().map_err(|error| CompileError::Engine(chain(&error)))
}

/// The name of compiled code: of what, and for which engine.
fn cache_key(component: Digest, engine: &Engine) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    // wasmtime checks version and settings again when it loads the code: this only keeps files apart.
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{component}-{:016x}", hasher.finish())
}
