//! Behind a reverse proxy: each client is who it is, and nobody chooses where it comes from.

use anneal_api::ErrorBody;
use anneal_coordinator::{Config, Coordinator, Limits};
use http::HeaderMap;

use crate::{
    fixture::{Site, new_key},
    provider::enrolment,
    raw::Raw,
};

const LIST: &str = "x-forwarded-for";

async fn start(site: &Site, trusted: &[&str]) -> Coordinator {
    let trusted_proxies = trusted.iter().map(|network| network.parse().expect("a network")).collect();
    let limits = Limits {
        requests_per_minute: 60,
        requests_burst: 5,
        prefix_enrolments_per_hour: 2,
        ..site.config().limits
    };
    site.start_with(Config { trusted_proxies, limits, ..site.config() }).await
}

fn open(forwarded: &[(&'static str, &str)]) -> Raw {
    let raw =
        Raw { method: "GET", target: "/v1/openapi".to_owned(), body: Vec::new(), headers: HeaderMap::new() };
    forwarded.iter().fold(raw, |raw, (name, value)| raw.with(name, value))
}

/// How many of twenty are refused for being too many.
async fn refused(coordinator: &Coordinator, forwarded: &[(&'static str, &str)]) -> usize {
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(open(forwarded).send(coordinator).await.0 == 429);
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_behind_a_trusted_proxy_are_counted_each_by_itself() {
    let site = Site::new();
    let coordinator = start(&site, &["127.0.0.0/8", "10.0.0.0/8"]).await;
    assert!(refused(&coordinator, &[(LIST, "192.0.2.1")]).await >= 10);
    for other in ["192.0.2.2", "198.51.100.7", "2001:db8::1"] {
        assert_eq!(open(&[(LIST, other)]).send(&coordinator).await.0, 404, "{other}");
    }
    // What a client writes itself stands left of what the proxy adds, and helps it nothing.
    let more = refused(&coordinator, &[(LIST, "203.0.113.9, 192.0.2.1, 10.1.1.1")]).await;
    assert!(more >= 15, "{more}");
    for unclear in [&[(LIST, "who knows")][..], &[(LIST, "192.0.2.9"), ("forwarded", "for=192.0.2.10")]] {
        let (status, text) = open(unclear).send(&coordinator).await;
        let error: ErrorBody = serde_json::from_str(&text).expect("an error");
        assert_eq!((status, error.code.as_str()), (422, "invalid"), "{text}");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_says_where_it_comes_from() {
    let site = Site::new();
    let coordinator = start(&site, &["10.0.0.0/8"]).await;
    let mut refused = 0;
    for number in 0..20 {
        let invented = format!("192.0.2.{number}");
        refused += usize::from(open(&[(LIST, &invented)]).send(&coordinator).await.0 == 429);
    }
    assert!(refused >= 10, "{refused}");
    coordinator.stop().await;
}

/// The prefix of the client, and not of the proxy, is what enrolments are counted by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrolments_are_counted_by_the_clients_prefix() {
    let site = Site::new();
    let coordinator = start(&site, &["127.0.0.1", "::1"]).await;
    let body = serde_json::to_string(&enrolment()).expect("JSON");
    let enrol = async |from: &str| {
        let raw = Raw::signed(site.key.identity(), &new_key(), "POST", "/v1/provider", &body);
        raw.with(LIST, from).send(&coordinator).await
    };
    let mut statuses = Vec::new();
    for from in ["192.0.2.1", "192.0.2.200", "192.0.2.3", "192.0.3.1", "2001:db8:0:1::1", "2001:db8::7"] {
        statuses.push(enrol(from).await.0);
    }
    assert_eq!(statuses, [200, 200, 429, 200, 200, 200]);
    assert_eq!(enrol("2001:db8:0:ffff::").await.0, 429);
    coordinator.stop().await;
}
