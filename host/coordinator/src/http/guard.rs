//! Who sends a request: signature, time, nonce, rate; or a page's token. Before the body is read.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anneal_api::{
    Access, CommandId, ErrorBody, ErrorCode, PageToken,
    sign::{CLOCK_SKEW_MS_MAX, SIGNATURE_HEADER, SignatureError, SignedClaims},
};
use anneal_job::{Digest, Identity, RecordHasher, Timestamp};
use http::{HeaderMap, header, request::Parts};

use super::{
    nonces::{Nonces, Seen},
    rates::Rates,
};
use crate::{
    config::Limits,
    fair::{Key, Party, Prefix, Threshold},
    writer::CommandKey,
};

const HOUR: Duration = Duration::from_secs(3600);
/// What a network prefix may do more than one identity of it.
const PREFIX_FACTOR: f64 = 10.0;
/// What all may do together more than one identity.
const TOTAL_FACTOR: f64 = 100.0;

/// What guards the requests of one process.
pub(crate) struct Guard {
    coordinator: Identity,
    started: Timestamp,
    nonces: Nonces,
    requests: Shared,
    events: Shared,
    announcements: Shared,
    /// Of announcements, all together.
    announced: Rates<()>,
    enrolments: Rates<Prefix>,
    /// All of the hour that began then.
    newcomers: Mutex<(Instant, Threshold)>,
}

/// What somebody may do so often, and everybody of a prefix together.
struct Shared {
    keys: Rates<Key>,
    prefixes: Rates<Prefix>,
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
        let enrolments = f64::from(limits.prefix_enrolments_per_hour);
        Guard {
            coordinator,
            started,
            nonces: Nonces::new(),
            requests: Shared::new(limits.requests_per_minute, limits.requests_burst),
            events: Shared::new(limits.events_per_minute, limits.events_burst),
            announcements: Shared::new(limits.announcements_per_minute, limits.announcements_burst),
            announced: Rates::new(
                f64::from(limits.announcements_per_minute) * TOTAL_FACTOR,
                f64::from(limits.announcements_burst) * TOTAL_FACTOR,
            ),
            enrolments: Rates::new(enrolments / 60.0, enrolments),
            newcomers: Mutex::new((Instant::now(), Threshold::new(limits.enrolments_per_hour as usize))),
        }
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
        self.count(address)?;
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
                self.count(address)?;
                let code = match error {
                    SignatureError::Wrong(_) => ErrorCode::SignatureWrong,
                    SignatureError::Missing(_) | SignatureError::Malformed(_) => ErrorCode::SignatureMissing,
                };
                return Err(code.because(error.to_string()));
            }
        };
        let party = Party::of(identity, address);
        self.requests.take(party).map_err(later)?;
        let early = claims.at.0.saturating_add(CLOCK_SKEW_MS_MAX) < now.0;
        let late = claims.at.0 > now.0.saturating_add(CLOCK_SKEW_MS_MAX);
        // Nonces from before the start are not remembered any more.
        if early || late || claims.at < self.started {
            return Err(ErrorBody { hint_ms: Some(now.0), ..ErrorCode::TimestampStale.body() });
        }
        match self.nonces.see(party.prefix, identity, claims.nonce, now) {
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

    /// Counts a request that nobody signed.
    pub(super) fn count(&self, address: IpAddr) -> Result<(), ErrorBody> {
        self.requests.take(Party::unsigned(address)).map_err(later)
    }

    /// Whether somebody's commands may write to the log.
    pub(crate) fn may_write(&self, party: Party) -> Result<(), ErrorBody> {
        self.events.check(party).map_err(later)
    }

    /// Counts what a command wrote to the log.
    pub(crate) fn wrote(&self, party: Party, events: u64) {
        if events > 0 {
            self.events.charge(party, events);
        }
    }

    /// Whether a provider may say anew what it offers, or that it pauses: entries of the log that no work stands for.
    /// Where all together have said too much, those who have said little still may.
    pub(crate) fn may_announce(&self, party: Party) -> Result<(), ErrorBody> {
        self.announcements.check(party).map_err(later)?;
        match self.announced.check((), Instant::now()) {
            Err(wait) if !self.announcements.is_light(party) => Err(later(wait)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Counts what an announcement wrote to the log.
    pub(crate) fn announced(&self, party: Party, events: u64) {
        if events > 0 {
            self.announcements.charge(party, events);
            self.announced.charge((), events, Instant::now());
        }
    }

    /// Counts a provider that is new.
    pub(super) fn enrols(&self, prefix: Prefix) -> Result<(), ErrorBody> {
        if prefix != Prefix::Local {
            self.enrolments.take(prefix, Instant::now()).map_err(later)?;
        }
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, room) = &mut *newcomers;
        if began.elapsed() >= HOUR {
            *began = Instant::now();
            room.clear();
        }
        // Each prefix may have as many as are left, so that there is always room for another.
        if room.take(prefix) { Ok(()) } else { Err(later(HOUR.saturating_sub(began.elapsed()))) }
    }
}

impl Shared {
    fn new(per_minute: u32, burst: u32) -> Shared {
        let (per_minute, burst) = (f64::from(per_minute), f64::from(burst));
        Shared {
            keys: Rates::new(per_minute, burst),
            prefixes: Rates::new(per_minute * PREFIX_FACTOR, burst * PREFIX_FACTOR),
        }
    }

    fn take(&self, party: Party) -> Result<(), Duration> {
        let now = Instant::now();
        self.keys.take(party.key, now)?;
        match party.prefix {
            Prefix::Local => Ok(()),
            prefix => self.prefixes.take(prefix, now),
        }
    }

    fn check(&self, party: Party) -> Result<(), Duration> {
        let now = Instant::now();
        self.keys.check(party.key, now)?;
        match party.prefix {
            Prefix::Local => Ok(()),
            prefix => self.prefixes.check(prefix, now),
        }
    }

    /// Whether somebody, and its prefix, have used less than half of what they may at once.
    fn is_light(&self, party: Party) -> bool {
        let now = Instant::now();
        let prefix = party.prefix == Prefix::Local || self.prefixes.is_half_full(party.prefix, now);
        prefix && self.keys.is_half_full(party.key, now)
    }

    fn charge(&self, party: Party, amount: u64) {
        let now = Instant::now();
        self.keys.charge(party.key, amount, now);
        if party.prefix != Prefix::Local {
            self.prefixes.charge(party.prefix, amount, now);
        }
    }
}

fn later(wait: Duration) -> ErrorBody {
    ErrorBody { hint_ms: Some(wait.as_millis() as u64 + 1), ..ErrorCode::RateLimited.body() }
}

impl Caller {
    /// Who it is, where the request must be signed or have a token.
    pub(crate) fn who(&self) -> Result<Identity, ErrorBody> {
        self.identity.ok_or_else(|| ErrorCode::SignatureMissing.body())
    }

    /// Whose share of everything that is shared out it takes.
    pub(crate) fn party(&self) -> Party {
        match self.identity {
            // A page's token is anybody's who has it.
            Some(identity) if self.body.is_some() => Party::of(identity, self.address),
            _ => Party::unsigned(self.address),
        }
    }

    /// The command's name for all its retries.
    pub(crate) fn key(&self) -> Option<CommandKey> {
        let (identity, command, content) = (self.identity?, self.command?, self.content?);
        let mut hasher = RecordHasher::new("anneal command 1");
        let id = hasher.bytes(identity.as_bytes()).bytes(&command.0).finish();
        Some(CommandKey { id, content })
    }
}
