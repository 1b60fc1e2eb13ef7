//! What a client is set up with.

use std::{path::PathBuf, sync::Arc};

use anneal_job::Identity;

use super::{Retry, Throttle};
use crate::{CoordinatorUrl, Secret, SecretKey};

/// Where to connect, as whom, and how patiently.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where.
    pub url: CoordinatorUrl,
    /// As whom.
    pub key: Arc<SecretKey>,
    /// The coordinator's key, where it is known from before: another one is refused.
    pub coordinator: Option<Identity>,
    /// A SOCKS 5 proxy, as `host:port`.
    pub proxy: Option<String>,
    /// Files with certificates (PEM) that are trusted besides the system's.
    pub certificates: Vec<PathBuf>,
    /// A grant's text, for somebody else's private job.
    pub grant: Option<Secret>,
    /// Sent with every request, for whatever stands before a coordinator.
    pub headers: http::HeaderMap,
    /// How long a lost connection is tried again.
    pub retry: Retry,
    /// How fast blobs may travel, together with those of other clients that have the same one.
    pub throttle: Option<Arc<Throttle>>,
}

impl ClientOptions {
    /// With the system's certificates, no proxy, and retries for a minute.
    pub fn new(url: CoordinatorUrl, key: Arc<SecretKey>) -> ClientOptions {
        ClientOptions {
            url,
            key,
            coordinator: None,
            proxy: None,
            certificates: Vec::new(),
            grant: None,
            headers: http::HeaderMap::new(),
            retry: Retry::default(),
            throttle: None,
        }
    }
}
