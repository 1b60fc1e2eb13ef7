//! Who sends a request: signature, time, nonce, rate; or a page's token. Before the body is read.

use std::{net::IpAddr, time::Instant};

use anneal_api::{
    Access, CommandId, ErrorBody, ErrorCode, PageToken,
    sign::{CLOCK_SKEW_MS_MAX, SIGNATURE_HEADER, SignatureError, SignedClaims},
};
use anneal_job::{Digest, Identity, RecordHasher, Timestamp};
use http::{HeaderMap, header, request::Parts};

use super::{
    nonces::{Nonces, Seen},
    rates::{Rates, Subject},
};
use crate::{config::Limits, writer::CommandKey};

/// What guards the requests of one process.
pub(crate) struct Guard {
    coordinator: Identity,
    started: Timestamp,
    nonces: Nonces,
    rates: Rates,
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who signed it, or whose token it has.
    pub(crate) identity: Option<Identity>,
    /// What the body's digest must be, where it is signed.
    pub(crate) body: Option<Digest>,
    /// The client's id of the command.
    pub(crate) command: Option<CommandId>,
    /// From where.
    pub(crate) address: IpAddr,
    /// What is asked, for commands that come again.
    pub(crate) content: Option<Digest>,
}

impl Guard {
    pub(crate) fn new(coordinator: Identity, limits: &Limits, started: Timestamp) -> Guard {
        let rates = Rates::new(limits.requests_per_minute, limits.requests_burst);
        Guard { coordinator, started, nonces: Nonces::new(), rates }
    }

    /// Says who sends it, or why it is not taken.
    pub(super) fn admit(
        &self,
        access: Access,
        parts: &Parts,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Caller, ErrorBody> {
        if access != Access::Open && parts.headers.contains_key(SIGNATURE_HEADER) {
            return self.signed(parts, address, now);
        }
        self.rate(Subject::Address(address))?;
        let identity = match access {
            Access::Open => None,
            Access::OpenOrToken => self.token(&parts.headers, now)?,
            Access::Signed => return Err(ErrorCode::SignatureMissing.body()),
        };
        Ok(Caller { identity, body: None, command: None, address, content: None })
    }

    fn signed(&self, parts: &Parts, address: IpAddr, now: Timestamp) -> Result<Caller, ErrorBody> {
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let method = parts.method.as_str();
        let checked = SignedClaims::check(self.coordinator, method, target, &parts.headers);
        let SignedClaims { identity, claims } = match checked {
            Ok(signed) => signed,
            Err(error) => {
                // Somebody who cannot sign is counted by address: checking costs time.
                self.rate(Subject::Address(address))?;
                let code = match error {
                    SignatureError::Wrong(_) => ErrorCode::SignatureWrong,
                    SignatureError::Missing(_) | SignatureError::Malformed(_) => ErrorCode::SignatureMissing,
                };
                return Err(code.because(error.to_string()));
            }
        };
        self.rate(Subject::Identity(identity))?;
        let early = claims.at.0.saturating_add(CLOCK_SKEW_MS_MAX) < now.0;
        let late = claims.at.0 > now.0.saturating_add(CLOCK_SKEW_MS_MAX);
        // Nonces from before the start are not remembered any more.
        if early || late || claims.at < self.started {
            return Err(ErrorBody { hint_ms: Some(now.0), ..ErrorCode::TimestampStale.body() });
        }
        match self.nonces.see(identity, claims.nonce, now) {
            Seen::First => {}
            Seen::Again => return Err(ErrorCode::NonceRepeated.body()),
            Seen::Full => return Err(ErrorCode::Overloaded.body()),
        }
        let mut content = RecordHasher::new("anneal command content 1");
        content.bytes(method.as_bytes()).bytes(target.as_bytes()).bytes(claims.body.as_bytes());
        Ok(Caller {
            identity: Some(identity),
            body: Some(claims.body),
            command: claims.command,
            address,
            content: Some(content.finish()),
        })
    }

    fn token(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<Identity>, ErrorBody> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let token = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        let token = token.and_then(|token| token.parse::<PageToken>().ok());
        let token = token.ok_or_else(|| ErrorCode::TokenWrong.body())?;
        let identity = token.check(self.coordinator, now);
        identity.map(Some).map_err(|error| ErrorCode::TokenWrong.because(error.to_string()))
    }

    /// Counts a request that means nothing here.
    pub(super) fn count(&self, address: IpAddr) -> Result<(), ErrorBody> {
        self.rate(Subject::Address(address))
    }

    fn rate(&self, subject: Subject) -> Result<(), ErrorBody> {
        self.rates.take(subject, Instant::now()).map_err(|wait| ErrorBody {
            hint_ms: Some(wait.as_millis() as u64 + 1),
            ..ErrorCode::RateLimited.body()
        })
    }
}

impl Caller {
    /// Who it is, where the request must be signed or have a token.
    pub(crate) fn who(&self) -> Result<Identity, ErrorBody> {
        self.identity.ok_or_else(|| ErrorCode::SignatureMissing.body())
    }

    /// The command's name for all its retries.
    pub(crate) fn key(&self) -> Option<CommandKey> {
        let (identity, command, content) = (self.identity?, self.command?, self.content?);
        let mut hasher = RecordHasher::new("anneal command 1");
        let id = hasher.bytes(identity.as_bytes()).bytes(&command.0).finish();
        Some(CommandKey { id, content })
    }
}
