//! What a child process of ours does to itself before it touches anything foreign: limits of the operating
//! system, an output that stray prints cannot reach, an end when its parent ends.

use std::{
    fs::File,
    io::{self, BufRead, Read},
};

/// Bytes of one line between processes of ours: room for the longest event, escaped.
pub(crate) const LINE_BYTES_MAX: u64 = 64 << 20;

/// Reads a line, without its end.
pub(crate) fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(LINE_BYTES_MAX).read_line(&mut line)?;
    if line.pop() == Some('\n') {
        Ok(line)
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the request ended early"))
    }
}

/// The process's stdout for its protocol alone; what anything else prints (a GPU's driver) goes to stderr.
#[cfg(unix)]
pub(crate) fn own_stdout() -> io::Result<File> {
    let ours = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(ours))
}

/// The limits of a compiling process.
#[cfg(unix)]
pub(crate) fn compiler(cpu_seconds: u64, memory_bytes: u64) -> io::Result<()> {
    use rustix::process::Resource;
    end_with_parent()?;
    at_most(Resource::Core, 0)?;
    at_most(Resource::Fsize, 0)?;
    at_most(Resource::Cpu, cpu_seconds)?;
    at_most(Resource::As, memory_bytes)
}

/// The limits of a worker; memory is what it may write to, for a GPU's driver reserves far more than it uses.
#[cfg(unix)]
pub(crate) fn worker(memory_bytes: Option<u64>) -> io::Result<()> {
    use rustix::process::Resource;
    end_with_parent()?;
    at_most(Resource::Core, 0)?;
    memory_bytes.map_or(Ok(()), |bytes| at_most(Resource::Data, bytes))
}

#[cfg(unix)]
fn at_most(resource: rustix::process::Resource, limit: u64) -> io::Result<()> {
    use rustix::process::{Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit));
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn end_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn end_with_parent() -> io::Result<()> {
    Ok(())
}
