//! `anneal coordinator`: the service, with its key, its store and a worker for replays.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anneal_api::{SecretKey, wire};
use anneal_coordinator::{
    Config, Grants, Limits, ReplayDone, ReplayError, ReplayRequest, Replayer, TlsFiles, Vouched,
    blobs::BlobPlace, store::StoreUrl,
};
use anneal_job::{FaultCode, HostFault, ReceiptOutcome};
use anneal_market::{Parameters, TraceLevel, TraceReport};
use anneal_provider::{
    TaskFiles,
    work::{self, Attempted, Work},
};
use anneal_sandbox::{StopFlag, VERSIONS, confine::Requirement};
use anyhow::{Context, anyhow};
use serde::Serialize;

use super::{key_in, stop_signal, wait_for};
use crate::{
    arguments,
    backends::Backend,
    failure::{Failure, Outcome},
    host::Host,
    terminal::Terminal,
};

/// What a coordinator did.
#[derive(Debug, Serialize)]
pub struct Served {
    /// Where it listened.
    pub address: String,
}

/// What a coordinator needs beside its rules.
pub struct Place {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Certificate and key.
    pub tls: Option<TlsFiles>,
    /// Its folder.
    pub folder: PathBuf,
    /// Where its state is; a file in its folder where nothing is said.
    pub store: Option<StoreUrl>,
    /// Where blobs are; a folder in its folder where nothing is said.
    pub blobs: Option<BlobPlace>,
}

/// Serves until it is stopped.
///
/// # Errors
/// Where it cannot start.
pub fn coordinator(arguments: &arguments::Serve, host: &Host, terminal: &Terminal) -> Outcome<Served> {
    let place = Place {
        listen: arguments.listen,
        tls: arguments
            .certificate
            .clone()
            .zip(arguments.key.clone())
            .map(|(certificate, key)| TlsFiles { certificate, key }),
        folder: arguments.folder.clone().unwrap_or_else(|| host.data.join("coordinator")),
        store: arguments
            .store
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error| anyhow!("--store: {error}"))?,
        blobs: arguments
            .blobs
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error| anyhow!("--blobs: {error}"))?
            .map(|blobs: BlobPlace| blobs.with_settings(host.storage.clone())),
    };
    let tls = place.tls.is_some();
    let rules = arguments.rules.as_deref().map(rules).transpose()?.unwrap_or_default();
    wait_for(async {
        let vouched = Vouched {
            anchors: arguments.anchors.iter().copied().collect(),
            developers: arguments.developers.iter().copied().collect(),
        };
        let running = start(place, rules, vouched, host).await?;
        let scheme = if tls { "https" } else { "http" };
        let address = format!("{scheme}://{}", running.address());
        terminal.data(format!("listening on {address}"));
        stop_signal().await.map_err(Failure::host)?;
        terminal.note("stopping: requests that came are answered");
        running.stop().await;
        Ok(Served { address })
    })
}

/// The market's rules from a file: what it does not say is the default.
fn rules(path: &Path) -> Outcome<Parameters> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(toml::from_str(&text).with_context(|| format!("{} is not a file of rules", path.display()))?)
}

/// Replays at once where nothing is said: providers on the same machine, and the service itself, need some, too.
fn half_of_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// Starts a coordinator whose replays run on this machine's CPU.
pub(super) async fn start(
    place: Place,
    parameters: Parameters,
    vouched: Vouched,
    host: &Host,
) -> Outcome<anneal_coordinator::Coordinator> {
    let key: Arc<SecretKey> = key_in(&place.folder)?;
    let folder = &place.folder;
    let config = Config {
        listen: place.listen,
        tls: place.tls,
        advertise: None,
        key,
        store: place.store.unwrap_or_else(|| StoreUrl::Sqlite(folder.join("state.sqlite"))),
        blobs: place.blobs.unwrap_or_else(|| BlobPlace::Folder(folder.join("stored"))),
        scratch: folder.join("scratch"),
        versions: VERSIONS,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        limits: Limits { replay_workers: half_of_the_cores(), ..Limits::default() },
        grants: Grants::default(),
        vouched,
        parameters,
    };
    // Whoever reaches it from elsewhere may submit a component.
    let requirement =
        if config.listen.ip().is_loopback() { Requirement::BEST_EFFORT } else { Requirement::STRANGERS };
    let replayer = CpuReplayer { host: host.clone(), requirement };
    let started = anneal_coordinator::Coordinator::start(config, Arc::new(replayer)).await;
    started.map_err(|error| Failure::host(anyhow!(error)))
}

/// What a fault of this machine is to a replay.
fn replay_error(fault: HostFault) -> ReplayError {
    match fault.code {
        FaultCode::Versions => ReplayError::Cannot(fault.message),
        FaultCode::TimeOut => ReplayError::OutOfTime,
        _ => ReplayError::Failed(fault.message),
    }
}

/// Replays tasks on the CPU, each in a worker process with its limits, never in this one.
struct CpuReplayer {
    host: Host,
    requirement: Requirement,
}

impl Replayer for CpuReplayer {
    fn replay(&self, request: &ReplayRequest) -> Result<ReplayDone, ReplayError> {
        let mut machine = self.host.worker_for(&Backend::cpu(None), self.requirement);
        let compiler = self.host.compiler_for(self.requirement);
        let files = TaskFiles {
            component: request.component.clone(),
            inputs: request.inputs.clone(),
            states: request.states.clone(),
        };
        let stop = StopFlag::default();
        let work = Work { task: &request.task, files: &files, time: request.time, stop: &stop, pace: None };
        let output = request.scratch.join("state.safetensors");
        let level = match request.level {
            TraceLevel::None | TraceLevel::Commits => wire::TraceLevel::Commits,
            TraceLevel::Operations { step } => wire::TraceLevel::Operations { step },
        };
        let attempted = work::attempt(&mut machine, &compiler, &work, &output, level, &mut |_| {});
        let Attempted { outcome, trace_root, traced } = attempted.map_err(replay_error)?;
        let trace = match request.level {
            TraceLevel::None => TraceReport::default(),
            _ => TraceReport { digests: traced.digests, names: traced.names },
        };
        let state = matches!(outcome, ReceiptOutcome::Completed { .. }).then_some(output);
        Ok(ReplayDone { outcome, trace_root, trace, state })
    }
}
