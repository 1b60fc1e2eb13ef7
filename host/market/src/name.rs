//! The names of the market's own things: devices and their classes, tasks of a job, tags in the public log.

use std::fmt;

use anneal_job::{Digest, JobId, RecordHasher, TaskId};
use serde::{Deserialize, Serialize};

/// A provider's device, numbered by the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub u32);

/// Devices of one kind: what prices and speeds go by. A short lower-case text, like `nvidia-24g` or `cpu`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceClass(String);

/// A task's place: its job, its index in the plan, and which try at the job's plan it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The job.
    pub job: JobId,
    /// The index in the plan.
    pub index: u32,
    /// From 0; one more each time that a verdict is overturned and this task must be run again.
    pub generation: u32,
}

/// A job in the public log: salted where it is private, so that nobody finds it who does not know the salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobTag(pub Digest);

/// A task in the public log, and in commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskTag(pub Digest);

/// Bytes of a class's name.
const CLASS_BYTES_MAX: usize = 32;

impl DeviceClass {
    /// The class of this name, where it is 1 to 32 lower-case letters, digits, `-` or `.`.
    pub fn new(name: &str) -> Option<DeviceClass> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let fits = (1..=CLASS_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain);
        fits.then(|| DeviceClass(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeviceClass {
    type Error = String;

    fn try_from(name: String) -> Result<DeviceClass, String> {
        DeviceClass::new(&name)
            .ok_or_else(|| "a device class is 1 to 32 lower-case letters, digits, `-` or `.`".to_owned())
    }
}

impl From<DeviceClass> for String {
    fn from(class: DeviceClass) -> String {
        class.0
    }
}

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JobTag {
    /// The tag of a job with this salt.
    pub fn of(job: JobId, salt: Digest) -> JobTag {
        JobTag(RecordHasher::new("anneal job tag 1").bytes(salt.as_bytes()).bytes(job.0.as_bytes()).finish())
    }
}

impl TaskTag {
    /// The tag of a task with its job's salt; tries of one task have different tags.
    pub fn of(key: TaskKey, task: TaskId, salt: Digest) -> TaskTag {
        let mut hasher = RecordHasher::new("anneal task tag 1");
        hasher.bytes(salt.as_bytes()).bytes(key.job.0.as_bytes()).bytes(task.0.as_bytes());
        TaskTag(hasher.number(u64::from(key.index)).number(u64::from(key.generation)).finish())
    }
}
