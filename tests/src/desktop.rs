//! An owner's desktop as a test plays it: a real D-Bus with logind and NetworkManager played by a script, and a real X
//! server with one window. What a window manager does, the test does: it says which windows there are, and which
//! covers the screen.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    nvml::replace,
    process::{Process, wait_until},
    scratch, workspace,
};

/// Nothing here takes so long.
const START_TIME: Duration = Duration::from_secs(60);

/// A bus and a screen, below a root that a test made.
pub struct Desktop {
    folder: TempDir,
    display: String,
    window: String,
    _processes: Vec<Process>,
}

/// What the services say.
#[derive(Clone, Copy, Debug)]
pub struct Says {
    /// Whether logind takes the owner to be away, since the machine began.
    pub idle: bool,
    /// NetworkManager's `Metered`: 1 and 3 are yes, 2 and 4 are no.
    pub metered: u32,
}

impl Desktop {
    /// A desktop whose sockets are below this root, where a machine has its own.
    ///
    /// # Panics
    /// Where its programs are not installed: `tests/setup` installs them.
    pub fn new(root: &Path) -> Desktop {
        let folder = scratch();
        let says = folder.path().join("says.json");
        let bus = bus(folder.path(), &root.join("run/dbus"));
        let address = format!("unix:path={}", root.join("run/dbus/system_bus_socket").display());
        let mut script = Command::new("/usr/bin/python3");
        script.arg(workspace().join("tests/src/desktop.py")).arg(address).arg(&says);
        let services = Process::start(script, &folder.path().join("services"));
        said(&services, |said| said.contains("the services are there").then_some(()));
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp"]);
        let server = Process::start(server, &folder.path().join("screen"));
        let number = said(&server, |said| said.lines().find_map(|line| line.trim().parse::<u32>().ok()));
        let display = format!(":{number}");
        fs::create_dir_all(root.join("tmp")).expect("there is room for a folder");
        symlink("/tmp/.X11-unix", root.join("tmp/.X11-unix")).expect("there is room for a link");
        let mut xev = Command::new("xev");
        xev.args(["-display", &display]);
        let xev = Process::start(xev, &folder.path().join("window"));
        let window = said(&xev, |said| {
            let (number, _) = said.split_once("Outer window is ")?.1.split_once(',')?;
            Some(number.to_owned())
        });
        let desktop = Desktop { folder, display, window, _processes: vec![bus, services, server, xev] };
        desktop.xprop(&[
            "-root",
            "-f",
            "_NET_CLIENT_LIST",
            "32x",
            "-set",
            "_NET_CLIENT_LIST",
            &desktop.window,
        ]);
        desktop.says(Says { idle: true, metered: 4 });
        desktop
    }

    /// The X server's display, like `:7`.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// What the services say from now on.
    pub fn says(&self, says: Says) {
        let text = format!(
            "{{\"IdleHint\": {}, \"IdleSinceHintMonotonic\": 0, \"Metered\": {}}}",
            says.idle, says.metered
        );
        replace(&self.folder.path().join("says.json"), &text);
    }

    /// Whether the window covers the screen from now on.
    pub fn covers(&self, covers: bool) {
        let state = ["-f", "_NET_WM_STATE", "32a", "-set", "_NET_WM_STATE", "_NET_WM_STATE_FULLSCREEN"];
        let change = if covers { &state[..] } else { &["-remove", "_NET_WM_STATE"] };
        self.xprop(&[&["-id", &self.window], change].concat());
    }

    fn xprop(&self, arguments: &[&str]) {
        let done = Command::new("xprop").args(["-display", &self.display]).args(arguments).output();
        let done = done.expect("xprop is installed: run `tests/setup tests`");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// A bus of the system's kind that lets everybody do everything.
fn bus(folder: &Path, sockets: &Path) -> Process {
    fs::create_dir_all(sockets).expect("there is room for a folder");
    let socket: PathBuf = sockets.join("system_bus_socket");
    let settings = folder.join("bus.conf");
    let text = format!(
        "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>
         <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/>
         <allow receive_sender=\"*\"/></policy></busconfig>",
        socket.display()
    );
    fs::write(&settings, text).expect("there is room for a file");
    let mut daemon = Command::new("dbus-daemon");
    daemon.arg("--nofork").arg("--print-address=1").arg(format!("--config-file={}", settings.display()));
    let daemon = Process::start(daemon, &folder.join("bus"));
    said(&daemon, |said| said.contains("unix:path=").then_some(()));
    daemon
}

/// What is found in what a process says, once it has said it.
fn said<T>(process: &Process, find: impl Fn(&str) -> Option<T>) -> T {
    let mut found = None;
    let has_said = wait_until(START_TIME, || {
        found = find(&process.said());
        found.is_some()
    });
    assert!(has_said, "it never said what it should: {}", process.said());
    found.expect("it was found")
}
