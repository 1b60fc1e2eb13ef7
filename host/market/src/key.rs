//! What the market's state consists of: entities by key, each a row of the store.

use std::{fmt, str::FromStr};

use anneal_job::{AttemptId, Digest, Identity, JobId, OperatorId, TaskId};
use serde::{Deserialize, Serialize};

use crate::{DeviceClass, TaskKey};

/// The key of a row. As text: the kind and its parts with `/` between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Key {
    /// The parameters: always there.
    Rules,
    /// Time, epochs, forfeits and fees: always there.
    Totals,
    /// An operator: stake and what it was caught at.
    Operator(OperatorId),
    /// A provider with its devices, held earnings and reputation.
    Provider(Identity),
    /// A developer's account.
    Developer(Identity),
    /// What a developer submitted: written once.
    Spec(JobId),
    /// How far a job is.
    Job(JobId),
    /// A task that is not settled.
    Task(TaskKey),
    /// An attempt on a task that is not settled. The task comes first: what ends together lies together.
    Attempt(TaskKey, AttemptId),
    /// A class of devices and its price.
    Class(DeviceClass),
    /// A verified result of a developer's.
    Cached(Identity, TaskId),
}

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key of a market's row")]
pub struct KeyError(String);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Rules => f.write_str("rules"),
            Key::Totals => f.write_str("totals"),
            Key::Operator(id) => write!(f, "operator/{id}"),
            Key::Provider(id) => write!(f, "provider/{id}"),
            Key::Developer(id) => write!(f, "developer/{id}"),
            Key::Spec(id) => write!(f, "spec/{id}"),
            Key::Job(id) => write!(f, "job/{id}"),
            Key::Task(TaskKey { job, index, generation }) => write!(f, "task/{job}/{index}/{generation}"),
            Key::Attempt(TaskKey { job, index, generation }, id) => {
                write!(f, "attempt/{job}/{index}/{generation}/{id}")
            }
            Key::Class(class) => write!(f, "class/{class}"),
            Key::Cached(developer, task) => write!(f, "cached/{developer}/{task}"),
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Key, KeyError> {
        parse(text).ok_or_else(|| KeyError(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<Key> {
    let parts: Vec<&str> = text.split('/').collect();
    Some(match parts[..] {
        ["rules"] => Key::Rules,
        ["totals"] => Key::Totals,
        ["operator", id] => Key::Operator(id.parse().ok()?),
        ["provider", id] => Key::Provider(id.parse().ok()?),
        ["developer", id] => Key::Developer(id.parse().ok()?),
        ["spec", id] => Key::Spec(id.parse().ok()?),
        ["job", id] => Key::Job(id.parse().ok()?),
        ["task", job, index, generation] => Key::Task(task_key(job, index, generation)?),
        ["attempt", job, index, generation, id] => {
            Key::Attempt(task_key(job, index, generation)?, id.parse().ok()?)
        }
        ["class", name] => Key::Class(DeviceClass::new(name)?),
        ["cached", developer, task] => {
            Key::Cached(developer.parse().ok()?, TaskId(task.parse::<Digest>().ok()?))
        }
        _ => return None,
    })
}

fn task_key(job: &str, index: &str, generation: &str) -> Option<TaskKey> {
    Some(TaskKey { job: job.parse().ok()?, index: index.parse().ok()?, generation: generation.parse().ok()? })
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.to_string()
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Key, KeyError> {
        text.parse()
    }
}
