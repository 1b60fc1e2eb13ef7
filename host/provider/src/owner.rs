//! What an owner sees of all agents of this process, and wants of them. A pause outlives the process: a
//! provider that was paused begins paused, whoever starts it again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anneal_api::random_bytes;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    folder::FolderError,
    status::{Status, StatusBoard, Wish},
};

/// It is there while the owner wants no work.
const PAUSED: &str = "paused";

/// How a provider does, with all its coordinators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnerStatus {
    /// The version of `anneal`.
    pub version: String,
    /// The process's number.
    pub process: u32,
    /// The provider's folder.
    pub folder: PathBuf,
    /// The owner's page, with the token that opens it; `None` where there is none.
    pub page: Option<String>,
    /// What the owner wants.
    pub wish: Wish,
    /// For each coordinator.
    pub coordinators: Vec<Status>,
}

/// The owner's hand on the agents of this process.
#[derive(Clone)]
pub struct Owner(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    dir: Dir,
    version: String,
    /// Whoever knows it may use the page. It is this process's alone and written nowhere: a link that somebody kept,
    /// or got out of the owner's browser by waiting on the page's port, opens nothing later.
    token: String,
    page: Mutex<Option<String>>,
    boards: Mutex<Vec<StatusBoard>>,
    wish: watch::Sender<Wish>,
}

impl Owner {
    /// For a provider's folder, which is open to its owner only.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn open(folder: &Path, version: &str) -> Result<Owner, FolderError> {
        let failed = |source| FolderError { path: folder.to_owned(), source };
        let dir = anneal_files::private_folder(folder).map_err(failed)?;
        let token = hex::encode(random_bytes::<32>().map_err(|error| failed(io::Error::other(error)))?);
        let wish = if dir.exists(PAUSED) { Wish::Pause } else { Wish::Run };
        Ok(Owner(Arc::new(Inner {
            folder: folder.to_owned(),
            dir,
            version: version.to_owned(),
            token,
            page: Mutex::default(),
            boards: Mutex::default(),
            wish: watch::Sender::new(wish),
        })))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// An agent's board, shown from now on.
    pub fn show(&self, board: StatusBoard) {
        self.0.boards.lock().unwrap_or_else(PoisonError::into_inner).push(board);
    }

    /// What agents listen to.
    pub fn wished(&self) -> watch::Receiver<Wish> {
        self.0.wish.subscribe()
    }

    /// The owner wants something else. To leave is the last wish.
    ///
    /// # Errors
    /// Where it cannot be written down; then nothing has changed.
    pub fn wish(&self, wish: Wish) -> Result<(), FolderError> {
        let written = match wish {
            Wish::Pause => self.0.dir.write(PAUSED, b"anneal resume lets it work again\n"),
            Wish::Run => match self.0.dir.remove_file(PAUSED) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
            Wish::Finish | Wish::Leave => Ok(()),
        };
        written.map_err(|source| FolderError { path: self.0.folder.join(PAUSED), source })?;
        self.0.wish.send_if_modified(|before| {
            let changes = *before != Wish::Leave && *before != wish;
            if changes {
                *before = wish;
            }
            changes
        });
        Ok(())
    }

    /// How everything is now.
    pub fn status(&self) -> OwnerStatus {
        let boards = self.0.boards.lock().unwrap_or_else(PoisonError::into_inner);
        OwnerStatus {
            version: self.0.version.clone(),
            process: std::process::id(),
            folder: self.0.folder.clone(),
            page: self.page(),
            wish: *self.0.wish.borrow(),
            coordinators: boards.iter().map(StatusBoard::read).collect(),
        }
    }

    /// The page's address with its token.
    pub fn page(&self) -> Option<String> {
        self.0.page.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_page(&self, address: std::net::SocketAddr) {
        let link = format!("http://{address}/#token={}", self.0.token);
        *self.0.page.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    pub(crate) fn token(&self) -> &str {
        &self.0.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn private() -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("ours");
        folder
    }

    #[test]
    fn a_pause_outlives_the_process_and_to_leave_is_the_last_wish() {
        let folder = private();
        let open = || Owner::open(folder.path(), "0").expect("a folder");
        let owner = open();
        assert_eq!(owner.status().wish, Wish::Run);
        for (wish, then) in [
            (Wish::Pause, Wish::Pause),
            (Wish::Finish, Wish::Pause),
            (Wish::Run, Wish::Run),
            (Wish::Run, Wish::Run),
            (Wish::Finish, Wish::Run),
        ] {
            owner.wish(wish).expect("written");
            assert_eq!((owner.status().wish, open().status().wish), (wish, then));
        }
        owner.wish(Wish::Leave).expect("nothing to write");
        owner.wish(Wish::Run).expect("written");
        assert_eq!(owner.status().wish, Wish::Leave);
    }

    #[test]
    fn each_start_has_a_token_of_its_own_and_writes_it_nowhere() {
        let folder = private();
        let open = || Owner::open(folder.path(), "0").expect("a folder");
        let tokens = [open().token().to_owned(), open().token().to_owned()];
        assert!(tokens.iter().all(|token| token.len() == 64) && tokens[0] != tokens[1]);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
