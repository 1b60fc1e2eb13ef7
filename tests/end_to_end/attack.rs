//! Fresh keys that lie as one, in real processes under the default rules. `tests/soak attack` does the same with
//! hundreds of them.

use anneal_tests::siege::Siege;

/// Whom the operator vouches for and whom nobody does: no lie is ever the last word, and lying does not pay.
#[test]
fn fresh_keys_that_lie_as_one_gain_nothing_and_harm_nobody() {
    for listed in [true, false] {
        let siege = Siege { keys: 20, prefixes: 5, listed, jobs: 2, lies: 2, steps: 4_000 };
        let after = siege.run();
        assert!(after.shadows > 0 && after.lies >= siege.lies, "it attacked: {after:?}");
        assert_eq!((after.final_lies, after.paid), (0, 0), "no lie holds, and none is paid: {after:?}");
        assert_eq!((after.honest_caught, after.honest_starved), (0, 0), "nobody else is harmed: {after:?}");
        assert!(after.caught > 0 && after.profit() < 0, "liars are caught: {after:?}");
    }
}
