//! The provider's folder: its secret key, a record per attempt, blobs by digest, compiled components. Only its
//! owner can enter it.
//!
//! - `key`: the identity, 64 hexadecimal digits
//! - `attempts/ID/record.json`, `attempts/ID/state.safetensors`
//! - `blobs/DIGEST`: components, inputs and states; the oldest go when there are too many bytes
//! - `components/`: compiled code

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use anneal_api::SecretKey;
use anneal_job::{AttemptId, Blob, Digest};
use anneal_runner::work::blob_of;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use thiserror::Error;

use crate::record::Record;

/// Bytes of a record: a receipt with all its metrics.
const RECORD_BYTES_MAX: u64 = 64 << 20;
const KEY_BYTES_MAX: u64 = 1024;
const KEY: &str = "key";
const ATTEMPTS: &str = "attempts";
const BLOBS: &str = "blobs";
const COMPONENTS: &str = "components";
const RECORD: &str = "record.json";
const STATE: &str = "state.safetensors";
/// How the client calls what it has not downloaded wholly.
const PART: &str = ".part";

/// A provider's folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    attempts: Dir,
    blobs: Dir,
}

/// Why the folder cannot be used.
#[derive(Debug, Error)]
#[error("{} cannot be used; check the space and the rights of the folder", .path.display())]
pub struct FolderError {
    /// What.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Folder {
    /// Opens the folder, made where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made, or others can enter it.
    pub fn open(path: &Path) -> Result<Folder, FolderError> {
        let open = |path: &Path| {
            anneal_files::private_folder(path).map_err(|source| FolderError { path: path.to_owned(), source })
        };
        open(path)?;
        let path = path.canonicalize().map_err(|source| FolderError { path: path.to_owned(), source })?;
        let (attempts, blobs) = (open(&path.join(ATTEMPTS))?, open(&path.join(BLOBS))?);
        Ok(Folder { path, attempts, blobs })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where compiled components are kept.
    pub fn components(&self) -> PathBuf {
        self.path.join(COMPONENTS)
    }

    /// The key of this provider, made where it is missing.
    ///
    /// # Errors
    /// Where it cannot be read or written, or is none.
    pub fn key(&self) -> Result<SecretKey, FolderError> {
        let path = self.path.join(KEY);
        let failed = |source: io::Error| FolderError { path: path.clone(), source };
        let folder = anneal_files::private_folder(&self.path).map_err(failed)?;
        if folder.exists(KEY) {
            let bytes = anneal_files::read_bounded_in(&folder, KEY.as_ref(), KEY_BYTES_MAX);
            let bytes = bytes.map_err(|error| failed(io::Error::other(error.to_string())))?;
            return SecretKey::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        let key = SecretKey::generate().map_err(|error| failed(io::Error::other(error)))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = folder.open_with(KEY, &options).map_err(failed)?;
        io::Write::write_all(&mut file, key.expose().as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(key)
    }

    /// What is known of earlier attempts. Damaged records are left out, with a warning: their leases run out.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn records(&self) -> Result<Vec<Record>, FolderError> {
        let entries = self.attempts.entries().map_err(|source| self.failed(ATTEMPTS, source))?;
        let mut records = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| self.failed(ATTEMPTS, source))?.file_name();
            match self.read_record(Path::new(&name)) {
                Ok(record) => records.push(record),
                Err(error) => {
                    tracing::warn!(attempt = ?name, %error, "a record cannot be read; its lease will run out");
                    let _its_lease_runs_out = self.attempts.remove_dir_all(&name);
                }
            }
        }
        Ok(records)
    }

    fn read_record(&self, attempt: &Path) -> Result<Record, String> {
        let bytes = anneal_files::read_bounded_in(&self.attempts, &attempt.join(RECORD), RECORD_BYTES_MAX);
        serde_json::from_slice(&bytes.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    /// Writes a record, whole or not at all.
    ///
    /// # Errors
    /// The operating system's.
    pub fn save(&self, record: &Record) -> Result<(), FolderError> {
        let name = record.lease.attempt.to_string();
        let json = serde_json::to_vec(record).map_err(io::Error::other);
        let written = self.attempts.create_dir_all(&name).and_then(|()| {
            let folder = self.attempts.open_dir(&name)?;
            anneal_files::write_whole(&folder, RECORD.as_ref(), &json?)
        });
        written.map_err(|source| self.failed(&format!("{ATTEMPTS}/{name}"), source))
    }

    /// Removes what is kept of an attempt.
    pub fn forget(&self, attempt: AttemptId) {
        if let Err(error) = self.attempts.remove_dir_all(attempt.to_string())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%attempt, %error, "what is left of an attempt cannot be removed");
        }
    }

    /// Where an attempt's state goes.
    pub fn state(&self, attempt: AttemptId) -> PathBuf {
        self.path.join(ATTEMPTS).join(attempt.to_string()).join(STATE)
    }

    /// Bytes of all attempts' states.
    pub fn state_bytes(&self) -> u64 {
        let entries = self.attempts.entries().into_iter().flatten().flatten();
        let bytes = entries.filter_map(|entry| {
            let state = Path::new(&entry.file_name()).join(STATE);
            Some(self.attempts.metadata(state).ok()?.len())
        });
        bytes.fold(0, u64::saturating_add)
    }

    /// Where a blob is, or goes.
    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.path.join(BLOBS).join(digest.to_string())
    }

    /// Whether a blob is there. It was verified when it came.
    pub fn has(&self, digest: Digest) -> bool {
        self.blobs.exists(digest.to_string())
    }

    /// Removes a blob whose bytes are no longer those that its name says: disks forget. It can be had again.
    pub fn remove_damaged(&self, blob: Blob) -> bool {
        match blob_of(&self.blob(blob.digest)) {
            Ok(found) if found == blob => return false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Ok(_) | Err(_) => {}
        }
        tracing::warn!(blob = %blob.digest, "a blob was damaged on this machine's disk; it is fetched again");
        let removed = self.blobs.remove_file(blob.digest.to_string());
        removed.is_ok()
    }

    /// Removes the blobs that were written first, until no more than so many bytes are left, and what is left of
    /// downloads that were given up. Those that are needed stay.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn trim(&self, bytes_max: u64, needed: &BTreeSet<Digest>) -> Result<(), FolderError> {
        let mut kept = 0;
        for (name, bytes) in self.blobs_newest_first().map_err(|source| self.failed(BLOBS, source))? {
            let whole = name.strip_suffix(PART);
            let digest: Option<Digest> = whole.unwrap_or(&name).parse().ok();
            let is_needed = digest.is_some_and(|digest| needed.contains(&digest));
            if is_needed || (whole.is_none() && kept + bytes <= bytes_max) {
                kept += bytes;
            } else if digest.is_some() {
                let _another_time = self.blobs.remove_file(&name);
            }
        }
        Ok(())
    }

    fn blobs_newest_first(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in self.blobs.entries()? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            found.push((
                metadata.modified()?,
                entry.file_name().to_string_lossy().into_owned(),
                metadata.len(),
            ));
        }
        found.sort_by_key(|&(modified, ..)| std::cmp::Reverse(modified));
        Ok(found.into_iter().map(|(_, name, bytes)| (name, bytes)).collect())
    }

    fn failed(&self, name: &str, source: io::Error) -> FolderError {
        FolderError { path: self.path.join(name), source }
    }
}

#[cfg(test)]
mod tests;
