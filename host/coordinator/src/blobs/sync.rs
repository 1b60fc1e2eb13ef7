//! Makes sure of many small files at once: whatever was written while a sync ran is made sure of by the next one.
//! A network's states are small and many; a disk takes some hundred syncs a second, and the database needs them too.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
};

use tokio::sync::oneshot;

/// A way to the thread that syncs; it ends with the last of them.
#[derive(Clone)]
pub(super) struct Syncs {
    sender: Sender<Wanted>,
}

/// A file with its name, and who waits for both to survive a power cut.
struct Wanted {
    file: PathBuf,
    reply: oneshot::Sender<io::Result<()>>,
}

impl Syncs {
    /// Begins, for files in a folder.
    pub(super) fn begin(folder: &Path) -> io::Result<Syncs> {
        let folder = File::open(folder)?;
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("anneal-sync".to_owned());
        thread.spawn(move || work(&folder, &receiver))?;
        Ok(Syncs { sender })
    }

    /// Returns once a file that was written and named survives a power cut.
    pub(super) async fn sync(&self, file: PathBuf) -> io::Result<()> {
        let (reply, synced) = oneshot::channel();
        let ended = || io::Error::other("the thread that syncs has ended");
        self.sender.send(Wanted { file, reply }).map_err(|_| ended())?;
        synced.await.map_err(|_| ended())?
    }
}

fn work(folder: &File, receiver: &Receiver<Wanted>) {
    while let Ok(first) = receiver.recv() {
        let mut wanted = vec![first];
        wanted.extend(receiver.try_iter());
        let files = wanted.iter().map(|wanted| wanted.file.as_path());
        let synced = sync(folder, files);
        for Wanted { reply, .. } in wanted {
            // An error is of the disk, and so everybody's. Who waited may have gone.
            let _ = reply.send(match &synced {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

/// All of the file system at once: it has one journal, and each sync of a single file would write that to its end.
#[cfg(target_os = "linux")]
fn sync<'a>(folder: &File, _files: impl Iterator<Item = &'a Path>) -> io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

/// One by one, each with the folder that it is in.
#[cfg(not(target_os = "linux"))]
fn sync<'a>(_folder: &File, files: impl Iterator<Item = &'a Path>) -> io::Result<()> {
    for file in files {
        File::open(file)?.sync_all()?;
        File::open(file.parent().unwrap_or(file))?.sync_all()?;
    }
    Ok(())
}
