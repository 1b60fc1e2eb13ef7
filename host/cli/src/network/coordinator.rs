//! `anneal coordinator`: the service, with its key, its store and a worker for replays. What it is set up with is in
//! `settings`; looking after its data in `keep`.

pub mod keep;
pub mod settings;

use std::{path::Path, sync::Arc, time::Duration};

use anneal_api::{SecretKey, wire};
use anneal_coordinator::{
    AdmitError, Config, ReplayDone, ReplayError, ReplayRequest, Replayer, TlsFiles, Vouched,
};
use anneal_job::{FaultCode, HostFault, ReceiptOutcome};
use anneal_market::{TraceLevel, TraceReport};
use anneal_runner::{
    Backend, TaskFiles,
    failure::{Failure, Outcome},
    work::{self, Attempted, Work},
};
use anneal_sandbox::{
    StopFlag, VERSIONS,
    compile::{self, CompileError, CompileLimits},
    confine::Requirement,
};
use anyhow::anyhow;
use serde::Serialize;

use self::settings::Settings;
use super::{key_in, serve};
use crate::{arguments, host::Host, interrupt, terminal::Terminal};

/// What a coordinator did.
#[derive(Debug, Serialize)]
pub struct Served {
    /// Where it listened.
    pub address: String,
}

/// Serves until it is stopped.
///
/// # Errors
/// Where it cannot start, or can never lead.
pub fn coordinator(arguments: &arguments::Serve, host: &Host, terminal: &Terminal) -> Outcome<Served> {
    let (folder, settings) = settings::of(&arguments.data, host)?;
    let settings = settings.with(arguments)?;
    let tls = settings.certificate.is_some();
    serve(async {
        let running = start(&folder, settings, host).await?;
        let scheme = if tls { "https" } else { "http" };
        let address = format!("{scheme}://{}", running.address());
        terminal.data(format!("listening on {address}"));
        tokio::select! {
            () = interrupt::asked_to_leave() => {}
            reason = running.broken() => return Err(Failure::host(anyhow!("{reason}"))),
        }
        terminal.note("stopping: requests that came are answered");
        running.stop().await;
        Ok(Served { address })
    })
}

/// Starts a coordinator whose replays run on this machine's CPU.
pub(super) async fn start(
    folder: &Path,
    settings: Settings,
    host: &Host,
) -> Outcome<anneal_coordinator::Coordinator> {
    let key: Arc<SecretKey> = key_in(folder)?;
    let mut limits = settings.limits;
    // None is what the file says where it says nothing.
    if limits.replay_workers == 0 {
        limits.replay_workers = half_of_the_cores();
    }
    let config = Config {
        listen: settings.listen,
        tls: settings
            .certificate
            .clone()
            .zip(settings.key.clone())
            .map(|(certificate, key)| TlsFiles { certificate, key }),
        trusted_proxies: settings.trusted_proxies.clone(),
        advertise: settings.advertise.clone(),
        key,
        store: settings.store_in(folder)?,
        blobs: settings.blobs_in(folder, host)?,
        scratch: folder.join("scratch"),
        versions: VERSIONS,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        limits,
        grants: settings.grants,
        vouched: Vouched { anchors: settings.anchors, developers: settings.developers },
        check_at_start: settings.check_at_start,
        parameters: settings.rules,
    };
    // Whoever reaches it from elsewhere may submit a component.
    let requirement =
        if config.listen.ip().is_loopback() { Requirement::BEST_EFFORT } else { Requirement::STRANGERS };
    let replayer = CpuReplayer { host: host.clone(), requirement };
    let started = anneal_coordinator::Coordinator::start(config, Arc::new(replayer)).await;
    started.map_err(|error| Failure::host(anyhow!(error)))
}

/// Replays at once where nothing is said: providers on the same machine, and the service itself, need some, too.
fn half_of_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// What a fault of this machine is to a replay.
fn replay_error(fault: HostFault) -> ReplayError {
    match fault.code {
        FaultCode::Versions => ReplayError::Cannot(fault.message),
        FaultCode::TimeOut => ReplayError::OutOfTime,
        _ => ReplayError::Failed(fault.message),
    }
}

/// Replays tasks on the CPU, and what is appealed on another backend, each in a worker process with its limits, never in this one.
struct CpuReplayer {
    host: Host,
    requirement: Requirement,
}

impl Replayer for CpuReplayer {
    fn replay(&self, request: &ReplayRequest) -> Result<ReplayDone, ReplayError> {
        let backend = match request.other_backend {
            false => Backend::cpu(None),
            // Where there is no GPU, not even a program that plays one, the interpreter: slow, but another one.
            true => Backend::gpus(&self.host.launcher).into_iter().next().unwrap_or_else(Backend::reference),
        };
        let mut machine = self.host.launcher.worker_for(&backend, self.requirement);
        let compiler = self.host.launcher.compiler_for(self.requirement);
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

    fn admit(&self, component: &Path, time: Duration) -> Result<(), AdmitError> {
        let compiler = self.host.launcher.compiler_for(self.requirement);
        let limits = CompileLimits { time, cpu: time, ..compiler.limits };
        match compile::run(&compiler.command, component, &compiler.cache, limits) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error {
                CompileError::Cache { .. } | CompileError::Confinement(_) | CompileError::Engine(_) => {
                    AdmitError::Failed(error.to_string())
                }
                CompileError::Limits(_) => AdmitError::OutOfLimits(error.to_string()),
                // A process that dies of a component is one that dies of it at every provider, too.
                _ => AdmitError::Refused(error.to_string()),
            }),
        }
    }
}
