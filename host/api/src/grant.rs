//! A grant: the owner of a job lets whoever holds it read the job and its blobs for a while, to repeat a verdict.
//! Made by the owner alone and checked by the coordinator; it changes nothing, and cannot be taken back.

use std::str::FromStr;

use anneal_job::{Digest, Identity, JobId, RecordHasher, Timestamp};
use thiserror::Error;

use crate::{Secret, SecretKey, Signature};

/// The header that a grant travels in.
pub const GRANT_HEADER: &str = "anneal-grant";
/// How long a grant may hold.
pub const GRANT_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

/// Which job may be read until when, signed by whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    owner: Identity,
    job: JobId,
    until: Timestamp,
    signature: Signature,
}

/// Why a text is no grant that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GrantError {
    /// No grant's text.
    #[error("a grant is `owner.job.until.signature`")]
    Malformed,
    /// Its time is over, or further away than a grant's may be.
    #[error("it holds until {until} only, or longer than a grant may: ask the job's owner for a new one", until = .0.0)]
    Expired(Timestamp),
    /// Not signed by its owner for this coordinator.
    #[error("it is not signed for this coordinator")]
    Signature,
}

impl Grant {
    /// The text of a grant at one coordinator.
    pub fn make(key: &SecretKey, coordinator: Identity, job: JobId, until: Timestamp) -> Secret {
        let owner = key.identity();
        let signature = key.sign(&signed(owner, coordinator, job, until));
        Secret::new(format!("{owner}.{job}.{}.{signature}", until.0))
    }

    /// The job that it is for.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Who lets the job be read now. Whether the job is theirs is still to be seen.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn check(&self, coordinator: Identity, now: Timestamp) -> Result<Identity, GrantError> {
        let Grant { owner, job, until, signature } = *self;
        if until < now || until.0 - now.0 > GRANT_MS_MAX {
            return Err(GrantError::Expired(until));
        }
        let holds = signature.is_by(&owner, &signed(owner, coordinator, job, until));
        if holds { Ok(owner) } else { Err(GrantError::Signature) }
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Grant, GrantError> {
        let mut parts = text.trim().split('.');
        let mut part = || parts.next().ok_or(GrantError::Malformed);
        let owner = part()?.parse().map_err(|_| GrantError::Malformed)?;
        let job = part()?.parse().map_err(|_| GrantError::Malformed)?;
        let until = part()?;
        if !until.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(GrantError::Malformed);
        }
        let until = until.parse().map(Timestamp).map_err(|_| GrantError::Malformed)?;
        let signature = Signature::parse(part()?).ok_or(GrantError::Malformed)?;
        if parts.next().is_some() {
            return Err(GrantError::Malformed);
        }
        Ok(Grant { owner, job, until, signature })
    }
}

fn signed(owner: Identity, coordinator: Identity, job: JobId, until: Timestamp) -> Digest {
    let mut hasher = RecordHasher::new("anneal grant 1");
    hasher
        .bytes(owner.as_bytes())
        .bytes(coordinator.as_bytes())
        .bytes(job.0.as_bytes())
        .number(until.0)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_opens_one_job_at_one_coordinator_for_a_while() {
        let (key, here) = (SecretKey::generate().expect("random"), SecretKey::generate().expect("random"));
        let (here, now) = (here.identity(), Timestamp(1_000_000_000_000));
        let job = JobId(Digest::of(b"job"));
        let until = Timestamp(now.0 + 1000);
        let text = Grant::make(&key, here, job, until);
        let grant: Grant = text.expose().parse().expect("a grant");
        assert_eq!((grant.check(here, now), grant.job()), (Ok(key.identity()), job));
        assert_eq!(grant.check(key.identity(), now), Err(GrantError::Signature));
        let other = Grant { job: JobId(Digest::of(b"another job")), ..grant };
        assert_eq!(other.check(here, now), Err(GrantError::Signature));
        assert_eq!(Grant { until: now, ..grant }.check(here, now), Err(GrantError::Signature));
        assert_eq!(grant.check(here, Timestamp(until.0 + 1)), Err(GrantError::Expired(until)));
        let early = Timestamp(until.0 - GRANT_MS_MAX - 1);
        assert_eq!(grant.check(here, early), Err(GrantError::Expired(until)));
        for text in ["", "a.b.c.d", &format!("{}.x", text.expose()), &text.expose().replace('.', ":")] {
            assert_eq!(text.parse::<Grant>(), Err(GrantError::Malformed), "{text}");
        }
    }
}
