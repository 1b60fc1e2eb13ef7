//! Standard streams: input is at its end, output goes to the log line by line.

use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use crate::{host::Host, limits};

/// What an output stream accepts at once.
pub(super) const WRITE_BYTES: u64 = 64 << 10;

/// `wasi:io/error`; none is ever made.
pub(super) enum IoError {}

/// `wasi:io/streams.stream-error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// Bytes that were printed and do not make a line yet.
#[derive(Default)]
pub(super) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Takes what is printed and gives the lines that it completes.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.0.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.0.len() >= limits::LOG_LINE_BYTES_MAX {
                lines.extend(self.take());
            }
        }
        lines
    }

    fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.0);
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(line).into_owned())
    }
}

impl Host {
    /// What a guest prints.
    pub(super) fn print(&mut self, bytes: &[u8]) {
        for line in self.wasi.printed.push(bytes) {
            self.reports.log(&line);
        }
    }

    /// The last line, which may lack its end.
    pub(crate) fn print_rest(&mut self) {
        if let Some(line) = self.wasi.printed.take() {
            self.reports.log(&line);
        }
    }
}
