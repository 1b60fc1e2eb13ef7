//! Every plan runs from front to back, and holds what its description says.

use proptest::prelude::*;

use super::*;

fn plans() -> impl Strategy<Value = PlanSpec> {
    let values = prop::collection::vec(any::<i64>().prop_map(ParameterValue::Integer), 1..5);
    prop_oneof![
        Just(PlanSpec::Single),
        (1u32..20, 1u32..6).prop_map(|(segments, workers)| PlanSpec::Train { segments, workers }),
        prop::collection::btree_map("[a-c]", values, 1..4).prop_map(|over| PlanSpec::Map { over }),
    ]
}

proptest! {
    #[test]
    fn states_come_from_earlier_tasks(plan in plans()) {
        let tasks: Vec<PlannedTask> = plan.unroll().collect();
        prop_assert_eq!(plan.check(), Ok(()));
        prop_assert_eq!(tasks.len(), plan.task_count());
        prop_assert_eq!(plan.task(tasks.len()), None);
        for (index, task) in tasks.iter().enumerate() {
            prop_assert_eq!(task.index, index);
            let states = match task.entry {
                Entry::Init | Entry::Run => 0,
                Entry::Train | Entry::Evaluate => 1,
                Entry::Merge => task.place.workers as usize,
            };
            prop_assert_eq!(task.states.len(), states);
            prop_assert!(task.states.iter().all(|&state| state < index));
            // An evaluation has no state to start from.
            prop_assert!(task.states.iter().all(|&state| tasks[state].entry != Entry::Evaluate));
            prop_assert!(task.place.round < task.place.segments && task.place.worker < task.place.workers);
        }
    }

    #[test]
    fn a_training_has_all_its_tasks(segments in 1u32..20, workers in 1u32..6) {
        let tasks: Vec<PlannedTask> = PlanSpec::Train { segments, workers }.unroll().collect();
        let count = |entry| tasks.iter().filter(|task| task.entry == entry).count();
        prop_assert_eq!(count(Entry::Init), 1);
        prop_assert_eq!(count(Entry::Train), (segments * workers) as usize);
        prop_assert_eq!(count(Entry::Merge), if workers > 1 { segments as usize } else { 0 });
        prop_assert_eq!(tasks.last().map(|task| task.entry), Some(Entry::Evaluate));
        for task in &tasks {
            match task.entry {
                // A round starts where the one before it ended.
                Entry::Train => {
                    let start = &tasks[task.states[0]];
                    let ended = if workers > 1 { Entry::Merge } else { Entry::Train };
                    let expected = if task.place.round == 0 { Entry::Init } else { ended };
                    prop_assert_eq!(start.entry, expected);
                    prop_assert!(task.place.round == 0 || start.place.round + 1 == task.place.round);
                }
                Entry::Merge => {
                    for (worker, &state) in task.states.iter().enumerate() {
                        let from = &tasks[state];
                        prop_assert_eq!((from.entry, from.place.worker as usize), (Entry::Train, worker));
                        prop_assert_eq!(from.place.round, task.place.round);
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_map_has_every_combination_once(plan in plans()) {
        if let PlanSpec::Map { over } = &plan {
            let mut seen: Vec<String> = plan.unroll().map(|task| format!("{:?}", task.parameters)).collect();
            let distinct: Vec<usize> = over.values().map(|values| {
                let mut texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
                texts.sort();
                texts.dedup();
                texts.len()
            }).collect();
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len(), distinct.iter().product::<usize>());
        }
    }
}

#[test]
fn the_last_name_varies_fastest() {
    let numbers = |values: &[i64]| values.iter().map(|&value| ParameterValue::Integer(value)).collect();
    let over = BTreeMap::from([("a".to_owned(), numbers(&[1, 2])), ("b".to_owned(), numbers(&[3, 4]))]);
    let found: Vec<Vec<ParameterValue>> =
        PlanSpec::Map { over }.unroll().map(|task| task.parameters.into_values().collect()).collect();
    let expected: Vec<Vec<ParameterValue>> =
        [[1, 3], [1, 4], [2, 3], [2, 4]].iter().map(|pair| numbers(pair)).collect();
    assert_eq!(found, expected);
}

#[test]
fn one_tasks_result_is_the_jobs() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_eq!(job_result(&[a]), a);
    assert_ne!(job_result(&[a, b]), job_result(&[b, a]));
}

/// A plan of a stranger's that no manifest could say ends nothing: it has tasks or it has none.
#[test]
fn plans_that_are_none_are_answered() {
    let pair = vec![ParameterValue::Boolean(false), ParameterValue::Boolean(true)];
    let over = (0..64).map(|number| (format!("p{number}"), pair.clone())).collect();
    let wide = PlanSpec::Map { over };
    assert_eq!(wide.task_count(), usize::MAX);
    assert_eq!(wide.task(1).map(|task| task.parameters.len()), Some(64));
    assert!(matches!(wide.check(), Err(PlanError::TooMany { limit: MAP_TASKS_MAX, .. })));
    let empty = PlanSpec::Map { over: [("a".to_owned(), Vec::new())].into() };
    assert_eq!((empty.task_count(), empty.task(0)), (0, None));
    assert!(matches!(empty.check(), Err(PlanError::NoTask { .. })));
    for (segments, workers) in [(0, 0), (0, 1), (1, 0), (0, u32::MAX), (u32::MAX, 0)] {
        let plan = PlanSpec::Train { segments, workers };
        let entries: Vec<Entry> =
            [0, 1].into_iter().filter_map(|index| Some(plan.task(index)?.entry)).collect();
        assert_eq!(entries[0], Entry::Init, "{segments} and {workers}");
        assert_eq!(entries.len(), 2);
        assert!(plan.check().is_err(), "{segments} and {workers}");
    }
}
