//! A copy of a coordinator's data, taken while it runs, and the way back. The copy is looked through before it counts,
//! and once more when it is brought back. A database that is a server's is its operator's to copy, and so are blobs
//! that are elsewhere; what is here then says so.

use std::{
    io,
    path::{Path, PathBuf},
};

use anneal_job::{Digest, Identity, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    blobs::{BlobError, BlobPlace, Blobs},
    check::{self, Checked},
    clock::clock,
    store::{SqliteStore, Store, StoreError, StoreUrl},
};

/// Files of a copy, as in a coordinator's own folder.
const STATE: &str = "state.sqlite";
const BLOBS: &str = "stored";
const NOTE: &str = "backup.json";
/// Its bytes.
const NOTE_BYTES_MAX: u64 = 1 << 20;

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Whose data it is.
    pub coordinator: Identity,
    /// When it was taken.
    pub at: Timestamp,
    /// Entries of the log.
    pub entries: u64,
    /// The log's hash at its end.
    pub hash: Option<Digest>,
    /// Rows of the database.
    pub rows: u64,
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why there is no copy, or no way back.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A database server.
    #[error(
        "the state is in PostgreSQL: copy that with `pg_dump`, and the blobs' folder with any tool that copies files"
    )]
    Server,
    /// Something is there already.
    #[error("{0} holds something already; name a folder that is new or empty")]
    NotEmpty(PathBuf),
    /// It is no copy.
    #[error("{0} is no backup of a coordinator: it has no {NOTE}")]
    NoBackup(PathBuf),
    /// It is damaged.
    #[error("it cannot be trusted: {}", .0.join("; "))]
    Damaged(Vec<String>),
    /// It holds less than it says.
    #[error("the copy is not what its {NOTE} says: {what}")]
    Differs {
        /// What.
        what: String,
    },
    /// A file.
    #[error("{path} cannot be read or written")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// Copies the state and the blobs into a folder that is new or empty. The coordinator may run meanwhile: what it
/// writes after the copy of its database is not in it.
///
/// # Errors
/// Where something cannot be copied, or is damaged.
pub async fn backup(
    url: &StoreUrl,
    blobs: &BlobPlace,
    coordinator: Identity,
    out: &Path,
) -> Result<Note, BackupError> {
    let StoreUrl::Sqlite(path) = url else { return Err(BackupError::Server) };
    make_empty(out)?;
    let state = out.join(STATE);
    SqliteStore::open(path)?.copy_to(&state)?;
    let mut copy = SqliteStore::open(&state)?;
    let mut checked = check::state(&mut copy, coordinator);
    let source = Blobs::open(blobs)?;
    let target = Blobs::open(&BlobPlace::Folder(out.join(BLOBS)))?;
    for (blob, bytes) in check::kept(&mut copy)? {
        let part = out.join("part");
        match source.fetch(blob, &part).await {
            Ok(()) => {
                target.keep_file(blob, &part).await?;
                checked.blobs += 1;
                checked.bytes += bytes;
            }
            // What was swept meanwhile is nobody's any more.
            Err(_) if SqliteStore::open(path)?.blob_keepers(blob)?.is_empty() => {
                copy.forget_blob(blob)?;
            }
            Err(error) => checked.problems.push(format!("the blob {blob}: {error}")),
        }
    }
    if !checked.problems.is_empty() {
        return Err(BackupError::Damaged(checked.problems));
    }
    let note = note(&mut copy, coordinator, &checked)?;
    let text = serde_json::to_vec_pretty(&note).expect("a note holds nothing that JSON cannot");
    let path = out.join(NOTE);
    std::fs::write(&path, text).map_err(|source| BackupError::Io { path, source })?;
    Ok(note)
}

/// Brings a copy into a folder without a state, and looks through what lies there then.
///
/// # Errors
/// Where the folder has a state, or the copy is damaged or none.
pub async fn restore(from: &Path, folder: &Path) -> Result<Note, BackupError> {
    let kept = anneal_files::read_bounded(&from.join(NOTE), NOTE_BYTES_MAX)
        .map_err(|_| BackupError::NoBackup(from.to_owned()))?;
    let note: Note = serde_json::from_slice(&kept).map_err(|_| BackupError::NoBackup(from.to_owned()))?;
    let state = folder.join(STATE);
    if state.exists() || folder.join(BLOBS).exists() {
        return Err(BackupError::NotEmpty(folder.to_owned()));
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { path, source }
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    std::fs::copy(from.join(STATE), &state).map_err(io(&from.join(STATE)))?;
    let mut store = SqliteStore::open(&state)?;
    let mut checked = check::state(&mut store, note.coordinator);
    let source = Blobs::open(&BlobPlace::Folder(from.join(BLOBS)))?;
    let target = Blobs::open(&BlobPlace::Folder(folder.join(BLOBS)))?;
    for (blob, bytes) in check::kept(&mut store)? {
        let part = folder.join("part");
        match source.fetch(blob, &part).await {
            Ok(()) => {
                target.keep_file(blob, &part).await?;
                checked.blobs += 1;
                checked.bytes += bytes;
            }
            Err(error) => checked.problems.push(format!("the blob {blob}: {error}")),
        }
    }
    if !checked.problems.is_empty() {
        return Err(BackupError::Damaged(checked.problems));
    }
    let found = Note { at: note.at, ..self::note(&mut store, note.coordinator, &checked)? };
    if found != note {
        return Err(BackupError::Differs { what: format!("{found:?}, and not {note:?}") });
    }
    Ok(note)
}

fn note(store: &mut dyn Store, coordinator: Identity, checked: &Checked) -> Result<Note, StoreError> {
    let Checked { rows, entries, blobs, bytes, .. } = *checked;
    let hash = store.log_end()?.map(|end| end.hash);
    Ok(Note { coordinator, at: clock(), entries, hash, rows, blobs, bytes })
}

fn make_empty(folder: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Io { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    match std::fs::read_dir(folder).map_err(failed)?.next() {
        Some(_) => Err(BackupError::NotEmpty(folder.to_owned())),
        None => Ok(()),
    }
}
