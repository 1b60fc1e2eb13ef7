//! Blobs that somebody could not use: the disk may have damaged them. They are looked at, and one that is no longer
//! what its name says is given up, so that it is uploaded or computed again. What is sound stays: whoever
//! complained may have a bad line.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use anneal_api::ErrorBody;
use anneal_job::{AttemptId, Digest};
use anneal_market::{Command, Market, ReplayOrder};

use crate::{app::App, app::blob_refusal, sweep};

/// The blobs that an attempt needs.
pub(crate) fn blobs_of_attempt(market: &Market, attempt: AttemptId) -> Vec<Digest> {
    let Some(key) = market.attempt(&attempt).map(|attempt| attempt.task) else { return Vec::new() };
    let spec = market.spec(&key.job).into_iter();
    let uploaded = spec.flat_map(|spec| [Some(spec.component), spec.inputs_blob]).flatten();
    let task = market.tasks(&key.job).find(|task| task.key == key);
    let states = task.into_iter().flat_map(|task| task.states.iter().map(|state| state.blob));
    uploaded.chain(states).map(|blob| blob.digest).collect()
}

/// The blobs that a replay needs.
pub(crate) fn blobs_of_replay(order: &ReplayOrder) -> Vec<Digest> {
    let states = order.states.iter().map(|state| state.blob.digest);
    [order.component].into_iter().chain(order.inputs_blob).chain(states).collect()
}

/// Looks at blobs, and gives up those that are damaged or gone. One look at a time, whoever complains: reading
/// costs the disk's time.
pub(crate) async fn look(app: Arc<App>, blobs: Vec<Digest>) {
    let Ok(_one_at_a_time) = app.doubts.try_acquire() else { return };
    for blob in blobs {
        if let Err(error) = look_at(&app, blob).await {
            tracing::warn!(%blob, %error, "a blob that somebody could not use cannot be looked at");
        }
    }
}

async fn look_at(app: &Arc<App>, blob: Digest) -> Result<(), ErrorBody> {
    if app.blobs.is_sound(blob, u64::MAX).await.map_err(blob_refusal)? {
        return Ok(());
    }
    give_up(app, blob).await
}

/// Removes a blob that is lost or damaged: what needs it is uploaded or computed again.
pub(crate) async fn give_up(app: &Arc<App>, blob: Digest) -> Result<(), ErrorBody> {
    tracing::error!(%blob, "a blob is damaged or gone: check the disk; what needs it is made again");
    app.metrics.blobs_rotten.fetch_add(1, Relaxed);
    // Where it ends in between, the next one who needs the blob does not find it, and it is looked at again.
    sweep::remove(app, blob).await?;
    let lost = app.turn(None, move |turn| {
        turn.apply(Command::BlobLost { blob })?;
        Ok(Vec::new())
    });
    lost.await.map(drop)
}
