//! Whether a program covers the screen, as the window manager of an X server says (EWMH).
//!
//! Three requests of fixed shape are all it takes, so they are made here, over the server's local socket: which
//! windows there are, and for each whether its manager shows it on the whole screen. A Wayland compositor tells
//! no program about others' windows, and its X server knows but some of them, so there nothing is told.
//! <https://specifications.freedesktop.org/wm-spec/latest/>

mod message;

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::gap::{Found, Gap};
use message::{Authority, Reply};

/// A server that does not answer within this is broken.
const ANSWER_TIME: Duration = Duration::from_millis(200);
/// After a failure it is left alone for so long.
const REST: Duration = Duration::from_secs(5);
/// Windows that are looked at.
const WINDOWS_MAX: usize = 512;
/// Bytes of a reply.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// Events before a reply.
const EVENTS_MAX: usize = 256;
/// Bytes of the file of keys.
const AUTHORITY_BYTES_MAX: u64 = 1 << 20;

/// The owner's screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// None is known.
    #[default]
    None,
    /// A Wayland compositor's.
    Wayland,
    /// An X server's.
    X {
        /// Which, like `:0`.
        display: String,
        /// The file with the key to it.
        authority: Option<PathBuf>,
    },
}

/// What looks at a screen.
#[derive(Debug)]
pub(crate) struct ScreenSource {
    screen: Screen,
    sockets: PathBuf,
    connection: Option<Connection>,
    failed: Option<(Instant, Gap)>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    deadline: Instant,
    root: u32,
    names: Names,
}

/// The numbers that a server gives to names.
#[derive(Clone, Copy, Debug)]
struct Names {
    client_list: u32,
    state: u32,
    fullscreen: u32,
    hidden: u32,
}

impl ScreenSource {
    pub(crate) fn new(root: &Path, screen: Screen) -> ScreenSource {
        ScreenSource { screen, sockets: root.join("tmp/.X11-unix"), connection: None, failed: None }
    }

    /// Whether a program covers it.
    pub(crate) fn is_covered(&mut self) -> Found<bool> {
        const ADVICE: &str = "name your games and players in `owner.programs`";
        let (display, authority) = match &self.screen {
            Screen::None => {
                return Err(Gap::absent(format!("no screen is known here (no DISPLAY); {ADVICE}")));
            }
            Screen::Wayland => {
                return Err(Gap::absent(format!("Wayland does not tell it to other programs; {ADVICE}")));
            }
            Screen::X { display, authority } => (display.clone(), authority.clone()),
        };
        if let Some((when, gap)) = &self.failed
            && when.elapsed() < REST
        {
            return Err(gap.clone());
        }
        self.failed = None;
        let Some(number) = message::local_display(&display) else {
            return Err(Gap::absent(format!("{display} is no screen of this machine; {ADVICE}")));
        };
        let socket = self.sockets.join(format!("X{number}"));
        let asked = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(&socket, number, authority.as_deref()),
        };
        let asked = asked.and_then(|mut connection| {
            let covered = connection.is_covered()?;
            self.connection = Some(connection);
            Ok(covered)
        });
        match asked {
            Ok(Some(covered)) => Ok(covered),
            Ok(None) => {
                Err(Gap::absent(format!("no window manager of {display} tells of its windows; {ADVICE}")))
            }
            Err(error) => {
                let why = format!("{}: {error}", socket.display());
                let is_none =
                    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
                let gap = if is_none { Gap::absent(why) } else { Gap::lost(why) };
                self.failed = Some((Instant::now(), gap.clone()));
                Err(gap)
            }
        }
    }
}

impl Connection {
    fn open(socket: &Path, number: u32, authority: Option<&Path>) -> io::Result<Connection> {
        let key = authority.and_then(|path| anneal_files::read_bounded(path, AUTHORITY_BYTES_MAX).ok());
        let key = key.and_then(|bytes| Authority::of(&bytes, number)).unwrap_or_default();
        let stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(ANSWER_TIME))?;
        let names = Names { client_list: 0, state: 0, fullscreen: 0, hidden: 0 };
        let mut connection = Connection { stream, deadline: Instant::now() + ANSWER_TIME, root: 0, names };
        connection.stream.write_all(&message::hello(&key))?;
        let mut answer = vec![0; message::HELLO_BYTES];
        connection.read(&mut answer)?;
        answer.resize(message::hello_length(&answer), 0);
        connection.read(&mut answer[message::HELLO_BYTES..])?;
        connection.root = message::root(&answer).map_err(broken)?;
        Ok(connection)
    }

    /// Whether a window covers the screen; none where no manager tells of windows.
    fn is_covered(&mut self) -> io::Result<Option<bool>> {
        self.deadline = Instant::now() + ANSWER_TIME;
        // A name that nobody has used yet has no number; then nobody said anything by it.
        self.names = Names {
            client_list: self.name("_NET_CLIENT_LIST")?,
            state: self.name("_NET_WM_STATE")?,
            fullscreen: self.name("_NET_WM_STATE_FULLSCREEN")?,
            hidden: self.name("_NET_WM_STATE_HIDDEN")?,
        };
        let names = self.names;
        let Some(windows) = self.property(self.root, names.client_list)? else { return Ok(None) };
        for window in windows.into_iter().take(WINDOWS_MAX) {
            // A window that was closed meanwhile covers nothing.
            let states = self.property(window, names.state)?.unwrap_or_default();
            let has = |name: u32| name != 0 && states.contains(&name);
            if has(names.fullscreen) && !has(names.hidden) {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    fn name(&mut self, name: &str) -> io::Result<u32> {
        match self.ask(&message::intern(name))? {
            Reply::Name(number) => Ok(number),
            _ => Err(broken("the X server gives no number to a name")),
        }
    }

    /// The numbers of a property; none where the window or the property is not there.
    fn property(&mut self, window: u32, name: u32) -> io::Result<Option<Vec<u32>>> {
        if name == 0 {
            return Ok(None);
        }
        match self.ask(&message::property(window, name))? {
            Reply::Numbers(numbers) => Ok(numbers),
            Reply::Refused => Ok(None),
            Reply::Name(_) => Err(broken("the X server answers another question")),
        }
    }

    fn ask(&mut self, request: &[u8]) -> io::Result<Reply> {
        self.stream.write_all(request)?;
        for _ in 0..EVENTS_MAX {
            let mut bytes = vec![0; message::REPLY_BYTES];
            self.read(&mut bytes)?;
            let total = message::length(&bytes);
            if total > REPLY_BYTES_MAX {
                return Err(broken("the X server sends what is no reply"));
            }
            bytes.resize(total, 0);
            self.read(&mut bytes[message::REPLY_BYTES..])?;
            if let Some(reply) = message::reply(request, &bytes).map_err(broken)? {
                return Ok(reply);
            }
        }
        Err(broken("the X server sends everything but a reply"))
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
mod tests;
