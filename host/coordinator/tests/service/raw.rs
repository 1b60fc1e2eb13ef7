//! Requests by hand over a socket: nothing of the client helps, and everything can be spoilt.

use anneal_api::{CommandId, Nonce, SecretKey, sign::RequestClaims};
use anneal_coordinator::Coordinator;
use anneal_job::{Digest, Identity, Timestamp};
use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request as bytes, and the ways to spoil it.
pub struct Raw {
    pub method: &'static str,
    pub target: String,
    pub body: Vec<u8>,
    pub headers: HeaderMap,
}

impl Raw {
    pub fn signed(
        audience: Identity,
        key: &SecretKey,
        method: &'static str,
        target: &str,
        body: &str,
    ) -> Raw {
        Raw::signed_at(audience, key, method, target, body, now())
    }

    pub fn signed_at(
        audience: Identity,
        key: &SecretKey,
        method: &'static str,
        target: &str,
        body: &str,
        at: Timestamp,
    ) -> Raw {
        let claims = RequestClaims {
            audience,
            method: method.to_owned(),
            target: target.to_owned(),
            body: Digest::of(body.as_bytes()),
            at,
            nonce: Nonce::random().expect("random"),
            command: Some(CommandId::random().expect("random")),
        };
        let mut headers = HeaderMap::new();
        claims.sign_into(key, &mut headers);
        Raw { method, target: target.to_owned(), body: body.as_bytes().to_vec(), headers }
    }

    /// With another header, which is not signed.
    pub fn with(mut self, name: &'static str, value: &str) -> Raw {
        self.headers.append(name, value.parse().expect("a header"));
        self
    }

    /// A piece of an upload.
    pub fn piece(
        audience: Identity,
        key: &SecretKey,
        digest: Digest,
        (offset, bytes): (u64, u64),
        piece: &str,
    ) -> Raw {
        let target = format!("/v1/blobs/{digest}?offset={offset}&bytes={bytes}");
        Raw::signed(audience, key, "PUT", &target, piece)
    }

    /// Everything of it as bytes; more body may be announced than is there.
    pub fn bytes(&self, announced: usize) -> Vec<u8> {
        let mut text =
            format!("{} {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            text += &format!("{name}: {}\r\n", value.to_str().expect("plain"));
        }
        text += &format!("content-length: {announced}\r\n\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub async fn send(&self, coordinator: &Coordinator) -> (u16, String) {
        exchange(coordinator, &self.bytes(self.body.len())).await
    }
}

/// Sends bytes and reads until the other side closes.
pub async fn exchange(coordinator: &Coordinator, bytes: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(coordinator.address()).await.expect("a connection");
    // Where the answer comes before all was sent, the rest is not wanted.
    let _ = stream.write_all(bytes).await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_millis() as u64)
}
