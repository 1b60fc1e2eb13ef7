//! What a stranger's bytes do to each parser that faces the network: they are understood or refused, and nothing
//! breaks. One function per kind of input, for the property tests beside this file and for the fuzz targets in
//! `tests/fuzz`, which name this very file.

use std::str::FromStr;

use anneal_api::{
    CommandId, CoordinatorUrl, ErrorBody, Grant, LogPage, LogVerifier, Nonce, PageToken, Signature,
    endpoints::LogQuery,
    sign::{
        BODY_DIGEST_HEADER, COMMAND_HEADER, IDENTITY_HEADER, NONCE_HEADER, SIGNATURE_HEADER, SignedClaims,
        TIMESTAMP_HEADER,
    },
    wire,
};
use anneal_job::{Digest, Identity, JobId, Timestamp};
use http::{HeaderMap, HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

/// The headers of a request: a line each, its first byte drawing which header it is.
pub fn headers(bytes: &[u8]) {
    const NAMES: [&str; 6] = [
        IDENTITY_HEADER,
        TIMESTAMP_HEADER,
        NONCE_HEADER,
        BODY_DIGEST_HEADER,
        COMMAND_HEADER,
        SIGNATURE_HEADER,
    ];
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Some((&first, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(NAMES[usize::from(first) % NAMES.len()], value);
        }
    }
    let audience = Identity::from_bytes([1; 32]);
    if let Ok(signed) = SignedClaims::check(audience, "POST", "/v1/jobs?x=1", &headers) {
        // Whoever signed it can say it again in the same words.
        assert_eq!(signed.claims.audience, audience);
    }
}

/// Ids, addresses, tokens and grants: what is understood is written in one way only.
pub fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    again::<CommandId>(text);
    again::<Nonce>(text);
    again::<Digest>(text);
    again::<Identity>(text);
    again::<JobId>(text);
    again::<CoordinatorUrl>(text);
    if let Some(signature) = Signature::parse(text) {
        assert_eq!(Signature::parse(&signature.to_string()), Some(signature));
    }
    let (here, now) = (Identity::from_bytes([1; 32]), Timestamp(1_000_000_000_000));
    if let Ok(token) = text.parse::<PageToken>() {
        assert!(token.check(here, now).is_err(), "nobody signed for this coordinator");
    }
    if let Ok(grant) = text.parse::<Grant>() {
        assert!(grant.check(here, now).is_err(), "nobody signed for this coordinator");
    }
}

/// Bodies of requests and of replies: what is understood can be written, and read again.
pub fn bodies(bytes: &[u8]) {
    body::<wire::SubmitJob>(bytes);
    body::<wire::QuoteJob>(bytes);
    body::<wire::Enrol>(bytes);
    body::<wire::Poll>(bytes);
    body::<wire::PollReply>(bytes);
    body::<wire::Batch>(bytes);
    body::<wire::BatchReply>(bytes);
    body::<wire::MissingQuery>(bytes);
    body::<wire::ProviderPause>(bytes);
    body::<wire::JobView>(bytes);
    body::<wire::About>(bytes);
    body::<wire::BlobQuery>(bytes);
    body::<LogQuery>(bytes);
    body::<ErrorBody>(bytes);
}

/// Pages of a log, checked one after the other, as a file has them.
pub fn log(bytes: &[u8]) {
    let mut verifier = LogVerifier::new(Identity::from_bytes([1; 32]));
    for line in bytes.split(|&byte| byte == b'\n') {
        let Ok(page) = serde_json::from_slice::<LogPage>(line) else { return };
        let entries = page.entries.len() as u64;
        let before = verifier.checked();
        if verifier.page(&page).is_err() {
            return;
        }
        assert_eq!(verifier.checked(), before + entries);
    }
    assert!(verifier.finish().is_err() || verifier.checked() == 0, "nobody signed anything");
}

fn again<T: FromStr + ToString>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        let Ok(read) = written.parse::<T>() else {
            panic!("{text:?} is written as {written:?}, which is none")
        };
        assert_eq!(read.to_string(), written, "{text:?}");
    }
}

fn body<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&value).expect("what was read can be written");
        let read = serde_json::from_slice::<T>(&written);
        assert!(read.is_ok(), "{} is not read again", String::from_utf8_lossy(&written));
    }
}
