//! The first words with a coordinator. A machine is often up before its network, and a coordinator may be down for
//! an hour: who cannot be reached is tried again and again, and the owner is told meanwhile.

use std::{future::Future, time::Duration};

use anneal_api::{Client, ClientError, ClientOptions};
use tokio::{sync::watch, time::sleep};

use super::chain;
use crate::status::{StatusBoard, Wish};

/// After the first try that failed; twice as long after each further one, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A client, once the coordinator answers; `None` where the owner wants to end before. Trouble is on the board
/// meanwhile.
///
/// # Errors
/// Where to try again would change nothing: this machine can make no connections at all.
pub async fn reach(
    options: &ClientOptions,
    board: &StatusBoard,
    wish: &mut watch::Receiver<Wish>,
) -> Result<Option<Client>, ClientError> {
    until_answered(board, wish, || Client::connect_once(options.clone())).await
}

/// Asks until somebody answers.
pub(super) async fn until_answered<T, F>(
    board: &StatusBoard,
    wish: &mut watch::Receiver<Wish>,
    mut ask: impl FnMut() -> F,
) -> Result<Option<T>, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut wait = FIRST_WAIT;
    loop {
        let error = tokio::select! {
            answer = ask() => match answer {
                Ok(answer) => {
                    board.change(|status| status.trouble = None);
                    return Ok(Some(answer));
                }
                Err(error) => error,
            },
            () = ends(wish) => return Ok(None),
        };
        // What answers, but not as a coordinator, may be a gateway that wants its user to agree to something.
        if !error.may_pass() && !matches!(error, ClientError::Protocol { .. }) {
            return Err(error);
        }
        board.change(|status| status.trouble = Some(chain(&error)));
        tokio::select! {
            () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            () = ends(wish) => return Ok(None),
        }
    }
}

/// Until the owner wants to end.
async fn ends(wish: &mut watch::Receiver<Wish>) {
    // Who steers is gone: that ends it, too.
    let _ended = wish.wait_for(|wish| matches!(wish, Wish::Finish | Wish::Leave)).await;
}
