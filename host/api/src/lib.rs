//! The network's language: versioned wire types, requests signed with Ed25519, the log's hash chain, and a
//! client. No decision is made here and nothing is kept: those are the market's and the coordinator's.
//!
//! A request is a type ([`Endpoint`]): the client calls it, the coordinator serves it, and the OpenAPI
//! description is made from it. Requests carry who signed them, for which coordinator, when, and once
//! ([`sign`]); commands carry an id, so that a retry after a lost reply does nothing twice.

pub mod client;
mod endpoint;
pub mod endpoints;
mod error;
pub mod grant;
mod id;
mod key;
pub mod log;
mod openapi;
pub mod sign;
pub mod token;
pub mod transport;
pub mod wire;

pub use client::{Client, ClientError, ClientOptions};
pub use endpoint::{Access, Endpoint, Fields, JSON_BYTES_MAX, Media, Method, Nothing, target};
pub use error::{ErrorBody, ErrorCode};
pub use grant::Grant;
pub use id::{CommandId, Nonce};
pub use key::{KeyError, Secret, SecretKey, Signature, random_bytes};
pub use log::{LogEntry, LogError, LogHead, LogPage, LogSummary, LogVerifier};
pub use openapi::openapi;
pub use token::PageToken;
pub use transport::CoordinatorUrl;

/// The version of the wire types.
pub const API_VERSION: u32 = 1;
