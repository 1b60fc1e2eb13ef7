//! Which storage a setting means, and how a finished file gets into it.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart, local::LocalFileSystem, path::Path as ObjectPath,
};
use thiserror::Error;
use tokio::io::AsyncReadExt;

use super::{BlobError, s3};

/// Bytes of a part of an upload to S3.
const PART_BYTES: usize = 8 << 20;
/// Parts that travel at once.
const PARTS_MAX: usize = 4;

/// Where blobs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobPlace {
    /// A folder of this machine.
    Folder(PathBuf),
    /// `s3://bucket/prefix`; keys, region and endpoint from the settings that `object_store` takes (`AWS_…`).
    S3 {
        /// The bucket.
        bucket: String,
        /// What every name begins with.
        prefix: String,
        /// Names and values, as `object_store` calls them.
        settings: Vec<(String, String)>,
    },
}

/// A text that names no place for blobs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("blobs go into a folder or to s3://bucket/prefix; this is neither: {0}")]
pub struct BlobPlaceError(String);

impl BlobPlace {
    /// With the settings of a store that is no folder: names and values, as of environment variables. Those that
    /// mean nothing to it are left out.
    #[must_use]
    pub fn with_settings(mut self, given: impl IntoIterator<Item = (String, String)>) -> BlobPlace {
        if let BlobPlace::S3 { settings, .. } = &mut self {
            settings.extend(given.into_iter().filter(|(name, _)| s3::is_setting(name)));
        }
        self
    }

    pub(super) fn open(&self) -> Result<(Arc<dyn ObjectStore>, Option<PathBuf>), BlobError> {
        match self {
            BlobPlace::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                let store = LocalFileSystem::new_with_prefix(folder)?;
                Ok((Arc::new(store), Some(folder.clone())))
            }
            BlobPlace::S3 { bucket, prefix, settings } => Ok((s3::open(bucket, prefix, settings)?, None)),
        }
    }
}

impl FromStr for BlobPlace {
    type Err = BlobPlaceError;

    fn from_str(text: &str) -> Result<BlobPlace, BlobPlaceError> {
        let wrong = || BlobPlaceError(text.chars().take(100).collect());
        match text.split_once("://") {
            None if !text.is_empty() => Ok(BlobPlace::Folder(text.into())),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(wrong());
                }
                Ok(BlobPlace::S3 {
                    bucket: bucket.to_owned(),
                    prefix: prefix.to_owned(),
                    settings: Vec::new(),
                })
            }
            _ => Err(wrong()),
        }
    }
}

/// What a file that is not whole yet ends with.
const PART: &str = ".part";

/// Writes bytes under a name within the folder, and gives the file; nobody has made sure of it yet. Blocks.
///
/// The file is made where it stays: renames between folders wait for each other, all over the file system.
pub(super) fn write_into(folder: &Path, name: &ObjectPath, number: u64, bytes: &[u8]) -> io::Result<PathBuf> {
    let target = folder.join(name.as_ref());
    // A power cut may have left other bytes under the name, which nobody was promised.
    if std::fs::read(&target).is_ok_and(|there| there == bytes) {
        return Ok(target);
    }
    // A number of its own: another upload of the same may be under way.
    let part = part_of(&target, &format!(".{number}{PART}"));
    let parent = target.parent().unwrap_or(folder);
    let written = match std::fs::write(&part, bytes) {
        // The first of its kind.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&part, bytes))
        }
        written => written,
    };
    let named = written.and_then(|()| std::fs::rename(&part, &target));
    if named.is_err() {
        // What is left of it would take up a disk that may be full.
        let _the_first_error_counts = std::fs::remove_file(&part);
    }
    named.map(|()| target)
}

/// Moves a file to its name within the folder, so that it survives a power cut. Blocks.
pub(super) fn move_into(folder: &Path, name: &ObjectPath, file: &Path) -> io::Result<()> {
    let target = folder.join(name.as_ref());
    let parent = target.parent().unwrap_or(&target);
    std::fs::File::open(file)?.sync_all()?;
    match name_it(file, &target) {
        // The first of its kind: its folder is made, and must survive as well.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(parent)?;
            std::fs::File::open(folder)?.sync_all()?;
            name_it(file, &target)?;
        }
        named => named?,
    }
    std::fs::File::open(parent)?.sync_all()
}

fn part_of(target: &Path, ending: &str) -> PathBuf {
    let mut part = target.as_os_str().to_owned();
    part.push(ending);
    part.into()
}

/// Removes what a crash left half-written, once it is older than this. Blocks.
pub(super) fn remove_parts(folder: &Path, now: SystemTime, idle: Duration) -> io::Result<u64> {
    let mut removed = 0;
    for inner in std::fs::read_dir(folder)? {
        let inner = inner?;
        if !inner.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(inner.path())? {
            let file = file?;
            let is_part = file.file_name().to_str().is_some_and(|name| name.ends_with(PART));
            // Whoever writes it may be done with it meanwhile.
            let Some(metadata) = is_part.then(|| file.metadata().ok()).flatten() else { continue };
            if now.duration_since(metadata.modified()?).is_ok_and(|age| age > idle)
                && std::fs::remove_file(file.path()).is_ok()
            {
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn name_it(file: &Path, target: &Path) -> io::Result<()> {
    match std::fs::rename(file, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_into(file, target),
        named => named,
    }
}

/// The same where the blobs have a disk of their own: a copy beside the target, then its name.
fn copy_into(file: &Path, target: &Path) -> io::Result<()> {
    let part = part_of(target, PART);
    let copied = std::fs::copy(file, &part)
        .and_then(|_| std::fs::File::open(&part)?.sync_all())
        .and_then(|()| std::fs::rename(&part, target));
    if copied.is_err() {
        // What is left of it would take up a disk that may be full.
        let _the_first_error_counts = std::fs::remove_file(&part);
    }
    copied?;
    std::fs::remove_file(file)
}

/// Sends a file to a store that is no folder.
pub(super) async fn send(store: &dyn ObjectStore, name: &ObjectPath, file: &Path) -> Result<(), BlobError> {
    let mut file = tokio::fs::File::open(file).await?;
    let bytes = file.metadata().await?.len();
    if bytes <= PART_BYTES as u64 {
        let mut content = Vec::with_capacity(bytes as usize);
        file.read_to_end(&mut content).await?;
        store.put(name, PutPayload::from(content)).await?;
        return Ok(());
    }
    let mut upload = WriteMultipart::new_with_chunk_size(store.put_multipart(name).await?, PART_BYTES);
    let mut buffer = vec![0; PART_BYTES];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        upload.wait_for_capacity(PARTS_MAX).await?;
        upload.write(&buffer[..read]);
    }
    upload.finish().await?;
    Ok(())
}
