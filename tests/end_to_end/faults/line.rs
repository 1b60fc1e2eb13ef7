//! A bad line between everybody and the coordinator: what is lost, cut, repeated, reordered, changed and late is
//! sent again or refused, and nothing is done twice.

use anneal_tests::{
    network::{JobLine, Kept, Network},
    proxy::{Proxy, Trouble},
};

use super::ends_undisturbed;

#[test]
fn a_bad_line_changes_nothing() {
    let mut network = Network::new(Kept::Sqlite);
    network.add_coordinator();
    let coordinator = network.address(0);
    // Half open ones take long to be noticed, so there are few of them.
    let often = Trouble::ALL.into_iter().filter(|trouble| *trouble != Trouble::HalfOpen);
    let mut troubles: Vec<Trouble> = often.clone().chain(often).collect();
    troubles.push(Trouble::HalfOpen);
    let lines: Vec<Proxy> =
        (0..4).map(|number| Proxy::start(coordinator, &troubles, 5, 70 + number)).collect();
    for line in &lines[..3] {
        network.add_provider(&line.url());
    }
    network.wait_for_providers();
    let developer = network.developer();
    let job = JobLine::hello(11);
    let id = developer.behind(lines[3].url()).submit(&job);
    ends_undisturbed(&network, &developer, &job, id);
    let happened = lines.iter().flat_map(Proxy::counts).filter(|(_, count)| *count > 0);
    let kinds: std::collections::BTreeSet<Trouble> = happened.map(|(trouble, _)| trouble).collect();
    assert!(kinds.len() >= 5, "enough happened: {kinds:?}");
    assert!(network.ended_by_themselves().is_empty(), "{}", network.said());
}
