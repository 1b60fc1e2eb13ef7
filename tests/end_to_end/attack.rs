//! A coalition of fresh keys against the real command under its default rules: the reduced form of
//! `tests/soak attack`.

use anneal_tests::siege::Siege;

#[test]
fn twenty_fresh_keys_gain_nothing_and_harm_nobody() {
    for listed in [false, true] {
        let after = Siege { keys: 20, prefixes: 5, listed, jobs: 2 }.run();
        assert!(after.shadows > 0, "they work first: {after:#?}");
        assert!(after.lies > 0, "and then they lie: {after:#?}");
        assert_eq!(after.final_lies, 0, "{after:#?}");
        assert_eq!((after.honest_caught, after.honest_starved), (0, 0), "{after:#?}");
        assert!(after.profit() < 0, "{after:#?}");
    }
}
