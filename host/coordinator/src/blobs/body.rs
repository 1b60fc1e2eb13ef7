//! A blob on its way out: read on a blocking thread, a few chunks ahead of who receives it.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use anneal_job::Digest;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use object_store::{GetResult, GetResultPayload};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, mpsc},
};

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks read ahead.
const CHUNKS_AHEAD: usize = 4;

/// The bytes of a range, as HTTP sends them.
pub struct BlobBody {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
    _permit: OwnedSemaphorePermit,
}

impl BlobBody {
    pub(super) fn new(found: GetResult, from: u64, to: u64, permit: OwnedSemaphorePermit) -> BlobBody {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        match found.payload {
            GetResultPayload::File(file, _) => {
                tokio::task::spawn_blocking(move || read_file(file, from, to, &sender));
            }
            GetResultPayload::Stream(stream) => {
                tokio::spawn(read_stream(stream, sender));
            }
        }
        BlobBody { chunks, left: to - from, _permit: permit }
    }

    /// Digests all of it.
    pub(super) async fn digest(mut self) -> io::Result<Digest> {
        let mut hasher = Sha256::new();
        while let Some(chunk) = self.chunks.recv().await {
            hasher.update(&chunk?);
        }
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }

    /// Writes all of it to a file and digests it.
    pub(super) async fn write_to(mut self, path: &Path) -> io::Result<Digest> {
        let mut file = tokio::fs::File::create(path).await?;
        let mut hasher = Sha256::new();
        while let Some(chunk) = self.chunks.recv().await {
            let chunk = chunk?;
            hasher.update(&chunk);
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }
}

/// Ends when all is read, or nobody receives any more.
fn read_file(mut file: std::fs::File, from: u64, to: u64, sender: &mpsc::Sender<io::Result<Bytes>>) {
    let mut left = to - from;
    let mut result = file.seek(SeekFrom::Start(from)).map(drop);
    while left > 0 && result.is_ok() {
        let mut chunk = BytesMut::zeroed(CHUNK_BYTES.min(left as usize));
        result = file.read_exact(&mut chunk);
        left -= chunk.len() as u64;
        if result.is_ok() && sender.blocking_send(Ok(chunk.freeze())).is_err() {
            return;
        }
    }
    if let Err(error) = result {
        let _ = sender.blocking_send(Err(error));
    }
}

type Chunks = Pin<Box<dyn futures_core::Stream<Item = object_store::Result<Bytes>> + Send>>;

async fn read_stream(mut stream: Chunks, sender: mpsc::Sender<io::Result<Bytes>>) {
    while let Some(chunk) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        let failed = chunk.is_err();
        if sender.send(chunk.map_err(io::Error::other)).await.is_err() || failed {
            return;
        }
    }
}

impl Body for BlobBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.chunks.poll_recv(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
