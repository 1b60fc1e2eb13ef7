//! Asking a bus: a stand-in at a socket, which answers as each test says, and one that answers nothing.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    thread,
};

use anneal_policy::Sensor;
use tempfile::TempDir;

use super::*;
use crate::{gap::sensor, network, session};

/// What a stand-in answers to a property.
#[derive(Clone, Debug)]
enum Says {
    Flag(bool),
    Small(u32),
    Large(u64),
    Text(&'static str),
    Error(&'static str),
    Bytes(Vec<u8>),
    Nothing,
    HangUp,
}

/// A bus whose services say what is set.
struct BusStandIn {
    root: TempDir,
    says: Arc<Mutex<Vec<(&'static str, Says)>>>,
}

impl BusStandIn {
    fn new(says: &[(&'static str, Says)]) -> BusStandIn {
        let root = tempfile::tempdir().expect("there is room for a folder");
        std::fs::create_dir_all(root.path().join("run/dbus")).expect("there is room for a folder");
        let listener =
            UnixListener::bind(root.path().join("run/dbus/system_bus_socket")).expect("a socket is made");
        let says = Arc::new(Mutex::new(says.to_vec()));
        let answers = Arc::clone(&says);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whatever ends a connection ends only that one.
                let _ = serve(stream, &answers);
            }
        });
        BusStandIn { root, says }
    }

    fn bus(&self) -> Bus {
        Bus::new(self.root.path())
    }

    fn says(&self, says: &[(&'static str, Says)]) {
        *self.says.lock().expect("nobody panicked") = says.to_vec();
    }
}

fn serve(stream: UnixStream, answers: &Mutex<Vec<(&'static str, Says)>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    assert!(line.starts_with("\0AUTH EXTERNAL "), "{line:?}");
    stream.write_all(b"OK 1234deadbeef\r\n")?;
    line.clear();
    reader.read_line(&mut line)?;
    assert_eq!(line, "BEGIN\r\n");
    loop {
        let mut message = vec![0; message::HEAD_BYTES];
        reader.read_exact(&mut message)?;
        message.resize(message::length(&message).expect("a message"), 0);
        reader.read_exact(&mut message[message::HEAD_BYTES..])?;
        let serial = u32::from_le_bytes(message[8..12].try_into().expect("four bytes"));
        assert_eq!(message[2], 2, "asking starts no service");
        let text = String::from_utf8_lossy(&message).into_owned();
        if text.contains("Hello") {
            stream.write_all(&reply(2, serial, None, "s", b"\x04\0\0\0:1.7\0"))?;
            // A signal to everybody, which is no answer.
            stream.write_all(&reply(4, 0, None, "s", b"\x04\0\0\0:1.7\0"))?;
            continue;
        }
        let says = {
            let answers = answers.lock().expect("nobody panicked");
            let property = |name: &str| text.contains(&format!("\0{name}\0"));
            answers.iter().find(|(name, _)| property(name)).map(|(_, says)| says.clone())
        };
        let bytes = match says.unwrap_or(Says::Error("org.freedesktop.DBus.Error.ServiceUnknown")) {
            Says::Flag(value) => {
                reply(2, serial, None, "v", &[&b"\x01b\0\0"[..], &[value.into(), 0, 0, 0]].concat())
            }
            Says::Small(value) => {
                reply(2, serial, None, "v", &[&b"\x01u\0\0"[..], &value.to_le_bytes()].concat())
            }
            Says::Large(value) => {
                reply(2, serial, None, "v", &[&b"\x01t\0\0\0\0\0\0"[..], &value.to_le_bytes()].concat())
            }
            Says::Text(text) => {
                let length = (text.len() as u32).to_le_bytes();
                reply(2, serial, None, "v", &[&b"\x01s\0\0"[..], &length, text.as_bytes(), b"\0"].concat())
            }
            Says::Error(name) => reply(3, serial, Some(name), "", b""),
            Says::Bytes(bytes) => bytes,
            Says::Nothing => continue,
            Says::HangUp => return Ok(()),
        };
        stream.write_all(&bytes)?;
    }
}

fn reply(kind: u8, serial: u32, error: Option<&str>, signature: &str, body: &[u8]) -> Vec<u8> {
    let mut fields = vec![5, 1, b'u', 0];
    fields.extend(serial.to_le_bytes());
    if let Some(error) = error {
        fields.extend([4, 1, b's', 0]);
        fields.extend((error.len() as u32).to_le_bytes());
        fields.extend(error.as_bytes());
        fields.push(0);
    }
    if !signature.is_empty() {
        fields.resize(fields.len().next_multiple_of(8), 0);
        fields.extend([8, 1, b'g', 0, signature.len() as u8]);
        fields.extend(signature.as_bytes());
        fields.push(0);
    }
    let mut bytes = vec![b'l', kind, 1, 1];
    for number in [body.len() as u32, 77, fields.len() as u32] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(fields);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}

fn kind<T>(found: Found<T>) -> Sensor<T> {
    sensor(anneal_policy::SensorName::Idle, found, &mut Vec::new())
}

#[test]
fn the_owner_is_there_until_logind_says_since_when_not() {
    let stand_in = BusStandIn::new(&[("IdleHint", Says::Flag(false))]);
    let mut bus = stand_in.bus();
    assert_eq!(session::idle_s(&mut bus), Ok(0.0));
    // Idle since the machine began: a machine that nobody logged in to.
    stand_in.says(&[("IdleHint", Says::Flag(true)), ("IdleSinceHintMonotonic", Says::Large(0))]);
    let up_s = session::idle_s(&mut bus).expect("told");
    assert!(up_s > 0.0, "{up_s}");
    let since_us = (up_s * 1e6) as u64 - 1000;
    stand_in.says(&[("IdleHint", Says::Flag(true)), ("IdleSinceHintMonotonic", Says::Large(since_us))]);
    let idle_s = session::idle_s(&mut bus).expect("told");
    assert!((0.001..up_s.max(60.0)).contains(&idle_s), "{idle_s}");
    // A moment that is still to come is no time ago.
    stand_in.says(&[("IdleHint", Says::Flag(true)), ("IdleSinceHintMonotonic", Says::Large(u64::MAX))]);
    assert_eq!(session::idle_s(&mut bus), Ok(0.0));
}

#[test]
fn a_network_is_metered_as_its_manager_says() {
    for (says, expected) in [
        (0, Sensor::Absent),
        (1, Sensor::Value(true)),
        (2, Sensor::Value(false)),
        (3, Sensor::Value(true)),
        (4, Sensor::Value(false)),
        (5, Sensor::Lost),
    ] {
        let stand_in = BusStandIn::new(&[("Metered", Says::Small(says))]);
        assert_eq!(kind(network::metered(&mut stand_in.bus())), expected, "{says}");
    }
}

#[test]
fn a_service_that_is_not_there_is_a_sensor_that_is_not_there() {
    for name in ["ServiceUnknown", "NameHasNoOwner", "UnknownMethod", "UnknownProperty", "AccessDenied"] {
        let name = format!("org.freedesktop.DBus.Error.{name}").leak();
        let stand_in = BusStandIn::new(&[("Metered", Says::Error(name))]);
        assert_eq!(kind(network::metered(&mut stand_in.bus())), Sensor::Absent, "{name}");
    }
    let stand_in = BusStandIn::new(&[("Metered", Says::Error("org.freedesktop.DBus.Error.NoReply"))]);
    assert_eq!(kind(network::metered(&mut stand_in.bus())), Sensor::Lost);
    let nowhere = tempfile::tempdir().expect("there is room for a folder");
    assert_eq!(kind(network::metered(&mut Bus::new(nowhere.path()))), Sensor::Absent, "no bus at all");
}

#[test]
fn nonsense_and_silence_are_a_sensor_that_failed() {
    let endless = [b"l\x02\x01\x01".as_slice(), &[0xff; 12]].concat();
    for says in [
        Says::Text("yes"),
        Says::Flag(true),
        Says::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Says::Bytes(endless),
        Says::Bytes(reply(2, 2, None, "v", b"\x01u\0\0\x01")),
        Says::Bytes(reply(2, 2, None, "v", b"\xff")),
        Says::Bytes(reply(2, 2, None, "ay", b"")),
        Says::Nothing,
        Says::HangUp,
    ] {
        let stand_in = BusStandIn::new(&[("Metered", says.clone())]);
        assert_eq!(kind(network::metered(&mut stand_in.bus())), Sensor::Lost, "{says:?}");
    }
}

#[test]
fn a_bus_that_failed_is_left_alone_for_a_while() {
    let stand_in = BusStandIn::new(&[("Metered", Says::HangUp)]);
    let mut bus = stand_in.bus();
    assert_eq!(kind(network::metered(&mut bus)), Sensor::Lost);
    stand_in.says(&[("Metered", Says::Small(2))]);
    assert_eq!(kind(network::metered(&mut bus)), Sensor::Lost);
    // As if the while had gone by.
    bus.failed = None;
    assert_eq!(network::metered(&mut bus), Ok(false));
}
