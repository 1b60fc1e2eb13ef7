//! Messages against bytes that a real dbus-daemon sent (1.16), and against every way to cut and bend them.

use super::*;

const HELLO_ANSWER: &[u8] =
    b"l\x02\x01\x01\t\0\0\0\x01\0\0\0=\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x05\x01u\0\x01\0\0\0\x08\
    \x01g\0\x01s\0\0\x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x04\0\0\0:1.0\0";
const SIGNAL: &[u8] = b"l\x04\x01\x01\t\0\0\0\x02\0\0\0\x8d\0\0\0\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\x02\x01s\0\
    \x14\0\0\0org.freedesktop.DBus\0\0\0\0\x03\x01s\0\x0c\0\0\0NameAcquired\0\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\
    \x08\x01g\0\x01s\0\0\x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x04\0\0\0:1.0\0";
const REFUSAL: &[u8] = b"l\x03\x01\x011\0\0\0\x03\0\0\0u\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x04\x01s\0)\0\0\0org.freedeskto\
    p.DBus.Error.NameHasNoOwner\0\0\0\0\0\0\0\x05\x01u\0\x02\0\0\0\x08\x01g\0\x01s\0\0\x07\x01s\0\x14\0\0\0org.freedesktop.\
    DBus\0\0\0\0,\0\0\0Name \"org.freedesktop.login1\" does not exist\0";
/// A property that is a list of texts.
const LIST: &[u8] = b"l\x02\x01\x01<\0\0\0\x04\0\0\0=\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x05\x01u\0\x03\0\0\0\x08\x01g\0\
    \x01v\0\0\x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x02as\x004\0\0\0\x1a\0\0\0ActivatableServicesChanged\0\0\x0f\
    \0\0\0HeaderFiltering\0";

#[test]
fn what_a_real_bus_sends_is_understood() {
    assert_eq!(answer(HELLO_ANSWER, 1), Ok(Some(Answer::Value(Value::Number(0)))));
    assert_eq!(answer(HELLO_ANSWER, 2), Ok(None), "the answer to another call");
    assert_eq!(answer(SIGNAL, 1), Ok(None));
    let name = "org.freedesktop.DBus.Error.NameHasNoOwner".to_owned();
    assert_eq!(answer(REFUSAL, 2), Ok(Some(Answer::Refused(name))));
    assert_eq!(answer(LIST, 3), Err("the bus answers with a value of another kind"));
    for message in [HELLO_ANSWER, SIGNAL, REFUSAL, LIST] {
        assert_eq!(length(&message[..HEAD_BYTES]), Some(message.len()));
    }
}

#[test]
fn every_kind_of_value_is_read_in_both_orders() {
    let with = |body: &[u8]| [&LIST[..LIST.len() - 0x3c], body].concat();
    let value = |body: &[u8]| answer(&with(body), 3);
    assert_eq!(value(b"\x01b\0\0\x01\0\0\0"), Ok(Some(Answer::Value(Value::Flag(true)))));
    assert_eq!(value(b"\x01u\0\0\x04\x03\0\0"), Ok(Some(Answer::Value(Value::Number(0x304)))));
    assert_eq!(
        value(b"\x01t\0\0\0\0\0\0\x04\x03\0\0\0\0\0\x01"),
        Ok(Some(Answer::Value(Value::Number(0x0100_0000_0000_0304))))
    );
    let large = b"B\x02\x01\x01\0\0\0\x08\0\0\0\x09\0\0\0\x0f\x05\x01u\0\0\0\0\x03\x08\x01g\0\x01v\0\0\x01u\0\0\0\0\x03\x04";
    assert_eq!(answer(large, 3), Ok(Some(Answer::Value(Value::Number(0x304)))));
    assert_eq!(length(&large[..HEAD_BYTES]), Some(large.len()));
}

#[test]
fn a_call_is_a_message_that_ends_where_it_says() {
    let property = Property { service: "a.b", path: "/a", interface: "a.b.c", name: "D" };
    for call in [Call::HELLO, Call::get(property)] {
        let bytes = call.to_bytes(7);
        assert_eq!(length(&bytes[..HEAD_BYTES]), Some(bytes.len()));
        assert_eq!(answer(&bytes, 7), Ok(None), "its head is well formed, and it is no answer");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    for message in [HELLO_ANSWER, SIGNAL, REFUSAL, LIST] {
        for cut in 0..message.len() {
            // What it says of half a message does not matter.
            let _ = (answer(&message[..cut], 1), length(&message[..cut]));
        }
        for at in 0..message.len() {
            for byte in [0, 1, 7, 0x7f, 0x80, 0xff] {
                let mut bent = message.to_vec();
                bent[at] = byte;
                let _ = (answer(&bent, 1), length(&bent));
            }
        }
    }
    assert_eq!(
        length(&[b'l', 2, 1, 1, 255, 255, 255, 255, 1, 0, 0, 0, 255, 255, 255, 255]),
        Some(8_589_934_607)
    );
}
