//! Signed requests: what is signed, and the headers that carry it. Not replay protection: the coordinator
//! remembers nonces.
//!
//! The signature covers the coordinator it is meant for, method, path with query, the body's digest, the time,
//! a nonce and, where the request changes something, the command's id. So a request that one coordinator saw
//! means nothing to another, and a retry of a command is known as such.

use anneal_job::{Digest, Identity, RecordHasher, Timestamp};
use http::{HeaderMap, HeaderValue};
use thiserror::Error;

use crate::{CommandId, Nonce, SecretKey, Signature};

/// Who signed.
pub const IDENTITY_HEADER: &str = "anneal-identity";
/// When, in milliseconds since 1970.
pub const TIMESTAMP_HEADER: &str = "anneal-timestamp";
/// 16 random bytes that no other request has.
pub const NONCE_HEADER: &str = "anneal-nonce";
/// SHA-256 of the body.
pub const BODY_DIGEST_HEADER: &str = "anneal-body-sha256";
/// The client's id of the command, the same in every retry.
pub const COMMAND_HEADER: &str = "anneal-command";
/// The signature.
pub const SIGNATURE_HEADER: &str = "anneal-signature";

/// How far a request's time may be from the coordinator's clock.
pub const CLOCK_SKEW_MS_MAX: u64 = 60_000;

/// Everything about a request that its signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestClaims {
    /// The coordinator it is meant for.
    pub audience: Identity,
    /// `GET`, `POST` …
    pub method: String,
    /// The path, and the query where there is one.
    pub target: String,
    /// SHA-256 of the body; of nothing where there is none.
    pub body: Digest,
    /// When it was signed.
    pub at: Timestamp,
    /// Random, once.
    pub nonce: Nonce,
    /// The command, where the request changes something.
    pub command: Option<CommandId>,
}

/// A request whose headers say who signed it; not yet checked against anything but the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedClaims {
    /// Who signed it.
    pub identity: Identity,
    /// What was signed.
    pub claims: RequestClaims,
}

/// Why a request's headers do not say who sent it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No header of a signed request is there.
    #[error("the request is not signed: the header {0} is missing")]
    Missing(&'static str),
    /// A header is there, but is not what it must be.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// The signature is not by this identity over this request.
    #[error("the signature is not by {0} over this request for this coordinator")]
    Wrong(Identity),
}

impl RequestClaims {
    /// What is signed.
    pub fn digest(&self) -> Digest {
        let RequestClaims { audience, method, target, body, at, nonce, command } = self;
        let mut hasher = RecordHasher::new("anneal request 1");
        hasher.bytes(audience.as_bytes()).bytes(method.as_bytes()).bytes(target.as_bytes());
        hasher.bytes(body.as_bytes()).number(at.0).bytes(&nonce.0);
        hasher.bytes(command.as_ref().map_or(&[], |command| &command.0[..]));
        hasher.finish()
    }

    /// Signs it and adds the headers.
    pub fn sign_into(&self, key: &SecretKey, headers: &mut HeaderMap) {
        let signature = key.sign(&self.digest());
        let mut add = |name: &'static str, text: String| {
            headers.insert(name, HeaderValue::from_str(&text).expect("hexadecimal digits fit a header"));
        };
        add(IDENTITY_HEADER, key.identity().to_string());
        add(TIMESTAMP_HEADER, self.at.0.to_string());
        add(NONCE_HEADER, self.nonce.to_string());
        add(BODY_DIGEST_HEADER, self.body.to_string());
        if let Some(command) = &self.command {
            add(COMMAND_HEADER, command.to_string());
        }
        add(SIGNATURE_HEADER, signature.to_string());
    }
}

impl SignedClaims {
    /// Reads the headers of a request and checks the signature. The body is still to be compared with its
    /// digest, the time with the clock, and the nonce with those that were seen.
    ///
    /// # Errors
    /// When a header is missing or malformed, or the signature does not hold.
    pub fn check(
        audience: Identity,
        method: &str,
        target: &str,
        headers: &HeaderMap,
    ) -> Result<SignedClaims, SignatureError> {
        let identity: Identity = header(headers, IDENTITY_HEADER)?;
        let Time(at) = header(headers, TIMESTAMP_HEADER)?;
        let claims = RequestClaims {
            audience,
            method: method.to_owned(),
            target: target.to_owned(),
            body: header(headers, BODY_DIGEST_HEADER)?,
            at,
            nonce: header(headers, NONCE_HEADER)?,
            command: match headers.contains_key(COMMAND_HEADER) {
                true => Some(header(headers, COMMAND_HEADER)?),
                false => None,
            },
        };
        let signature: Signature = header(headers, SIGNATURE_HEADER)?;
        if signature.is_by(&identity, &claims.digest()) {
            Ok(SignedClaims { identity, claims })
        } else {
            Err(SignatureError::Wrong(identity))
        }
    }
}

/// A time in a header: digits alone.
struct Time(Timestamp);

impl std::str::FromStr for Time {
    type Err = ();

    fn from_str(text: &str) -> Result<Time, ()> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        text.parse().map(|at| Time(Timestamp(at))).map_err(|_| ())
    }
}

impl std::str::FromStr for Signature {
    type Err = ();

    fn from_str(text: &str) -> Result<Signature, ()> {
        Signature::parse(text).ok_or(())
    }
}

fn header<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<T, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(SignatureError::Missing(name))?;
    if values.next().is_some() {
        return Err(SignatureError::Malformed(name));
    }
    let text = value.to_str().map_err(|_| SignatureError::Malformed(name))?;
    text.parse().map_err(|_| SignatureError::Malformed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> RequestClaims {
        RequestClaims {
            audience: SecretKey::generate().expect("random").identity(),
            method: "POST".to_owned(),
            target: "/v1/jobs?wait=1".to_owned(),
            body: Digest::of(b"{}"),
            at: Timestamp(1_700_000_000_000),
            nonce: Nonce([7; 16]),
            command: Some(CommandId([9; 16])),
        }
    }

    #[test]
    fn a_signed_request_is_read_back() {
        let (key, claims) = (SecretKey::generate().expect("random"), claims());
        let mut headers = HeaderMap::new();
        claims.sign_into(&key, &mut headers);
        let read = SignedClaims::check(claims.audience, "POST", "/v1/jobs?wait=1", &headers);
        assert_eq!(read, Ok(SignedClaims { identity: key.identity(), claims }));
    }

    #[test]
    fn every_part_is_covered() {
        let (key, claims) = (SecretKey::generate().expect("random"), claims());
        let mut headers = HeaderMap::new();
        claims.sign_into(&key, &mut headers);
        let wrong = Err(SignatureError::Wrong(key.identity()));
        let check = |audience, method, target, headers: &HeaderMap| {
            SignedClaims::check(audience, method, target, headers)
        };
        assert_eq!(check(key.identity(), "POST", "/v1/jobs?wait=1", &headers), wrong);
        assert_eq!(check(claims.audience, "PUT", "/v1/jobs?wait=1", &headers), wrong);
        assert_eq!(check(claims.audience, "POST", "/v1/jobs?wait=2", &headers), wrong);
        for (name, value) in [
            (TIMESTAMP_HEADER, "1700000000001".to_owned()),
            (NONCE_HEADER, Nonce([8; 16]).to_string()),
            (BODY_DIGEST_HEADER, Digest::of(b"{ }").to_string()),
            (COMMAND_HEADER, CommandId([8; 16]).to_string()),
        ] {
            let mut changed = headers.clone();
            changed.insert(name, HeaderValue::from_str(&value).expect("a header"));
            assert_eq!(check(claims.audience, "POST", "/v1/jobs?wait=1", &changed), wrong, "{name}");
            changed.insert(name, HeaderValue::from_static("+1"));
            let malformed = Err(SignatureError::Malformed(name));
            assert_eq!(check(claims.audience, "POST", "/v1/jobs?wait=1", &changed), malformed);
            changed.append(name, HeaderValue::from_static("2"));
            assert_eq!(check(claims.audience, "POST", "/v1/jobs?wait=1", &changed), malformed);
        }
        headers.remove(SIGNATURE_HEADER);
        let missing = Err(SignatureError::Missing(SIGNATURE_HEADER));
        assert_eq!(check(claims.audience, "POST", "/v1/jobs?wait=1", &headers), missing);
    }
}
