//! `anneal demo`: a whole network on this machine. A coordinator, an honest CPU, an honest GPU (or lavapipe), a
//! liar and a copier; a job with two workers that needs two agreeing operators for everything. It ends with
//! verified weights, and with the liar named down to the operation.

mod cheats;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_api::{
    Client, ClientOptions, SecretKey,
    wire::{AttemptState, JobView, SubmitJob, TaskView},
};
use anneal_job::{JobId, Price, Redundancy};
use anneal_provider::{Agent, Device, Folder, StatusBoard, Wish};
use anneal_runner::{
    Backend, Job,
    failure::{Failure, Outcome},
    selftest::Tested,
};
use anneal_sandbox::{Machine, confine::Requirement};
use anyhow::{Context, anyhow};
use tokio::{sync::watch as channel, task::JoinSet, time::sleep};

use super::{
    coordinator::{self, settings::Settings},
    failure, fetch, key_in, provide, spec, wait_for,
    watch::{all_tasks, caught, watch_quietly},
};
use crate::{
    arguments::{self, JobArguments, Terms},
    host::Host,
    job,
    terminal::Terminal,
};

/// Bytes of blobs that a provider of the demo keeps.
const BLOB_BYTES_MAX: u64 = 1 << 30;

/// Disputes go on when the job has its result; the demo waits so long for their end.
const DISPUTES_TIME: Duration = Duration::from_secs(120);
const DISPUTES_PAUSE: Duration = Duration::from_millis(500);

/// The file by which a demo knows its own folder.
const MARK: &str = "anneal-demo.txt";

/// A provider of the demo.
struct Cast {
    name: &'static str,
    backend: Backend,
    cheat: Option<cheats::Cheat>,
}

/// Runs the network until the job has ended.
///
/// # Errors
/// Where something cannot be started, or the job fails.
pub fn demo(arguments: &arguments::Demo, host: &Host, terminal: &Terminal) -> Outcome<JobView> {
    let folder = arguments.folder.clone();
    clear(&folder)?;
    let job = job::load(&job_arguments(arguments), host, terminal)?;
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => u64::from_le_bytes(anneal_api::random_bytes::<8>().map_err(Failure::host)?),
    };
    terminal.note(format!("seed {seed}: it draws which step and operation the liar lies in"));
    wait_for(run(arguments, &folder, job, seed, host, terminal))
}

/// Makes the folder new. Only what a demo made is removed: it left its mark.
fn clear(folder: &Path) -> Outcome<()> {
    let is_empty = |entries: std::fs::ReadDir| entries.count() == 0;
    if folder.exists() && !folder.join(MARK).is_file() && !std::fs::read_dir(folder).is_ok_and(is_empty) {
        return Err(Failure::bad_input(format!(
            "{} holds other things than an earlier demo; name another folder with --folder",
            folder.display()
        )));
    }
    let made = || -> std::io::Result<()> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        std::fs::create_dir_all(folder)?;
        std::fs::write(
            folder.join(MARK),
            "Made by `anneal demo`, which removes this folder when it runs again.\n",
        )
    };
    let context = || format!("cannot make the folder {} new", folder.display());
    made().with_context(context).map_err(Failure::host)
}

async fn run(
    arguments: &arguments::Demo,
    folder: &Path,
    job: Job,
    seed: u64,
    host: &Host,
    terminal: &Terminal,
) -> Outcome<JobView> {
    let cast = cast(host, seed);
    // Whose network it is vouches for its own two machines and its own jobs; the others must show what they are worth.
    let mut settings = Settings { listen: arguments.listen, ..Settings::default() };
    for honest in cast.iter().filter(|cast| cast.cheat.is_none()) {
        let folder = Folder::open(&folder.join(honest.name)).map_err(Failure::host)?;
        settings.anchors.insert(folder.key().map_err(Failure::host)?.identity());
    }
    let key = key_in(&folder.join("developer"))?;
    settings.developers.insert(key.identity());
    let running = coordinator::start(&folder.join("coordinator"), settings, host).await?;
    let url = format!("http://{}", running.address());
    terminal.note(format!("coordinator {url}"));
    let (wish, wished) = channel::channel(Wish::Run);
    let mut agents = JoinSet::new();
    let mut tests = BTreeMap::new();
    for cast in cast {
        // Three of them compute on the same CPU: it is tested once.
        let tested = match tests.entry(cast.backend.address.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(host.launcher.test_and_measure(&cast.backend)?),
        };
        let agent = agent(&cast, tested, &folder.join(cast.name), &url, host, terminal).await?;
        agents.spawn(agent.run(wished.clone()));
    }
    let result = submit(&job, &url, key, folder, terminal).await;
    wish.send_replace(Wish::Leave);
    while agents.join_next().await.is_some() {}
    running.stop().await;
    result
}

fn job_arguments(arguments: &arguments::Demo) -> JobArguments {
    JobArguments {
        job: arguments.job.clone(),
        manifest: None,
        inputs: Vec::new(),
        parameters: Vec::new(),
        seed: None,
        workers: Some(2),
        segments: None,
    }
}

/// Who provides: two that are honest, and two that are not.
fn cast(host: &Host, seed: u64) -> Vec<Cast> {
    let cpu = Backend::cpu(None);
    let gpu = Backend::gpus(&host.launcher).into_iter().next().unwrap_or_else(|| Backend::cpu(Some(1)));
    let liar = Some(cheats::Cheat::Lies { seed });
    vec![
        Cast { name: "honest-cpu", backend: cpu.clone(), cheat: None },
        Cast { name: "honest-gpu", backend: gpu, cheat: None },
        Cast { name: "liar", backend: cpu.clone(), cheat: liar },
        Cast { name: "copier", backend: cpu, cheat: Some(cheats::Cheat::Copies) },
    ]
}

async fn agent(
    cast: &Cast,
    tested: Tested,
    folder: &Path,
    url: &str,
    host: &Host,
    terminal: &Terminal,
) -> Outcome<Agent> {
    let folder = Folder::open(folder).map_err(Failure::host)?;
    let key = Arc::new(folder.key().map_err(Failure::host)?);
    terminal.note(format!(
        "{:<11} {}  {}",
        cast.name,
        &key.identity().to_string()[..12],
        cast.backend.name()
    ));
    let client = connect(url, Arc::clone(&key)).await?;
    let board = StatusBoard::default();
    let offer = provide::offered::offer(0, &cast.backend, tested, Price(0));
    let make = maker(cast, host);
    Ok(Agent {
        client,
        key,
        folder: Arc::new(folder),
        compiler: host.launcher.compiler_for(Requirement::BEST_EFFORT),
        name: cast.name.to_owned(),
        payout: Some(cast.name.to_owned()),
        devices: vec![Device { offer, machine: make, gate: Arc::default() }],
        blob_bytes_max: BLOB_BYTES_MAX,
        board,
        warden: None,
    })
}

fn maker(cast: &Cast, host: &Host) -> Box<dyn Fn() -> Box<dyn Machine> + Send + Sync> {
    let (host, backend) = (host.clone(), cast.backend.clone());
    match cast.cheat {
        None => Box::new(move || host.launcher.machine(&backend)),
        // A key that cheats at once is barred at once: these two earn some trust first.
        Some(cheat) => {
            let first = AtomicBool::new(true);
            Box::new(move || match first.swap(false, Ordering::Relaxed) {
                true => host.launcher.machine(&backend),
                false => cheat.machine(),
            })
        }
    }
}

async fn connect(url: &str, key: Arc<SecretKey>) -> Outcome<Client> {
    Client::connect(ClientOptions::new(super::parse_url(url)?, key)).await.map_err(failure)
}

async fn submit(
    job: &Job,
    url: &str,
    key: Arc<SecretKey>,
    folder: &Path,
    terminal: &Terminal,
) -> Outcome<JobView> {
    let client = connect(url, key).await?;
    let terms = Terms {
        redundancy: Some(Redundancy::Fixed(2)),
        price_cap: None,
        allow: Vec::new(),
        public: false,
        test: true,
    };
    let submission = spec::submission(job, &terms)?;
    client.upload_missing(&submission.blobs, &mut |_, _| {}).await.map_err(failure)?;
    let submit = SubmitJob { name: "demo".to_owned(), nonce: 0, spec: submission.spec };
    let submitted = client.submit(&submit).await.map_err(failure)?;
    terminal.note(format!(
        "submitted {}: two workers, two operators must agree; at most {}",
        &submitted.job.to_string()[..12],
        submitted.quote.cap
    ));
    terminal.note(format!("watch it at {}", client.page_link(Duration::from_secs(3600)).expose()));
    watch_quietly(&client, submitted.job, terminal).await?;
    let view = judged(&client, submitted.job, terminal).await?;
    let out: PathBuf = folder.join("out");
    fetch::fetch_into(&client, view.summary.id, &out, None, terminal).await?;
    if view.end.is_none() {
        let reason = view.reason.clone().unwrap_or_default();
        return Err(Failure::host(anyhow!("the demo's job did not complete: {reason}")));
    }
    Ok(view)
}

/// The job, once every dispute about it has come down to what differs, or after a while.
async fn judged(client: &Client, job: JobId, terminal: &Terminal) -> Outcome<JobView> {
    let start = Instant::now();
    loop {
        let view = all_tasks(client, job).await?;
        if start.elapsed() > DISPUTES_TIME || view.tasks.iter().all(is_judged) {
            for line in caught(client, &view).await {
                terminal.note(line);
            }
            return Ok(view);
        }
        sleep(DISPUTES_PAUSE).await;
    }
}

/// Each attempt that was faulted has a finding.
fn is_judged(task: &TaskView) -> bool {
    let faulted = task.attempts.iter().filter(|attempt| attempt.state == AttemptState::Faulted).count();
    faulted <= task.verdict.as_ref().map_or(0, |verdict| verdict.faults.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_no_demo_made_is_left_alone() {
        let place = tempfile::tempdir().expect("a directory");
        let letter = place.path().join("letter.txt");
        std::fs::write(&letter, b"dear").expect("written");
        assert!(clear(place.path()).is_err());
        assert!(letter.is_file());
        let own = place.path().join("own");
        for _ in 0..2 {
            assert!(clear(&own).is_ok());
            std::fs::write(own.join("left.txt"), b"over").expect("written");
        }
        assert!(clear(&own).is_ok() && !own.join("left.txt").exists());
    }
}
