//! Disks that forget: blobs that are no longer what they were, at a provider and at the coordinator.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anneal_api::wire::JobState;
use anneal_job::Digest;
use anneal_tests::{
    network::{JobLine, Kept, Network},
    process::wait_until,
    s3::Storage,
};

use super::{JOB_TIME, ends_undisturbed};

/// Every blob below a folder, by its name: 64 hexadecimal digits.
fn blobs(folder: &Path) -> Vec<(PathBuf, Digest)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(blobs(&path));
        } else if let Some(digest) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push((path, digest));
        }
    }
    found
}

/// Changes a letter of the text that `inspect` and the compiler do not look at: the file is a component still, with
/// another constant in it. Where there is no such text, a byte in the middle.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("the blob is there");
    let at = bytes.windows(4).position(|window| window == b"loss").unwrap_or(bytes.len() / 2);
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("the blob is writable");
}

#[test]
fn a_provider_with_damaged_blobs_fetches_them_again_and_is_no_liar() {
    let mut network = Network::start(Kept::Sqlite, 2);
    let developer = network.developer();
    let first = JobLine::hello(21);
    let job = developer.submit(&first);
    ends_undisturbed(&network, &developer, &first, job);
    // All of them, also the component that the next job is made of, which one with a flipped bit could still be.
    let folder = network.provider_folder(0);
    let damaged = find_blobs(&folder);
    assert!(!damaged.is_empty(), "the provider keeps blobs in {}", folder.display());
    damaged.iter().for_each(|(path, _)| damage(path));
    let second = JobLine::hello(22);
    let job = developer.submit(&second);
    ends_undisturbed(&network, &developer, &second, job);
    let healed = damaged
        .iter()
        .filter(|(path, digest)| fs::read(path).is_ok_and(|bytes| Digest::of(&bytes) == *digest));
    assert!(healed.count() > 0, "the component came again: {}", network.said());
    assert!(network.ended_by_themselves().is_empty());
}

fn find_blobs(provider: &Path) -> Vec<(PathBuf, Digest)> {
    let coordinators = fs::read_dir(provider).into_iter().flatten().flatten();
    coordinators.flat_map(|entry| blobs(&entry.path().join("blobs"))).collect()
}

#[test]
fn states_that_the_coordinator_lost_are_computed_again() {
    let mut network = Network::start(Kept::Sqlite, 2);
    let developer = network.developer();
    let line = JobLine { segments: 8, ..JobLine::hello(23) };
    let job = developer.submit(&line);
    let view = || developer.view(job).expect("the coordinator answers");
    let component = view().spec.expect("one's own").component.digest;
    let begun = wait_until(JOB_TIME, || view().summary.tasks_done >= 4);
    assert!(begun, "some states are verified: {}", network.said());
    // While nobody runs, all states are damaged, and nobody else has them any more. The coordinator ends, too: an
    // upload that it was still at would put a good state in the place of a damaged one.
    for number in 0..2 {
        network.provider(number).kill();
        for (path, _) in find_blobs(&network.provider_folder(number)) {
            fs::remove_file(path).expect("the blob was there");
        }
    }
    assert_eq!(view().summary.state, JobState::Running);
    network.coordinator(0).kill();
    let states = blobs(&network.blobs()).into_iter().filter(|(_, digest)| *digest != component);
    let states: Vec<PathBuf> = states.map(|(path, _)| path).collect();
    assert!(!states.is_empty());
    states.iter().for_each(|path| damage(path));
    network.start_coordinator(0);
    (0..2).for_each(|number| network.begin_provider(number));
    let ledger = ends_undisturbed(&network, &developer, &line, job);
    assert!(ledger.states_lost > 0, "{ledger:?}\n{}", network.said());
    assert!(network.coordinator_said(0).contains("a blob is damaged or gone"), "{}", network.said());
    assert!(network.ended_by_themselves().is_empty());
}

#[test]
fn blobs_in_s3_are_kept_lost_and_computed_again_as_in_a_folder() {
    let storage = Storage::start();
    let mut network = Network::new(Kept::Sqlite);
    network.blobs = Some(storage.place().into());
    network.coordinators_environment = storage.settings();
    network.add_coordinator();
    (0..2).for_each(|number| network.add_provider(&network.url(number)));
    network.wait_for_providers();
    let developer = network.developer();
    let line = JobLine { segments: 8, ..JobLine::hello(24) };
    let job = developer.submit(&line);
    let view = || developer.view(job).expect("the coordinator answers");
    let component = view().spec.expect("one's own").component.digest.to_string();
    let begun = wait_until(JOB_TIME, || view().summary.tasks_done >= 4);
    assert!(begun, "some states are verified: {}", network.said());
    // As above: nobody runs while all states are damaged.
    for number in 0..2 {
        network.provider(number).kill();
        for (path, _) in find_blobs(&network.provider_folder(number)) {
            fs::remove_file(path).expect("the blob was there");
        }
    }
    network.coordinator(0).kill();
    let names = storage.names();
    assert!(names.iter().any(|name| name.ends_with(&component)), "{names:?}");
    let states: Vec<&String> = names.iter().filter(|name| !name.ends_with(&component)).collect();
    assert!(!states.is_empty());
    for name in states {
        let mut bytes = storage.get(name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        storage.put(name, &bytes);
    }
    network.start_coordinator(0);
    (0..2).for_each(|number| network.begin_provider(number));
    let ledger = ends_undisturbed(&network, &developer, &line, job);
    assert!(ledger.states_lost > 0, "{ledger:?}\n{}", network.said());
}
