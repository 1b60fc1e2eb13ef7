//! Blobs that nothing needs any more: marked from the live market, removed after a grace. And uploads that
//! nobody goes on with.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anneal_api::ErrorBody;
use anneal_job::{Digest, JobId};
use tokio::sync::watch;

use crate::{app::App, app::blob_refusal, store::KeptBlob, views, writer::clock};

/// How often.
const EVERY: Duration = Duration::from_secs(600);
/// Blobs looked at per reading.
const PAGE: u64 = 1_000;

/// Sweeps now and then until told to stop; only the leader does.
pub(crate) async fn work(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        match sweep(&app).await {
            Ok(removed) => tracing::debug!(removed, "swept"),
            Err(error) => tracing::warn!(%error, "not swept"),
        }
    }
}

/// How often uploads that nobody goes on with are removed.
const UPLOADS_EVERY: Duration = Duration::from_secs(60);

/// Removes uploads that nobody goes on with until told to stop: in every process, each its own.
pub(crate) async fn work_uploads(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(UPLOADS_EVERY) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        if let Err(error) = app.uploads.sweep(SystemTime::now()).await {
            tracing::warn!(%error, "unfinished uploads cannot be removed");
        }
    }
}

/// Removes what nobody needs; says how many blobs.
pub(crate) async fn sweep(app: &Arc<App>) -> Result<u64, ErrorBody> {
    app.uploads.sweep(SystemTime::now()).await.map_err(blob_refusal)?;
    let before = clock().0.saturating_sub(app.config.limits.blob_retention.as_millis() as u64);
    let (mut after, mut removed) = (None, 0);
    loop {
        let page = app.read(move |store| store.kept_blobs(after, PAGE)).await?;
        let Some(last) = page.last() else { return Ok(removed) };
        after = Some(last.blob);
        // The mark comes after the page was read: what a new job needs is in it.
        let needed = app.writer()?.look(|market| market.blobs()).await?;
        for blob in expired(&page, before, &needed) {
            remove(app, blob).await?;
            removed += 1;
        }
    }
}

/// Blobs of a page that are older than the grace by everybody who keeps them, and that no live job needs.
fn expired(page: &[KeptBlob], before: u64, needed: &BTreeSet<Digest>) -> BTreeSet<Digest> {
    let young: BTreeSet<Digest> =
        page.iter().filter(|kept| kept.at.0 >= before).map(|kept| kept.blob).collect();
    let old = page.iter().map(|kept| kept.blob);
    old.filter(|blob| !young.contains(blob) && !needed.contains(blob)).collect()
}

/// A job said that it no longer needs a state: its developer keeps it no longer.
pub(crate) async fn dropped(app: &Arc<App>, job: JobId, blob: Digest) -> Result<(), ErrorBody> {
    let needed = app.writer()?.look(move |market| market.needs(&blob)).await?;
    let read = app.read(move |store| Ok((views::owner(store, job)?, store.blob_keepers(blob)?)));
    let (owner, keepers) = read.await?;
    // Another developer may keep the same bytes, or they alone: a job may name what is not its own.
    if needed || keepers.is_empty() || !keepers.iter().all(|kept| Some(kept.keeper) == owner) {
        return Ok(());
    }
    tracing::debug!(%job, %blob, "dropping a state");
    remove(app, blob).await
}

/// Removes a blob and the note of it.
pub(crate) async fn remove(app: &Arc<App>, blob: Digest) -> Result<(), ErrorBody> {
    // First the note: a blob without one is found by nobody, a note without a blob would be an empty promise.
    let noted = app.turn(None, move |turn| {
        turn.forget_blob(blob);
        Ok(Vec::new())
    });
    noted.await?;
    app.blobs.delete(blob).await.map_err(blob_refusal)
}

#[cfg(test)]
mod tests {
    use anneal_job::{Identity, Timestamp};

    use super::*;

    #[test]
    fn what_is_young_or_needed_stays() {
        let kept = |name: &[u8], at| KeptBlob {
            blob: Digest::of(name),
            keeper: Identity::from_bytes([1; 32]),
            bytes: 1,
            at: Timestamp(at),
        };
        let page =
            [kept(b"old", 1), kept(b"young", 9), kept(b"both", 1), kept(b"both", 9), kept(b"needed", 1)];
        let needed = [Digest::of(b"needed")].into();
        assert_eq!(expired(&page, 5, &needed), [Digest::of(b"old")].into());
    }
}
