//! `anneal provide`: offers this machine's devices to coordinators.
//!
//! Every device passes the conformance vectors first. One agent per coordinator, each in a folder of its own
//! under one key; they share the devices, which run one attempt at a time each. Its owner steers it from other
//! terminals and a page, while one process at a time works in the folder.

mod live;
pub mod offered;

use std::{path::PathBuf, sync::Arc};

use anneal_api::{Client, ClientOptions, CoordinatorUrl, SecretKey};
use anneal_provider::{
    Agent, AgentError, Compiler, Folder, Owner, OwnerStatus, StatusBoard, Wish, agent::folder_of, control,
    lock::FolderLock, page,
};
use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use super::{failure, key_in, owner, parse_url, settings::Settings, wait_for};
use crate::{
    arguments::Provide,
    failure::{Failure, Outcome},
    host::Host,
    terminal::Terminal,
};
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
/// Where a coordinator is not on this machine, cannot be reached, or no device may be offered; where another
/// process works in the folder.
pub fn provide(arguments: &Provide, host: &Host, terminal: &Terminal) -> Outcome<Provided> {
    let base = owner::folder(arguments.folder.as_deref(), host);
    let settings = Settings::read(&base)?.with(arguments)?;
    let urls = coordinators(&settings, host)?;
    let key = key_in(&base)?;
    let _alone = FolderLock::take(&base).map_err(Failure::host)?;
    let owner = Owner::open(&base, env!("CARGO_PKG_VERSION")).map_err(Failure::host)?;
    let offered = offered::offered(&settings, &base, host, terminal)?;
    terminal.note(format!("provider {}", key.identity()));
    wait_for(work(Work { settings, urls, base, key, offered, owner }, host, terminal))
}

/// What is worked with.
struct Work {
    settings: Settings,
    urls: Vec<CoordinatorUrl>,
    base: PathBuf,
    key: Arc<SecretKey>,
    offered: Vec<OfferedDevice>,
    owner: Owner,
}

async fn work(work: Work, host: &Host, terminal: &Terminal) -> Outcome<Provided> {
    let owner = &work.owner;
    let mut services = serve_owner(&work, terminal).await?;
    let mut agents = JoinSet::new();
    for url in &work.urls {
        let agent = agent(&work, url, host).await?;
        terminal.note(format!("working for {url}"));
        agents.spawn(agent.run(owner.wished()));
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

async fn agent(work: &Work, url: &CoordinatorUrl, host: &Host) -> Outcome<Agent> {
    let Work { settings, base, key, offered, owner, .. } = work;
    let client = Client::connect(ClientOptions::new(url.clone(), Arc::clone(key))).await.map_err(failure)?;
    let folder = Folder::open(&folder_of(base, &client.coordinator())).map_err(Failure::host)?;
    let board = StatusBoard::default();
    board.change(|status| status.coordinator = url.to_string());
    owner.show(board.clone());
    Ok(Agent {
        client,
        key: Arc::clone(key),
        compiler: Compiler { command: host.compiler(), cache: host.cache.clone() },
        folder: Arc::new(folder),
        name: if settings.name.is_empty() { unnamed(key) } else { settings.name.clone() },
        payout: settings.payout.clone(),
        devices: offered.iter().map(|offered| offered.device(host)).collect(),
        blob_bytes_max: BLOB_BYTES_MAX,
        board,
    })
}

/// A provider without a name is told from others all the same.
fn unnamed(key: &SecretKey) -> String {
    format!("provider {}", &key.identity().to_string()[..8])
}

/// Until all agents have ended: each by itself once its owner wants it to finish, or all at a signal. One that
/// fails leaves the others at work; the first failure is told at the end.
async fn until_ended(
    mut agents: JoinSet<Result<(), AgentError>>,
    owner: &Owner,
    terminal: &Terminal,
) -> Outcome<()> {
    let mut leaving = std::pin::pin!(asked_to_leave());
    let (mut result, mut is_leaving) = (Ok(()), false);
    loop {
        tokio::select! {
            ended = agents.join_next() => match ended {
                None => return result,
                Some(ended) => {
                    let ended = ended.map_err(anyhow::Error::from);
                    let Err(error) = ended.and_then(|ended| Ok(ended?)) else { continue };
                    let failure = Failure::host(error);
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

/// Ctrl-C, or what a service manager sends.
async fn asked_to_leave() {
    let listen = |kind| signal(kind).ok();
    let (interrupt, terminate) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    let heard = async |signal: Option<tokio::signal::unix::Signal>| match signal {
        Some(mut signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    };
    tokio::select! {
        () = heard(interrupt) => {}
        () = heard(terminate) => {}
    }
}

/// The coordinators that are meant, all of them on this machine for now.
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
    for url in &urls {
        ensure_here(url)?;
    }
    Ok(urls)
}

/// Strangers' jobs run where the sandbox around the worker is enforced, and it is not enforced yet.
fn ensure_here(url: &CoordinatorUrl) -> anyhow::Result<()> {
    ensure!(
        url.is_loopback(),
        "{url} is not on this machine: `provide` works for strangers only once the worker's confinement by the \
         operating system is enforced, which this version does not do yet; use a coordinator on 127.0.0.1"
    );
    Ok(())
}
