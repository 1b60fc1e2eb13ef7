//! A refused command changes nothing: no device of seventeen, no credits for a job that was not taken.

use anneal_api::{
    ErrorBody,
    wire::{DeviceOffer, JobListQuery, Poll, SubmitJob},
};
use anneal_job::{PlanSpec, Price, Redundancy};

use crate::{
    fixture::{Job, Site, client, new_key},
    provider::enrolment,
    raw::Raw,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enrolment_is_taken_whole_or_not_at_all() {
    let site = Site::new();
    let coordinator = site.start().await;
    let provider = client(&coordinator, new_key()).await;
    let entries = async || provider.health().await.expect("health").log_entries;
    let before = entries().await;
    let one = enrolment().devices.remove(0);
    let many = |count: u32, class: &dyn Fn(u32) -> String| {
        let device = |device| DeviceOffer { device, class: class(device), ..one.clone() };
        anneal_api::wire::Enrol { devices: (0..count).map(device).collect(), ..enrolment() }
    };
    let cpu = |_| "cpu".to_owned();
    let mut weak = many(3, &cpu);
    weak.devices[2].selftest = None;
    let mut wordy = many(3, &cpu);
    wordy.devices[2].features = (0..65).map(|number| number.to_string()).collect();
    let mut twice = many(2, &cpu);
    twice.devices[1].device = 0;
    let of_many_classes = many(9, &|device| format!("class-{device}"));
    for (enrol, code) in [
        (many(17, &cpu), "too-many"),
        (weak, "not-selftested"),
        (wordy, "too-many"),
        (twice, "invalid"),
        (of_many_classes, "too-many"),
    ] {
        assert_eq!(provider.enrol(&enrol).await.expect_err(code).code(), Some(code));
        let seen = provider.provider(provider.identity()).await.expect_err("it never enrolled");
        assert_eq!(seen.code(), Some("not-found"));
        let poll = Poll { idle: vec![0], seen: 0, wait_ms: 0, holds: None };
        assert_eq!(provider.poll(&poll).await.expect_err("unknown").code(), Some("unknown-provider"));
    }
    assert_eq!(entries().await, before, "the log says nothing of it");
    // The same for one that has enrolled: it keeps what it had.
    provider.enrol(&many(3, &cpu)).await.expect("enrolled");
    let before = entries().await;
    assert_eq!(provider.enrol(&many(17, &cpu)).await.expect_err("too many").code(), Some("too-many"));
    let devices = provider.provider(provider.identity()).await.expect("the provider").devices;
    assert_eq!(devices.len(), 3);
    // Saying the same again is no news.
    provider.enrol(&many(3, &cpu)).await.expect("the same");
    assert_eq!(entries().await, before);
    provider.enrol(&many(1, &cpu)).await.expect("fewer");
    assert_eq!(provider.provider(provider.identity()).await.expect("the provider").devices.len(), 1);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_not_taken_leaves_no_trace_of_its_developer() {
    let site = Site::new();
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    job.upload(&developer).await;
    let before = developer.health().await.expect("health").log_entries;
    let mut dear = job.spec.clone();
    (dear.price_cap, dear.limits.gas) = (Price(u64::MAX / 1_000_000), 1_000_000_000_000);
    let mut cheap = job.spec.clone();
    cheap.price_cap = Price(0);
    let mut endless = job.spec.clone();
    endless.plan = PlanSpec::Train { segments: 0, workers: 1 };
    for (spec, code) in [
        (dear, &["insufficient-funds", "amount-overflow"][..]),
        (cheap, &["price-cap-too-low"]),
        (endless, &["bad-spec"]),
    ] {
        let submit = SubmitJob { name: "refused".to_owned(), nonce: 1, spec };
        let refused = developer.submit(&submit).await.expect_err("refused");
        assert!(code.contains(&refused.code().expect("a code")), "{refused}");
    }
    assert_eq!(developer.health().await.expect("health").log_entries, before);
    assert!(developer.jobs(&JobListQuery::default()).await.expect("a list").jobs.is_empty());
    job.submit(&developer).await;
    assert!(developer.health().await.expect("health").log_entries > before);
    coordinator.stop().await;
}

/// A point of small order: with it as key, the same signature fits one request in eight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weak_key_is_nobody() {
    let site = Site::new();
    let coordinator = site.start().await;
    let key = new_key();
    let weak = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    let signature = format!("{}{}", "01".to_owned() + &"0".repeat(62), "0".repeat(64));
    let body = serde_json::to_string(&enrolment()).expect("JSON");
    for _ in 0..32 {
        let mut raw = Raw::signed(site.key.identity(), &key, "POST", "/v1/provider", &body);
        raw.headers.insert(anneal_api::sign::IDENTITY_HEADER, weak.parse().expect("a header"));
        raw.headers.insert(anneal_api::sign::SIGNATURE_HEADER, signature.parse().expect("a header"));
        let (status, text) = raw.send(&coordinator).await;
        let error: ErrorBody = serde_json::from_str(&text).expect("an error");
        assert_eq!((status, error.code.as_str()), (401, "signature-wrong"), "{text}");
    }
    coordinator.stop().await;
}
