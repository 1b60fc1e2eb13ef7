//! Looking at a screen: a stand-in of an X server at a socket, whose windows each test sets.

use std::{
    fs,
    io::Read,
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    thread,
};

use anneal_policy::{Sensor, SensorName};
use tempfile::TempDir;

use super::*;
use crate::gap::sensor;

const ROOT: u32 = 0x1e7;
const KEY: [u8; 16] = [7; 16];
/// Names by their numbers, from 1.
const NAMES: [&str; 4] =
    ["_NET_CLIENT_LIST", "_NET_WM_STATE", "_NET_WM_STATE_FULLSCREEN", "_NET_WM_STATE_HIDDEN"];
const FULLSCREEN: u32 = 3;
const HIDDEN: u32 = 4;

/// Windows and their states; none where no manager tells.
type Windows = Option<Vec<(u32, Vec<u32>)>>;

/// A screen with windows.
struct ScreenStandIn {
    root: TempDir,
    windows: Arc<Mutex<Windows>>,
}

impl ScreenStandIn {
    fn new(windows: Windows) -> ScreenStandIn {
        let root = tempfile::tempdir().expect("there is room for a folder");
        fs::create_dir_all(root.path().join("tmp/.X11-unix")).expect("there is room for a folder");
        let listener = UnixListener::bind(root.path().join("tmp/.X11-unix/X5")).expect("a socket is made");
        let windows = Arc::new(Mutex::new(windows));
        let shown = Arc::clone(&windows);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whatever ends a connection ends only that one.
                let _ = serve(stream, &shown);
            }
        });
        let mut keys = Vec::new();
        for (display, key) in [("4", [1; 16]), ("5", KEY)] {
            keys.extend([1, 0]);
            for part in [b"host".as_slice(), display.as_bytes(), b"MIT-MAGIC-COOKIE-1", &key] {
                keys.extend((part.len() as u16).to_be_bytes());
                keys.extend(part);
            }
        }
        fs::write(root.path().join("keys"), keys).expect("there is room for a file");
        ScreenStandIn { root, windows }
    }

    fn source(&self) -> ScreenSource {
        let screen = Screen::X { display: ":5.0".to_owned(), authority: Some(self.root.path().join("keys")) };
        ScreenSource::new(self.root.path(), screen)
    }

    fn shows(&self, windows: Windows) {
        *self.windows.lock().expect("nobody panicked") = windows;
    }
}

fn serve(mut stream: UnixStream, windows: &Mutex<Windows>) -> io::Result<()> {
    let mut hello = [0; 12 + 20 + 16];
    stream.read_exact(&mut hello)?;
    if hello[32..] != KEY {
        return stream.write_all(&[0, 0, 11, 0, 0, 0, 0, 0]);
    }
    // A vendor of five letters and one format before the screen.
    let mut body = vec![0; 32];
    body[16] = 5;
    body[20] = 1;
    body[21] = 1;
    body.extend(b"Maker\0\0\0");
    body.extend([0; 8]);
    body.extend(ROOT.to_le_bytes());
    let mut answer = vec![1, 0, 11, 0, 0, 0];
    answer.extend((body.len() as u16 / 4).to_le_bytes());
    answer.extend(body);
    stream.write_all(&answer)?;
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        let mut body = vec![0; usize::from(u16::from_le_bytes([head[2], head[3]])) * 4 - 4];
        stream.read_exact(&mut body)?;
        let number = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four bytes"));
        // An event that everybody gets.
        let mut event = [0; 32];
        event[0] = 34;
        stream.write_all(&event)?;
        let mut reply = vec![0; 32];
        reply[0] = 1;
        if head[0] == 16 {
            let name = String::from_utf8_lossy(&body[4..4 + usize::from(body[0])]).into_owned();
            let number = NAMES.iter().position(|known| *known == name).expect("a known name") as u32 + 1;
            reply[8..12].copy_from_slice(&number.to_le_bytes());
            stream.write_all(&reply)?;
            continue;
        }
        let windows = windows.lock().expect("nobody panicked").clone();
        let numbers = match (number(0), number(4)) {
            (ROOT, 1) => windows.map(|windows| windows.into_iter().map(|(window, _)| window).collect()),
            (window, 2) => {
                let found = windows.unwrap_or_default().into_iter().find(|(known, _)| *known == window);
                match found {
                    Some((_, states)) => (!states.is_empty()).then_some(states),
                    None => panic!("asked for a window that is not there"),
                }
            }
            other => panic!("asked for {other:?}"),
        };
        // A window with the number 99 was closed a moment ago.
        if number(0) == 99 {
            reply[0] = 0;
            stream.write_all(&reply)?;
            continue;
        }
        if let Some(numbers) = numbers {
            reply[1] = 32;
            reply[4..8].copy_from_slice(&(numbers.len() as u32).to_le_bytes());
            reply[8..12].copy_from_slice(&4_u32.to_le_bytes());
            reply[16..20].copy_from_slice(&(numbers.len() as u32).to_le_bytes());
            reply.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        stream.write_all(&reply)?;
    }
}

fn seen(source: &mut ScreenSource) -> (Sensor<bool>, String) {
    let mut missing = Vec::new();
    let seen = sensor(SensorName::Fullscreen, source.is_covered(), &mut missing);
    (seen, missing.pop().map_or_else(String::new, |missing| missing.why))
}

#[test]
fn a_window_on_the_whole_screen_is_seen_unless_it_is_hidden() {
    let stand_in = ScreenStandIn::new(Some(Vec::new()));
    let mut source = stand_in.source();
    for (windows, expected) in [
        (vec![], false),
        (vec![(8, vec![]), (9, vec![17])], false),
        (vec![(8, vec![]), (9, vec![17, FULLSCREEN])], true),
        (vec![(8, vec![FULLSCREEN, HIDDEN])], false),
        (vec![(99, vec![FULLSCREEN])], false),
        (vec![(99, vec![]), (9, vec![FULLSCREEN])], true),
    ] {
        stand_in.shows(Some(windows.clone()));
        assert_eq!(source.is_covered(), Ok(expected), "{windows:?}");
    }
    stand_in.shows(None);
    let (sensor, why) = seen(&mut source);
    assert!(sensor == Sensor::Absent && why.contains("no window manager"), "{why}");
}

#[test]
fn a_screen_that_is_not_told_is_absent_and_one_that_refuses_is_lost() {
    let stand_in = ScreenStandIn::new(Some(Vec::new()));
    let source = |screen: Screen| ScreenSource::new(stand_in.root.path(), screen);
    let x = |display: &str| Screen::X { display: display.to_owned(), authority: None };
    for (screen, expected, words) in [
        (Screen::None, Sensor::Absent, "no screen is known"),
        (Screen::Wayland, Sensor::Absent, "Wayland"),
        (x("far.example:0"), Sensor::Absent, "no screen of this machine"),
        (x("localhost:10.0"), Sensor::Absent, "no screen of this machine"),
        (x(":6"), Sensor::Absent, "X6"),
    ] {
        let (sensor, why) = seen(&mut source(screen));
        assert!(sensor == expected && why.contains(words), "{sensor:?} {why}");
    }
    // The key to another display.
    fs::rename(stand_in.root.path().join("tmp/.X11-unix/X5"), stand_in.root.path().join("tmp/.X11-unix/X4"))
        .expect("a socket is moved");
    let authority = Some(stand_in.root.path().join("keys"));
    let mut refused = source(Screen::X { display: ":4".to_owned(), authority });
    let (sensor, why) = seen(&mut refused);
    assert!(sensor == Sensor::Lost && why.contains("let this user in"), "{why}");
}

#[test]
fn no_bytes_make_it_panic() {
    let mut setup = vec![1, 0, 11, 0, 0, 0, 12, 0];
    setup.resize(56, 0xff);
    let mut property = vec![1, 32, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
    property.resize(40, 1);
    let (intern, ask) = (message::intern("_NET_WM_STATE"), message::property(1, 2));
    for cut in 0..setup.len() {
        // What it says of half a message does not matter.
        let _ = (message::root(&setup[..cut]), message::hello_length(&setup[..cut]));
    }
    for cut in 0..=property.len() {
        let half = &property[..cut];
        let _ = (message::reply(&ask, half), message::reply(&intern, half), message::length(half));
        let _ = (Authority::of(half, 0), message::local_display(&String::from_utf8_lossy(half)));
    }
    assert_eq!(message::reply(&ask, &property), Ok(Some(Reply::Numbers(Some(vec![0x0101_0101; 2])))));
    assert_eq!(message::length(&property), 40);
    assert_eq!(message::length(&[1, 0, 0, 0, 255, 255, 255, 255]), 32 + 4 * 0xffff_ffff);
}
