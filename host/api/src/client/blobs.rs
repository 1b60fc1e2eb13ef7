//! Blobs up and down: piece by piece, from where a transfer stopped, verified by SHA-256.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anneal_job::{AttemptId, Blob, Digest};
use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom},
};

use super::{Call, Client, ClientError, REPLY_SECONDS_MAX, network};
use crate::{
    ErrorCode, Media, Method, Nothing, endpoint,
    endpoints::{GetBlob, GetUpload, MissingBlobs, PutBlob, UPLOAD_PIECE_BYTES_MAX},
    wire::{BlobPath, BlobQuery, MISSING_MAX, MissingQuery, UploadQuery, UploadState},
};

/// How long a transfer may stand still.
const STALL_SECONDS_MAX: u64 = 30;

/// Up to so many bytes a blob is sent without asking first what of it is there: asking costs more.
const UNASKED_BYTES_MAX: u64 = 1 << 20;

/// How often an upload may be sent back to where it was already.
const TURNED_BACK_MAX: u32 = 8;

/// Told after each piece: bytes done, bytes in all.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

impl Client {
    /// Which of these the coordinator does not have from this identity.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn missing(&self, blobs: &[Digest]) -> Result<Vec<Digest>, ClientError> {
        let mut missing = Vec::new();
        for blobs in blobs.chunks(MISSING_MAX) {
            let query = MissingQuery { blobs: blobs.to_vec() };
            missing.extend(self.call::<MissingBlobs>(&Nothing {}, &Nothing {}, &query).await?.blobs);
        }
        Ok(missing)
    }

    /// Uploads those of these files that the coordinator does not have.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn upload_missing(
        &self,
        files: &[(Blob, PathBuf)],
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        let digests: Vec<Digest> = files.iter().map(|(blob, _)| blob.digest).collect();
        let missing = self.missing(&digests).await?;
        for (blob, path) in files.iter().filter(|(blob, _)| missing.contains(&blob.digest)) {
            self.upload(*blob, path, None, progress).await?;
        }
        Ok(())
    }

    /// Uploads a file from where an earlier upload stopped. A provider names the attempt whose state it is.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn upload(
        &self,
        blob: Blob,
        path: &Path,
        attempt: Option<AttemptId>,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        let unreadable = |source| file_error(path, "read", source);
        let mut file = File::open(path).await.map_err(unreadable)?;
        let at = BlobPath { digest: blob.digest };
        let mut state = match blob.bytes <= UNASKED_BYTES_MAX {
            true => UploadState { offset: 0, complete: false },
            false => self.call::<GetUpload>(&at, &Nothing {}, &Nothing {}).await?,
        };
        let (mut furthest, mut turned_back) = (None, 0);
        while !state.complete {
            // It may lose what it had; but it cannot ask for ever.
            turned_back += u32::from(furthest.is_some_and(|furthest| state.offset <= furthest));
            if state.offset > blob.bytes || turned_back > TURNED_BACK_MAX {
                let detail = format!("of {} bytes it wants those from {} on", blob.bytes, state.offset);
                return Err(self.protocol(detail));
            }
            furthest = furthest.max(Some(state.offset));
            let left = blob.bytes.saturating_sub(state.offset);
            let piece = piece(&mut file, state.offset, self.piece_bytes(left)).await.map_err(unreadable)?;
            self.pass(piece.len() as u64).await;
            let query = UploadQuery { offset: state.offset, bytes: blob.bytes, attempt };
            state = match self.inner.retry.run(|| self.put_piece(at, query, piece.clone())).await {
                // A piece whose reply was lost has moved the upload: go on from there.
                Err(ClientError::Refused(refusal)) if refusal.is(ErrorCode::UploadOffset) => {
                    self.call::<GetUpload>(&at, &Nothing {}, &Nothing {}).await?
                }
                other => other?,
            };
            progress(state.offset, blob.bytes);
        }
        Ok(())
    }

    /// How many of so many bytes go in one piece.
    fn piece_bytes(&self, left: u64) -> usize {
        let most = left.min(UPLOAD_PIECE_BYTES_MAX as u64) as usize;
        self.inner.throttle.as_ref().map_or(most, |throttle| throttle.piece(most))
    }

    async fn put_piece(
        &self,
        at: BlobPath,
        query: UploadQuery,
        piece: Bytes,
    ) -> Result<UploadState, ClientError> {
        let call = Call {
            method: Method::Put,
            target: endpoint::target::<PutBlob>(&at, &query),
            signed: true,
            media: Media::Bytes,
            body: piece,
            command: None,
            range: None,
            // A slow line may take a while for a piece.
            limit: Duration::from_secs(20 * REPLY_SECONDS_MAX),
        };
        let reply = self.json(&call).await?;
        serde_json::from_slice(&reply).map_err(|error| self.protocol(error.to_string()))
    }

    /// Downloads a blob to a file that appears only when it is whole and verified. What an earlier try left
    /// beside it (`.part`) is gone on with.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn download(&self, blob: Blob, path: &Path, progress: Progress<'_>) -> Result<(), ClientError> {
        self.download_of(blob, BlobQuery::default(), path, progress).await
    }

    /// The same as part of somebody else's job: one that is public, or that this client has a grant for.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn download_of(
        &self,
        blob: Blob,
        of: BlobQuery,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<(), ClientError> {
        let part = part_path(path);
        let unwritable = |source| file_error(&part, "written", source);
        let mut download = Download::open(&part, blob, of).await.map_err(unwritable)?;
        while download.offset < blob.bytes {
            let before = download.offset;
            // Each stretch that got further begins the retries anew: a flaky line finishes, a dead one fails.
            let result = self.stretch(&mut download, progress).await;
            match result {
                Ok(()) if download.offset == before => {
                    return Err(self.protocol("it ended a blob before its end, and sent nothing of it"));
                }
                Ok(()) => {}
                Err(error @ ClientError::Network { .. }) if download.offset == before => {
                    self.inner.retry.run(|| self.about()).await?;
                    tracing::debug!(%error, "downloading again");
                    self.stretch(&mut download, progress).await?;
                }
                Err(ClientError::Network { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let found = download.finish().await.map_err(unwritable)?;
        if found != blob.digest {
            // A file of wrong bytes is of no use to the next try.
            tokio::fs::remove_file(&part).await.map_err(unwritable)?;
            return Err(ClientError::BlobDigest { expected: blob.digest, found });
        }
        tokio::fs::rename(&part, path).await.map_err(|source| file_error(path, "written", source))
    }

    /// From where the download stands as far as the connection carries.
    async fn stretch(&self, download: &mut Download, progress: Progress<'_>) -> Result<(), ClientError> {
        let blob = download.blob;
        let call = Call {
            method: Method::Get,
            target: endpoint::target::<GetBlob>(&BlobPath { digest: blob.digest }, &download.of),
            signed: true,
            media: Media::None,
            body: Bytes::new(),
            command: None,
            range: Some(format!("bytes={}-{}", download.offset, blob.bytes - 1)),
            limit: Duration::from_secs(REPLY_SECONDS_MAX),
        };
        let limit = call.limit;
        let sending = self.inner.retry.run(|| async {
            let sent = tokio::time::timeout(limit, self.send(&call)).await;
            sent.map_err(|elapsed| network(&self.inner.url, elapsed))?
        });
        let mut body = sending.await?.into_body();
        loop {
            let frame = tokio::time::timeout(Duration::from_secs(STALL_SECONDS_MAX), body.frame()).await;
            let frame = match frame {
                Err(elapsed) => return Err(network(&self.inner.url, elapsed)),
                Ok(None) => break,
                Ok(Some(frame)) => frame.map_err(|error| network(&self.inner.url, error))?,
            };
            let Ok(bytes) = frame.into_data() else { continue };
            self.pass(bytes.len() as u64).await;
            let written = download.write(&bytes).await;
            written.map_err(|source| file_error(&download.part, "written", source))?;
            if download.offset > blob.bytes {
                return Err(self.protocol("it sent more bytes than the blob has"));
            }
            progress(download.offset, blob.bytes);
        }
        // The last bytes came at once: only when they are paid for is the blob there.
        self.pass(0).await;
        Ok(())
    }
}

/// A file that is being written, and the digest of what it holds so far.
struct Download {
    blob: Blob,
    of: BlobQuery,
    part: PathBuf,
    file: File,
    hasher: Sha256,
    offset: u64,
}

impl Download {
    async fn open(part: &Path, blob: Blob, of: BlobQuery) -> io::Result<Download> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).read(true).write(true).truncate(false).open(part).await?;
        if file.metadata().await?.len() > blob.bytes {
            file.set_len(0).await?;
        }
        let mut hasher = Sha256::new();
        let mut offset = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).await?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            offset += read as u64;
        }
        Ok(Download { blob, of, part: part.to_owned(), file, hasher, offset })
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    async fn finish(&mut self) -> io::Result<Digest> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(Digest::from_bytes(std::mem::take(&mut self.hasher).finalize().into()))
    }
}

async fn piece(file: &mut File, offset: u64, length: usize) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(offset)).await?;
    let mut piece = vec![0; length];
    file.read_exact(&mut piece).await?;
    Ok(piece.into())
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

fn file_error(path: &Path, action: &'static str, source: io::Error) -> ClientError {
    ClientError::File { path: path.display().to_string(), action, source }
}
