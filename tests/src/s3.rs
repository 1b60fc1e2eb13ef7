//! Storage that speaks S3, in a process of its own on loopback: moto's server, which `tests/setup` installs. Its
//! objects are in memory; it checks no signatures, so tests look into it and damage it without signing.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    process::{Process, wait_until},
    workspace,
};

/// Only a server that is broken takes so long.
const START_TIME: Duration = Duration::from_secs(60);
const BUCKET: &str = "anneal";

/// A running server with one empty bucket.
pub struct Storage {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Storage {
    /// Starts it.
    pub fn start() -> Storage {
        let program = workspace().join("target/python/bin/moto_server");
        assert!(program.exists(), "{} is missing; run tests/setup", program.display());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = crate::network::free_address();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let process = Process::start(command, &folder.path().join("log"));
        let storage = Storage { address, _process: process, _folder: folder };
        let made = wait_until(START_TIME, || {
            storage.request("PUT", "", b"").is_some_and(|(status, _)| status == 200)
        });
        assert!(made, "a bucket is made: {}", storage._process.said());
        storage
    }

    /// What `--blobs` takes.
    pub fn place(&self) -> String {
        format!("s3://{BUCKET}/blobs")
    }

    /// The settings that a coordinator needs to reach it.
    pub fn settings(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        let settings = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<String> {
        let (_, listed) = self.request("GET", "?list-type=2", b"").expect("it answers");
        let listed = String::from_utf8(listed).expect("XML");
        let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }

    /// An object.
    pub fn get(&self, name: &str) -> Vec<u8> {
        let (status, body) = self.request("GET", &format!("/{name}"), b"").expect("it answers");
        assert_eq!(status, 200, "{name}");
        body
    }

    /// Puts an object in another's place.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let (status, _) = self.request("PUT", &format!("/{name}"), bytes).expect("it answers");
        assert_eq!(status, 200, "{name}");
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let time = Duration::from_secs(10);
        let mut stream = TcpStream::connect_timeout(&self.address, time).ok()?;
        stream.set_read_timeout(Some(time)).ok()?;
        let (address, length) = (self.address, body.len());
        // Objects of a bucket are not anybody's: who asks has a name, which is believed.
        let credential = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request";
        let head = format!(
            "{method} /{BUCKET}{path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\
             authorization: {credential}, SignedHeaders=host, Signature=0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).ok()?;
        let end = reply.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&reply[..end]).into_owned();
        Some((head.split_whitespace().nth(1)?.parse().ok()?, reply[end + 4..].to_vec()))
    }
}
