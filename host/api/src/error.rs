//! The one shape of an error on the wire, and every stable code. Not the client's own errors: those are in
//! `client`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a request gets that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The HTTP status, repeated.
    pub status: u16,
    /// A stable word for programs: one of those listed in the description, or the market's reason.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// What exactly: a limit, a digest, the cause. May change from version to version.
    pub detail: Option<String>,
    /// For `timestamp-stale` the coordinator's time, for `rate-limited` and the like when to come again, in
    /// milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_ms: Option<u64>,
}

macro_rules! codes {
    ($($(#[doc = $documentation:literal])+ $name:ident $code:literal $status:literal $message:literal,)*) => {
        /// The stable codes of the service itself. The market has codes of its own: its reasons to refuse a
        /// command, always with status 409.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $documentation])+ $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];

            /// The word on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => $code,)* }
            }

            /// The HTTP status it comes with.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status,)* }
            }

            /// What happened, for people.
            pub const fn message(self) -> &'static str {
                match self { $(ErrorCode::$name => $message,)* }
            }

            /// When it comes.
            pub const fn meaning(self) -> &'static str {
                match self { $(ErrorCode::$name => concat!($($documentation),+).trim_ascii(),)* }
            }
        }
    };
}

codes! {
    /// The body is no JSON of this request's shape.
    MalformedBody "malformed-body" 400 "the body is not what this request takes",
    /// A key that means nothing here.
    UnknownField "unknown-field" 400 "the body has a field that this request does not know",
    /// The query is not of this request's shape.
    MalformedQuery "malformed-query" 400 "the query is not what this request takes",
    /// A part of the path is no id or digest.
    MalformedPath "malformed-path" 400 "the path names nothing that can exist",
    /// The body is not the one whose digest was signed.
    BodyDigest "body-digest" 400 "the body is not the one that was signed",
    /// A request that must be signed and is not, or whose headers are no signature's.
    SignatureMissing "signature-missing" 401 "this request must be signed",
    /// The signature does not hold.
    SignatureWrong "signature-wrong" 401 "the signature does not hold for this request here",
    /// Signed too long ago, or in the future, or before this coordinator started.
    TimestampStale "timestamp-stale" 401 "the request's time is too far from the coordinator's; sign it again",
    /// A request that was seen before.
    NonceRepeated "nonce-repeated" 401 "this request was seen before",
    /// A page's token that is expired or none.
    TokenWrong "token-wrong" 401 "the link has expired or is incomplete; make a new one",
    /// A grant that is none, has expired, or is not signed by the job's owner for this coordinator.
    GrantWrong "grant-wrong" 403 "the grant does not hold; ask the job's owner for a new one",
    /// The network's operator does not serve this identity; the log says why.
    Banned "banned" 403 "the operator of this network serves this identity no more",
    /// It exists, perhaps, but not for this identity.
    Forbidden "forbidden" 403 "not for this identity",
    /// Nothing has this name, or not for this identity.
    NotFound "not-found" 404 "there is nothing with this name",
    /// The path is known, the method is not.
    MethodNotAllowed "method-not-allowed" 405 "this path does not take this method",
    /// The client took too long to send its request.
    RequestTimeout "request-timeout" 408 "the request took too long to arrive",
    /// The same command id came with other content.
    CommandConflict "command-conflict" 409 "this command's id was used for another command",
    /// An upload that goes on somewhere else than where it stopped.
    UploadOffset "upload-offset" 409 "the upload stands at another offset",
    /// The body is larger than this request's may be.
    BodyTooLarge "body-too-large" 413 "the body is too large",
    /// The blob is larger than blobs may be.
    BlobTooLarge "blob-too-large" 413 "the blob is too large",
    /// The range lies outside the blob.
    RangeWrong "range-wrong" 416 "the range is not within the blob",
    /// The bytes are not those whose digest the path names; the upload was thrown away.
    BlobDigest "blob-digest" 422 "the bytes are not those that the digest names; start the upload again",
    /// Field values that contradict each other or a limit.
    Invalid "invalid" 422 "the request contradicts itself or a limit",
    /// A component that was looked at before and is refused, invalid, or takes too long to compile.
    ComponentRefused "component-refused" 422 "the component cannot be admitted",
    /// A job of other versions of contract, numerics or gas than this network runs; `/v1/about` names its own.
    Versions "versions" 422 "this network does not run the job's versions; submit it with the anneal that it names",
    /// More requests than an identity or address may send.
    RateLimited "rate-limited" 429 "too many requests; come again later",
    /// More bytes than an identity may keep.
    QuotaBytes "quota-bytes" 429 "no bytes are left in this identity's quota",
    /// More long polls or connections than there may be.
    Overloaded "overloaded" 503 "the coordinator is busy; come again later",
    /// The coordinator's disk is nearly full; nothing was written.
    DiskFull "disk-full" 507 "the coordinator's disk is nearly full; come again when its operator has made room",
    /// The store does not answer; nothing was changed or it is not known whether.
    Unavailable "unavailable" 503 "the coordinator cannot write at the moment; send it again",
    /// Another process leads and could not be reached.
    NotLeader "not-leader" 503 "no process leads at the moment; send it again",
    /// It is shutting down.
    ShuttingDown "shutting-down" 503 "the coordinator is shutting down; send it again",
    /// A bug of ours.
    Internal "internal" 500 "the coordinator failed; its log says why",
}

impl ErrorCode {
    /// The body with this code.
    pub fn body(self) -> ErrorBody {
        ErrorBody {
            status: self.status(),
            code: self.name().to_owned(),
            message: self.message().to_owned(),
            detail: None,
            hint_ms: None,
        }
    }

    /// The body with this code, and what exactly happened.
    pub fn because(self, detail: impl Into<String>) -> ErrorBody {
        ErrorBody { detail: Some(detail.into()), ..self.body() }
    }
}

impl ErrorBody {
    /// A refusal by the market, with its reason's code and words.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> ErrorBody {
        ErrorBody { status: 409, code: code.into(), message: message.into(), detail: None, hint_ms: None }
    }

    /// Whether this is the code.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.name()
    }
}

impl std::fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}", self.message, self.code)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail})"),
            None => f.write_str(")"),
        }
    }
}

impl std::error::Error for ErrorBody {}
