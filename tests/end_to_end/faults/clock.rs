//! Clocks that jump, at the coordinator and at a provider: by an hour, forwards and backwards, while a job runs, and
//! while nobody runs. Time in the log never goes back, and never stands still.

use anneal_tests::{
    clock::Clock,
    network::{JobLine, Kept, Network},
    process::wait_until,
};

use super::{JOB_TIME, ends_undisturbed};

#[test]
fn clocks_that_jump_lose_nothing() {
    let mut network = Network::new(Kept::Sqlite);
    let of_coordinator = Clock::new(network.folder(), "coordinator-clock");
    let of_provider = Clock::new(network.folder(), "provider-clock");
    network.coordinators_through = of_coordinator.through();
    network.add_coordinator();
    network.providers_through = of_provider.through();
    network.add_provider(&network.url(0));
    network.providers_through = Vec::new();
    network.add_provider(&network.url(0));
    network.wait_for_providers();
    let developer = network.developer();
    let line = JobLine { segments: 6, ..JobLine::hello(41) };
    let job = developer.submit(&line);
    let after = |tasks: u64, network: &mut Network, jump: &dyn Fn(&mut Network)| {
        let come =
            wait_until(JOB_TIME, || developer.view(job).is_ok_and(|view| view.summary.tasks_done >= tasks));
        assert!(come, "task {tasks} is done: {}", network.said());
        jump(network);
    };
    after(2, &mut network, &|_| of_coordinator.set(3_600));
    after(4, &mut network, &|_| of_coordinator.set(-3_600));
    after(6, &mut network, &|_| of_provider.set(3_600));
    after(8, &mut network, &|_| of_provider.set(-45));
    // The log is two hours ahead of the clock that the next process begins with.
    after(10, &mut network, &|network| {
        network.coordinator(0).kill();
        network.start_coordinator(0);
    });
    after(12, &mut network, &|_| of_coordinator.set(0));
    ends_undisturbed(&network, &developer, &line, job);
    assert!(network.ended_by_themselves().is_empty(), "{}", network.said());
}
