//! The warden between decisions and work: what runs, what is taken, what is given back, what is remembered. The
//! decisions themselves are tested where they are made.

use anneal_api::wire::{Lease, LeaseDeveloper, sign_component};
use anneal_job::{
    Blob, ByteCount, Digest, Entry, Limits, Price, Span, Task, Timestamp, Versions, plan::place_alone,
};
use anneal_policy::{Celsius, Sensor};
use anneal_tensor::{Duty, Pace};
use proptest::prelude::*;

use super::*;

const GPU: u32 = 0;
/// 2026-12-01, in seconds.
const DAY: i64 = 1_796_083_200;

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn scene(text: &str) -> (tempfile::TempDir, Warden) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let warden = Warden::new(policy(text), &own(&folder), [gpu(GPU)]).expect("the folder is new");
    (folder, warden)
}

/// The provider's own folder, which nobody else can enter.
fn own(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("provider")
}

fn gpu(number: u32) -> DeviceName {
    DeviceName { number, name: "a GPU".to_owned(), is_gpu: true }
}

fn at(seconds: u64) -> Moment {
    let wall = jiff::Timestamp::from_second(DAY + seconds as i64).expect("in range");
    Moment { wall, steady_ms: seconds * 1000 }
}

fn warm(celsius: f64, programs: &[&str]) -> Readings {
    let programs = programs.iter().map(|&name| name.to_owned()).collect();
    Readings {
        gpu: Sensor::Value(Celsius(celsius)),
        programs: Sensor::Value(programs),
        ..Readings::default()
    }
}

fn lease(number: u8) -> Lease {
    let component = Digest::of(b"component");
    let task = Task {
        component,
        entry: Entry::Run,
        place: place_alone(),
        job_seed: u64::from(number),
        parameters: std::collections::BTreeMap::new(),
        inputs: std::collections::BTreeMap::new(),
        states: Vec::new(),
        limits: Limits::DEFAULT,
        versions: Versions { contract: [0, 1, 0], numerics: 1, gas: 1 },
    };
    Lease {
        attempt: AttemptId(Digest::of(&[number])),
        lease_epoch: 1,
        device: GPU,
        task_tag: Digest::of(b"tag"),
        salt: Digest::of(b"salt"),
        task_id: task.id(),
        task,
        developer: None,
        component: Blob { digest: component, bytes: 9 },
        inputs_blob: None,
        states: Vec::new(),
        expected: Span::seconds(100),
        deadline: Timestamp(0) + Span::hours(1),
        heartbeat_every: Span::seconds(20),
        price: Price(1000),
        shadow: false,
    }
}

fn doing(warden: &Warden) -> String {
    warden.limits(GPU).expect("it is watched").doing
}

#[test]
fn nothing_runs_before_the_first_look_and_what_is_not_watched_never_does() {
    let (_folder, warden) = scene("");
    assert_eq!(warden.pace(GPU).pace(), Pace::Pause);
    assert!(!warden.begins(GPU) && !warden.releases(GPU));
    warden.look(GPU, warm(50.0, &[]), at(0));
    assert!(warden.begins(GPU));
    assert_eq!(warden.pace(GPU).pace(), Pace::Run { duty: Duty::of_fraction(0.1) });
    assert_eq!(warden.limits(GPU).expect("it is watched").duty, Some(0.1));
    assert!(!warden.begins(7));
    assert_eq!(warden.pace(7).pace(), Pace::Pause);
}

#[test]
fn heat_pauses_and_says_why() {
    let (_folder, warden) = scene("");
    warden.look(GPU, warm(50.0, &[]), at(0));
    warden.began(GPU, Duration::ZERO);
    warden.look(GPU, warm(95.0, &[]), at(1));
    assert_eq!((doing(&warden).as_str(), warden.pace(GPU).pace()), ("pause", Pace::Pause));
    assert!(!warden.begins(GPU) && !warden.releases(GPU));
    let reasons = warden.limits(GPU).expect("it is watched").reasons;
    assert!(reasons.iter().any(|reason| reason.contains("95")), "{reasons:?}");
}

#[test]
fn a_sensor_that_is_missing_gives_everything_back() {
    let (_folder, warden) = scene("");
    warden.look(GPU, Readings::default(), at(0));
    assert_eq!(doing(&warden), "refuse");
    assert!(warden.releases(GPU) && !warden.begins(GPU));
}

#[test]
fn a_segment_that_ends_soon_is_finished_and_another_is_not() {
    for (expected_s, finishes) in [(1, true), (600, false)] {
        let (_folder, warden) = scene("[owner]\nprograms = [\"game\"]");
        warden.look(GPU, warm(50.0, &[]), at(0));
        warden.began(GPU, Duration::from_secs(expected_s));
        let before = warden.pace(GPU).pace();
        warden.look(GPU, warm(50.0, &["game"]), at(1));
        assert_eq!(warden.releases(GPU), !finishes);
        assert!(!warden.begins(GPU));
        assert_eq!(warden.pace(GPU).pace() == before, finishes);
        // Not for longer than a yield may take.
        warden.look(GPU, warm(50.0, &["game"]), at(2));
        assert_eq!(warden.releases(GPU), !finishes);
        warden.look(GPU, warm(50.0, &["game"]), at(3));
        assert!(warden.releases(GPU));
        assert_eq!(warden.pace(GPU).pace(), Pace::Pause);
    }
}

#[test]
fn nothing_is_finished_on_a_device_that_is_too_hot() {
    let (_folder, warden) = scene("[owner]\nprograms = [\"game\"]");
    warden.look(GPU, warm(50.0, &[]), at(0));
    warden.began(GPU, Duration::from_secs(1));
    warden.look(GPU, warm(99.0, &["game"]), at(1));
    assert!(warden.releases(GPU));
    assert_eq!(warden.pace(GPU).pace(), Pace::Pause);
}

#[test]
fn leases_are_taken_by_the_rules() {
    let now = at(1).wall;
    for (text, refused) in [
        ("", None),
        ("[jobs]\nminimum-price = 1001", Some("minimum-price")),
        ("[jobs]\nlongest-task-minutes = 1", Some("longest-task-minutes")),
        ("[shares]\ngpu-memory = \"1 MiB\"", Some("gpu-memory")),
        (
            "[jobs]\ndenied-developers = [\"3333333333333333333333333333333333333333333333333333333333333333\"]",
            Some("denied-developers"),
        ),
        ("[time]\nzone = \"UTC\"\nwindows = [\"00:00-00:01\"]", Some("time")),
    ] {
        let (_folder, warden) = scene(text);
        warden.look(GPU, warm(50.0, &[]), at(1));
        match (warden.admit(&lease(1), now), refused) {
            (Ok(()), None) => {}
            (Err(reasons), Some(word)) => {
                assert!(reasons.iter().any(|reason| reason.contains(word)), "{reasons:?} for {text}");
            }
            (found, _) => panic!("{found:?} for {text}"),
        }
    }
    let component = lease(1).task.component;
    let (_folder, warden) = scene(&format!("[jobs]\ndenied-components = [\"{component}\"]"));
    warden.look(GPU, warm(50.0, &[]), at(1));
    assert!(warden.admit(&lease(1), now).is_err());
}

/// The same on another device.
fn lease_on(device: u32, number: u8) -> Lease {
    Lease { device, ..lease(number) }
}

#[test]
fn no_more_tasks_at_once_than_allowed_and_none_while_it_stands() {
    const OTHER: u32 = 1;
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let warden = Warden::new(policy(""), &own(&folder), [gpu(GPU), gpu(OTHER)]).expect("the folder is new");
    assert!(warden.admit(&lease(1), at(1).wall).is_err(), "nobody has looked yet");
    let look = |second| [GPU, OTHER].map(|device| warden.look(device, warm(50.0, &[]), at(second)));
    look(1);
    assert!(warden.begins(GPU) && warden.begins(OTHER));
    warden.admit(&lease(1), at(1).wall).expect("it is the first");
    warden.admit(&lease(1), at(1).wall).expect("it is the same");
    // One that waits for its device is not at once with what runs there; another device's would be.
    warden.admit(&lease(2), at(1).wall).expect("it runs after the first");
    assert!(warden.begins(GPU) && !warden.begins(OTHER), "no lease is asked for that would be refused");
    let reasons = warden.admit(&lease_on(OTHER, 3), at(1).wall).expect_err("it is the second at once");
    assert!(reasons.iter().any(|reason| reason.contains("concurrent-tasks")), "{reasons:?}");
    warden.gave(lease(1).attempt);
    warden.ran(lease(2).attempt, ByteCount(9));
    warden.admit(&lease_on(OTHER, 3), at(1).wall).expect("what has been run only waits for its verdict");
    assert!(!warden.begins(GPU) && warden.begins(OTHER));
    // What was taken in an earlier life goes on, also where it is too much by now.
    warden.remember(&lease(4));
    assert!(warden.begins(GPU) && warden.begins(OTHER));
}

#[test]
fn files_are_counted_until_the_verdict() {
    let (_folder, warden) = scene("[shares]\ndisk = \"10 GiB\"");
    warden.look(GPU, warm(50.0, &[]), at(1));
    let bytes = Limits::DEFAULT.tensor_bytes;
    let fitting = (10_u64 << 30) / (bytes + 9);
    for number in 0..fitting {
        warden.admit(&lease(number as u8), at(1).wall).expect("there is room");
    }
    let reasons = warden.admit(&lease(200), at(1).wall).expect_err("there is none");
    assert!(reasons.iter().any(|reason| reason.contains("disk")), "{reasons:?}");
    warden.ran(lease(0).attempt, ByteCount(bytes));
    assert!(warden.admit(&lease(200), at(1).wall).is_err(), "a state as large as it may be takes as much");
    warden.ran(lease(0).attempt, ByteCount(100));
    warden.admit(&lease(200), at(1).wall).expect("its state is small");
}

#[test]
fn developers_are_known_by_what_they_signed() {
    let (key, other) = (anneal_api::SecretKey::generate(), anneal_api::SecretKey::generate());
    let (key, other) = (key.expect("random bytes"), other.expect("random bytes"));
    let component = lease(1).task.component;
    let signed = |key: &anneal_api::SecretKey, claims: &anneal_api::SecretKey| {
        let component_signature = Some(sign_component(key, component));
        Lease {
            developer: Some(LeaseDeveloper { identity: claims.identity(), component_signature }),
            ..lease(1)
        }
    };
    let unsigned = LeaseDeveloper { identity: key.identity(), component_signature: None };
    let unsigned = Lease { developer: Some(unsigned), ..lease(1) };
    let (allowed, denied) = (
        format!("[jobs]\nallowed-developers = [\"{}\"]", key.identity()),
        format!("[jobs]\ndenied-developers = [\"{}\"]", key.identity()),
    );
    for (text, lease, refused) in [
        ("", lease(1), None),
        ("", unsigned.clone(), None),
        ("", signed(&other, &key), Some("signature")),
        (&*allowed, signed(&key, &key), None),
        (&*allowed, signed(&other, &other), Some("allowed-developers")),
        (&*allowed, signed(&other, &key), Some("signature")),
        (&*allowed, unsigned.clone(), Some("allowed-developers")),
        (&*allowed, lease(1), Some("allowed-developers")),
        (&*denied, signed(&other, &other), None),
        (&*denied, signed(&key, &key), Some("denied-developers")),
        (&*denied, unsigned, Some("denied-developers")),
    ] {
        let (_folder, warden) = scene(text);
        warden.look(GPU, warm(50.0, &[]), at(1));
        match (warden.admit(&lease, at(1).wall), refused) {
            (Ok(()), None) => {}
            (Err(reasons), Some(word)) => {
                assert!(reasons.iter().any(|reason| reason.contains(word)), "{reasons:?} for {text}");
            }
            (found, _) => panic!("{found:?} for {text} and {:?}", lease.developer),
        }
    }
}

#[test]
fn work_waits_until_it_is_known_to_pay() {
    let text = "[earnings]\nxmr-price = 100\nprice-per-kwh = 0.3\nworking-watts = 300";
    let (_folder, warden) = scene(text);
    let [one, another] = [1, 2].map(|number| Identity::from_bytes([number; 32]));
    warden.look(GPU, warm(50.0, &[]), at(1));
    assert!(!warden.begins(GPU), "nobody has said what it earns");
    // Work comes back when nothing was in its way for half a minute.
    let a_minute =
        |from: u64| (from..from + 60).for_each(|second| warden.look(GPU, warm(50.0, &[]), at(second)));
    // 0.09 EUR an hour are 0.0009 XMR, and a tenth more to begin.
    warden.would_earn(GPU, one, Piconero(980_000_000));
    a_minute(2);
    assert!(!warden.begins(GPU), "{:?}", warden.limits(GPU));
    warden.would_earn(GPU, another, Piconero(1_000_000_000));
    a_minute(62);
    assert!(warden.begins(GPU), "the one that pays more counts: {:?}", warden.limits(GPU));
}

#[test]
fn energy_counts_while_there_is_work_and_no_longer() {
    let (_folder, warden) = scene("");
    let readings = || Readings { gpu_watts: Sensor::Value(anneal_policy::Watts(100.0)), ..warm(50.0, &[]) };
    let used = |second: u64| {
        warden.look(GPU, readings(), at(second));
        warden.standing().devices[&GPU].history.energy_on(jiff::civil::date(2026, 12, 1)).day.0
    };
    assert_eq!((used(0), used(1)), (0.0, 0.0));
    // One that is over before the next look counts, too.
    warden.began(GPU, Duration::ZERO);
    warden.ended(GPU);
    let once = used(2);
    assert!(once > 0.0);
    assert_eq!(used(3), once);
    warden.began(GPU, Duration::ZERO);
    let twice = [used(4), used(5)];
    warden.ended(GPU);
    let last = used(6);
    assert!(once < twice[0] && twice[0] < twice[1] && twice[1] < last);
    assert_eq!(used(7), last);
}

#[test]
fn what_was_used_is_remembered_and_damage_is_said() {
    let (folder, warden) = scene("");
    for second in 0..5 {
        warden.look(GPU, warm(50.0, &[]), at(second));
    }
    warden.save().expect("there is room");
    let history = |warden: &Warden| warden.standing().devices[&GPU].history.clone();
    let again = Warden::new(policy(""), &own(&folder), [gpu(GPU), gpu(1)]).expect("it was just written");
    assert_eq!(history(&again), history(&warden));
    // Of two devices of one name each has its own.
    assert_eq!(again.standing().devices[&1].history, History::default());
    std::fs::write(own(&folder).join(HISTORIES), "{").expect("the file is there");
    let error = Warden::new(policy(""), &own(&folder), [gpu(GPU)]).expect_err("it is damaged");
    assert!(error.to_string().contains(HISTORIES), "{error}");
}

proptest! {
    #[test]
    fn work_runs_exactly_where_a_decision_says_so(
        looks in prop::collection::vec((30.0..100.0f64, any::<bool>(), 0u64..600), 1..100),
    ) {
        let text = "[owner]\nprograms = [\"game\"]\nresume-after-seconds = 5";
        let (_folder, warden) = scene(text);
        let (policy, mut history) = (policy(text), History::default());
        for (second, (celsius, plays, expected_s)) in looks.into_iter().enumerate() {
            let readings = warm(celsius, if plays { &["game"] } else { &[] });
            let now = at(second as u64);
            let readings_named = Readings { device: "a GPU".to_owned(), ..readings.clone() };
            let decided = decide(&policy, &readings_named, &history, now);
            history = decided.history;
            warden.began(GPU, Duration::from_secs(expected_s));
            let before = warden.pace(GPU).pace();
            warden.look(GPU, readings, now);
            let pace = warden.pace(GPU).pace();
            prop_assert_eq!(warden.begins(GPU), decided.decision.runs());
            if decided.decision.runs() {
                let duty = f64::from(pace.per_mille()) / 1000.0;
                prop_assert!((duty - decided.decision.duty().fraction()).abs() < 0.0011);
            } else {
                // What goes on to its end goes on as it did, on a device that is not too hot.
                prop_assert!(pace == Pace::Pause || (pace == before && celsius < 82.0));
                prop_assert!(!decided.reasons.is_empty());
            }
            prop_assert!(!(warden.releases(GPU) && pace != Pace::Pause));
        }
    }
}
