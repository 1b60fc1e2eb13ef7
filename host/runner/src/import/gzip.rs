//! Unpacking gzip without trusting the file's word on its size.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, ensure};
use flate2::bufread::MultiGzDecoder;

use super::BEGINNING_BYTES;

pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The unpacked bytes, at most `limit`; none are unpacked whose beginning `check` refuses.
pub(super) fn unpack(
    packed: impl BufRead,
    limit: u64,
    check: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<Vec<u8>> {
    let damaged = "the gzip data is damaged or cut off; fetch the file again";
    let mut bytes = Vec::new();
    let mut decoder = MultiGzDecoder::new(packed);
    (&mut decoder).take(BEGINNING_BYTES).read_to_end(&mut bytes).context(damaged)?;
    check(&bytes)?;
    // One byte more than the limit, so that going over it shows.
    decoder.take((limit + 1).saturating_sub(bytes.len() as u64)).read_to_end(&mut bytes).context(damaged)?;
    ensure!(
        bytes.len() as u64 <= limit,
        "the file unpacks to more than {limit} bytes; split it into several inputs"
    );
    Ok(bytes)
}
