//! `anneal coordinator check`, `backup`, `restore`, `ban` and `unban`: looking after a coordinator's data.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anneal_api::{Client, wire};
use anneal_coordinator::{
    backup::{self, BackupError, Note},
    blobs::Blobs,
    check,
};
use anneal_job::{Identity, report::ErrorKind};
use anneal_runner::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use serde::Serialize;

use super::settings::{self, SETTINGS_NAME};
use crate::{
    arguments::{BanArguments, Data},
    host::Host,
    network::{failure, key_in, options, parse_url, wait_for},
    terminal::Terminal,
};

/// The key's file in a coordinator's folder.
const KEY_NAME: &str = "key";

/// What was looked at.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Rows of the database.
    pub rows: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// Looks through everything; the report, and a failure where something is wrong.
pub fn check(data: &Data, host: &Host, terminal: &Terminal) -> (Option<CheckReport>, Option<Failure>) {
    match checked(data, host) {
        Ok(report) => {
            let CheckReport { rows, entries, blobs, bytes, problems } = &report;
            problems.iter().for_each(|problem| terminal.data(format!("damaged: {problem}")));
            terminal
                .data(format!("{rows} rows, {entries} entries of the log, {blobs} blobs with {bytes} bytes"));
            let failure = (!problems.is_empty()).then(|| {
                let words = format!(
                    "{} of the coordinator's data is not what was written: stop it, and restore the last backup \
                     (blobs alone: it gives them up by itself, and what needs them is made again)",
                    problems.len()
                );
                Failure::new(ErrorKind::DoesNotHold, anyhow!("{words}")).with_code("damaged")
            });
            (Some(report), failure)
        }
        Err(failure) => (None, Some(failure)),
    }
}

fn checked(data: &Data, host: &Host) -> Outcome<CheckReport> {
    let (folder, settings) = settings::of(data, host)?;
    let url = settings.store_in(&folder)?;
    let identity = key_of(&folder)?.identity();
    must_exist(&url)?;
    let mut store = url.open().map_err(|error| Failure::host(anyhow!(error)).with_code("damaged"))?;
    let mut checked = check::state(store.as_mut(), identity);
    match check::kept(store.as_mut()) {
        Ok(kept) => {
            let blobs = Blobs::open(&settings.blobs_in(&folder, host)?).map_err(Failure::host)?;
            wait_for(async {
                check::blobs(&kept, &blobs, &mut checked).await.map_err(|error| Failure::host(anyhow!(error)))
            })?;
        }
        Err(error) => checked.problems.push(format!("who keeps which blob: {error}")),
    }
    let check::Checked { rows, entries, blobs, bytes, problems } = checked;
    Ok(CheckReport { rows, entries, blobs, bytes, problems })
}

/// Copies everything into a new folder.
///
/// # Errors
/// Where something cannot be copied, or is damaged.
pub fn backup(data: &Data, out: &Path, host: &Host, terminal: &Terminal) -> Outcome<Note> {
    let (folder, settings) = settings::of(data, host)?;
    let (url, blobs) = (settings.store_in(&folder)?, settings.blobs_in(&folder, host)?);
    let key = key_of(&folder)?;
    must_exist(&url)?;
    // Only the owner may enter: the key is in it.
    drop(anneal_files::private_folder(out).map_err(Failure::host)?);
    let note = wait_for(async { backup::backup(&url, &blobs, key.identity(), out).await.map_err(told) })?;
    copy_private(&folder.join(KEY_NAME), &out.join(KEY_NAME))?;
    let settings = data.settings.clone().unwrap_or_else(|| folder.join(SETTINGS_NAME));
    if settings.exists() {
        copy_private(&settings, &out.join(SETTINGS_NAME))?;
    }
    let Note { entries, blobs, bytes, .. } = &note;
    terminal.data(format!(
        "{} holds {entries} entries of the log and {blobs} blobs with {bytes} bytes; keep it as safe as the key that is \
         in it",
        out.display()
    ));
    Ok(note)
}

/// Brings a backup into a folder without a state.
///
/// # Errors
/// Where the folder has one, or the backup is damaged or none.
pub fn restore(from: &Path, folder: Option<&Path>, host: &Host, terminal: &Terminal) -> Outcome<Note> {
    let folder = folder.map_or_else(|| host.data.join("coordinator"), Path::to_owned);
    if !from.join(KEY_NAME).exists() {
        return Err(Failure::bad_input(format!("{} is no backup: it holds no key", from.display())));
    }
    let key = folder.join(KEY_NAME);
    if key.exists() && small(&key).ok() != small(&from.join(KEY_NAME)).ok() {
        return Err(Failure::bad_input(format!(
            "{} holds the key of another coordinator; name another folder",
            folder.display()
        )));
    }
    drop(anneal_files::private_folder(&folder).map_err(Failure::host)?);
    let note = wait_for(async { backup::restore(from, &folder).await.map_err(told) })?;
    copy_private(&from.join(KEY_NAME), &key)?;
    let (kept, here) = (from.join(SETTINGS_NAME), folder.join(SETTINGS_NAME));
    if kept.exists() && !here.exists() {
        copy_private(&kept, &here)?;
    }
    terminal.data(format!(
        "{} goes on after entry {} of the log; whoever holds later entries will see that they are gone",
        folder.display(),
        note.entries
    ));
    Ok(note)
}

/// What was set.
#[derive(Debug, Serialize)]
pub struct BanReport {
    /// Who.
    pub identity: Identity,
    /// Whether it is served no more.
    pub banned: bool,
}

/// Serves an identity no more, or again. The coordinator must run: it says so in its log.
///
/// # Errors
/// Where it does not answer, or the folder is another's.
pub fn ban(arguments: &BanArguments, banned: bool, host: &Host, terminal: &Terminal) -> Outcome<BanReport> {
    let (folder, settings) = settings::of(&arguments.data, host)?;
    let key = key_of(&folder)?;
    let text = match &arguments.coordinator {
        Some(url) => url.clone(),
        None => {
            let url = settings.store_in(&folder)?;
            must_exist(&url)?;
            let mut store = url.open().map_err(|error| Failure::host(anyhow!(error)))?;
            let leader = store.leader().map_err(|error| Failure::host(anyhow!(error)))?;
            let leader = leader.context("no coordinator has ever led on this state: start it first")?;
            leader.address
        }
    };
    let options = options(parse_url(&text)?, key.into(), host);
    let identity = arguments.identity;
    wait_for(async {
        let client = Client::connect_once(options).await.map_err(failure)?;
        let ban = wire::Ban { identity, banned, reason: arguments.reason.clone() };
        client.set_ban(&ban).await.map_err(failure)?;
        let now = if banned { "served no more" } else { "served again" };
        terminal.data(format!("{identity} is {now}; the log says why"));
        Ok(BanReport { identity, banned })
    })
}

/// The key of a folder, which must be there: a new one would be another coordinator's.
fn key_of(folder: &Path) -> Outcome<anneal_api::SecretKey> {
    if !folder.join(KEY_NAME).exists() {
        let words =
            format!("{} is no coordinator's folder: it has no key; name it with --folder", folder.display());
        return Err(Failure::bad_input(words));
    }
    let key = key_in(folder)?;
    std::sync::Arc::into_inner(key).context("the key is held twice").map_err(Failure::host)
}

/// Looking makes no database where there is none.
fn must_exist(url: &anneal_coordinator::store::StoreUrl) -> Outcome<()> {
    match url {
        anneal_coordinator::store::StoreUrl::Sqlite(path) if !path.exists() => {
            Err(Failure::bad_input(format!("there is no state at {}", path.display())))
        }
        _ => Ok(()),
    }
}

fn told(error: BackupError) -> Failure {
    match &error {
        BackupError::Server | BackupError::NotEmpty(_) | BackupError::NoBackup(_) => {
            Failure::new(ErrorKind::BadInput, anyhow!(error))
        }
        BackupError::Damaged(_) | BackupError::Differs { .. } => {
            Failure::new(ErrorKind::DoesNotHold, anyhow!(error)).with_code("damaged")
        }
        _ => Failure::host(anyhow!(error)),
    }
}

/// A key or a file of settings.
fn small(path: &Path) -> std::io::Result<Vec<u8>> {
    Ok(anneal_files::read_bounded(path, settings::FILE_BYTES_MAX)?)
}

fn copy_private(from: &Path, to: &PathBuf) -> Outcome<()> {
    let copy = || {
        let bytes = small(from)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(to)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        file.sync_all()
    };
    copy()
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        .map_err(Failure::host)
}
