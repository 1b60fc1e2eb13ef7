//! Whether a job may use the blobs that it names: only those that its developer keeps. A component of strangers is
//! never run on bytes that somebody else uploaded, whatever receipts and jobs say.

use anneal_api::{ErrorBody, ErrorCode};
use anneal_job::{Digest, JobId};

use crate::{app::App, views};

/// Refuses blobs that the job's developer does not keep.
pub(crate) async fn check(app: &App, job: JobId, blobs: Vec<Digest>) -> Result<(), ErrorBody> {
    let missing = app.read(move |store| {
        let owner = views::owner(store, job)?;
        for blob in blobs {
            if !store.blob_keepers(blob)?.iter().any(|kept| Some(kept.keeper) == owner) {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    });
    match missing.await? {
        Some(blob) => Err(ErrorCode::NotFound.because(format!("{blob} is not the developer's"))),
        None => Ok(()),
    }
}
