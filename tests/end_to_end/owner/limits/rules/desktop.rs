//! The owner at the desk: input by logind, a program over the whole screen, a network that is paid by volume. A real
//! D-Bus and a real X server; who says what on them is the test's.

use super::*;

use anneal_tests::desktop::{Desktop, Says};

#[test]
fn what_the_owner_does_at_the_desk_holds_work_and_changes_no_digest() {
    let machine = MachineStandIn::new(CALM);
    let desktop = Desktop::new(machine.root());
    let none = Path::new("");
    let mut scene = Scene::new("cpu", &machine).with([
        ("DISPLAY", Path::new(desktop.display())),
        ("WAYLAND_DISPLAY", none),
        ("XDG_SESSION_TYPE", none),
    ]);
    let rules = "[owner]\nidle-minutes = 0.1\nfullscreen = true\nrun-on-metered-network = false\n";
    scene.provide(&format!("{rules}resume-after-seconds = 5\n"));
    let says = |idle, metered| desktop.says(Says { idle, metered });
    let tripped: [(&str, &dyn Fn()); 3] = [
        ("you used the machine 0 s ago, and work waits for 6 s without input", &|| says(false, 4)),
        ("a program covers the screen", &|| {
            says(true, 4);
            desktop.covers(true);
        }),
        ("the network is paid by volume", &|| {
            desktop.covers(false);
            says(true, 1);
        }),
    ];
    let job = scene.readings(&tripped);
    says(true, 2);
    scene.ends(&job, "an owner who is away");

    // A machine where nobody tells is not taken for one whose owner is away.
    drop(desktop);
    scene.is_told("the time since your last input can no longer be read");
    scene.is_told("whether a program covers the screen can no longer be read");
    scene.is_told("whether the network is metered can no longer be read");
}
