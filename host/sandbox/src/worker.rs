//! A worker: a process that makes one attempt and ends. A crash of a driver, a kill or an escape costs that
//! attempt and nothing else.
//!
//! [`serve`] is the process, behind a hidden subcommand; [`WorkerMachine`] starts it. Between them: the
//! request as one line of JSON on its stdin, and then words (`word`): its pace, again and again where it is
//! governed, and a stop, which the end of stdin is, too; on its stdout, as lines of JSON, how it is confined,
//! events, and at last the outcome.

mod service;
mod shaders;
mod staging;
mod supervisor;
mod word;

use std::path::PathBuf;

use anneal_job::Outcome;
use serde::{Deserialize, Serialize};

pub use service::serve;
pub use supervisor::WorkerMachine;

use crate::{
    confine::{Confinement, ConfinementReport, GpuPaths, Group},
    event::Event,
    machine::AttemptRequest,
};

/// Variables of the environment that loaders of GPU drivers read: what a worker may inherit of its parent's,
/// besides those that begin with a prefix of [`ENVIRONMENT_PREFIXES`].
pub const ENVIRONMENT_KEPT: [&str; 9] = [
    "HOME",
    "LD_LIBRARY_PATH",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_DATA_DIRS",
    "XDG_RUNTIME_DIR",
];
/// See [`ENVIRONMENT_KEPT`].
pub const ENVIRONMENT_PREFIXES: [&str; 10] =
    ["VK_", "MESA_", "LP_", "LIBGL_", "EGL_", "GALLIUM_", "WGPU_", "NVIDIA_", "__EGL_", "__GL_"];

/// The backend that a worker is to compute with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendRequest {
    /// `cpu`, `gpu`, `reference`.
    pub backend: String,
    /// Threads of the CPU; `None` takes all.
    pub threads: Option<usize>,
    /// Bytes of a GPU's memory that tensors may take; `None` leaves it to the device.
    #[serde(default)]
    pub device_memory_bytes: Option<u64>,
}

/// What a worker is told.
#[derive(Serialize, Deserialize)]
struct Request {
    backend: BackendRequest,
    memory_bytes: Option<u64>,
    confinement: Confinement,
    gpu: Option<GpuPaths>,
    group: Group,
    /// Where its driver keeps compiled shaders; `None` keeps none.
    shaders: Option<PathBuf>,
    /// `None` where it is only to show how it would be confined.
    attempt: Option<AttemptRequest>,
    /// Whether the attempt has a pace: it begins when it hears one, and pauses where it hears none.
    governed: bool,
}

/// What a worker says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// Before anything else.
    Confined(ConfinementReport),
    /// It has its executor, and no attempt was asked for.
    Ready,
    Event(Event),
    Outcome(Outcome),
}
