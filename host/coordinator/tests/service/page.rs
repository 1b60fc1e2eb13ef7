//! The page: its files, what it may load, and whose jobs a link's token shows.

use std::time::Duration;

use anneal_job::{PlanSpec, Redundancy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::fixture::{Job, Site, client, new_key};

async fn get(coordinator: &anneal_coordinator::Coordinator, path: &str, token: Option<&str>) -> String {
    let mut stream = TcpStream::connect(coordinator.address()).await.expect("a connection");
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{token}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply");
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_loads_nothing_from_elsewhere() {
    let site = Site::new();
    let coordinator = site.start().await;
    for path in ["/", "/page.js", "/charts.js", "/page.css"] {
        let reply = get(&coordinator, path, None).await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{path}: {reply}");
        assert!(reply.contains("content-security-policy: default-src 'none'"), "{path}");
        let body = reply.split_once("\r\n\r\n").expect("a body").1;
        for word in ["http://", "https://", "innerHTML", "eval("] {
            let namespace = body.replace("http://www.w3.org/2000/svg", "");
            assert!(!namespace.contains(word), "{path} has {word}");
        }
    }
    let described = get(&coordinator, "/v1/openapi.json", None).await;
    assert!(described.contains("\"openapi\":\"3.1.0\""));
    let metrics = get(&coordinator, "/metrics", None).await;
    assert!(
        metrics.contains("\nanneal_leader 1\n") && metrics.contains("anneal_requests_total{"),
        "{metrics}"
    );
    assert!(get(&coordinator, "/ready", None).await.ends_with("ready\n"));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_links_token_shows_private_jobs_to_their_owner_only() {
    let site = Site::new();
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1)).submit(&developer).await;
    let link = developer.page_link(Duration::from_secs(60));
    let token = link.expose().split_once("#token=").expect("a token").1.to_owned();
    let path = format!("/v1/jobs/{id}");
    assert!(get(&coordinator, "/v1/jobs", Some(&token)).await.contains(&id.to_string()));
    assert!(get(&coordinator, &path, Some(&token)).await.starts_with("HTTP/1.1 200"));
    assert!(!get(&coordinator, "/v1/jobs", None).await.contains(&id.to_string()));
    assert!(get(&coordinator, &path, None).await.contains("\"not-found\""));
    let stranger = client(&coordinator, new_key()).await.page_link(Duration::from_secs(60));
    let other = stranger.expose().split_once("#token=").expect("a token").1.to_owned();
    assert!(get(&coordinator, &path, Some(&other)).await.contains("\"not-found\""));
    assert!(get(&coordinator, &path, Some("no token")).await.contains("\"token-wrong\""));
    let long = developer.page_link(Duration::from_secs(48 * 3600));
    let long = long.expose().split_once("#token=").expect("a token").1.to_owned();
    assert!(get(&coordinator, &path, Some(&long)).await.contains("\"token-wrong\""));
    coordinator.stop().await;
}
