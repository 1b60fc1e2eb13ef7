//! Blobs: bytes named by their SHA-256, and uploads that go on where they stopped.

use anneal_job::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::AttemptId;

/// A blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many.
    pub bytes: u64,
}

/// Which of these must be uploaded?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingQuery {
    /// At most 1,000.
    pub blobs: Vec<Digest>,
}

/// These must be. What somebody else uploaded counts as missing: nobody learns what others have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// In the order asked.
    pub blobs: Vec<Digest>,
}

/// The query of an upload's piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Where in the blob the piece begins: where the upload stands.
    pub offset: u64,
    /// Bytes of the whole blob.
    pub bytes: u64,
    /// The attempt whose state it is, for a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UploadState {
    /// Bytes received.
    pub offset: u64,
    /// Whether all are there and are those that the digest names.
    pub complete: bool,
}
