//! Who somebody is on the network, and the ids of what they make. Not signatures: those are made and checked
//! at the edges.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, DigestError, RecordHasher};

/// An Ed25519 public key; as text, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Identity(Digest);

/// A job at a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobId(pub Digest);

/// One execution of a task under a lease. Drawn at random: it says nothing about the task or its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AttemptId(pub Digest);

/// Keys that are believed to belong to one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct OperatorId(pub Digest);

impl Identity {
    /// The identity with this public key.
    pub const fn from_bytes(key: [u8; 32]) -> Identity {
        Identity(Digest::from_bytes(key))
    }

    /// The public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl JobId {
    /// The id of a job: the developer's own `nonce` makes two submissions of one job two jobs.
    pub fn of(developer: Identity, job: Digest, nonce: u64) -> JobId {
        let mut hasher = RecordHasher::new("anneal job id 1");
        JobId(hasher.bytes(developer.as_bytes()).bytes(job.as_bytes()).number(nonce).finish())
    }
}

macro_rules! as_text {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $id {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<$id, DigestError> {
                text.parse().map($id)
            }
        }
    )*};
}

as_text!(Identity, JobId, AttemptId, OperatorId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_show() {
        let identity = Identity::from_bytes([0xab; 32]);
        assert_eq!(identity.to_string(), "ab".repeat(32));
        assert_eq!(identity.to_string().parse(), Ok(identity));
        let json = serde_json::to_string(&identity).expect("an identity is a text");
        assert_eq!(json, format!("\"{identity}\""));
        assert!("ab".parse::<Identity>().is_err());
    }

    #[test]
    fn a_job_sent_twice_is_two_jobs() {
        let (developer, job) = (Identity::from_bytes([1; 32]), Digest::of(b"job"));
        assert_ne!(JobId::of(developer, job, 1), JobId::of(developer, job, 2));
        assert_ne!(JobId::of(developer, job, 1), JobId::of(Identity::from_bytes([2; 32]), job, 1));
    }
}
