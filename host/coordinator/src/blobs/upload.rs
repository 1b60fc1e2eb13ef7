//! Uploads that are not finished: a file per identity and digest, hashed as it grows. After a restart the file
//! is hashed again when the upload goes on.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use anneal_api::wire::UploadState;
use anneal_job::{Blob, Digest, Identity};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Mutex as AsyncMutex,
};

use super::{BlobError, Blobs};

/// What uploads may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes of a blob.
    pub blob_bytes_max: u64,
    /// Unfinished uploads of an identity.
    pub identity_uploads_max: usize,
    /// Unfinished uploads of all.
    pub uploads_max: usize,
    /// How long an unfinished upload is kept without a new piece.
    pub idle: Duration,
}

/// Unfinished uploads.
#[derive(Clone)]
pub struct Uploads {
    folder: PathBuf,
    blobs: Blobs,
    limits: UploadLimits,
    open: Arc<Mutex<Sessions>>,
}

type Sessions = HashMap<(Identity, Digest), Arc<AsyncMutex<Upload>>>;

/// One unfinished upload. `file` is opened by its first piece.
#[derive(Default)]
struct Upload {
    file: Option<File>,
    hasher: Sha256,
    offset: u64,
    bytes: u64,
}

impl Uploads {
    /// Stages uploads in a folder of this machine.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path, blobs: Blobs, limits: UploadLimits) -> Result<Uploads, BlobError> {
        std::fs::create_dir_all(folder)?;
        Ok(Uploads { folder: folder.to_owned(), blobs, limits, open: Arc::default() })
    }

    /// How far an identity's upload is; from the start where there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn offset(&self, identity: Identity, digest: Digest) -> Result<u64, BlobError> {
        let known = self.sessions().get(&(identity, digest)).cloned();
        if let Some(upload) = known {
            return Ok(upload.lock().await.offset);
        }
        match fs::metadata(self.path(identity, digest)).await {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a piece. With the last one the digest is compared: the blob is kept, or the upload thrown away.
    ///
    /// # Errors
    /// When the piece does not fit, a limit is reached, or the whole has another digest.
    pub async fn piece(
        &self,
        identity: Identity,
        blob: Blob,
        offset: u64,
        piece: Bytes,
    ) -> Result<UploadState, BlobError> {
        if blob.bytes > self.limits.blob_bytes_max {
            return Err(BlobError::OverLimit { what: "the blob's size", limit: self.limits.blob_bytes_max });
        }
        let session = self.session(identity, blob.digest)?;
        let mut upload = session.lock().await;
        let path = self.path(identity, blob.digest);
        if upload.file.is_none() && offset == 0 && piece.len() as u64 == blob.bytes {
            // All of it at once: whatever an earlier try left is not needed.
            self.sessions().remove(&(identity, blob.digest));
            self.blobs.keep_bytes(blob.digest, piece).await?;
            return Ok(UploadState { offset: blob.bytes, complete: true });
        }
        upload.open(&path, blob.bytes).await?;
        if upload.bytes != blob.bytes {
            return Err(BlobError::OtherSize { expected: upload.bytes });
        }
        if offset != upload.offset {
            return Err(BlobError::Offset { at: upload.offset });
        }
        if offset + piece.len() as u64 > blob.bytes {
            return Err(BlobError::OtherSize { expected: blob.bytes });
        }
        if let Err(error) = upload.append(&piece).await {
            // Half a piece may be in the file: what is known of it is forgotten, and read again.
            *upload = Upload::default();
            return Err(error.into());
        }
        if upload.offset < blob.bytes {
            return Ok(UploadState { offset: upload.offset, complete: false });
        }
        let finished = std::mem::take(&mut *upload);
        self.sessions().remove(&(identity, blob.digest));
        self.finish(finished, blob, &path).await
    }

    async fn finish(&self, upload: Upload, blob: Blob, path: &Path) -> Result<UploadState, BlobError> {
        drop(upload.file);
        let found = Digest::from_bytes(upload.hasher.finalize().into());
        if found != blob.digest {
            fs::remove_file(path).await?;
            return Err(BlobError::OtherBytes { found });
        }
        self.blobs.keep_file(blob.digest, path).await?;
        Ok(UploadState { offset: blob.bytes, complete: true })
    }

    fn session(&self, identity: Identity, digest: Digest) -> Result<Arc<AsyncMutex<Upload>>, BlobError> {
        let mut sessions = self.sessions();
        if let Some(session) = sessions.get(&(identity, digest)) {
            return Ok(session.clone());
        }
        let UploadLimits { identity_uploads_max, uploads_max, .. } = self.limits;
        let own = sessions.keys().filter(|(other, _)| *other == identity).count();
        if own >= identity_uploads_max {
            return Err(BlobError::OverLimit {
                what: "unfinished uploads",
                limit: identity_uploads_max as u64,
            });
        }
        if sessions.len() >= uploads_max {
            return Err(BlobError::Busy);
        }
        let session = Arc::new(AsyncMutex::new(Upload::default()));
        sessions.insert((identity, digest), session.clone());
        Ok(session)
    }

    /// Removes uploads that nobody went on with, and what crashes left of others.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn sweep(&self, now: SystemTime) -> Result<u64, BlobError> {
        let mut removed = self.blobs.remove_parts(now, self.limits.idle).await?;
        let mut entries = fs::read_dir(&self.folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let modified = entry.metadata().await?.modified()?;
            if now.duration_since(modified).is_ok_and(|idle| idle > self.limits.idle) {
                let name = entry.file_name();
                self.sessions()
                    .retain(|(identity, digest), _| name.to_str() != Some(&file_name(*identity, *digest)));
                fs::remove_file(entry.path()).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, identity: Identity, digest: Digest) -> PathBuf {
        self.folder.join(file_name(identity, digest))
    }
}

/// Both are hexadecimal: no part of it comes from a stranger's text.
fn file_name(identity: Identity, digest: Digest) -> String {
    format!("{identity}-{digest}")
}

impl Upload {
    /// Opens the file and digests what is in it, unless that is known.
    async fn open(&mut self, path: &Path, bytes: u64) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let mut file = options.create(true).read(true).append(true).open(path).await?;
        if file.metadata().await?.len() > bytes {
            file.set_len(0).await?;
        }
        let (mut hasher, mut offset) = (Sha256::new(), 0);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            offset += read as u64;
        }
        *self = Upload { file: Some(file), hasher, offset, bytes };
        Ok(())
    }

    async fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("the upload is not open")) };
        file.write_all(piece).await?;
        file.flush().await?;
        self.hasher.update(piece);
        self.offset += piece.len() as u64;
        Ok(())
    }
}
