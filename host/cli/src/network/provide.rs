//! `anneal provide`: offers this machine's devices to coordinators.
//!
//! Every device passes the conformance vectors first. One agent per coordinator, each in a folder of its own
//! under one key; they share the devices, which run one attempt at a time each. Its owner steers it from other
//! terminals and a page, while one process at a time works in the folder.

mod limits;
mod live;
pub mod offered;

use std::{path::PathBuf, sync::Arc};

use anneal_api::{ClientOptions, CoordinatorUrl, SecretKey, client::Throttle};
use anneal_policy::policy::Shares;
use anneal_provider::{
    Agent, Folder, Owner, OwnerStatus, StatusBoard, Wish,
    agent::{folder_of, reach},
    control,
    lock::FolderLock,
    page, processors,
    warden::Warden,
};
use anneal_runner::{
    doctor,
    failure::{Failure, Outcome},
};
use anneal_sandbox::confine::Requirement;
use anyhow::Context;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{failure, key_in, owner, parse_url, serve, settings::Settings};
use crate::{arguments::Provide, host::Host, interrupt, terminal::Terminal};
use live::Live;
use offered::OfferedDevice;

/// Bytes of blobs that are kept for the next lease.
const BLOB_BYTES_MAX: u64 = 20 << 30;

/// What a provider did.
#[derive(Debug, Serialize)]
pub struct Provided {
    /// Attempts that were finished.
    pub finished: u64,
    /// Gas of them.
    pub gas: u64,
}

/// Works until the owner ends it.
///
/// # Errors
/// Where a coordinator is elsewhere and this machine does not confine strangers' work enough;
/// where no device may be offered; where another process works in the folder.
pub fn provide(arguments: &Provide, host: &Host, terminal: &Terminal) -> Outcome<Provided> {
    let base = owner::folder(arguments.folder.as_deref(), host);
    let mut settings = Settings::read(&base)?.with(arguments)?;
    let urls = coordinators(&settings, host)?;
    let requirement = requirement(&settings, &urls, host)?;
    let key = key_in(&base)?;
    let _alone = FolderLock::take(&base).map_err(Failure::host)?;
    let owner = Owner::open(&base, env!("CARGO_PKG_VERSION")).map_err(Failure::host)?;
    let policy = limits::read(arguments.policy.as_deref(), &base)?;
    // Before the processor is divided.
    let mut capacity = host.capacity();
    let shares = policy.as_ref().map(|(_, policy)| policy.shares).unwrap_or_default();
    settings.threads = fewest(settings.threads, shares.cpu_threads);
    if let Some(threads) = shares.cpu_threads {
        // Compilers and software GPUs start as many threads as there are processors.
        let held =
            processors::hold_to(threads).context("the share of the processor's threads cannot be kept");
        held.map_err(Failure::host)?;
    }
    let offered = offered::offered(&settings, &base, host, terminal)?;
    terminal.note(format!("provider {}", key.identity()));
    let Some((path, policy)) = policy else {
        terminal.warn("no limits: `anneal setup` writes a policy.toml, which holds heat, power and hours");
        return serve(work(
            Work { settings, shares, urls, base, key, offered, owner, requirement, warden: None },
            host,
            terminal,
        ));
    };
    terminal.note(format!("limits of {}; `anneal status` shows what they do", path.display()));
    capacity.gpu_memory = offered.iter().filter_map(OfferedDevice::gpu_memory).max();
    for doubt in policy.doubts(jiff::Timestamp::now(), &capacity) {
        terminal.warn(doubt.to_string());
    }
    let (warden, watch) = limits::watch(policy, &base, &offered, host)?;
    let work = work(
        Work { settings, shares, urls, base, key, offered, owner, requirement, warden: Some(warden) },
        host,
        terminal,
    );
    let ended = serve(work);
    watch.end();
    ended
}

/// What is worked with.
struct Work {
    settings: Settings,
    shares: Shares,
    urls: Vec<CoordinatorUrl>,
    base: PathBuf,
    key: Arc<SecretKey>,
    offered: Vec<OfferedDevice>,
    owner: Owner,
    requirement: Requirement,
    warden: Option<Arc<Warden>>,
}

async fn work(work: Work, host: &Host, terminal: &Terminal) -> Outcome<Provided> {
    let work = Arc::new(work);
    let owner = &work.owner;
    let mut services = serve_owner(&work, terminal).await?;
    let mut agents = JoinSet::new();
    // All agents together.
    let throttle = work.shares.bandwidth.map(|share| Arc::new(Throttle::new(share.0)));
    for url in &work.urls {
        let board = StatusBoard::default();
        board.change(|status| status.coordinator = url.to_string());
        owner.show(board.clone());
        let options = ClientOptions {
            throttle: throttle.clone(),
            ..super::options(url.clone(), Arc::clone(&work.key), host)
        };
        terminal.note(format!("working for {url}"));
        agents.spawn(work_for(Arc::clone(&work), options, board, host.clone()));
    }
    let mut live = Live::new(owner.clone(), *terminal);
    let ended = tokio::select! {
        ended = until_ended(agents, owner, terminal) => ended,
        never = live.run() => match never {},
    };
    live.end();
    services.shutdown().await;
    ended?;
    let OwnerStatus { coordinators, .. } = owner.status();
    Ok(Provided {
        finished: coordinators.iter().map(|status| status.finished).sum(),
        gas: coordinators.iter().map(|status| status.gas).sum(),
    })
}

/// The socket and the page.
async fn serve_owner(work: &Work, terminal: &Terminal) -> Outcome<JoinSet<()>> {
    let owner = &work.owner;
    let mut services = JoinSet::new();
    let socket = control::listen(owner.folder()).map_err(Failure::host)?;
    services.spawn(control::serve(socket, owner.clone()));
    let port = work.settings.page_port;
    if port != Some(0) {
        let opened = page::open(port, owner).await.with_context(|| match port {
            Some(port) => format!("port {port} cannot be had for the page; choose another --page-port"),
            None => "there is no port for the page; say --no-page".to_owned(),
        });
        services.spawn(page::serve(opened.map_err(Failure::host)?, owner.clone()));
        // The link opens the page, so it goes to a person, and into no service's log.
        match owner.page().filter(|_| terminal.interactive()) {
            Some(link) => terminal.note(format!("your page: {link}")),
            None => terminal.note("your page: `anneal status` shows its link"),
        }
    }
    Ok(services)
}

/// Works for one coordinator, once it can be reached.
async fn work_for(work: Arc<Work>, options: ClientOptions, board: StatusBoard, host: Host) -> Outcome<()> {
    let Work { settings, shares, base, key, offered, owner, requirement, warden, .. } = &*work;
    let mut wish = owner.wished();
    let Some(client) = reach(&options, &board, &mut wish).await.map_err(failure)? else { return Ok(()) };
    let folder = Folder::open(&folder_of(base, &client.coordinator())).map_err(Failure::host)?;
    let agent = Agent {
        client,
        key: Arc::clone(key),
        compiler: host.launcher.compiler_for(*requirement),
        folder: Arc::new(folder),
        name: if settings.name.is_empty() { unnamed(key) } else { settings.name.clone() },
        payout: settings.payout.clone(),
        devices: offered.iter().map(|offered| offered.device(&host, *requirement, shares)).collect(),
        blob_bytes_max: BLOB_BYTES_MAX.min(shares.disk.map_or(u64::MAX, |share| share.0)),
        board,
        warden: warden.clone(),
    };
    agent.run(wish).await.map_err(Failure::host)
}

/// The smaller of what is set and the owner's share.
fn fewest(threads: Option<usize>, share: Option<u32>) -> Option<usize> {
    let share = share.and_then(|share| usize::try_from(share).ok());
    threads.into_iter().chain(share).min()
}

/// A provider without a name is told from others all the same.
fn unnamed(key: &SecretKey) -> String {
    format!("provider {}", &key.identity().to_string()[..8])
}

/// Until all agents have ended: each by itself once its owner wants it to finish, or all at a signal. One that
/// fails leaves the others at work; the first failure is told at the end.
async fn until_ended(mut agents: JoinSet<Outcome<()>>, owner: &Owner, terminal: &Terminal) -> Outcome<()> {
    let mut leaving = std::pin::pin!(interrupt::asked_to_leave());
    let (mut result, mut is_leaving) = (Ok(()), false);
    loop {
        tokio::select! {
            ended = agents.join_next() => match ended {
                None => return result,
                Some(ended) => {
                    let Err(failure) = ended.map_err(Failure::host).flatten() else { continue };
                    if !agents.is_empty() {
                        terminal.warn(format!("an agent ended: {failure}"));
                    }
                    result = result.and(Err(failure));
                }
            },
            () = &mut leaving, if !is_leaving => {
                is_leaving = true;
                // To leave writes nothing that could fail.
                let _nothing_to_write = owner.wish(Wish::Leave);
            }
        }
    }
}

/// The coordinators that are meant.
fn coordinators(settings: &Settings, host: &Host) -> Outcome<Vec<CoordinatorUrl>> {
    let named = settings
        .coordinators
        .iter()
        .chain(host.coordinator.iter().filter(|_| settings.coordinators.is_empty()));
    let urls = named.map(|text| parse_url(text)).collect::<Outcome<Vec<_>>>()?;
    if urls.is_empty() {
        return Err(Failure::bad_input(
            "no coordinator is named: run `anneal setup`, say --coordinator URL, or set ANNEAL_COORDINATOR",
        ));
    }
    Ok(urls)
}

/// What of the confinement is insisted on: the minimum for strangers, unless all coordinators are on this machine,
/// and what the owner requires. Where it is not met, nothing is begun.
fn requirement(settings: &Settings, urls: &[CoordinatorUrl], host: &Host) -> Outcome<Requirement> {
    let elsewhere = urls.iter().find(|url| !url.is_loopback());
    let minimum = if elsewhere.is_some() { Requirement::STRANGERS } else { Requirement::BEST_EFFORT };
    let requirement = settings.require.iter().fold(minimum, |all, &layer| all.with(layer));
    if requirement == Requirement::BEST_EFFORT {
        return Ok(requirement);
    }
    let report = doctor::doctor(&host.launcher)?;
    if let (Some(url), Some(failure)) = (elsewhere, doctor::failure(&report, minimum)) {
        return Err(failure.context(format!(
            "{url} is not on this machine, and strangers' work is run only under the minimum of confinement; \
             `anneal doctor` shows all of it"
        )));
    }
    match doctor::failure(&report, requirement) {
        None => Ok(requirement),
        Some(failure) => {
            Err(failure.context("a layer that you require is missing here (`require`)".to_owned()))
        }
    }
}
