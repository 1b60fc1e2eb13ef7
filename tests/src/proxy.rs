//! A bad line: a TCP proxy that cuts, stalls, flips bits, repeats and reorders requests, as a seed draws it. It
//! knows only so much of HTTP that it can tell one request from the next.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::random::Random;

/// How long a connection stands still that is half open: its one end thinks that it lives.
const HALF_OPEN: Duration = Duration::from_secs(45);
/// How long it waits before it is a little late.
const LATE: Duration = Duration::from_millis(300);
const CHUNK_BYTES: usize = 16 << 10;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What may happen to a request or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The request never arrives; the connection is cut.
    RequestLost,
    /// It arrives, and the reply does not: the connection is cut.
    ReplyLost,
    /// The reply is cut in its middle.
    ReplyCut,
    /// It arrives twice, at once.
    Repeated,
    /// It arrives twice, the second time after others that came later.
    RepeatedLate,
    /// A bit of a blob that is sent is another. (What else is sent over a plain line has no digest: that is TLS's.)
    ReplyFlipped,
    /// A bit of the request's body is another.
    RequestFlipped,
    /// It waits while others overtake it.
    Late,
    /// Neither end hears any more of the other, and neither is told.
    HalfOpen,
}

impl Trouble {
    /// All of it.
    pub const ALL: [Trouble; 9] = [
        Trouble::RequestLost,
        Trouble::ReplyLost,
        Trouble::ReplyCut,
        Trouble::Repeated,
        Trouble::RepeatedLate,
        Trouble::ReplyFlipped,
        Trouble::RequestFlipped,
        Trouble::Late,
        Trouble::HalfOpen,
    ];
}

/// A running proxy.
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
}

/// What connections share.
struct Line {
    to: SocketAddr,
    random: Mutex<Random>,
    /// One request in so many is in trouble.
    one_in: u64,
    troubles: Vec<Trouble>,
    counts: Vec<AtomicU64>,
    ended: AtomicBool,
}

impl Proxy {
    /// Listens on loopback, and passes on to the address: one request in `one_in` gets one of the troubles.
    pub fn start(to: SocketAddr, troubles: &[Trouble], one_in: u64, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a listener has an address");
        let line = Arc::new(Line {
            to,
            random: Mutex::new(Random::new(seed)),
            one_in,
            troubles: troubles.to_vec(),
            counts: Trouble::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            ended: AtomicBool::new(false),
        });
        let shared = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A connection that ends ends; whoever needed it connects again.
                thread::spawn(move || drop(shared.connection(client)));
            }
        });
        Proxy { address, line }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often each trouble has happened.
    pub fn counts(&self) -> Vec<(Trouble, u64)> {
        let counts = self.line.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Trouble::ALL.into_iter().zip(counts).collect()
    }

    /// From here on nothing happens to anybody.
    pub fn mend(&self) {
        self.line.ended.store(true, Ordering::Relaxed);
    }
}

impl Line {
    fn connection(self: &Arc<Self>, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = TcpStream::connect(self.to)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        while let Some(request) = message(&mut client)? {
            match self.draw() {
                None => {
                    server.write_all(&request)?;
                    self.reply(&mut server, &mut client, None)?;
                }
                Some(trouble) => self.trouble(trouble, request, &mut server, &mut client)?,
            }
        }
        Ok(())
    }

    fn trouble(
        self: &Arc<Self>,
        trouble: Trouble,
        mut request: Vec<u8>,
        server: &mut TcpStream,
        client: &mut TcpStream,
    ) -> std::io::Result<()> {
        match trouble {
            Trouble::RequestLost => cut(client),
            Trouble::ReplyLost => {
                server.write_all(&request)?;
                let _it_is_lost = message(server)?;
                cut(client)
            }
            Trouble::ReplyCut | Trouble::ReplyFlipped => {
                server.write_all(&request)?;
                self.reply(server, client, Some(trouble))
            }
            Trouble::Repeated | Trouble::RepeatedLate => {
                let (line, copy) = (Arc::clone(self), request.clone());
                let wait = if trouble == Trouble::RepeatedLate { LATE * 3 } else { Duration::ZERO };
                thread::spawn(move || {
                    thread::sleep(wait);
                    // Nobody hears what it is answered.
                    if let Ok(mut other) = TcpStream::connect(line.to) {
                        let _ = other.write_all(&copy).and_then(|()| message(&mut other).map(drop));
                    }
                });
                server.write_all(&request)?;
                self.reply(server, client, None)
            }
            Trouble::RequestFlipped => {
                let (head, length) = (head_end(&request).unwrap_or(0), request.len());
                if length > head {
                    let at = head + self.below((length - head) as u64) as usize;
                    request[at] ^= 1 << self.below(8);
                }
                server.write_all(&request)?;
                self.reply(server, client, None)
            }
            Trouble::Late => {
                thread::sleep(LATE);
                server.write_all(&request)?;
                self.reply(server, client, None)
            }
            Trouble::HalfOpen => {
                server.write_all(&request[..request.len() / 2])?;
                thread::sleep(HALF_OPEN);
                cut(client)
            }
        }
    }

    /// Passes a reply on.
    fn reply(
        &self,
        server: &mut TcpStream,
        client: &mut TcpStream,
        trouble: Option<Trouble>,
    ) -> std::io::Result<()> {
        let Some(mut reply) = message(server)? else { return cut(client) };
        let head = head_end(&reply).unwrap_or(0);
        match trouble {
            Some(Trouble::ReplyCut) => {
                client.write_all(&reply[..reply.len() / 2])?;
                return cut(client);
            }
            Some(Trouble::ReplyFlipped) if reply.len() > head && is_blob(&reply[..head]) => {
                let at = head + self.below((reply.len() - head) as u64) as usize;
                reply[at] ^= 1 << self.below(8);
            }
            _ => {}
        }
        client.write_all(&reply)
    }

    fn draw(&self) -> Option<Trouble> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ended.load(Ordering::Relaxed) || random.below(self.one_in) != 0 {
            return None;
        }
        let trouble = *random.pick(&self.troubles)?;
        self.counts[trouble as usize].fetch_add(1, Ordering::Relaxed);
        Some(trouble)
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).below(bound)
    }
}

fn cut(client: &TcpStream) -> std::io::Result<()> {
    client.shutdown(Shutdown::Both)?;
    Err(std::io::ErrorKind::ConnectionAborted.into())
}

/// The next request or reply, head and body; `None` at the end. Its length must be said: ours always is.
fn message(from: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    let whole = loop {
        if let Some(head) = head_end(&bytes) {
            break head + content_length(&bytes[..head]);
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        // Byte by byte would be exact; our peers do not send a second message before the first is answered.
        match from.read(&mut chunk)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    while bytes.len() < whole {
        match from.read(&mut chunk)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(Some(bytes))
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn is_blob(head: &[u8]) -> bool {
    String::from_utf8_lossy(head).contains("application/octet-stream")
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.unwrap_or(0)
}
