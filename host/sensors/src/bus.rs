//! Properties of services on the system's D-Bus: just enough of a client to ask for one value and wait for it.
//!
//! Two facts are told nowhere else: since when the owner is away (logind) and whether the network is metered
//! (NetworkManager). A whole D-Bus library with its own executor would more than double this crate's
//! dependencies for them; asking for a property is one message of fixed shape and one answer. What comes back
//! is bounded, checked byte by byte, and waited for no longer than [`ANSWER_TIME`]. No service is started by
//! asking. <https://dbus.freedesktop.org/doc/dbus-specification.html>

mod message;

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::gap::{Found, Gap};
use message::{Answer, Call, Value};

/// A bus that does not answer within this is broken.
const ANSWER_TIME: Duration = Duration::from_millis(200);
/// After a failure it is left alone for so long.
const REST: Duration = Duration::from_secs(5);
/// Bytes of a message.
const MESSAGE_BYTES_MAX: usize = 1 << 16;
/// Messages that are none of ours before the answer: signals to everybody.
const OTHERS_MAX: usize = 64;

/// A property of a service's object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    pub(crate) service: &'static str,
    pub(crate) path: &'static str,
    pub(crate) interface: &'static str,
    pub(crate) name: &'static str,
}

/// The system's bus.
#[derive(Debug)]
pub(crate) struct Bus {
    socket: PathBuf,
    connection: Option<Connection>,
    failed: Option<(Instant, Gap)>,
}

/// A connection that has said hello.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    serial: u32,
    deadline: Instant,
}

impl Bus {
    pub(crate) fn new(root: &Path) -> Bus {
        Bus { socket: root.join("run/dbus/system_bus_socket"), connection: None, failed: None }
    }

    /// A property that is true or false.
    pub(crate) fn flag(&mut self, property: Property) -> Found<bool> {
        match self.get(property)? {
            Value::Flag(value) => Ok(value),
            Value::Number(_) => Err(unexpected(property)),
        }
    }

    /// A property that is a number.
    pub(crate) fn number(&mut self, property: Property) -> Found<u64> {
        match self.get(property)? {
            Value::Number(value) => Ok(value),
            Value::Flag(_) => Err(unexpected(property)),
        }
    }

    fn get(&mut self, property: Property) -> Found<Value> {
        if let Some((when, gap)) = &self.failed
            && when.elapsed() < REST
        {
            return Err(gap.clone());
        }
        self.failed = None;
        let asked = self.connect().and_then(|connection| connection.ask(&Call::get(property)));
        match asked {
            Ok(Answer::Value(value)) => Ok(value),
            Ok(Answer::Refused(name)) => Err(refused(property, &name)),
            Err(error) => {
                self.connection = None;
                let why = format!("{}: {error}", self.socket.display());
                // Nobody listens: there is no bus. All else is one that fails.
                let is_none =
                    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
                let gap = if is_none { Gap::absent(why) } else { Gap::lost(why) };
                self.failed = Some((Instant::now(), gap.clone()));
                Err(gap)
            }
        }
    }

    fn connect(&mut self) -> io::Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.socket)?,
        };
        Ok(self.connection.insert(connection))
    }
}

fn unexpected(property: Property) -> Gap {
    Gap::lost(format!("{} gives {} as another kind of value than it is", property.service, property.name))
}

/// A service that is not there, or that does not tell us, is a sensor that this machine does not have.
fn refused(property: Property, name: &str) -> Gap {
    let why = format!("{} does not tell {} ({name})", property.service, property.name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_none = matches!(
        last,
        "ServiceUnknown"
            | "NameHasNoOwner"
            | "UnknownObject"
            | "UnknownInterface"
            | "UnknownProperty"
            | "UnknownMethod"
            | "AccessDenied"
    );
    if is_none { Gap::absent(why) } else { Gap::lost(why) }
}

impl Connection {
    fn open(socket: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(ANSWER_TIME))?;
        let mut connection = Connection { stream, serial: 0, deadline: Instant::now() + ANSWER_TIME };
        connection.authenticate()?;
        match connection.ask(&Call::HELLO)? {
            Answer::Refused(name) => Err(broken(&format!("the bus refused us: {name}"))),
            Answer::Value(_) => Ok(connection),
        }
    }

    /// The kernel vouches for who we are; the bus only has to be told the same number.
    fn authenticate(&mut self) -> io::Result<()> {
        let user = rustix::process::getuid().as_raw().to_string();
        let hex: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.read(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 1024 {
                return Err(broken("the bus never ends its first line"));
            }
        }
        if !line.starts_with(b"OK ") {
            return Err(broken("the bus does not let this user in"));
        }
        self.stream.write_all(b"BEGIN\r\n")
    }

    fn ask(&mut self, call: &Call) -> io::Result<Answer> {
        self.deadline = Instant::now() + ANSWER_TIME;
        self.serial = self.serial.wrapping_add(1).max(1);
        self.stream.write_all(&call.to_bytes(self.serial))?;
        for _ in 0..OTHERS_MAX {
            let message = self.message()?;
            if let Some(answer) = message::answer(&message, self.serial).map_err(broken)? {
                return Ok(answer);
            }
        }
        Err(broken("the bus sends everything but an answer"))
    }

    fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; message::HEAD_BYTES];
        self.read(&mut bytes)?;
        let total = message::length(&bytes).filter(|total| *total <= MESSAGE_BYTES_MAX);
        let total = total.ok_or_else(|| broken("the bus sends what is no message"))?;
        bytes.resize(total, 0);
        self.read(&mut bytes[message::HEAD_BYTES..])?;
        Ok(bytes)
    }

    /// Reads as much as is asked for, until the deadline.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        crate::wait::read_until(&mut self.stream, bytes, self.deadline)
    }
}

fn broken(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
