//! Blobs: bytes by their SHA-256, in a local folder or S3-compatible storage. Uploads are staged in a local
//! folder piece by piece, hashed as they come, and become blobs only when the digest holds. Who may read or
//! keep what is decided elsewhere.

mod body;
mod place;
mod s3;
mod upload;

use std::{io, path::PathBuf, sync::Arc};

use anneal_job::Digest;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use thiserror::Error;
use tokio::sync::Semaphore;

pub use body::BlobBody;
pub use place::{BlobPlace, BlobPlaceError};
pub use upload::{UploadLimits, Uploads};

/// Downloads that run at once: each holds a file and a thread.
const DOWNLOADS_MAX: usize = 256;

/// Where blobs are kept.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// The folder, where the store is one: finished uploads are moved into it and not copied.
    folder: Option<PathBuf>,
    downloads: Arc<Semaphore>,
}

/// Why blobs cannot be read or written.
#[derive(Debug, Error)]
pub enum BlobError {
    /// There is none with this digest.
    #[error("there is no blob {0}")]
    Missing(Digest),
    /// An upload stands elsewhere.
    #[error("the upload stands at byte {at}")]
    Offset {
        /// Where.
        at: u64,
    },
    /// The whole has another digest.
    #[error("the bytes have digest {found}")]
    OtherBytes {
        /// Theirs.
        found: Digest,
    },
    /// More bytes than were announced, or another size than before.
    #[error("the upload was announced with {expected} bytes")]
    OtherSize {
        /// The size that was announced.
        expected: u64,
    },
    /// A limit of uploads.
    #[error("{what} is over the limit of {limit}")]
    OverLimit {
        /// What.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// All downloads that may run do.
    #[error("too many downloads at once")]
    Busy,
    /// The folder for uploads.
    #[error("a file of an upload cannot be written or read")]
    Io(#[from] io::Error),
    /// The storage.
    #[error("the blobs' storage failed")]
    Storage(#[from] object_store::Error),
}

impl Blobs {
    /// Opens the storage.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(place: &BlobPlace) -> Result<Blobs, BlobError> {
        let (store, folder) = place.open()?;
        Ok(Blobs { store, folder, downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)) })
    }

    /// The size of a blob, where it is there.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        match self.store.head(&object_path(digest)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A range of a blob, as a body that reads as fast as it is sent.
    ///
    /// # Errors
    /// When it is not there or too many are being sent.
    pub async fn body(&self, digest: Digest, from: u64, to: u64) -> Result<BlobBody, BlobError> {
        let permit = self.downloads.clone().try_acquire_owned().map_err(|_| BlobError::Busy)?;
        let options = object_store::GetOptions {
            range: Some((from..to).into()),
            ..object_store::GetOptions::default()
        };
        let found = self.store.get_opts(&object_path(digest), options).await;
        let found = found.map_err(|error| missing(digest, error))?;
        Ok(BlobBody::new(found, from, to, permit))
    }

    /// Whether a blob is there with the bytes that its name says. Reads all of it, no faster
    /// than so many bytes a second.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn is_sound(&self, digest: Digest, bytes_per_second: u64) -> Result<bool, BlobError> {
        let Some(size) = self.size(digest).await? else { return Ok(false) };
        if size == 0 {
            return Ok(Digest::of(&[]) == digest);
        }
        match self.body(digest, 0, size).await {
            Ok(body) => Ok(body.digest(bytes_per_second).await? == digest),
            Err(BlobError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies a blob to a file; for the trusted worker.
    ///
    /// # Errors
    /// When it is not there, or not the bytes that its name says.
    pub async fn fetch(&self, digest: Digest, path: &std::path::Path) -> Result<(), BlobError> {
        let size = self.size(digest).await?.ok_or(BlobError::Missing(digest))?;
        let body = self.body(digest, 0, size).await?;
        let found = body.write_to(path).await?;
        if found == digest { Ok(()) } else { Err(BlobError::OtherBytes { found }) }
    }

    /// Keeps a file under its digest; the file is gone afterwards.
    ///
    /// # Errors
    /// When it cannot be moved or sent.
    pub async fn keep_file(&self, digest: Digest, path: &std::path::Path) -> Result<(), BlobError> {
        match &self.folder {
            Some(folder) => {
                let (folder, name, path) = (folder.clone(), object_path(digest), path.to_owned());
                let moving = move || place::move_into(&folder, &name, &path);
                tokio::task::spawn_blocking(moving).await.map_err(io::Error::other)??;
            }
            None => {
                place::send(self.store.as_ref(), &object_path(digest), path).await?;
                tokio::fs::remove_file(path).await?;
            }
        }
        Ok(())
    }

    /// Writes bytes to a file and, where the blobs are in a folder, keeps it under its digest, at once; says whether
    /// it has. Blocks.
    fn keep_bytes(&self, digest: Digest, path: &std::path::Path, bytes: &[u8]) -> io::Result<bool> {
        let Some(folder) = &self.folder else {
            std::fs::write(path, bytes)?;
            return Ok(false);
        };
        let name = object_path(digest);
        let there = std::fs::metadata(folder.join(name.as_ref()));
        if !there.is_ok_and(|there| there.len() == bytes.len() as u64) {
            std::fs::write(path, bytes)?;
            place::move_into(folder, &name, path)?;
        }
        Ok(true)
    }

    /// Deletes a blob; nothing where it is not there.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete(&self, digest: Digest) -> Result<(), BlobError> {
        match self.store.delete(&object_path(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Two letters make a folder, so no folder gets too large.
fn object_path(digest: Digest) -> ObjectPath {
    let text = digest.to_string();
    ObjectPath::from_iter([&text[..2], &text])
}

fn missing(digest: Digest, error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::Missing(digest),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
