//! The bytes of a row: MessagePack with named fields. Half as many as of JSON, for most of a row are digests, and a
//! database writes them several times in a task's life. What strangers read, the log and the replies, is JSON.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Room for most rows, so that they need not be moved as they grow.
const ROW_BYTES: usize = 1024;

/// Bytes that are no row of this kind.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct RowError(#[from] rmp_serde::decode::Error);

/// The row of a value.
///
/// # Panics
/// Where a value's own code refuses to be written; none of ours does.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut row = Vec::with_capacity(ROW_BYTES);
    let mut serializer = rmp_serde::Serializer::new(&mut row).with_struct_map();
    value.serialize(&mut serializer).expect("memory takes every row");
    row
}

/// The value of a row.
///
/// # Errors
/// Where it is none of this kind.
pub fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, RowError> {
    Ok(rmp_serde::from_slice(row)?)
}
