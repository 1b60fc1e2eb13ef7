//! Spans of time as people write them into a file: `"90 s"`, `"15 min"`, `"24 h"`, `"30 days"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads one.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is no span of time: write a whole number and ms, s, min, h or days"
        ))
    })
}

fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_read_and_nothing_else() {
        for (text, seconds) in [("90 s", 90), ("15min", 900), (" 24 h ", 86_400), ("30 days", 2_592_000)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("200 ms"), Some(Duration::from_millis(200)));
        for text in
            ["", "s", "90", "-1 s", "1.5 h", "1 week", "99999999999999999999 s", "18446744073709551615 h"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
