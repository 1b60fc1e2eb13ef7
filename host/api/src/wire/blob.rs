//! Uploads of blobs, which go on where they stopped. A blob itself is `anneal_job::Blob`.

use anneal_job::{AttemptId, Digest, JobId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Blobs that [`MissingQuery`] may name.
pub const MISSING_MAX: usize = 1_000;

/// The path of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlobPath {
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// As part of which job a blob is asked for, by somebody who neither uploaded it nor holds a lease on it: a job
/// that is public, or that a grant comes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlobQuery {
    /// The job whose component, inputs or state it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The task whose verified state it is, by its index; not said for component and inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
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
