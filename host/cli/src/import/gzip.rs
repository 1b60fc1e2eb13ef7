//! Unpacking gzip without trusting the file's word on its size.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use flate2::read::MultiGzDecoder;

use super::limited;

pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The unpacked bytes, at most `limit`.
pub(super) fn unpack(packed: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    limited(MultiGzDecoder::new(packed), limit)
        .read_to_end(&mut bytes)
        .context("the gzip data is damaged or cut off; fetch the file again")?;
    ensure!(
        bytes.len() as u64 <= limit,
        "the file unpacks to more than {limit} bytes; split it into several inputs"
    );
    Ok(bytes)
}
