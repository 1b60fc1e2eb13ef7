//! Text of strangers as people may be shown it: on a terminal, in a log, on a page, in a file's name. What a guest,
//! a coordinator, a provider or a file names goes through here, so that it cannot colour a terminal, forge a line,
//! turn the direction of writing or stand there unseen. Not for what programs read: bytes, digests and JSON values
//! stay as they are.
//!
//! The pages do the same in JavaScript (`shown` in their scripts); `shown.json` beside this file holds both to the
//! same answers.

use std::{borrow::Cow, fmt::Write};

/// The same for a page: functions `shown` and `named`, as a file of its scripts.
pub const SHOWN_SCRIPT: &str = include_str!("shown.js");
/// Characters that are shown of a name.
pub const SHOWN_NAME_CHARACTERS_MAX: usize = 128;
/// Marks over or under one letter: more make a tower that covers other lines.
const MARKS_MAX: u32 = 4;

/// A text for one line: control characters, line ends, marks of the direction of writing, invisible and unassigned
/// characters are spelled as `\n` or `\u{202e}`, and so is the tower of marks that is too high for any script.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut marks_left = 0;
    for character in text.chars() {
        let visible = match kind(character) {
            Kind::Unseen => false,
            Kind::Space => {
                marks_left = 0;
                true
            }
            Kind::Letter => {
                marks_left = MARKS_MAX;
                true
            }
            Kind::Mark if marks_left > 0 => {
                marks_left -= 1;
                true
            }
            Kind::Mark => false,
        };
        if visible {
            shown.push(character);
        } else {
            spell(character, &mut shown);
        }
    }
    Cow::Owned(shown)
}

/// A name for one line, as [`shown`], and cut where it is longer than any name needs to be.
pub fn shown_name(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_NAME_CHARACTERS_MAX) {
        None => shown(text),
        Some((end, _)) => Cow::Owned(format!("{}…", shown(&text[..end]))),
    }
}

/// A JSON document in which no character is one that [`shown`] would spell: they become escapes of JSON's own, so
/// programs read the same values.
pub fn shown_json(document: String) -> String {
    if document.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
        return document;
    }
    let mut shown = String::with_capacity(document.len());
    let mut marks_left = 0;
    for character in document.chars() {
        let visible = match kind(character) {
            // Between the values of a document that is laid out in lines; within a text JSON escapes it.
            Kind::Unseen => character == '\n',
            Kind::Space => true,
            Kind::Letter => {
                marks_left = MARKS_MAX;
                true
            }
            Kind::Mark => {
                let fits = marks_left > 0;
                marks_left = marks_left.saturating_sub(1);
                fits
            }
        };
        if visible {
            shown.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has a shape of its own.
    Letter,
    /// The one space that is what it looks like.
    Space,
    /// It is drawn on the letter before it.
    Mark,
    /// It has no shape, or changes what stands beside it.
    Unseen,
}

fn kind(character: char) -> Kind {
    match character {
        ' ' => Kind::Space,
        '!'..='~' => Kind::Letter,
        // Letters and marks by Unicode's categories that nobody sees all the same: joiners, fillers, selectors.
        '\u{34f}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}'
        | '\u{e0000}'..='\u{e0fff}' => Kind::Unseen,
        _ => {
            // The standard library's tables: after a letter, `str` spells what is not printable, and `char` spells
            // marks, too.
            let mut text = String::from("a");
            text.push(character);
            if text.escape_debug().count() > 2 {
                Kind::Unseen
            } else if character.escape_debug().count() > 1 {
                Kind::Mark
            } else {
                Kind::Letter
            }
        }
    }
}

fn spell(character: char, into: &mut String) {
    match character {
        '\n' => into.push_str("\\n"),
        '\r' => into.push_str("\\r"),
        '\t' => into.push_str("\\t"),
        // Writing to a String cannot fail.
        _ => drop(write!(into, "\\u{{{:x}}}", u32::from(character))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said to be shown for what: the pages' scripts are held to the same file.
    #[test]
    fn the_table_holds() {
        let table: Vec<[String; 2]> = serde_json::from_str(include_str!("shown.json")).expect("a table");
        assert!(table.len() > 20);
        for [text, expected] in &table {
            assert_eq!(&shown(text), expected, "{text:?}");
            assert_eq!(shown(expected), *expected, "what is shown is shown as it is");
        }
    }

    #[test]
    fn no_control_reaches_anybody() {
        for character in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let line = shown(&text);
            let is_bad = |c: char| {
                c.is_control()
                    || (c.is_whitespace() && c != ' ')
                    || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
                    || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
            };
            assert!(!line.contains(is_bad), "{character:?}");
            let document = serde_json::to_string(&text).expect("JSON");
            let escaped = shown_json(document);
            assert!(!escaped.contains(is_bad), "{character:?}");
            assert_eq!(serde_json::from_str::<String>(&escaped).expect("JSON"), text);
        }
    }

    #[test]
    fn a_name_is_cut_and_a_tower_of_marks_too() {
        let long = "x".repeat(1000);
        assert_eq!(shown_name(&long).chars().count(), SHOWN_NAME_CHARACTERS_MAX + 1);
        let tower = format!("a{}", "\u{301}".repeat(1000));
        assert_eq!(shown(&tower).matches('\u{301}').count(), MARKS_MAX as usize);
        let document = serde_json::to_string_pretty(&[&tower]).expect("JSON");
        let escaped = shown_json(document.clone());
        assert_eq!(escaped.matches('\u{301}').count(), MARKS_MAX as usize);
        assert_eq!(escaped.lines().count(), document.lines().count());
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).expect("JSON"), [tower]);
    }
}
