//! What the queue promises, over histories that anybody may make: nothing is lost or done twice at a time, nobody
//! waits for more than one turn of each of the others, and short ones pass long ones.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn developer(number: u8) -> Identity {
    Identity::from_bytes([number; 32])
}

fn entry(number: u64, developer_number: u8, urgent: bool) -> Entry {
    Entry {
        name: format!("replay/{number}"),
        developer: developer(developer_number),
        origin: Prefix::Local,
        urgent,
        since: Timestamp(number),
        slices: 0,
        generation: 0,
    }
}

/// A step of a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add { developer: u8, urgent: bool },
    Next { lane: Lane },
    Done { which: usize },
    Again { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..5_u8, any::<bool>()).prop_map(|(developer, urgent)| Step::Add { developer, urgent }),
        3 => any::<bool>().prop_map(|all| Step::Next { lane: if all { Lane::All } else { Lane::Short } }),
        2 => any::<usize>().prop_map(|which| Step::Done { which }),
        1 => any::<usize>().prop_map(|which| Step::Again { which }),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_runs_twice_at_a_time(steps in prop::collection::vec(step(), 0..400)) {
        let mut queue = Queue::default();
        let (mut number, mut open) = (0, BTreeSet::new());
        let mut running: Vec<Entry> = Vec::new();
        for step in steps {
            match step {
                Step::Add { developer, urgent } => {
                    let entry = entry(number, developer, urgent);
                    number += 1;
                    prop_assert_eq!(queue.add(entry.clone()), Added::Waits);
                    prop_assert_eq!(queue.add(entry.clone()), Added::Known);
                    open.insert(entry.since);
                }
                Step::Next { lane } => match queue.next(lane) {
                    Some(entry) => {
                        prop_assert!(lane == Lane::All || entry.slices == 0, "{:?}", entry);
                        prop_assert!(!running.contains(&entry), "{:?} runs twice", entry);
                        running.push(entry);
                    }
                    None => prop_assert!(lane == Lane::Short || running.len() == open.len()),
                },
                Step::Done { which } if !running.is_empty() => {
                    let entry = running.swap_remove(which % running.len());
                    queue.done(&entry);
                    open.remove(&entry.since);
                }
                Step::Again { which } if !running.is_empty() => {
                    queue.again(running.swap_remove(which % running.len()));
                }
                Step::Done { .. } | Step::Again { .. } => {}
            }
            prop_assert_eq!(queue.len(), open.len());
            prop_assert_eq!(queue.running(), running.len());
            prop_assert_eq!(queue.oldest(), open.first().copied());
        }
        let waiting = open.len() - running.len();
        running.drain(..).for_each(|entry| queue.done(&entry));
        let mut left = 0;
        while let Some(entry) = queue.next(Lane::All) {
            left += 1;
            queue.done(&entry);
        }
        prop_assert_eq!(left, waiting);
        prop_assert_eq!(queue.len(), 0);
        prop_assert!(queue.developers.is_empty() && queue.turns.iter().all(VecDeque::is_empty));
    }

    /// However many replays others have and of whatever kind, one that waits is served after at most one turn of each
    /// of the lines for each of the others.
    #[test]
    fn nobody_waits_for_more_than_one_turn_of_each_other_one(
        others in prop::collection::vec((1..8_u8, any::<bool>(), 0..3_u32), 0..120),
        urgent in any::<bool>(),
        slices in 0..2_u32,
        mut more in 0..200_u64,
    ) {
        let mut queue = Queue::default();
        for (number, (developer, urgent, slices)) in others.iter().enumerate() {
            let entry = entry(number as u64, *developer, *urgent);
            queue.known.insert(entry.name.clone(), entry.since);
            queue.wait(Entry { slices: *slices, ..entry });
        }
        let own = Entry { slices, ..entry(1_000, 0, urgent) };
        queue.known.insert(own.name.clone(), own.since);
        queue.wait(own);
        let crowd: BTreeSet<u8> = others.iter().map(|(developer, ..)| *developer).collect();
        let turns_max = ALL_LINES.len() * (crowd.len() + 1);
        let mut turns = 0;
        loop {
            let entry = queue.next(Lane::All).expect("one's own waits");
            queue.done(&entry);
            if entry.developer == developer(0) {
                break;
            }
            turns += 1;
            prop_assert!(turns <= turns_max, "{} turns with {} others", turns, crowd.len());
            // Whoever was served comes with another one at once.
            if more > 0 {
                more -= 1;
                let again = Entry { name: format!("more/{more}"), slices: 0, ..entry };
                queue.add(again);
            }
        }
    }

    /// Workers that are all free serve each developer before anybody twice.
    #[test]
    fn who_has_nothing_running_is_first(counts in prop::collection::vec(1..6_usize, 1..6)) {
        let mut queue = Queue::default();
        let mut number = 0;
        for (index, count) in counts.iter().enumerate() {
            for _ in 0..*count {
                queue.add(entry(number, index as u8, true));
                number += 1;
            }
        }
        let mut running = BTreeMap::<Identity, usize>::new();
        for _ in 0..counts.len() {
            let entry = queue.next(Lane::All).expect("there are more");
            *running.entry(entry.developer).or_default() += 1;
        }
        prop_assert!(running.values().all(|count| *count == 1), "{:?}", running);
    }
}

#[test]
fn what_finds_no_room_is_left_out_and_found_again() {
    let mut queue = Queue::default();
    let count = DEVELOPER_MAX as u64 + 10;
    let added: Vec<Added> = (0..count).map(|number| queue.add(entry(number, 1, false))).collect();
    assert_eq!(added.iter().filter(|added| **added == Added::LeftOut).count(), 10);
    assert_eq!(queue.add(entry(count, 2, false)), Added::Waits, "another developer has room");
    assert_eq!(queue.len(), DEVELOPER_MAX + 1);
    assert!(!queue.has_room_for_left());
    for _ in 0..DEVELOPER_MAX / 2 + 2 {
        let entry = queue.next(Lane::Short).expect("they wait");
        queue.done(&entry);
    }
    assert!(queue.has_room_for_left());
    let left = queue.take_left();
    assert_eq!(left, [(developer(1), Timestamp(DEVELOPER_MAX as u64))]);
    assert!(!queue.has_room_for_left());
    queue.leave(left);
    assert!(queue.has_room_for_left(), "the outbox could not be read");
    queue.take_left();
    let again = (0..count).map(|number| queue.add(entry(number, 1, false)));
    assert!(again.filter(|added| *added == Added::Waits).count() >= 10);
}

#[test]
fn slices_grow_to_the_longest_and_end_there() {
    let (first, longest) = (Duration::from_secs(180), Duration::from_secs(7_200));
    let slices: Vec<(u64, bool)> = (0..5)
        .map(|slices| {
            let (slice, more) = Entry { slices, ..entry(0, 0, true) }.slice(first, longest);
            (slice.as_secs(), more)
        })
        .collect();
    assert_eq!(slices, [(180, true), (720, true), (2_880, true), (7_200, false), (7_200, false)]);
    let (slice, more) = Entry { slices: u32::MAX, ..entry(0, 0, true) }.slice(first, longest);
    assert_eq!((slice, more), (longest, false));
}

#[test]
fn long_ones_are_passed() {
    let mut queue = Queue::default();
    queue.add(entry(0, 1, true));
    let long = queue.next(Lane::All).expect("it waits");
    queue.again(long);
    assert_eq!(queue.next(Lane::Short), None, "one worker takes no long ones");
    queue.add(entry(1, 2, false));
    assert_eq!(queue.next(Lane::Short).map(|entry| entry.name), Some("replay/1".to_owned()));
    assert_eq!(queue.next(Lane::All).map(|entry| entry.slices), Some(1));
}

#[test]
fn what_ran_when_all_was_forgotten_is_nobodys() {
    let mut queue = Queue::default();
    queue.add(entry(0, 1, true));
    let old = queue.next(Lane::All).expect("it waits");
    queue.clear();
    assert_eq!(queue.add(entry(0, 1, true)), Added::Waits);
    queue.again(old.clone());
    queue.done(&old);
    assert_eq!((queue.len(), queue.running()), (1, 0));
    assert_eq!(queue.next(Lane::All).map(|entry| entry.name), Some("replay/0".to_owned()));
    assert_eq!(queue.next(Lane::All), None, "once");
}

#[test]
fn however_many_keys_a_prefix_has_it_has_one_turn() {
    let mut queue = Queue::default();
    let of = |number: u64, key: u8, prefix: u8| Entry {
        origin: Prefix::V4([prefix; 3]),
        ..entry(number, key, true)
    };
    for number in 0..100 {
        queue.add(of(number, number as u8, (number % 5) as u8));
    }
    queue.add(of(100, 200, 9));
    let waited = (0..).find(|_| {
        let next = queue.next(Lane::All).expect("something waits");
        queue.done(&next);
        next.developer == developer(200)
    });
    assert_eq!(waited, Some(5), "one of each of the five prefixes was before it");
}
