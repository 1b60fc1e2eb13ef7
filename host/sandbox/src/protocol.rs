//! How processes of ours speak with each other: lines of a bounded length on stdin, and an stdout that stray
//! prints cannot reach.

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
