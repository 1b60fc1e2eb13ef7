//! TLS: a certificate that is trusted, one that is not, and where plain HTTP ends.

use std::path::{Path, PathBuf};

use anneal_api::{Client, ClientError, ClientOptions, client::Retry};
use anneal_coordinator::{Config, Coordinator, StartError, TlsFiles};
use anneal_job::{Blob, Digest};

use crate::fixture::{Oracle, Site, new_key};

/// Made for these tests; the authority's key was thrown away.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/tls").join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_certificate_is_talked_to_and_no_other() {
    let site = Site::new();
    let tls = Some(TlsFiles { certificate: file("certificate.pem"), key: file("key.pem") });
    let config = Config { tls, ..site.config() };
    let coordinator = Coordinator::start(config, std::sync::Arc::new(Oracle)).await.expect("it starts");
    let url = format!("https://localhost:{}", coordinator.address().port());
    let mut options = ClientOptions::new(url.parse().expect("a URL"), new_key());
    options.retry = Retry::ONCE;
    let refused = Client::connect(options.clone()).await;
    assert!(matches!(refused, Err(ClientError::Network { .. })), "nobody vouches for it");
    options.certificates = vec![file("ca.pem")];
    options.retry = Retry::default();
    let client = Client::connect(options.clone()).await.expect("it is vouched for");
    assert_eq!(client.coordinator(), site.key.identity());
    let content: Vec<u8> = (0..3_000_000u32).map(|index| index as u8).collect();
    let blob = Blob { digest: Digest::of(&content), bytes: content.len() as u64 };
    let (up, down) = (site.folder.path().join("up"), site.folder.path().join("down"));
    std::fs::write(&up, content).expect("a file");
    client.upload(blob, &up, None, &mut |_, _| {}).await.expect("uploaded");
    client.download(blob, &down, &mut |_, _| {}).await.expect("downloaded");
    // Somebody else's key behind the same address is not the coordinator that one knows.
    options.coordinator = Some(new_key().identity());
    let other = Client::connect(options).await;
    assert!(matches!(other, Err(ClientError::OtherCoordinator { .. })));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_stays_on_loopback() {
    let site = Site::new();
    let config = Config { listen: "0.0.0.0:0".parse().expect("an address"), ..site.config() };
    let refused = Coordinator::start(config, std::sync::Arc::new(Oracle)).await;
    assert!(matches!(refused, Err(StartError::PlainBeyondLoopback(_))));
}
