//! Who may read a job and its blobs: its owner, everybody where it is public, whoever has a grant. And the log of
//! what happened, as an auditor reads it.

use std::time::Duration;

use anneal_api::{
    Client, ClientOptions, Secret,
    wire::{BlobQuery, JobQuery, JobView},
};
use anneal_coordinator::Coordinator;
use anneal_job::{Blob, Digest, PlanSpec, Redundancy};
use anneal_market::{Event, audit::Auditor};
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Site, client, ended, new_key},
    provider::Provider,
};

async fn stranger(coordinator: &Coordinator, grant: Option<Secret>) -> Client {
    let url = format!("http://{}", coordinator.address()).parse().expect("an address");
    let options = ClientOptions { grant, ..ClientOptions::new(url, new_key()) };
    Client::connect(options).await.expect("it answers")
}

async fn read(client: &Client, site: &Site, blob: Blob, of: BlobQuery) -> Result<Vec<u8>, String> {
    let path = site.folder.path().join(format!("{}-{}", client.identity(), blob.digest));
    let done = client.download_of(blob, of, &path, &mut |_, _| {}).await;
    done.map_err(|error| error.code().unwrap_or("another error").to_owned())?;
    Ok(std::fs::read(path).expect("what was downloaded"))
}

/// The blobs of a job, and as part of what they are asked for.
fn parts(view: &JobView) -> Vec<(Blob, BlobQuery)> {
    let spec = view.spec.as_ref().expect("a job");
    let job = Some(view.summary.id);
    let state = view.tasks[0].verdict.as_ref().and_then(|verdict| verdict.state_blob).expect("a state");
    vec![
        (spec.component, BlobQuery { job, task: None }),
        (spec.inputs_blob.expect("inputs"), BlobQuery { job, task: None }),
        (state, BlobQuery { job, task: Some(0) }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_job_is_read_under_its_owners_grant_alone() {
    let site = Site::new();
    let coordinator = site.start().await;
    let mut providers = JoinSet::new();
    providers.spawn(Provider::enrol(&coordinator, None).await.run());
    let developer = client(&coordinator, new_key()).await;
    let private = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    let id = private.submit(&developer).await;
    let view = ended(&developer, id).await;
    let mut spec = private.spec.clone();
    (spec.private, spec.seed) = (false, 2);
    let open = Job::of(spec, &private).submit(&developer).await;
    let public = ended(&developer, open).await;
    providers.shutdown().await;

    let nobody = stranger(&coordinator, None).await;
    let refused = nobody.job(id, &JobQuery::default()).await.expect_err("private");
    assert_eq!(refused.code(), Some("not-found"));
    for (blob, of) in parts(&view) {
        assert_eq!(read(&nobody, &site, blob, of).await, Err("not-found".to_owned()), "{of:?}");
    }
    // A public one may be repeated by anybody, but no blob is more than a part of its own task.
    for (blob, of) in parts(&public) {
        let bytes = read(&nobody, &site, blob, of).await.expect("public");
        assert_eq!(Digest::of(&bytes), blob.digest);
        assert_eq!(read(&nobody, &site, blob, BlobQuery::default()).await, Err("not-found".to_owned()));
    }
    let state = parts(&public)[2].0;
    for of in [BlobQuery { job: Some(open), task: None }, BlobQuery { job: Some(id), task: Some(0) }] {
        assert_eq!(read(&nobody, &site, state, of).await, Err("not-found".to_owned()), "{of:?}");
    }

    let grant = developer.grant(id, Duration::from_secs(60));
    let friend = stranger(&coordinator, Some(grant)).await;
    let seen =
        friend.job(id, &JobQuery { receipts: Some(true), ..JobQuery::default() }).await.expect("granted");
    assert_eq!(seen.tasks, view.tasks);
    for (blob, of) in parts(&view) {
        let bytes = read(&friend, &site, blob, of).await.expect("granted");
        assert_eq!(Digest::of(&bytes), blob.digest);
    }
    assert_eq!(friend.cancel(id).await.expect_err("reading is not owning").code(), Some("unknown-job"));

    // Somebody else's grant, one for another job, and one that is over.
    let own = nobody.grant(id, Duration::from_secs(60));
    let other = developer.grant(open, Duration::from_secs(60));
    let late = developer.grant(id, Duration::from_secs(365 * 24 * 3600));
    for (grant, code) in [(own, "not-found"), (other, "not-found"), (late, "grant-wrong")] {
        let client = stranger(&coordinator, Some(grant)).await;
        let refused = client.job(id, &JobQuery::default()).await.expect_err(code);
        assert_eq!(refused.code(), Some(code));
        let (blob, of) = parts(&view)[0];
        assert_eq!(read(&client, &site, blob, of).await, Err(code.to_owned()));
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_network_with_a_liar_holds() {
    let site = Site::new();
    let coordinator = site.start().await;
    let mut providers = JoinSet::new();
    providers.spawn(Provider::enrol(&coordinator, Some((1, 1))).await.run());
    providers.spawn(Provider::enrol(&coordinator, None).await.run());
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2)).submit(&developer).await;
    ended(&developer, id).await;
    providers.shutdown().await;
    let (mut auditor, mut wrong) = (Auditor::default(), Vec::new());
    let summary = developer
        .audit(|page| {
            for entry in &page.entries {
                let event: Event = serde_json::from_str(&entry.event).expect("an event");
                wrong.extend(auditor.read(&event));
            }
        })
        .await;
    let summary = summary.expect("the log").expect("its chain holds");
    let report = auditor.finish();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!((report.events, report.verdicts, report.commitments), (summary.entries, 1, 2));
    coordinator.stop().await;
}
