//! Blobs at rest are read again now and then: one that is lost or whose bytes have changed is given up, so that
//! nobody is given it and it is uploaded or computed again. Not how blobs are verified on their way:
//! every receiver does that.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anneal_api::{ErrorBody, ErrorCode};
use tokio::sync::watch;

use crate::{
    app::{App, blob_refusal},
    doubt,
};

/// Between two passes over all blobs.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// Before the first, and after one that failed.
const SOON: Duration = Duration::from_secs(600);
/// Bytes read in a second, so that a disk has time for others.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// Blobs looked at per reading.
const PAGE: u64 = 1_000;

/// Scrubs again and again until told to stop; only the leader does.
pub(crate) async fn work(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let mut pause = SOON;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let mut ended = stopping.clone();
        pause = tokio::select! {
            done = scrub(&app, BYTES_PER_SECOND) => match done {
                Ok(rotten) => {
                    tracing::debug!(rotten, "scrubbed");
                    EVERY
                }
                Err(error) if error.is(ErrorCode::NotLeader) => SOON,
                Err(error) => {
                    tracing::warn!(%error, "blobs at rest cannot be read again");
                    SOON
                }
            },
            _ = ended.wait_for(|stopping| *stopping) => return,
        };
    }
}

/// Reads every blob that somebody keeps; says how many were removed.
pub(crate) async fn scrub(app: &Arc<App>, bytes_per_second: u64) -> Result<u64, ErrorBody> {
    let (mut after, mut rotten) = (None, 0);
    loop {
        // Several processes may share the storage: one of them reads it.
        app.writer()?;
        let page = app.read(move |store| store.kept_blobs(after, PAGE)).await?;
        let Some(last) = page.last() else { return Ok(rotten) };
        after = Some(last.blob);
        let blobs: BTreeSet<_> = page.iter().map(|kept| kept.blob).collect();
        for blob in blobs {
            if app.blobs.is_sound(blob, bytes_per_second).await.map_err(blob_refusal)? {
                continue;
            }
            // The sweep may have removed it meanwhile: then nobody keeps it.
            let keepers = app.read(move |store| store.blob_keepers(blob)).await?;
            if keepers.is_empty() {
                continue;
            }
            doubt::give_up(app, blob).await?;
            rotten += 1;
        }
    }
}
