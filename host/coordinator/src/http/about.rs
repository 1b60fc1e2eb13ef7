//! Who the coordinator is, how it does, its description.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use anneal_api::{
    API_VERSION, ErrorCode,
    endpoints::{
        GetAbout, GetHealth, GetLive, GetMetrics, GetOpenApi, GetReady, UPLOAD_PIECE_BYTES_MAX, WAIT_MS_MAX,
    },
    wire::{About, Health, LimitsReport, ServiceVersions},
};
use anneal_job::Identity;
use http::StatusCode;

use super::route::{Ask, Outcome, json, with_type};
use crate::{
    app::App,
    clock::ahead_ms,
    writer::{Role, clock},
};

/// A provider heard of within this is there.
const LIVE: Duration = Duration::from_secs(60);
/// Providers of which is counted who is there.
const PROVIDERS_MAX: u64 = 100_000;

pub(super) async fn about(app: Arc<App>, _: Ask<GetAbout>) -> Outcome {
    let limits = &app.config.limits;
    json(&About {
        service: "anneal".to_owned(),
        api: API_VERSION,
        coordinator: app.coordinator,
        now: clock(),
        versions: ServiceVersions { anneal: app.config.version.clone(), task: Some(app.config.versions) },
        limits: LimitsReport {
            blob_bytes_max: limits.blob_bytes_max,
            upload_piece_bytes_max: UPLOAD_PIECE_BYTES_MAX as u64,
            identity_bytes_max: limits.identity_bytes_max,
            identity_jobs_max: app.config.parameters.jobs_per_developer,
            identity_requests_per_minute: limits.requests_per_minute,
            wait_ms_max: WAIT_MS_MAX,
        },
    })
}

pub(super) async fn health(app: Arc<App>, _: Ask<GetHealth>) -> Outcome {
    json(&read_health(&app).await?)
}

async fn read_health(app: &Arc<App>) -> Result<Health, anneal_api::ErrorBody> {
    let (ready, leader, epoch) = match &*app.role.read().unwrap_or_else(PoisonError::into_inner) {
        Role::Leading(_, epoch) => (true, true, epoch.0),
        Role::Following(_) => (true, false, 0),
        Role::Waiting => (false, false, 0),
    };
    let live = app.seen_within(LIVE);
    let health = app.read(move |store| {
        let providers = store.count_live("provider/")?;
        let is_provider = |identity: &Identity| store.row(&format!("provider/{identity}"));
        let mut providers_live = 0;
        if providers <= PROVIDERS_MAX {
            providers_live = live.iter().map(is_provider).filter(|row| matches!(row, Ok(Some(_)))).count();
        }
        Ok(Health {
            ready,
            leader,
            epoch,
            uptime_seconds: 0,
            providers,
            providers_live: providers_live as u64,
            jobs_live: store.count_live("job/")?,
            tasks_live: store.count_live("task/")?,
            attempts_live: store.count_live("attempt/")?,
            log_entries: store.log_end()?.map_or(0, |end| end.sequence),
            ..Health::default()
        })
    });
    let health = health.await?;
    let replays = app.replays.standing();
    let (admissions_waiting, admissions_oldest) = app.admissions.standing();
    let age = |since: Option<anneal_job::Timestamp>| since.map_or(0, |since| clock().since(since).0 / 1000);
    Ok(Health {
        uptime_seconds: app.started.elapsed().as_secs(),
        replays_open: replays.open,
        replays_running: replays.running,
        replays_oldest_seconds: age(replays.oldest),
        clock_ahead_ms: ahead_ms(),
        disk_free_bytes: app.disk.free(),
        admissions_waiting,
        admissions_oldest_seconds: age(admissions_oldest),
        ..health
    })
}

pub(super) async fn live(_: Arc<App>, _: Ask<GetLive>) -> Outcome {
    Ok(with_type(StatusCode::OK, "text/plain", "live\n"))
}

pub(super) async fn ready(app: Arc<App>, _: Ask<GetReady>) -> Outcome {
    let ready = match &*app.role.read().unwrap_or_else(PoisonError::into_inner) {
        Role::Leading(..) | Role::Following(_) => !*app.stopping.borrow(),
        Role::Waiting => false,
    };
    if !ready {
        return Err(ErrorCode::NotLeader.body());
    }
    app.read(|store| store.log_end()).await?;
    Ok(with_type(StatusCode::OK, "text/plain", "ready\n"))
}

pub(super) async fn metrics(app: Arc<App>, _: Ask<GetMetrics>) -> Outcome {
    let health = read_health(&app).await?;
    let text = app.metrics.text(&[
        ("leader", health.leader.into()),
        ("epoch", health.epoch),
        ("uptime_seconds", health.uptime_seconds),
        ("providers", health.providers),
        ("providers_live", health.providers_live),
        ("jobs_live", health.jobs_live),
        ("tasks_live", health.tasks_live),
        ("attempts_live", health.attempts_live),
        ("log_entries", health.log_entries),
        ("replays_open", health.replays_open),
        ("replays_running", health.replays_running),
        ("replays_oldest_seconds", health.replays_oldest_seconds),
        ("clock_ahead_milliseconds", health.clock_ahead_ms),
        ("disk_free_bytes", health.disk_free_bytes),
        ("admissions_waiting", health.admissions_waiting),
        ("admissions_oldest_seconds", health.admissions_oldest_seconds),
        ("polls_waiting", app.waiters.waiting()),
    ]);
    Ok(with_type(StatusCode::OK, "text/plain; version=0.0.4", text))
}

pub(super) async fn openapi(_: Arc<App>, _: Ask<GetOpenApi>) -> Outcome {
    json(&anneal_api::openapi())
}
