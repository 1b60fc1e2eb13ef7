//! The control channel of a running provider: a Unix socket in its folder, HTTP and JSON over it. Whoever may
//! open the socket is the owner; the folder and the socket are theirs alone.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::{
    exchange::{self, Refusal, STATUS, WISH, WishRequest},
    owner::{Owner, OwnerStatus},
    status::Wish,
};

const SOCKET: &str = "control.sock";
/// Bytes of a path that a Unix socket takes, on every system that has them.
const SOCKET_PATH_BYTES_MAX: usize = 100;
/// Bytes of a status, far above what one has.
const STATUS_BYTES_MAX: usize = 8 << 20;
/// A provider that runs answers at once.
const REPLY_TIME: Duration = Duration::from_secs(10);

/// Why a provider cannot be asked.
#[derive(Debug, Error)]
pub enum ControlError {
    /// There is no process to ask.
    #[error(
        "no `anneal provide` runs in {}, or it still tests its devices: start it, or name its folder with --folder",
        .folder.display()
    )]
    NotRunning {
        /// The folder.
        folder: PathBuf,
    },
    /// The path is too long.
    #[error(
        "the path {} is too long for a socket: at most {SOCKET_PATH_BYTES_MAX} bytes; choose a shorter --folder",
        .path.display()
    )]
    PathTooLong {
        /// The socket.
        path: PathBuf,
    },
    /// The operating system's word.
    #[error("{} cannot be used", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not speak as it should.
    #[error("the provider in {} does not answer as this version expects; restart it", .folder.display())]
    Protocol {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refused.
    #[error("the provider refused: {message} ({code})")]
    Refused {
        /// A stable word.
        code: String,
        /// What happened.
        message: String,
    },
}

fn socket(folder: &Path) -> Result<PathBuf, ControlError> {
    let path = folder.join(SOCKET);
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(ControlError::PathTooLong { path });
    }
    Ok(path)
}

/// Makes the socket; what a process left that was killed is replaced. Only who holds the folder's lock may call.
///
/// # Errors
/// Where it cannot be made.
pub fn listen(folder: &Path) -> Result<UnixListener, ControlError> {
    let path = socket(folder)?;
    let made = || -> io::Result<UnixListener> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        // Until here the folder alone keeps others out.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    made().map_err(|source| ControlError::Io { path: path.clone(), source })
}

/// Answers on the socket, for ever.
pub async fn serve(listener: UnixListener, owner: Owner) {
    let answer = move |request| {
        let owner = owner.clone();
        async move { exchange::answer(&owner, request).await }
    };
    exchange::serve(listener, answer).await;
}

/// How the provider of a folder does.
///
/// # Errors
/// Where none runs.
pub async fn status(folder: &Path) -> Result<OwnerStatus, ControlError> {
    ask(folder, Method::GET, STATUS, Bytes::new()).await
}

/// Tells the provider of a folder what its owner wants; how it does then.
///
/// # Errors
/// Where none runs, or it refuses.
pub async fn wish(folder: &Path, wish: Wish) -> Result<OwnerStatus, ControlError> {
    let body = serde_json::to_vec(&WishRequest { wish }).expect("a wish is JSON");
    ask(folder, Method::POST, WISH, body.into()).await
}

async fn ask(folder: &Path, method: Method, path: &str, body: Bytes) -> Result<OwnerStatus, ControlError> {
    let socket = socket(folder)?;
    let stream = UnixStream::connect(&socket).await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NotRunning { folder: folder.to_owned() }
        }
        _ => ControlError::Io { path: socket.clone(), source },
    })?;
    let strange = |source| ControlError::Protocol { folder: folder.to_owned(), source };
    let exchanged = timeout(REPLY_TIME, exchanged(stream, method, path, body)).await;
    let (succeeded, body) = exchanged.map_err(|late| strange(late.into()))?.map_err(strange)?;
    if succeeded {
        return serde_json::from_slice(&body).map_err(|error| strange(error.into()));
    }
    let refusal: Refusal = serde_json::from_slice(&body).map_err(|error| strange(error.into()))?;
    Err(ControlError::Refused { code: refusal.code, message: refusal.message })
}

async fn exchanged(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(bool, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().method(method).uri(path).header(header::HOST, "provider");
    let request = request.body(Full::new(body))?;
    let asking = async {
        let reply = sender.send_request(request).await?;
        let succeeded = reply.status().is_success();
        let body = Limited::new(reply.into_body(), STATUS_BYTES_MAX).collect().await?;
        Ok((succeeded, body.to_bytes()))
    };
    // The connection does its work while the reply is waited for.
    let asking = std::pin::pin!(asking);
    let connection = std::pin::pin!(async {
        let _the_reply_says_it = connection.await;
        std::future::pending::<()>().await;
    });
    tokio::select! {
        reply = asking => reply,
        () = connection => unreachable!("it is pending for ever"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::status::StatusBoard;

    fn private() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("ours");
        folder
    }

    #[tokio::test]
    async fn an_owner_sees_and_steers_over_the_socket() {
        let folder = private();
        let nobody = status(folder.path()).await.expect_err("nothing runs");
        assert!(matches!(nobody, ControlError::NotRunning { .. }), "{nobody}");

        let owner = Owner::open(folder.path(), "1.2.3").expect("a folder");
        let board = StatusBoard::default();
        board.change(|status| status.coordinator = "http://127.0.0.1:1".to_owned());
        owner.show(board);
        let wished = owner.wished();
        let listener = listen(folder.path()).expect("a socket");
        let mode = fs::metadata(folder.path().join(SOCKET)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let serving = tokio::spawn(serve(listener, owner.clone()));
        assert_eq!(status(folder.path()).await.expect("it runs"), owner.status());
        for next in [Wish::Pause, Wish::Run, Wish::Finish] {
            assert_eq!(wish(folder.path(), next).await.expect("it runs").wish, next);
            assert_eq!(*wished.borrow(), next);
        }
        for (method, path, body, code) in [
            (Method::GET, "/", "", "not-found"),
            (Method::GET, WISH, "", "method-wrong"),
            (Method::POST, WISH, "{\"wish\":\"rest\"}", "malformed-body"),
            (Method::POST, WISH, "{\"wish\":\"run\",\"by\":1}", "malformed-body"),
            (Method::POST, WISH, &" ".repeat(2000), "malformed-body"),
        ] {
            match ask(folder.path(), method, path, body.to_owned().into()).await {
                Err(ControlError::Refused { code: found, .. }) => assert_eq!(found, code),
                other => panic!("{path} {body}: {other:?}"),
            }
        }
        serving.abort();
        let _aborted = serving.await;
        // The socket of a process that is gone is in nobody's way.
        let gone = status(folder.path()).await.expect_err("nothing runs");
        assert!(matches!(gone, ControlError::NotRunning { .. }), "{gone}");
        listen(folder.path()).expect("a socket again");
    }

    #[tokio::test]
    async fn a_path_that_no_socket_takes_is_named() {
        let folder = private();
        let long = folder.path().join("x".repeat(120));
        let error = listen(&long).expect_err("too long");
        assert!(error.to_string().contains("too long for a socket"), "{error}");
    }
}
