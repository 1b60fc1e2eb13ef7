//! What a confined process still may do: the exceptions that every layer reads. Only paths and numbers; who
//! enforces them are the layers.

use std::path::PathBuf;

use super::{GpuPaths, Group};

/// Open files of a worker: its own, a driver's devices and libraries.
const OPEN_FILES_MAX: u64 = 1024;
/// Open files of a compiling process: its pipes.
const COMPILER_OPEN_FILES_MAX: u64 = 64;

/// What kind of process is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs a component.
    Worker,
    /// Compiles one.
    Compiler,
}

/// What a process still may do.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// What it is.
    pub role: Role,
    /// Files that it may read, and folders below which it may.
    pub readable: Vec<PathBuf>,
    /// Folders in which it may make, write and remove files.
    pub writable: Vec<PathBuf>,
    /// A GPU's device nodes; `None` where it computes without one.
    pub gpu: Option<GpuPaths>,
    /// A descriptor of its own besides stdin, stdout and stderr.
    pub descriptor: i32,
    /// What it may use.
    pub limits: Limits,
    /// The control group that its parent made for it.
    pub group: Group,
}

/// Limits of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes that it may write to, without what a driver only reserves.
    pub data_bytes: Option<u64>,
    /// Bytes of address space.
    pub address_bytes: Option<u64>,
    /// CPU time of all its threads together.
    pub cpu_seconds: Option<u64>,
    /// Bytes of a file that it writes.
    pub file_bytes: u64,
    /// Files open at once.
    pub open_files: u64,
}

impl Limits {
    /// Those of a worker, with so many bytes of memory; `None` leaves them to the system.
    pub(crate) fn worker(data_bytes: Option<u64>, file_bytes: u64) -> Limits {
        Limits { data_bytes, address_bytes: None, cpu_seconds: None, file_bytes, open_files: OPEN_FILES_MAX }
    }

    /// Those of a compiling process, which writes no file.
    pub(crate) fn compiler(address_bytes: u64, cpu_seconds: u64) -> Limits {
        Limits {
            data_bytes: None,
            address_bytes: Some(address_bytes),
            cpu_seconds: Some(cpu_seconds),
            file_bytes: 0,
            open_files: COMPILER_OPEN_FILES_MAX,
        }
    }
}
