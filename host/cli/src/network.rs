//! The commands that speak to a coordinator: submitting and watching jobs, checking logs and verdicts, providing,
//! and the coordinator itself.
//!
//! Each room is one command or a few that belong together; what they share is here: who one is, which
//! coordinator is meant, and a runtime to wait in.

pub mod appeal;
pub mod audit;
pub mod coordinator;
pub mod demo;
pub mod developer;
pub mod fetch;
pub mod owner;
pub mod provide;
pub mod replay;
pub mod service;
pub mod settings;
pub mod setup;
pub mod spec;
pub mod watch;

use std::{future::Future, path::Path, sync::Arc};

use anneal_api::{Client, ClientError, ClientOptions, CoordinatorUrl, SecretKey};
use anneal_job::report::ErrorKind;
use anneal_provider::Folder;
use anneal_runner::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};

use crate::{arguments::Coordinator, host::Host, interrupt};

/// Runs something that waits for the network, on this thread, until a signal ends it.
pub fn wait_for<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    serve(async {
        tokio::select! {
            result = work => result,
            () = interrupt::interrupted() => Err(interrupt::failure()),
        }
    })
}

/// As [`wait_for`], for what hears the signals itself.
pub fn serve<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot wait for the network").map_err(Failure::host)?;
    let result = runtime.block_on(work);
    // Workers that were told to stop are not waited for longer than they take to be killed.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    result
}

/// Who this machine's developer is: a key in the data folder, made where it is missing.
///
/// # Errors
/// Where it cannot be read or written.
pub fn developer_key(host: &Host) -> Outcome<Arc<SecretKey>> {
    key_in(&host.data.join("developer"))
}

/// The key of a folder.
fn key_in(path: &Path) -> Outcome<Arc<SecretKey>> {
    let key = Folder::open(path).and_then(|folder| folder.key());
    Ok(Arc::new(key.map_err(Failure::host)?))
}

/// Connects to the coordinator that is meant.
///
/// # Errors
/// Where none is named, or it cannot be reached.
pub async fn connect(arguments: &Coordinator, host: &Host, key: Arc<SecretKey>) -> Outcome<Client> {
    let url = coordinator_url(arguments, host)?;
    Client::connect(options(url, key, host)).await.map_err(failure)
}

/// How a coordinator is talked to: through the owner's proxy, where it is not on this machine.
fn options(url: CoordinatorUrl, key: Arc<SecretKey>, host: &Host) -> ClientOptions {
    let proxy = host.proxy.clone().filter(|_| !url.is_loopback());
    ClientOptions { proxy, ..ClientOptions::new(url, key) }
}

/// The coordinator that is meant.
fn coordinator_url(arguments: &Coordinator, host: &Host) -> Outcome<CoordinatorUrl> {
    let text = arguments.coordinator.clone().or_else(|| host.coordinator.clone()).ok_or_else(|| {
        Failure::bad_input("name a coordinator with --coordinator URL, or in ANNEAL_COORDINATOR")
    })?;
    parse_url(&text)
}

/// A coordinator's address.
fn parse_url(text: &str) -> Outcome<CoordinatorUrl> {
    let url = text.parse::<CoordinatorUrl>();
    Ok(url.map_err(|error| anyhow!(error).context(format!("the coordinator `{text}`")))?)
}

/// What a call's error is to the caller of the command.
pub fn failure(error: ClientError) -> Failure {
    let code = error.code().map(str::to_owned);
    let kind = match &error {
        ClientError::Refused(body) if body.status < 500 => ErrorKind::BadInput,
        ClientError::Network { .. } | ClientError::Protocol { .. } => ErrorKind::Network,
        _ => ErrorKind::HostFault,
    };
    let mut failure = Failure::new(kind, anyhow!(error));
    failure.code = code;
    failure
}
