//! What an owner sees of all agents of this process, and wants of them. A pause outlives the process: a
//! provider that was paused begins paused, whoever starts it again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anneal_api::random_bytes;
use anneal_sandbox::files;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    folder::FolderError,
    status::{Status, StatusBoard, Wish},
};

/// Whoever knows what is in it may use the page.
const TOKEN: &str = "page-token";
const TOKEN_BYTES_MAX: u64 = 256;
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
        let dir = files::private_folder(folder).map_err(failed)?;
        let token = token(&dir).map_err(failed)?;
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

/// The token of the page, made where it is missing: a bookmark outlives this process.
fn token(dir: &Dir) -> io::Result<String> {
    if dir.exists(TOKEN) {
        let bytes = files::read_bounded_in(dir, TOKEN.as_ref(), TOKEN_BYTES_MAX);
        let text = String::from_utf8(bytes.map_err(io::Error::other)?).unwrap_or_default();
        let text = text.trim();
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(text.to_owned());
        }
        dir.remove_file(TOKEN)?;
    }
    let token = hex::encode(random_bytes::<32>().map_err(io::Error::other)?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    io::Write::write_all(&mut dir.open_with(TOKEN, &options)?, token.as_bytes())?;
    Ok(token)
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
        assert_eq!(owner.token(), open().token());
    }

    #[test]
    fn a_damaged_token_is_made_again() {
        let folder = private();
        let before = Owner::open(folder.path(), "0").expect("a folder").token().to_owned();
        std::fs::write(folder.path().join(TOKEN), b"abc").expect("written");
        let after = Owner::open(folder.path(), "0").expect("a folder").token().to_owned();
        assert!(before.len() == 64 && after.len() == 64 && before != after);
    }
}
