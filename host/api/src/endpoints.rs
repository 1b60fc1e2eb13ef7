//! Every request of the service, as a type. The paths and what travels; who answers is the coordinator's.

use anneal_job::Identity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, Endpoint, JSON_BYTES_MAX, LogPage, Media, Method, Nothing,
    openapi::Description,
    wire::{
        About, Ban, Batch, BatchReply, BlobPath, BlobQuery, Cancelled, Enrol, Health, JobListQuery, JobPath,
        JobQuery, JobView, Jobs, Missing, MissingQuery, Poll, PollReply, ProviderListQuery, ProviderPause,
        ProviderView, Providers, Quote, QuoteJob, SubmitJob, Submitted, UploadQuery, UploadState,
    },
};

/// Bytes of one piece of an upload.
pub const UPLOAD_PIECE_BYTES_MAX: usize = 8 << 20;
/// Bytes of a batch, a job or a poll.
const LARGE_BYTES_MAX: usize = 8 << 20;
/// How long a long poll may wait.
pub const WAIT_MS_MAX: u64 = 30_000;
/// Entries of a page of the log.
pub const LOG_PAGE_ENTRIES_MAX: u64 = 1_000;

/// The path of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderPath {
    /// Who.
    pub identity: Identity,
}

/// Which part of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogQuery {
    /// Entries after this one; 0 for the first.
    pub after: u64,
    /// So many at most; 1,000 is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

macro_rules! endpoints {
    ($(
        $(#[doc = $summary:literal])+
        $name:ident: $method:ident $path:literal $access:ident,
        ($path_type:ty, $query:ty, $body:ty) -> $reply:ty
        $(, $constant:ident = $value:expr)*;
    )*) => {
        $(
            $(#[doc = $summary])+
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Endpoint for $name {
                const NAME: &'static str = stringify!($name);
                const METHOD: Method = Method::$method;
                const PATH: &'static str = $path;
                const SUMMARY: &'static str = concat!($($summary),+);
                const ACCESS: Access = Access::$access;
                $(const $constant: endpoints!(@type $constant) = $value;)*
                type Path = $path_type;
                type Query = $query;
                type Body = $body;
                type Reply = $reply;
            }
        )*

        /// Every request, described.
        pub(crate) fn descriptions() -> Vec<Description> {
            vec![$(Description::of::<$name>()),*]
        }
    };
    (@type BODY) => { Media };
    (@type REPLY) => { Media };
    (@type BODY_BYTES_MAX) => { usize };
}

endpoints! {
    /// Who this coordinator is, its clock, what it runs and allows.
    GetAbout: Get "/v1/about" Open, (Nothing, Nothing, Nothing) -> About, BODY = Media::None;
    /// How the network does.
    GetHealth: Get "/v1/health" Open, (Nothing, Nothing, Nothing) -> Health, BODY = Media::None;
    /// Answers as long as the process does.
    GetLive: Get "/live" Open, (Nothing, Nothing, Nothing) -> Nothing, BODY = Media::None, REPLY = Media::Text;
    /// Answers `ready` where commands are taken, else status 503.
    GetReady: Get "/ready" Open, (Nothing, Nothing, Nothing) -> Nothing, BODY = Media::None, REPLY = Media::Text;
    /// Numbers for Prometheus.
    GetMetrics: Get "/metrics" Open, (Nothing, Nothing, Nothing) -> Nothing, BODY = Media::None, REPLY = Media::Text;
    /// This description.
    GetOpenApi: Get "/v1/openapi.json" Open, (Nothing, Nothing, Nothing) -> serde_json::Value, BODY = Media::None;

    /// What a job would cost at most; changes nothing.
    Quotes: Post "/v1/quotes" Signed, (Nothing, Nothing, QuoteJob) -> Quote, BODY_BYTES_MAX = LARGE_BYTES_MAX;
    /// Submits a job whose blobs have been uploaded.
    Submit: Post "/v1/jobs" Signed, (Nothing, Nothing, SubmitJob) -> Submitted, BODY_BYTES_MAX = LARGE_BYTES_MAX;
    /// One's own jobs; without a signature or token, the public ones.
    ListJobs: Get "/v1/jobs" OpenOrToken, (Nothing, JobListQuery, Nothing) -> Jobs, BODY = Media::None;
    /// A job with its tasks; waits for news where the query says so. Private ones are for their owner only.
    GetJob: Get "/v1/jobs/{job}" OpenOrToken, (JobPath, JobQuery, Nothing) -> JobView, BODY = Media::None;
    /// No new leases for a job; what runs finishes, is judged and paid, the rest is refunded.
    Cancel: Post "/v1/jobs/{job}/cancel" Signed, (JobPath, Nothing, Nothing) -> Cancelled;
    /// A paused job goes on.
    Resume: Post "/v1/jobs/{job}/resume" Signed, (JobPath, Nothing, Nothing) -> Cancelled;

    /// Says who provides and with what; sent again when anything changes.
    EnrolProvider: Post "/v1/provider" Signed, (Nothing, Nothing, Enrol) -> Nothing;
    /// Whether one wants leases.
    PauseProvider: Post "/v1/provider/pause" Signed, (Nothing, Nothing, ProviderPause) -> Nothing;
    /// Asks for work and duties; waits where there is neither.
    PollProvider: Post "/v1/provider/poll" Signed, (Nothing, Nothing, Poll) -> PollReply;
    /// Heartbeats, commits, reveals, faults and traces at once; each item has a reply of its own.
    SendBatch: Post "/v1/provider/batch" Signed, (Nothing, Nothing, Batch) -> BatchReply,
        BODY_BYTES_MAX = LARGE_BYTES_MAX;
    /// Providers with reputation and devices.
    ListProviders: Get "/v1/providers" OpenOrToken, (Nothing, ProviderListQuery, Nothing) -> Providers, BODY = Media::None;
    /// One provider; itself sees what it earned.
    GetProvider: Get "/v1/providers/{identity}" OpenOrToken, (ProviderPath, Nothing, Nothing) -> ProviderView,
        BODY = Media::None;

    /// Which blobs must be uploaded.
    MissingBlobs: Post "/v1/blobs/missing" Signed, (Nothing, Nothing, MissingQuery) -> Missing;
    /// How far an upload is.
    GetUpload: Get "/v1/blobs/{digest}/upload" Signed, (BlobPath, Nothing, Nothing) -> UploadState,
        BODY = Media::None;
    /// The next piece of an upload; the last one is answered when the whole has been verified and kept.
    PutBlob: Put "/v1/blobs/{digest}" Signed, (BlobPath, UploadQuery, Nothing) -> UploadState,
        BODY = Media::Bytes, BODY_BYTES_MAX = UPLOAD_PIECE_BYTES_MAX;
    /// A blob, or a range of it. For who uploaded it, the owner of the job, and who holds a lease that needs it; of
    /// a public job, or under its owner's grant, for everybody.
    GetBlob: Get "/v1/blobs/{digest}" Signed, (BlobPath, BlobQuery, Nothing) -> Nothing,
        BODY = Media::None, REPLY = Media::Bytes;

    /// Serves an identity no more, or again. Signed by the coordinator's own key: `anneal coordinator ban` does so.
    SetBan: Post "/v1/bans" Signed, (Nothing, Nothing, Ban) -> Nothing;
    /// A page of the hash-chained log with its signed heads.
    GetLog: Get "/v1/log" Open, (Nothing, LogQuery, Nothing) -> LogPage, BODY = Media::None;
}

const _: () = assert!(LARGE_BYTES_MAX >= JSON_BYTES_MAX);
