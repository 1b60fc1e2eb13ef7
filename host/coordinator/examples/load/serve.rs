//! The coordinator under measurement: a process of its own, as the command would set it up, on a folder that may
//! hold an earlier one's data. Ends in order when its input does.

use std::{io::Read, path::Path, sync::Arc};

use anneal_api::SecretKey;
use anneal_coordinator::{
    Config, Coordinator, Grants, Limits, TlsFiles, Vouched, blobs::BlobPlace, store::StoreUrl,
};
use anneal_job::Span;
use anneal_market::Parameters;

use crate::fixture::{Oracle, VERSIONS};

/// The key and certificate of the tests, for `https://localhost`.
pub fn tls_file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/tls").join(name)
}

/// Serves from a folder; with `tls` as the second argument, over TLS.
pub async fn serve(arguments: &[String]) {
    let folder = Path::new(arguments.first().expect("a folder"));
    let tls = arguments.get(1).is_some_and(|argument| argument == "tls");
    let config = Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        tls: tls.then(|| TlsFiles { certificate: tls_file("certificate.pem"), key: tls_file("key.pem") }),
        trusted_proxies: Vec::new(),
        advertise: None,
        key: Arc::new(key(folder)),
        store: StoreUrl::Sqlite(folder.join("coordinator.sqlite")),
        blobs: BlobPlace::Folder(folder.join("blobs")),
        scratch: folder.join("scratch"),
        versions: VERSIONS,
        version: "load".to_owned(),
        limits: Limits {
            // All providers of a measurement come from one address.
            requests_per_minute: u32::MAX,
            requests_burst: u32::MAX,
            events_per_minute: u32::MAX,
            events_burst: u32::MAX,
            ..Limits::default()
        },
        grants: Grants::default(),
        vouched: Vouched::default(),
        check_at_start: true,
        // Newcomers need not wait for somebody established: there is nobody.
        parameters: Parameters { pairing_patience: Span(0), ..Parameters::default() },
    };
    let coordinator = Coordinator::start(config, Arc::new(Oracle)).await.expect("it starts");
    let scheme = if tls { "https://localhost" } else { "http://127.0.0.1" };
    println!("{scheme}:{}", coordinator.address().port());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    // Whatever ended the input, it has ended.
    let _ = ended.await;
    coordinator.stop().await;
}

fn key(folder: &Path) -> SecretKey {
    let path = folder.join("key");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return SecretKey::parse(&text).expect("its own key");
    }
    let key = SecretKey::generate().expect("random bytes");
    std::fs::write(&path, key.expose()).expect("a file");
    key
}
