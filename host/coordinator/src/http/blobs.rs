//! Blobs over HTTP: who may upload, who may read, ranges.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use anneal_api::{
    ErrorBody, ErrorCode,
    endpoints::{GetBlob, GetUpload, MissingBlobs, PutBlob},
    wire::{BlobQuery, MISSING_MAX, Missing, UploadState},
};
use anneal_job::{AttemptId, Blob, Digest, Identity};
use anneal_market::{Command, Demand};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::{
    grants,
    route::{Ask, Outcome, json, with_type},
};
use crate::{
    app::{App, blob_refusal},
    fair::Party,
    store::KeptBlob,
    views,
    writer::clock,
};

pub(super) async fn missing(app: Arc<App>, ask: Ask<MissingBlobs>) -> Outcome {
    let (identity, blobs) = (ask.caller.who()?, ask.body.blobs);
    if blobs.len() > MISSING_MAX {
        return Err(ErrorCode::Invalid.because(format!("at most {MISSING_MAX} blobs")));
    }
    let missing = app.read(move |store| {
        let mut missing = Vec::new();
        for blob in blobs {
            if !store.blob_keepers(blob)?.iter().any(|kept| kept.keeper == identity) {
                missing.push(blob);
            }
        }
        Ok(missing)
    });
    json(&Missing { blobs: missing.await? })
}

pub(super) async fn upload(app: Arc<App>, ask: Ask<GetUpload>) -> Outcome {
    let (identity, digest) = (ask.caller.who()?, ask.path.digest);
    if let Some(kept) = kept_by(&app, identity, digest).await? {
        return json(&UploadState { offset: kept.bytes, complete: true });
    }
    let offset = app.uploads.offset(identity, digest).await.map_err(blob_refusal)?;
    json(&UploadState { offset, complete: false })
}

pub(super) async fn put(app: Arc<App>, ask: Ask<PutBlob>) -> Outcome {
    let party = ask.caller.party();
    let blob = Blob { digest: ask.path.digest, bytes: ask.query.bytes };
    let identity = ask.caller.who()?;
    app.disk.check(ask.bytes.len() as u64)?;
    match ask.query.attempt {
        Some(attempt) => put_state(&app, identity, party, attempt, blob, ask.query.offset, ask.bytes).await,
        None => put_own(&app, identity, party, blob, ask.query.offset, ask.bytes).await,
    }
}

/// A developer's component or inputs.
async fn put_own(
    app: &Arc<App>,
    identity: Identity,
    party: Party,
    blob: Blob,
    offset: u64,
    piece: Bytes,
) -> Outcome {
    if kept_by(app, identity, blob.digest).await?.is_some() {
        return json(&UploadState { offset: blob.bytes, complete: true });
    }
    // What no identity may keep is said first: no room that is made would help.
    let limit = app.config.limits.blob_bytes_max;
    if blob.bytes > limit {
        return Err(ErrorCode::BlobTooLarge.because(format!("at most {limit} bytes")));
    }
    let kept = app.read(move |store| store.kept_bytes(identity)).await?;
    let limit = app.config.limits.identity_bytes_max;
    if kept.saturating_add(blob.bytes) > limit {
        return Err(ErrorCode::QuotaBytes.because(format!("{kept} of {limit} bytes are kept")));
    }
    app.metrics.blob_bytes_received.fetch_add(piece.len() as u64, Relaxed);
    let state = app.uploads.piece(party, identity, blob, offset, piece).await.map_err(blob_refusal)?;
    if state.complete {
        keep(app, identity, blob).await?;
        app.uploads.noted(identity, blob.digest);
    }
    json(&state)
}

/// A task's state, from the provider that was asked for it. Its receipt only names it: what counts is that it sends
/// the bytes, whether or not somebody else has sent the same.
async fn put_state(
    app: &Arc<App>,
    identity: Identity,
    party: Party,
    attempt: AttemptId,
    blob: Blob,
    offset: u64,
    piece: Bytes,
) -> Outcome {
    let writer = app.writer()?;
    let owner = writer.look(move |market| {
        let demand = market.demand_of(&identity, attempt)?;
        if !matches!(demand, Demand::Upload { blob: file, .. } if file == blob) {
            return None;
        }
        let job = market.attempt(&attempt)?.task.job;
        market.job(&job).map(|job| job.developer)
    });
    let owner =
        owner.await?.ok_or_else(|| ErrorCode::Forbidden.because("nobody asks for this upload now"))?;
    app.metrics.blob_bytes_received.fetch_add(piece.len() as u64, Relaxed);
    let state = app.uploads.piece(party, identity, blob, offset, piece).await.map_err(blob_refusal)?;
    if !state.complete {
        return json(&state);
    }
    let kept = KeptBlob { blob: blob.digest, keeper: owner, bytes: blob.bytes, at: clock() };
    let stored = app.turn(None, move |turn| {
        turn.apply(Command::BlobStored { blob: blob.digest, attempt })?;
        turn.keep_blob(kept);
        Ok(Vec::new())
    });
    stored.await?;
    app.uploads.noted(identity, blob.digest);
    json(&state)
}

pub(super) async fn get(app: Arc<App>, ask: Ask<GetBlob>) -> Outcome {
    let digest = ask.path.digest;
    if !may_read(&app, &ask).await? {
        // The same answer as for what does not exist.
        return Err(ErrorCode::NotFound.body());
    }
    let size =
        app.blobs.size(digest).await.map_err(blob_refusal)?.ok_or_else(|| ErrorCode::NotFound.body())?;
    let range = ask.headers.get(header::RANGE).map(|range| parse_range(range, size)).transpose()?;
    let (from, to) = range.unwrap_or((0, size));
    app.metrics.blob_bytes_sent.fetch_add(to - from, Relaxed);
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let body = if from == to {
        Body::empty()
    } else {
        Body::new(app.blobs.body(digest, from, to).await.map_err(blob_refusal)?)
    };
    let mut response = with_type(status, "application/octet-stream", body);
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if range.is_some() {
        let text = format!("bytes {from}-{}/{size}", to - 1);
        headers.insert(
            header::CONTENT_RANGE,
            HeaderValue::from_str(&text).map_err(|_| ErrorCode::Internal.body())?,
        );
    }
    Ok(response)
}

/// Who keeps a blob may read it, who holds a lease that needs it, and everybody as part of a job that is public or
/// granted: of a job whose developer keeps it. What a job or a receipt names opens nothing by itself.
async fn may_read(app: &App, ask: &Ask<GetBlob>) -> Result<bool, ErrorBody> {
    let (identity, digest) = (ask.caller.who()?, ask.path.digest);
    let keepers = keepers(app, digest).await?;
    if keepers.contains(&identity) {
        return Ok(true);
    }
    let jobs = app.writer()?.look(move |market| market.lending_jobs(&identity, &digest)).await?;
    let kept_by = keepers.clone();
    let lent = app.read(move |store| {
        let owners = jobs.into_iter().map(|job| views::owner(store, job)).collect::<Result<Vec<_>, _>>()?;
        Ok(owners.into_iter().flatten().any(|owner| kept_by.contains(&owner)))
    });
    if lent.await? {
        return Ok(true);
    }
    let BlobQuery { job: Some(job), task } = ask.query else { return Ok(false) };
    let viewer = grants::owner(app, &ask.headers, job)?.or(Some(identity));
    let named = app.read(move |store| views::job_blobs(store, job, task, viewer)).await?;
    Ok(named.is_some_and(|named| named.blobs.contains(&digest) && keepers.contains(&named.owner)))
}

/// One range `bytes=from-to`, `bytes=from-` or `bytes=-last`, as from and after.
fn parse_range(value: &HeaderValue, size: u64) -> Result<(u64, u64), ErrorBody> {
    let wrong = || ErrorCode::RangeWrong.because(format!("the blob has {size} bytes"));
    let text = value.to_str().ok().and_then(|text| text.strip_prefix("bytes=")).ok_or_else(wrong)?;
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let (from, to) = match (first, last) {
        ("", last) => (size.saturating_sub(number(last)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => (number(first)?, number(last)?.saturating_add(1).min(size)),
    };
    if from < to { Ok((from, to)) } else { Err(wrong()) }
}

async fn keepers(app: &App, digest: Digest) -> Result<BTreeSet<Identity>, ErrorBody> {
    let keepers = app.read(move |store| store.blob_keepers(digest)).await?;
    Ok(keepers.into_iter().map(|kept| kept.keeper).collect())
}

async fn kept_by(app: &App, identity: Identity, digest: Digest) -> Result<Option<KeptBlob>, ErrorBody> {
    let keepers = app.read(move |store| store.blob_keepers(digest)).await?;
    Ok(keepers.into_iter().find(|kept| kept.keeper == identity))
}

async fn keep(app: &App, keeper: Identity, blob: Blob) -> Result<(), ErrorBody> {
    let kept = KeptBlob { blob: blob.digest, keeper, bytes: blob.bytes, at: clock() };
    let noted = app.turn(None, move |turn| {
        turn.keep_blob(kept);
        Ok(Vec::new())
    });
    noted.await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read() {
        for (text, expected) in [
            ("bytes=0-9", Some((0, 10))),
            ("bytes=90-", Some((90, 100))),
            ("bytes=90-1000", Some((90, 100))),
            ("bytes=-10", Some((90, 100))),
            ("bytes=-1000", Some((0, 100))),
            ("bytes=100-", None),
            ("bytes=9-8", None),
            ("bytes=-0", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("items=0-9", None),
            ("bytes=18446744073709551615-18446744073709551615", None),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(parse_range(&value, 100).ok(), expected, "{text}");
        }
    }
}
