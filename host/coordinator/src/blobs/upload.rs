//! Uploads that are not finished: a file per identity and digest, hashed as it grows. After a restart the file
//! is hashed again when the upload goes on.

use std::{
    collections::{HashMap, HashSet},
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
use crate::fair::{Bounds, Fair, Full, Party, Ticket};

/// What uploads may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes of a blob.
    pub blob_bytes_max: u64,
    /// Bytes that an identity's unfinished uploads were announced with, together.
    pub identity_bytes_max: u64,
    /// Unfinished uploads of an identity.
    pub identity_uploads_max: usize,
    /// Unfinished uploads of a network prefix.
    pub prefix_uploads_max: usize,
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

/// Which upload: whose, and of what.
type Name = (Identity, Digest);

struct Sessions {
    known: HashMap<Name, Session>,
    names: HashMap<Ticket, Name>,
    places: Fair,
}

#[derive(Clone)]
struct Session {
    upload: Arc<AsyncMutex<Upload>>,
    ticket: Ticket,
    announced: u64,
}

/// One unfinished upload. `file` is opened by its first piece.
#[derive(Default)]
struct Upload {
    file: Option<File>,
    hasher: Sha256,
    offset: u64,
    bytes: u64,
    /// All of it has come and is kept; whoever uploaded it may not have heard so.
    complete: bool,
}

impl Uploads {
    /// Stages uploads in a folder of this machine.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path, blobs: Blobs, limits: UploadLimits) -> Result<Uploads, BlobError> {
        std::fs::create_dir_all(folder)?;
        let bounds = Bounds {
            key: limits.identity_uploads_max,
            prefix: limits.prefix_uploads_max,
            total: limits.uploads_max,
            waiting: 0,
            waiting_key: 0,
        };
        let sessions = Sessions { known: HashMap::new(), names: HashMap::new(), places: Fair::new(bounds) };
        Ok(Uploads { folder: folder.to_owned(), blobs, limits, open: Arc::new(Mutex::new(sessions)) })
    }

    /// How far an identity's upload is; from the start where there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn offset(&self, identity: Identity, digest: Digest) -> Result<u64, BlobError> {
        let known = self.sessions().known.get(&(identity, digest)).cloned();
        if let Some(session) = known {
            return Ok(session.upload.lock().await.offset);
        }
        match fs::metadata(self.path(identity, digest)).await {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a piece. With the last one the digest is compared: the blob is kept, or the upload thrown away. Only bytes
    /// that came count, whatever blobs there are already.
    ///
    /// # Errors
    /// When the piece does not fit, a limit is reached, or the whole has another digest.
    pub async fn piece(
        &self,
        party: Party,
        identity: Identity,
        blob: Blob,
        offset: u64,
        piece: Bytes,
    ) -> Result<UploadState, BlobError> {
        if blob.bytes > self.limits.blob_bytes_max {
            return Err(BlobError::OverLimit { what: "the blob's size", limit: self.limits.blob_bytes_max });
        }
        let name = (identity, blob.digest);
        if offset == 0 && piece.len() as u64 == blob.bytes {
            // All of it at once needs no place; whatever an earlier try left is not needed.
            self.blobs.keep_bytes(blob.digest, piece).await?;
            self.drop_idle(name);
            return Ok(UploadState { offset: blob.bytes, complete: true });
        }
        let Session { upload, ticket, .. } = self.session(party, name, blob.bytes, piece.len() as u64)?;
        let mut upload = upload.lock().await;
        if upload.complete && upload.bytes == blob.bytes {
            return Ok(UploadState { offset: blob.bytes, complete: true });
        }
        let path = self.path(identity, blob.digest);
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
        self.sessions().places.value(ticket, upload.offset);
        if upload.offset < blob.bytes {
            return Ok(UploadState { offset: upload.offset, complete: false });
        }
        let finished = std::mem::take(&mut *upload);
        match self.finish(finished, blob, &path).await {
            Ok(state) => {
                *upload =
                    Upload { offset: blob.bytes, bytes: blob.bytes, complete: true, ..Upload::default() };
                Ok(state)
            }
            Err(error) => {
                self.sessions().forget(name);
                Err(error)
            }
        }
    }

    /// That an upload is complete has been written down: nothing of it is needed here any more.
    pub fn noted(&self, identity: Identity, digest: Digest) {
        self.sessions().forget((identity, digest));
    }

    /// Forgets an upload that nobody is at just now.
    fn drop_idle(&self, name: Name) {
        let mut sessions = self.sessions();
        if sessions.known.get(&name).is_some_and(|session| session.upload.try_lock().is_ok()) {
            sessions.forget(name);
            // Where there was a file, it is of no use; where there was none, there is nothing to remove.
            let _ = std::fs::remove_file(self.path(name.0, name.1));
        }
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

    /// The upload of this name. A new one takes a place: of somebody who has more, where all are taken.
    fn session(&self, party: Party, name: Name, announced: u64, worth: u64) -> Result<Session, BlobError> {
        let mut sessions = self.sessions();
        if let Some(session) = sessions.known.get(&name) {
            return Ok(session.clone());
        }
        let own = sessions.known.iter().filter(|((other, _), _)| *other == name.0);
        let bytes = own.fold(announced, |sum, (_, session)| sum.saturating_add(session.announced));
        if bytes > self.limits.identity_bytes_max {
            let limit = self.limits.identity_bytes_max;
            return Err(BlobError::OverLimit { what: "the size of unfinished uploads together", limit });
        }
        let Sessions { known, names, places } = &mut *sessions;
        let is_idle = |ticket: Ticket| {
            let session = names.get(&ticket).and_then(|name| known.get(name));
            session.is_none_or(|session| session.upload.try_lock().is_ok())
        };
        let entered = places.enter(party, worth, is_idle);
        let (ticket, gone) = entered.map_err(|full| match full {
            Full::Key => {
                let limit = self.limits.identity_uploads_max as u64;
                BlobError::OverLimit { what: "unfinished uploads", limit }
            }
            Full::Prefix | Full::Total => BlobError::Busy,
        })?;
        if let Some(gone) = gone.and_then(|gone| names.get(&gone).copied()) {
            sessions.forget(gone);
            let _nobody_goes_on_with_it = std::fs::remove_file(self.path(gone.0, gone.1));
        }
        let session = Session { upload: Arc::default(), ticket, announced };
        sessions.known.insert(name, session.clone());
        sessions.names.insert(ticket, name);
        Ok(session)
    }

    /// Removes uploads that nobody went on with, and what crashes left of others.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn sweep(&self, now: SystemTime) -> Result<u64, BlobError> {
        let mut removed = self.blobs.remove_parts(now, self.limits.idle).await?;
        let mut entries = fs::read_dir(&self.folder).await?;
        let mut left = HashSet::new();
        while let Some(entry) = entries.next_entry().await? {
            // It may have been finished meanwhile.
            let Ok(metadata) = entry.metadata().await else { continue };
            if now.duration_since(metadata.modified()?).is_ok_and(|idle| idle > self.limits.idle)
                && fs::remove_file(entry.path()).await.is_ok()
            {
                removed += 1;
            } else {
                left.insert(entry.file_name());
            }
        }
        // Uploads whose file has gone, and those that were finished and never noted.
        let mut sessions = self.sessions();
        let is_over = |(name, session): (&Name, &Session)| {
            let idle = !left.contains(std::ffi::OsStr::new(&file_name(name.0, name.1)));
            (idle && session.upload.try_lock().is_ok()).then_some(*name)
        };
        let over: Vec<Name> = sessions.known.iter().filter_map(is_over).collect();
        over.into_iter().for_each(|name| sessions.forget(name));
        Ok(removed)
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, identity: Identity, digest: Digest) -> PathBuf {
        self.folder.join(file_name(identity, digest))
    }
}

impl Sessions {
    fn forget(&mut self, name: Name) {
        if let Some(session) = self.known.remove(&name) {
            self.places.leave(session.ticket);
            self.names.remove(&session.ticket);
        }
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
        *self = Upload { file: Some(file), hasher, offset, bytes, complete: false };
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
