//! Standard streams: input is at its end, output goes to the log line by line.

use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use crate::{ending::Ending, host::Host, limits};

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

/// Bytes beyond a line's limit that are kept, so that it is seen to be cut.
const CUT_BYTES: usize = 4;

/// Bytes that were printed and do not make a line yet.
#[derive(Default)]
pub(super) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Takes a piece without an end of line but at its end, and gives the line that it completes. What is longer
    /// than a line is cut at once.
    fn push(&mut self, piece: &[u8]) -> Option<String> {
        let ends = piece.ends_with(b"\n");
        let room = (limits::LOG_LINE_BYTES_MAX + CUT_BYTES).saturating_sub(self.0.len());
        self.0.extend_from_slice(&piece[..piece.len().min(room)]);
        (ends || self.0.len() >= limits::LOG_LINE_BYTES_MAX).then(|| self.take()).flatten()
    }

    fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.0);
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(line).into_owned())
    }
}

impl Host {
    /// What a guest prints: each line costs a call.
    pub(super) fn print(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if let Some(line) = self.wasi.printed.push(piece) {
                self.charge(limits::CALL_GAS)?;
                self.reports.log(&line);
            }
        }
        Ok(())
    }

    /// The last line, which may lack its end.
    pub(crate) fn print_rest(&mut self) {
        if let Some(line) = self.wasi.printed.take() {
            self.reports.log(&line);
        }
    }
}
