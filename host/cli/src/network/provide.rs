//! `anneal provide`: offers this machine's devices to coordinators.
//!
//! Every device passes the conformance vectors first. One agent per coordinator, each in a folder of its own
//! under one key; they share the devices, which run one attempt at a time each.

use std::{path::PathBuf, sync::Arc};

use anneal_api::{Client, ClientOptions, CoordinatorUrl, SecretKey, wire::DeviceOffer};
use anneal_job::Price;
use anneal_provider::{Agent, Compiler, Device, Folder, StatusBoard, Wish, agent::folder_of};
use anyhow::{anyhow, ensure};
use serde::Serialize;
use tokio::{
    signal,
    sync::{Mutex, watch},
    task::JoinSet,
};

use super::{failure, key_in, parse_url, wait_for};
use crate::{
    arguments::{Offered, Provide},
    backends::Backend,
    devices::{self, Tested},
    failure::{Failure, Outcome},
    host::Host,
    job::VERSIONS,
    terminal::Terminal,
};

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
/// Where a coordinator is not on this machine, cannot be reached, or no device may be offered.
pub fn provide(arguments: &Provide, host: &Host, terminal: &Terminal) -> Outcome<Provided> {
    let urls = coordinators(arguments, host)?;
    let base = arguments.folder.clone().unwrap_or_else(|| host.data.join("provider"));
    let key = key_in(&base)?;
    let offered = offered(arguments, host, terminal)?;
    terminal.note(format!("provider {}", key.identity()));
    wait_for(work(arguments, host, terminal, Work { urls, base, key, offered }))
}

/// What is worked with.
struct Work {
    urls: Vec<CoordinatorUrl>,
    base: PathBuf,
    key: Arc<SecretKey>,
    offered: Vec<OfferedDevice>,
}

/// A device that has passed.
struct OfferedDevice {
    backend: Backend,
    offer: DeviceOffer,
    gate: Arc<Mutex<()>>,
}

async fn work(arguments: &Provide, host: &Host, terminal: &Terminal, work: Work) -> Outcome<Provided> {
    let Work { urls, base, key, offered } = work;
    let (wish, wished) = watch::channel(Wish::Run);
    let mut agents = JoinSet::new();
    let mut boards = Vec::new();
    for url in urls {
        let client =
            Client::connect(ClientOptions::new(url.clone(), Arc::clone(&key))).await.map_err(failure)?;
        terminal.note(format!("working for {url}"));
        let folder = Folder::open(&folder_of(&base, &client.coordinator())).map_err(Failure::host)?;
        let board = StatusBoard::default();
        board.change(|status| status.coordinator = url.to_string());
        boards.push(board.clone());
        let agent = Agent {
            client,
            key: Arc::clone(&key),
            compiler: Compiler { command: host.compiler(), cache: host.cache.clone() },
            folder: Arc::new(folder),
            name: arguments.name.clone(),
            payout: arguments.payout.clone(),
            devices: offered.iter().map(|offered| offered.device(host)).collect(),
            blob_bytes_max: BLOB_BYTES_MAX,
            board,
            warden: None,
        };
        agents.spawn(agent.run(wished.clone()));
    }
    tokio::select! {
        ended = agents.join_next() => {
            if let Some(Ok(Err(error))) = ended {
                return Err(Failure::host(anyhow!(error)));
            }
        }
        _ = signal::ctrl_c() => terminal.note("giving back what is not finished"),
    }
    wish.send_replace(Wish::Leave);
    while agents.join_next().await.is_some() {}
    let statuses: Vec<_> = boards.iter().map(StatusBoard::read).collect();
    Ok(Provided {
        finished: statuses.iter().map(|status| status.finished).sum(),
        gas: statuses.iter().map(|status| status.gas).sum(),
    })
}

/// The coordinators that are meant, all of them on this machine for now.
fn coordinators(arguments: &Provide, host: &Host) -> Outcome<Vec<CoordinatorUrl>> {
    let named = arguments
        .coordinators
        .iter()
        .chain(host.coordinator.iter().filter(|_| arguments.coordinators.is_empty()));
    let urls = named.map(|text| parse_url(text)).collect::<Outcome<Vec<_>>>()?;
    if urls.is_empty() {
        return Err(Failure::bad_input(
            "name a coordinator with --coordinator URL, or in ANNEAL_COORDINATOR",
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

/// The devices that are offered: tested, or the command ends.
fn offered(arguments: &Provide, host: &Host, terminal: &Terminal) -> Outcome<Vec<OfferedDevice>> {
    let wanted = |which: Offered| {
        arguments.devices.is_empty()
            || arguments.devices.iter().any(|&device| device == which || device == Offered::All)
    };
    let mut backends = Vec::new();
    if wanted(Offered::Gpu) {
        backends
            .extend(Backend::gpus(host).into_iter().filter(|gpu| arguments.software || !gpu.device.software));
    }
    if wanted(Offered::Cpu) {
        backends.push(Backend::cpu(arguments.threads));
    }
    if backends.is_empty() {
        return Err(Failure::bad_input(
            "there is no device to offer; see `anneal devices`, or offer --device cpu",
        ));
    }
    let mut offered = Vec::new();
    for (number, backend) in backends.into_iter().enumerate() {
        let tested = devices::test_and_measure(&backend)?;
        terminal.note(format!(
            "{} passes {} conformance vectors and does {:.2e} gas a second",
            backend.name(),
            tested.vectors,
            tested.gas_per_second as f64
        ));
        let offer = offer(number as u32, &backend, tested, Price(arguments.price_floor));
        offered.push(OfferedDevice { backend, offer, gate: Arc::default() });
    }
    Ok(offered)
}

/// What is said of a device that has passed.
pub(super) fn offer(number: u32, backend: &Backend, tested: Tested, price_floor: Price) -> DeviceOffer {
    let device = &backend.device;
    let memory_bytes = device.memory_bytes.unwrap_or(MEMORY_UNKNOWN_BYTES);
    DeviceOffer {
        device: number,
        name: device.name.chars().take(100).collect(),
        class: class(&device.backend, device.software, memory_bytes),
        memory_bytes,
        features: [device.backend.clone()].into(),
        software: device.software,
        selftest: Some(VERSIONS),
        speed_gas_per_second: tested.gas_per_second,
        price_floor,
    }
}

/// What a device is taken to have whose driver does not say.
const MEMORY_UNKNOWN_BYTES: u64 = 2 << 30;

/// What prices go by: the kind of device and its memory, rounded down to a power of two.
fn class(backend: &str, software: bool, memory_bytes: u64) -> String {
    let gib = (memory_bytes >> 30).max(1);
    match (backend, software) {
        ("gpu", true) => "gpu-software".to_owned(),
        ("gpu", false) => format!("gpu-{}g", 1_u64 << gib.ilog2()),
        (other, _) => other.to_owned(),
    }
}

impl OfferedDevice {
    fn device(&self, host: &Host) -> Device {
        let (host, backend) = (host.clone(), self.backend.clone());
        Device {
            offer: self.offer.clone(),
            machine: Box::new(move || host.machine(&backend)),
            gate: Arc::clone(&self.gate),
        }
    }
}
