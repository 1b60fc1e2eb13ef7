//! When a call is sent again: after network losses and where the coordinator asks to come later, ever more
//! slowly, for a limited time. Never after a refusal for a reason.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use super::ClientError;
use crate::{ErrorCode, random_bytes};

/// How patiently a call is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// For how long after the first try; zero tries once.
    pub within: Duration,
    /// The wait after the first failure; it doubles from there.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            within: Duration::from_secs(60),
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        }
    }
}

impl Retry {
    /// One try only.
    pub const ONCE: Retry = Retry { within: Duration::ZERO, first: Duration::ZERO, longest: Duration::ZERO };

    /// Calls until it succeeds, is refused for good, or the time is over.
    pub(super) async fn run<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let start = Instant::now();
        let mut wait = self.first;
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(at_least) = again(&error) else { return Err(error) };
            let pause = jitter(wait).max(at_least).min(self.longest.max(at_least));
            if start.elapsed() + pause >= self.within {
                return Err(error);
            }
            tracing::debug!(%error, pause_ms = pause.as_millis() as u64, "sending again");
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(self.longest);
        }
    }
}

/// Whether sending again may help, and how long to wait at least.
pub(super) fn again(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Network { .. } => Some(Duration::ZERO),
        ClientError::Refused(body) => {
            let later = [
                ErrorCode::RequestTimeout,
                ErrorCode::RateLimited,
                ErrorCode::Overloaded,
                ErrorCode::Unavailable,
                ErrorCode::NotLeader,
                ErrorCode::ShuttingDown,
                // Something on the way changed the body, or sent the request twice and the other one came first.
                // It is signed anew, and a command keeps its id: it is carried out once.
                ErrorCode::BodyDigest,
                ErrorCode::NonceRepeated,
            ];
            let hint = Duration::from_millis(body.hint_ms.unwrap_or(0).min(60_000));
            later.iter().any(|code| body.is(*code)).then_some(hint)
        }
        _ => None,
    }
}

/// From half to all of the wait, so that clients that lost one coordinator do not come back at once.
fn jitter(wait: Duration) -> Duration {
    let [random] = random_bytes::<1>().unwrap_or([255]);
    wait / 2 + wait / 2 * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_help_is_sent_again() {
        for code in ErrorCode::ALL {
            let helps = again(&ClientError::Refused(code.body())).is_some();
            let others = [ErrorCode::RateLimited, ErrorCode::BodyDigest, ErrorCode::NonceRepeated];
            let expected = matches!(code.status(), 503 | 408) || others.contains(code);
            assert_eq!(helps, expected, "{}", code.name());
        }
    }
}
