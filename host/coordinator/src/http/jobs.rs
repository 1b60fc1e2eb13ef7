//! Jobs: quoting, submitting, listing, watching, cancelling, and going on with one that was paused.

use std::{sync::Arc, time::Duration};

use anneal_api::{
    ErrorBody, ErrorCode,
    endpoints::{Cancel, GetJob, ListJobs, Quotes, Resume, Submit, WAIT_MS_MAX},
    wire::{Cancelled, JobSpec, JobState, Jobs, LeaseDeveloper, SubmitJob, Submitted},
};
use anneal_job::{Blob, Credits, Identity, JobId};
use anneal_market::{Command, Rejection, Reply, row};

use super::{
    grants,
    guard::Caller,
    route::{Ask, Outcome, busy, json, raw_json},
};
use crate::{
    admit::{self, Known},
    app::App,
    convert,
    store::{Scan, StoreError},
    views::{self, Submission, Viewer},
    writer::Turn,
};

/// Bytes of a name for people.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// Jobs of a list.
const LIST_MAX: u64 = 100;

pub(super) async fn quote(app: Arc<App>, ask: Ask<Quotes>) -> Outcome {
    let developer = ask.caller.who()?;
    check_versions(&app, &ask.body.spec)?;
    let spec = Box::new(convert::spec(ask.body.spec));
    let quoted = app.turn(None, move |turn| match turn.apply(Command::Quote { developer, spec })? {
        Reply::Quoted { quote } => to_json(&convert::quote(quote)),
        other => Err(unexpected(&other)),
    });
    quoted.await.map(raw_json)
}

pub(super) async fn submit(app: Arc<App>, ask: Ask<Submit>) -> Outcome {
    let developer = ask.caller.who()?;
    let key = ask.caller.key().ok_or_else(|| ErrorCode::SignatureMissing.because("a command needs an id"))?;
    check_name(&ask.body.name)?;
    check_versions(&app, &ask.body.spec)?;
    check_signature(developer, &ask.body.spec)?;
    check_blobs(&app, developer, &ask.body.spec).await?;
    let is_admitted = match admit::known(&app, ask.body.spec.component.digest).await? {
        Known::Admitted => true,
        Known::No => false,
        Known::Refused(reason) => return Err(admit::refused(reason)),
    };
    app.submits(developer, ask.caller.party().prefix);
    let grant = app.config.grants.developer;
    let (caller, job) = (ask.caller, ask.body);
    let submitted = app.turn_of(&caller, Some(key), move |turn| {
        if turn.market().developer(&developer).is_none() {
            welcome(turn, developer, &job, grant)?;
        }
        submit_turn(turn, developer, job, is_admitted)
    });
    submitted.await.map(raw_json)
}

/// A newcomer gets its grant with the first job that is taken: one that is refused changes nothing.
fn welcome(
    turn: &mut Turn<'_>,
    developer: Identity,
    job: &SubmitJob,
    grant: Credits,
) -> Result<(), ErrorBody> {
    let spec = Box::new(convert::spec(job.spec.clone()));
    let cap = match turn.apply(Command::Quote { developer, spec })? {
        Reply::Quoted { quote } => quote.cap,
        other => return Err(unexpected(&other)),
    };
    if cap > grant {
        let rejection = Rejection::InsufficientFunds { needed: cap, available: grant };
        return Err(ErrorBody::refused(rejection.code(), rejection.to_string()));
    }
    turn.apply(Command::Grant { owner: developer, credits: grant }).map(drop)
}

fn submit_turn(
    turn: &mut Turn<'_>,
    developer: Identity,
    job: SubmitJob,
    is_admitted: bool,
) -> Result<Vec<u8>, ErrorBody> {
    let SubmitJob { name, nonce, spec } = job;
    let (private, test) = (spec.private, spec.test);
    let spec = Box::new(convert::spec(spec));
    let command = match is_admitted {
        true => Command::Submit { developer, nonce, spec },
        false => Command::SubmitUnadmitted { developer, nonce, spec },
    };
    match turn.apply(command)? {
        Reply::Submitted { job, salt, quote } => {
            let quote = convert::quote(quote);
            let at = turn.now();
            let submission = Submission { name, developer, private, test, at, salt, quote };
            turn.put_row(views::submission_key(job), row::encode(&submission));
            turn.put_row(views::own_key(developer, at, job), Vec::new());
            if !private {
                turn.put_row(views::public_key(at, job), Vec::new());
            }
            to_json(&Submitted { job, salt, quote })
        }
        other => Err(unexpected(&other)),
    }
}

/// A job of other versions would wait for ever: nobody here could run it, nor judge who says that they did.
fn check_versions(app: &App, spec: &JobSpec) -> Result<(), ErrorBody> {
    let (theirs, ours) = (spec.versions, app.config.versions);
    let detail = || format!("the job is defined by {theirs}, and this network runs {ours}");
    if theirs == ours { Ok(()) } else { Err(ErrorCode::Versions.because(detail())) }
}

/// A component that is signed must be signed by who submits it: every provider would refuse the job.
fn check_signature(developer: Identity, spec: &JobSpec) -> Result<(), ErrorBody> {
    let signed = LeaseDeveloper { identity: developer, component_signature: spec.component_signature };
    match signed.signed(spec.component.digest) {
        Some(false) => Err(ErrorCode::Invalid.because("the component's signature is not by who submits it")),
        Some(true) | None => Ok(()),
    }
}

/// The blobs of a job must be there, and be the developer's own: nobody runs what another one uploaded.
async fn check_blobs(app: &App, developer: Identity, spec: &JobSpec) -> Result<(), ErrorBody> {
    let needed: Vec<Blob> = [Some(spec.component), spec.inputs_blob].into_iter().flatten().collect();
    let kept = app.read(move |store| {
        let of = |blob: &Blob| {
            let keepers = store.blob_keepers(blob.digest)?;
            Ok((*blob, keepers.iter().any(|kept| kept.keeper == developer && kept.bytes == blob.bytes)))
        };
        needed.iter().map(of).collect::<Result<Vec<_>, StoreError>>()
    });
    match kept.await?.into_iter().find(|(_, kept)| !kept) {
        Some((blob, _)) => Err(ErrorCode::NotFound
            .because(format!("{} with {} bytes has not been uploaded by you", blob.digest, blob.bytes))),
        None => Ok(()),
    }
}

/// Whether a text may be shown as a name.
pub(super) fn check_name(name: &str) -> Result<(), ErrorBody> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(ErrorCode::Invalid.because("a name has 1 to 64 bytes and no control characters"))
    }
}

pub(super) async fn list(app: Arc<App>, ask: Ask<ListJobs>) -> Outcome {
    let viewer = ask.caller.identity;
    let limit = ask.query.limit.unwrap_or(LIST_MAX).clamp(1, LIST_MAX);
    let prefix = viewer.map_or_else(|| "public/".to_owned(), |identity| format!("own/{identity}/"));
    let from = ask.query.before.map(|before| match ask.query.before_job {
        Some(job) => format!("{prefix}{:016x}/{job}", before.0),
        None => format!("{prefix}{:016x}", before.0),
    });
    let jobs = app.read(move |store| {
        let rows = store.rows(&Scan { from, ..Scan::latest(prefix, limit) })?;
        let jobs = rows.iter().filter_map(|(key, _)| key.rsplit('/').next()?.parse::<JobId>().ok());
        let mut summaries = Vec::new();
        for job in jobs {
            summaries.extend(views::summary(store, job)?);
        }
        Ok(summaries)
    });
    json(&Jobs { jobs: jobs.await? })
}

/// How long a request waits for its turn to read.
const READ_WAIT_MAX: Duration = Duration::from_secs(20);
/// How long news of a job are gathered before they are read.
const NEWS_TOGETHER: Duration = Duration::from_millis(100);

pub(super) async fn get(app: Arc<App>, ask: Ask<GetJob>) -> Outcome {
    let (job, query) = (ask.path.job, ask.query);
    let identity = grants::owner(&app, &ask.headers, job)?.or(ask.caller.identity);
    let viewer = Viewer { identity, query, end: app.ends.get(job) };
    let mut news = app.waiters.job(job);
    let wait = Duration::from_millis(query.wait_ms.unwrap_or(0).min(WAIT_MS_MAX));
    let deadline = tokio::time::Instant::now() + wait;
    let mut stopping = app.stopping.clone();
    loop {
        let revision = *news.borrow_and_update();
        let turn = app.reading.wait(ask.caller.party(), READ_WAIT_MAX).await.map_err(busy)?;
        let viewer = viewer.clone();
        let read = app.read(move |store| views::job(store, job, &viewer)).await?;
        drop(turn);
        let Some(mut view) = read else {
            // Ids that somebody made up are not remembered.
            drop(news);
            app.waiters.forget(job);
            return Err(ErrorCode::NotFound.body());
        };
        view.revision = revision;
        let is_news = query.revision != Some(revision) || view.summary.ended.is_some();
        if is_news || tokio::time::Instant::now() >= deadline {
            drop(news);
            if view.summary.ended.is_some() {
                app.waiters.forget(job);
                view.end.iter().for_each(|end| app.ends.set(job, end));
            }
            return json(&view);
        }
        let has_news = tokio::select! {
            _ = news.changed() => true,
            () = tokio::time::sleep_until(deadline) => false,
            _ = stopping.wait_for(|stopping| *stopping) => return Err(ErrorCode::ShuttingDown.body()),
        };
        if has_news {
            // A job of many tasks has news all the time: what comes together is read once.
            tokio::time::sleep(NEWS_TOGETHER).await;
        }
    }
}

pub(super) async fn cancel(app: Arc<App>, ask: Ask<Cancel>) -> Outcome {
    let (developer, job) = (ask.caller.who()?, ask.path.job);
    if let Some(state) = ended(&app, developer, job).await? {
        return json(&Cancelled { state });
    }
    let command = Command::Cancel { developer, job };
    change(&app, &ask.caller, job, command).await
}

pub(super) async fn resume(app: Arc<App>, ask: Ask<Resume>) -> Outcome {
    let (developer, job) = (ask.caller.who()?, ask.path.job);
    if ended(&app, developer, job).await?.is_some() {
        let (state, advice) = ("over".to_owned(), "submit it again with another nonce".to_owned());
        let rejection = Rejection::JobState { state, advice };
        return Err(ErrorBody::refused(rejection.code(), rejection.to_string()));
    }
    let command = Command::ResumeJob { developer, job };
    change(&app, &ask.caller, job, command).await
}

/// How a developer's job ended, where it has: the market has forgotten it then.
async fn ended(app: &App, developer: Identity, job: JobId) -> Result<Option<JobState>, ErrorBody> {
    let summary = app.read(move |store| views::summary(store, job)).await?;
    let ended = summary.filter(|job| job.owner == developer && job.ended.is_some());
    Ok(ended.map(|job| job.state))
}

async fn change(app: &App, caller: &Caller, job: JobId, command: Command) -> Outcome {
    let changed = app.turn_of(caller, caller.key(), move |turn| {
        turn.apply(command)?;
        let state = turn.market().job(&job).map_or(JobState::Cancelled, views::job_state);
        to_json(&Cancelled { state })
    });
    changed.await.map(raw_json)
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, ErrorBody> {
    serde_json::to_vec(value).map_err(|error| ErrorCode::Internal.because(error.to_string()))
}

pub(super) fn unexpected(reply: &Reply) -> ErrorBody {
    tracing::error!(?reply, "the market answered something else");
    ErrorCode::Internal.body()
}
