//! D-Bus messages as bytes: the one call that is made, and what may come back. No sockets.

use super::Property;

/// Bytes of a message that say how long all of it is.
pub(super) const HEAD_BYTES: usize = 16;

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
/// Asking does not start a service.
const NO_AUTO_START: u8 = 2;
const VERSION: u8 = 1;
const FIELD_PATH: u8 = 1;
const FIELD_INTERFACE: u8 = 2;
const FIELD_MEMBER: u8 = 3;
const FIELD_ERROR: u8 = 4;
const FIELD_REPLY: u8 = 5;
const FIELD_DESTINATION: u8 = 6;
const FIELD_SIGNATURE: u8 = 8;

/// A call: of a method, with texts as arguments.
#[derive(Clone, Debug)]
pub(super) struct Call {
    destination: &'static str,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
    arguments: [Option<&'static str>; 2],
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Value(Value),
    /// By the name of the error.
    Refused(String),
}

/// What a property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Flag(bool),
    Number(u64),
}

impl Call {
    /// What every client says first. Its answer, our name on the bus, is taken for a number: nobody needs it.
    pub(super) const HELLO: Call = Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
        arguments: [None, None],
    };

    pub(super) fn get(property: Property) -> Call {
        Call {
            destination: property.service,
            path: property.path,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments: [Some(property.interface), Some(property.name)],
        }
    }

    pub(super) fn to_bytes(&self, serial: u32) -> Vec<u8> {
        let mut body = Vec::new();
        let arguments: Vec<&str> = self.arguments.into_iter().flatten().collect();
        for argument in &arguments {
            put_text(&mut body, argument);
        }
        let mut fields = Vec::new();
        for (field, kind, text) in [
            (FIELD_PATH, b'o', self.path),
            (FIELD_DESTINATION, b's', self.destination),
            (FIELD_INTERFACE, b's', self.interface),
            (FIELD_MEMBER, b's', self.member),
        ] {
            pad(&mut fields, 8);
            fields.extend([field, 1, kind, 0]);
            put_text(&mut fields, text);
        }
        if !arguments.is_empty() {
            pad(&mut fields, 8);
            fields.extend([FIELD_SIGNATURE, 1, b'g', 0]);
            fields.push(arguments.len() as u8);
            fields.extend(arguments.iter().map(|_| b's'));
            fields.push(0);
        }
        let mut bytes = vec![b'l', CALL, NO_AUTO_START, VERSION];
        for number in [body.len() as u32, serial, fields.len() as u32] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(fields);
        pad(&mut bytes, 8);
        bytes.extend(body);
        bytes
    }
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

/// Bytes of the message of which this is the head.
pub(super) fn length(head: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(head)?;
    reader.at = 4;
    let body = reader.u32()? as usize;
    reader.at = 12;
    let fields = reader.u32()? as usize;
    HEAD_BYTES.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)
}

/// What a message says, if it answers the call of this number.
pub(super) fn answer(message: &[u8], serial: u32) -> Result<Option<Answer>, &'static str> {
    let mut reader = Reader::new(message).ok_or("the bus writes bytes in no known order")?;
    let fields = fields(&mut reader).ok_or("the bus sends a message with a broken head")?;
    let kind = message[1];
    if !matches!(kind, RETURN | ERROR) || fields.reply != Some(serial) {
        return Ok(None);
    }
    if kind == ERROR {
        return Ok(Some(Answer::Refused(fields.error)));
    }
    let value = match fields.signature.as_str() {
        "v" => reader.variant().ok_or("the bus answers with a value of another kind")?,
        "s" => Value::Number(0),
        _ => return Err("the bus answers with something else than was asked for"),
    };
    Ok(Some(Answer::Value(value)))
}

#[derive(Default)]
struct Fields {
    reply: Option<u32>,
    error: String,
    signature: String,
}

/// The fields of the head; then the reader stands at the body.
fn fields(reader: &mut Reader<'_>) -> Option<Fields> {
    reader.at = 12;
    let end = (reader.u32()? as usize).checked_add(HEAD_BYTES)?;
    let mut fields = Fields::default();
    while reader.at < end {
        reader.align(8)?;
        let field = reader.byte()?;
        let kind = reader.signature()?;
        match (field, kind.as_str()) {
            (FIELD_REPLY, "u") => fields.reply = Some(reader.u32()?),
            (FIELD_ERROR, "s") => fields.error = reader.text()?,
            (FIELD_SIGNATURE, "g") => fields.signature = reader.signature()?,
            (_, "u") => drop(reader.u32()?),
            (_, "s" | "o") => drop(reader.text()?),
            (_, "g") => drop(reader.signature()?),
            _ => return None,
        }
    }
    reader.align(8)?;
    Some(fields)
}

/// Reads a message from its beginning; None where it ends too early.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_little: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Reader<'a>> {
        let is_little = match bytes.first()? {
            b'l' => true,
            b'B' => false,
            _ => return None,
        };
        Some(Reader { bytes, at: 0, is_little })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        let next = self.at.checked_next_multiple_of(to)?;
        self.take(next - self.at).map(drop)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(&mut self) -> Option<u64> {
        self.align(8)?;
        let bytes: [u8; 8] = self.take(8)?.try_into().ok()?;
        Some(if self.is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    fn text(&mut self) -> Option<String> {
        let count = self.u32()? as usize;
        let text = String::from_utf8(self.take(count)?.to_vec()).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    fn signature(&mut self) -> Option<String> {
        let count = self.byte()?;
        let text = String::from_utf8(self.take(usize::from(count))?.to_vec()).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    fn variant(&mut self) -> Option<Value> {
        match self.signature()?.as_str() {
            "b" => Some(Value::Flag(self.u32()? != 0)),
            "u" => self.u32().map(|value| Value::Number(value.into())),
            "t" => self.u64().map(Value::Number),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
