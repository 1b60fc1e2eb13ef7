//! The token in a page's link: shows its owner's private jobs for a short while. Made by the owner alone, so
//! no secret ever travels to the coordinator; it only reads.

use std::str::FromStr;

use anneal_job::{Digest, Identity, RecordHasher, Timestamp};
use thiserror::Error;

use crate::{Secret, SecretKey, Signature};

/// How long a token may hold.
pub const TOKEN_MS_MAX: u64 = 12 * 60 * 60 * 1000;

/// Who may read until when, signed by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    identity: Identity,
    until: Timestamp,
    signature: Signature,
}

/// Why a text is no token that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// No token's text.
    #[error("a token is `identity.until.signature`")]
    Malformed,
    /// Its time is over, or further away than a token's may be.
    #[error("it holds until {until} only, or longer than a token may", until = .0.0)]
    Expired(Timestamp),
    /// Not signed by its identity for this coordinator.
    #[error("it is not signed for this coordinator")]
    Signature,
}

impl PageToken {
    /// The text of a token for the pages of one coordinator.
    pub fn make(key: &SecretKey, coordinator: Identity, until: Timestamp) -> Secret {
        let signature = key.sign(&signed(key.identity(), coordinator, until));
        Secret::new(format!("{}.{}.{signature}", key.identity(), until.0))
    }

    /// Whose pages it opens now.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn check(&self, coordinator: Identity, now: Timestamp) -> Result<Identity, TokenError> {
        if self.until < now || self.until.0 - now.0 > TOKEN_MS_MAX {
            return Err(TokenError::Expired(self.until));
        }
        let holds = self.signature.is_by(&self.identity, &signed(self.identity, coordinator, self.until));
        if holds { Ok(self.identity) } else { Err(TokenError::Signature) }
    }
}

impl FromStr for PageToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<PageToken, TokenError> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(TokenError::Malformed);
        let identity = part()?.parse().map_err(|_| TokenError::Malformed)?;
        let until = part()?.parse().map(Timestamp).map_err(|_| TokenError::Malformed)?;
        let signature = Signature::parse(part()?).ok_or(TokenError::Malformed)?;
        if parts.next().is_some() {
            return Err(TokenError::Malformed);
        }
        Ok(PageToken { identity, until, signature })
    }
}

fn signed(identity: Identity, coordinator: Identity, until: Timestamp) -> Digest {
    let mut hasher = RecordHasher::new("anneal page 1");
    hasher.bytes(identity.as_bytes()).bytes(coordinator.as_bytes()).number(until.0).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_one_coordinators_pages_for_a_while() {
        let (key, here) = (SecretKey::generate().expect("random"), SecretKey::generate().expect("random"));
        let (here, now) = (here.identity(), Timestamp(1_000_000_000_000));
        let text = PageToken::make(&key, here, Timestamp(now.0 + 1000));
        let token: PageToken = text.expose().parse().expect("a token");
        assert_eq!(token.check(here, now), Ok(key.identity()));
        assert_eq!(token.check(key.identity(), now), Err(TokenError::Signature));
        let late = Timestamp(now.0 + 1001);
        assert_eq!(token.check(here, late), Err(TokenError::Expired(Timestamp(now.0 + 1000))));
        let early = Timestamp(now.0 - TOKEN_MS_MAX);
        assert_eq!(token.check(here, early), Err(TokenError::Expired(Timestamp(now.0 + 1000))));
        for text in ["", "a.b.c", &format!("{}.x", text.expose()), &text.expose().replace('.', ":")] {
            assert_eq!(text.parse::<PageToken>(), Err(TokenError::Malformed), "{text}");
        }
    }
}
