//! Components before their jobs open: each is looked at and compiled once, by a worker that the command gives, within
//! bounded seconds, developers in turn. What came of it is kept by the component's digest. What cannot be admitted ends
//! its job with the reason, and no provider ever meets it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anneal_api::{ErrorBody, ErrorCode};
use anneal_job::{Digest, Identity, JobId, Timestamp};
use anneal_market::{Command, Waiting, row};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use crate::{
    app::App,
    config::Config,
    doubt,
    fair::Prefix,
    queue::{Added, Entry, Lane, Queue},
    replay::{AdmitError, Replayer},
};

/// A component that this machine could not look at is looked at again after this, and later each time.
const AGAIN: Duration = Duration::from_secs(2);
/// Doublings of that.
const AGAIN_DOUBLINGS_MAX: u32 = 5;
/// Characters of a reason.
const REASON_CHARS_MAX: usize = 400;

/// What came of a component, for this program: another version may admit otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Looked {
    /// The program that looked.
    by: String,
    /// Why it cannot be admitted.
    refusal: Option<String>,
}

/// What is known of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nobody has looked.
    No,
    /// It may be run.
    Admitted,
    /// It cannot be.
    Refused(String),
}

/// Jobs that wait.
#[derive(Default)]
pub(crate) struct Admissions {
    queue: Mutex<Queue>,
    news: Notify,
}

impl Admissions {
    /// A job waits. One that is there already is not added again.
    pub(crate) fn add(&self, waiting: &Waiting, origin: Prefix) {
        let Waiting { job, developer, since } = *waiting;
        let name = job.to_string();
        let entry = Entry { name, developer, origin, urgent: true, since, slices: 0, generation: 0 };
        if self.queue().add(entry) == Added::Waits {
            self.news.notify_waiters();
        }
    }

    /// Forgets everything: another process leads.
    pub(crate) fn clear(&self) {
        self.queue().clear();
    }

    /// How many wait, and since when the oldest does.
    pub(crate) fn standing(&self) -> (u64, Option<Timestamp>) {
        let queue = self.queue();
        (queue.len() as u64, queue.oldest())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The row of a component.
fn looked_key(component: Digest) -> String {
    format!("component/{component}")
}

/// Who looks: what it admits depends on it.
fn looker(config: &Config) -> String {
    format!("{} with {}", config.version, config.versions)
}

/// What is known of a component.
pub(crate) async fn known(app: &App, component: Digest) -> Result<Known, ErrorBody> {
    let row = app.read(move |store| store.row(&looked_key(component))).await?;
    let looked = row.and_then(|row| row::decode::<Looked>(&row).ok());
    Ok(match looked.filter(|looked| looked.by == looker(&app.config)) {
        None => Known::No,
        Some(Looked { refusal: None, .. }) => Known::Admitted,
        Some(Looked { refusal: Some(reason), .. }) => Known::Refused(reason),
    })
}

/// Looks at components until told to stop.
pub(crate) async fn work(
    app: Arc<App>,
    lane: Lane,
    replayer: Arc<dyn Replayer>,
    mut stopping: watch::Receiver<bool>,
) {
    let admissions = &app.admissions;
    loop {
        // Asked for before the look, so that nothing is missed in between.
        let news = admissions.news.notified();
        let next = admissions.queue().next(lane);
        let Some(entry) = next else {
            tokio::select! {
                () = news => continue,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        };
        match serve(&app, &entry, &replayer).await {
            Ok(true) => admissions.queue().done(&entry),
            Ok(false) => {
                tracing::info!(job = entry.name, "a component takes long to compile: others pass it");
                admissions.queue().again(entry);
                admissions.news.notify_waiters();
            }
            Err(error) => {
                tracing::error!(
                    job = entry.name,
                    error,
                    "a component could not be looked at; tried again soon"
                );
                later(app.clone(), entry);
            }
        }
        fetch_left(&app).await;
        if *stopping.borrow() {
            return;
        }
    }
}

/// Puts it back after a while, during which others are served.
fn later(app: Arc<App>, entry: Entry) {
    let pause = AGAIN * 2_u32.pow(entry.slices.min(AGAIN_DOUBLINGS_MAX));
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        app.admissions.queue().again(entry);
        app.admissions.news.notify_waiters();
    });
}

/// Looks at a job's component for a slice of time, and says what came of it. Gives whether that is clear.
async fn serve(app: &Arc<App>, entry: &Entry, replayer: &Arc<dyn Replayer>) -> Result<bool, String> {
    let job: JobId = entry.name.parse().map_err(|_| "its name is no job's".to_owned())?;
    let writer = app.writer().map_err(|error| error.to_string())?;
    let component = writer.look(move |market| market.waits_for(&job)).await;
    // It may have been cancelled.
    let Some(component) = component.map_err(|error| error.to_string())? else { return Ok(true) };
    let refusal = match known(app, component).await.map_err(|error| error.to_string())? {
        Known::Admitted => None,
        Known::Refused(reason) => Some(reason),
        Known::No => {
            let limits = &app.config.limits;
            let (time, has_more) = entry.slice(limits.admission_slice, limits.admission_time);
            let folder = app.config.scratch.join(format!("admit-{job}"));
            match look(app, component, replayer, folder, time).await? {
                Looking::Admitted => None,
                Looking::OutOfLimits(_) if has_more => return Ok(false),
                Looking::Refused(reason) | Looking::OutOfLimits(reason) => Some(reason),
            }
        }
    };
    let (key, by) = (looked_key(component), looker(&app.config));
    let told = app.turn(None, move |turn| {
        turn.put_row(key, row::encode(&Looked { by, refusal: refusal.clone() }));
        turn.apply(Command::Admitted { component, refusal })?;
        Ok(Vec::new())
    });
    told.await.map(|_| true).map_err(|error| error.to_string())
}

/// What a look at a component came to.
enum Looking {
    Admitted,
    Refused(String),
    OutOfLimits(String),
}

/// Looks at a component; an `Err` is this machine's failure.
async fn look(
    app: &Arc<App>,
    component: Digest,
    replayer: &Arc<dyn Replayer>,
    folder: PathBuf,
    time: Duration,
) -> Result<Looking, String> {
    tokio::fs::create_dir_all(&folder).await.map_err(|error| format!("{}: {error}", folder.display()))?;
    let looked = look_in(app, component, replayer.clone(), folder.join("component"), time).await;
    if let Err(error) = tokio::fs::remove_dir_all(&folder).await {
        tracing::debug!(%error, "a component's folder was not removed");
    }
    looked
}

async fn look_in(
    app: &Arc<App>,
    component: Digest,
    replayer: Arc<dyn Replayer>,
    path: PathBuf,
    time: Duration,
) -> Result<Looking, String> {
    if let Err(error) = app.blobs.fetch(component, &path).await {
        // Where it is damaged or gone, it is given up, and uploaded with the next job.
        doubt::look(app.clone(), vec![component]).await;
        let gone = app.read(move |store| store.blob_keepers(component)).await;
        return match gone {
            Ok(keepers) if keepers.is_empty() => Ok(Looking::Refused(
                "its file was damaged at the coordinator: submit the job again, which uploads it again"
                    .to_owned(),
            )),
            _ => Err(error.to_string()),
        };
    }
    let looking = tokio::task::spawn_blocking(move || replayer.admit(&path, time));
    match looking.await.map_err(|error| format!("the worker broke: {error}"))? {
        Ok(()) => Ok(Looking::Admitted),
        Err(AdmitError::Refused(reason)) => Ok(Looking::Refused(cut(&reason))),
        Err(AdmitError::OutOfLimits(reason)) => Ok(Looking::OutOfLimits(cut(&reason))),
        Err(AdmitError::Failed(message)) => Err(message),
    }
}

fn cut(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}

/// Jobs that found no room are looked for again when there is some.
async fn fetch_left(app: &Arc<App>) {
    let admissions = &app.admissions;
    let left: Vec<(Identity, Timestamp)> = {
        let mut queue = admissions.queue();
        if !queue.has_room_for_left() {
            return;
        }
        queue.take_left()
    };
    let waiting = match app.writer() {
        Ok(writer) => writer.look(|market| market.waiting().collect::<Vec<_>>()).await,
        Err(error) => Err(error),
    };
    match waiting {
        Ok(waiting) => waiting.iter().for_each(|job| admissions.add(job, app.origin_of(job.developer))),
        Err(_) => admissions.queue().leave(left),
    }
}

/// What a developer is told who submits a component that was refused before.
pub(crate) fn refused(reason: String) -> ErrorBody {
    ErrorCode::ComponentRefused.because(reason)
}
