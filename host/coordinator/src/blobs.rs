//! Blobs: bytes by their SHA-256, in a local folder or S3-compatible storage. Uploads are staged in a local
//! folder piece by piece, hashed as they come, and become blobs only when the digest holds. Who may read or
//! keep what is decided elsewhere.

mod body;
mod place;
mod s3;
mod sync;
mod upload;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anneal_job::Digest;
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use thiserror::Error;
use tokio::sync::Semaphore;

pub use body::BlobBody;
pub use place::{BlobPlace, BlobPlaceError};
use sync::Syncs;
pub use upload::{UploadLimits, Uploads};

/// Downloads that run at once: each holds a file and a thread.
const DOWNLOADS_MAX: usize = 256;

/// Where blobs are kept.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// The folder, where the store is one: finished uploads are moved into it and not copied.
    folder: Option<Folder>,
    downloads: Arc<Semaphore>,
    /// What the next file that is begun is called by.
    parts: Arc<AtomicU64>,
}

/// A folder of this machine that blobs are kept in.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    syncs: Syncs,
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
        let folder = folder.map(|path| Ok::<_, io::Error>(Folder { syncs: Syncs::begin(&path)?, path }));
        let folder = folder.transpose()?;
        let downloads = Arc::new(Semaphore::new(DOWNLOADS_MAX));
        // From anywhere: processes that share a folder never write the same file.
        let random = anneal_api::random_bytes::<8>().map_err(io::Error::other)?;
        let parts = Arc::new(AtomicU64::new(u64::from_le_bytes(random)));
        Ok(Blobs { store, folder, downloads, parts })
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
                let (folder, name, path) = (folder.path.clone(), object_path(digest), path.to_owned());
                blocking(move || Ok(place::move_into(&folder, &name, &path)?)).await?;
            }
            None => {
                place::send(self.store.as_ref(), &object_path(digest), path).await?;
                tokio::fs::remove_file(path).await?;
            }
        }
        Ok(())
    }

    /// Keeps bytes under their digest.
    ///
    /// # Errors
    /// When they are others than the digest says, or cannot be written or sent.
    pub async fn keep_bytes(&self, digest: Digest, bytes: Bytes) -> Result<(), BlobError> {
        let name = object_path(digest);
        let check = move || match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(BlobError::OtherBytes { found }),
        };
        let Some(Folder { path, syncs }) = self.folder.clone() else {
            let bytes = blocking(check).await?;
            self.store.put(&name, bytes.into()).await?;
            return Ok(());
        };
        let number = self.parts.fetch_add(1, Ordering::Relaxed);
        // All of it at one go on one thread: most states are small, and there are many.
        let write = move || Ok(place::write_into(&path, &name, number, &check()?)?);
        let file = blocking(write).await?;
        Ok(syncs.sync(file).await?)
    }

    /// Removes what a crash left half-written in a folder, once it is older than this; says how many files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn remove_parts(&self, now: SystemTime, idle: Duration) -> Result<u64, BlobError> {
        let Some(Folder { path, .. }) = self.folder.clone() else { return Ok(0) };
        blocking(move || Ok(place::remove_parts(&path, now, idle)?)).await
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

/// On a thread that may wait for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
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
