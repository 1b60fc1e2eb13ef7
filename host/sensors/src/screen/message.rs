//! X11 messages as bytes: saying hello, and two requests with their replies. No sockets.
//! <https://www.x.org/releases/current/doc/xproto/x11protocol.html>, appendix B.

/// Bytes of an answer to hello that say how long all of it is.
pub(super) const HELLO_BYTES: usize = 8;
/// Bytes of every reply, error and event, at least.
pub(super) const REPLY_BYTES: usize = 32;

const INTERN: u8 = 16;
const PROPERTY: u8 = 20;
/// Numbers of a property that are asked for.
const NUMBERS_MAX: u32 = 1024;
const KEY_KIND: &[u8] = b"MIT-MAGIC-COOKIE-1";
/// Keys in a file that are looked at.
const KEYS_MAX: usize = 1024;

/// A key to a display; empty where none is needed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Authority(Vec<u8>);

/// What a server replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The number of a name; 0 if nobody used it yet.
    Name(u32),
    /// A property, if it is there.
    Numbers(Option<Vec<u32>>),
    /// The window is not there.
    Refused,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(…)")
    }
}

impl Authority {
    /// The key to a display out of an Xauthority file: one of its number, or of none.
    pub(super) fn of(file: &[u8], number: u32) -> Option<Authority> {
        let mut rest = file;
        let number = number.to_string();
        for _ in 0..KEYS_MAX {
            let (_family, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            let mut part = || -> Option<&[u8]> {
                let (count, after) = rest.split_first_chunk::<2>()?;
                let (part, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*count)))?;
                rest = after;
                Some(part)
            };
            let (_address, display, kind, key) = (part()?, part()?, part()?, part()?);
            if kind == KEY_KIND && (display.is_empty() || display == number.as_bytes()) {
                return Some(Authority(key.to_vec()));
            }
        }
        None
    }
}

/// The number of a display of this machine: `:0`, `:0.0`, `unix:0`.
pub(super) fn local_display(text: &str) -> Option<u32> {
    let number = text.strip_prefix("unix").unwrap_or(text).strip_prefix(':')?;
    number.split('.').next()?.parse().ok()
}

pub(super) fn hello(key: &Authority) -> Vec<u8> {
    let kind = if key.0.is_empty() { &[] } else { KEY_KIND };
    let mut bytes = vec![b'l', 0, 11, 0, 0, 0];
    bytes.extend((kind.len() as u16).to_le_bytes());
    bytes.extend((key.0.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    for part in [kind, &key.0] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Bytes of the whole answer of which this is the beginning.
pub(super) fn hello_length(head: &[u8]) -> usize {
    HELLO_BYTES + 4 * usize::from(u16_at(head, 6).unwrap_or_default())
}

/// The window behind all others, of the first screen.
pub(super) fn root(answer: &[u8]) -> Result<u32, &'static str> {
    if answer.first() != Some(&1) {
        return Err("the X server does not let this user in");
    }
    let root = || {
        let vendor = usize::from(u16_at(answer, HELLO_BYTES + 16)?).next_multiple_of(4);
        let formats = usize::from(*answer.get(HELLO_BYTES + 21)?);
        u32_at(answer, HELLO_BYTES + 32 + vendor + 8 * formats)
    };
    root().ok_or("the X server's hello is cut short")
}

/// Asks for the number of a name.
pub(super) fn intern(name: &str) -> Vec<u8> {
    // 1: only if somebody used it.
    let mut bytes = vec![INTERN, 1, 0, 0];
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(name.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let length = (bytes.len() / 4) as u16;
    bytes[2..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Asks for a property of a window.
pub(super) fn property(window: u32, name: u32) -> Vec<u8> {
    let mut bytes = vec![PROPERTY, 0, 6, 0];
    // Of any kind, from its beginning.
    for number in [window, name, 0, 0, NUMBERS_MAX] {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// Bytes of the whole message of which this is the beginning.
pub(super) fn length(head: &[u8]) -> usize {
    // Replies and general events say how much follows; errors and other events are as long as this.
    let is_longer = matches!(head.first(), Some(1 | 35 | 163));
    let more = if is_longer { u32_at(head, 4).unwrap_or_default() as usize } else { 0 };
    REPLY_BYTES.saturating_add(more.saturating_mul(4))
}

/// What a message replies to a request; none for an event.
pub(super) fn reply(request: &[u8], message: &[u8]) -> Result<Option<Reply>, &'static str> {
    const SHORT: &str = "the X server's reply is cut short";
    match message.first() {
        Some(0) => return Ok(Some(Reply::Refused)),
        Some(1) => {}
        _ => return Ok(None),
    }
    let reply = match request.first() {
        Some(&INTERN) => Reply::Name(u32_at(message, 8).ok_or(SHORT)?),
        _ => {
            let is_there = u32_at(message, 8).ok_or(SHORT)? != 0;
            let is_numbers = message.get(1) == Some(&32);
            let count = u32_at(message, 16).ok_or(SHORT)?.min(NUMBERS_MAX) as usize;
            let numbers = (0..count).map(|index| u32_at(message, REPLY_BYTES + 4 * index).ok_or(SHORT));
            let numbers = if is_numbers { numbers.collect::<Result<Vec<u32>, _>>()? } else { Vec::new() };
            Reply::Numbers(is_there.then_some(numbers))
        }
    };
    Ok(Some(reply))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
