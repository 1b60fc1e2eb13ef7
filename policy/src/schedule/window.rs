//! One weekly window: `mon-fri 22:00-07:30`. Reading and showing it; which instants it covers is `schedule`'s.

use std::{fmt, str::FromStr};

use jiff::{
    ToSpan,
    civil::{Date, DateTime},
};
use thiserror::Error;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const EVERY_DAY: u8 = 0b111_1111;
const DAY_MINUTES: u16 = 24 * 60;

/// The same hours on some days of the week. Hours that end before they begin go on to the next day, and
/// belong to the day on which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes after midnight.
    from: u16,
    /// Minutes after the midnight of the day of `from`, so up to two days.
    until: u16,
}

/// A text that is no window.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no window: write days and hours like \"mon-fri 22:00-07:30\", \"sat,sun\", \"00:00-24:00\", \
     \"until 07:30\" or \"fri from 18:00\""
)]
pub struct WindowError(String);

impl Window {
    /// Every day, all day.
    pub(crate) const WHOLE_DAY: Window = Window { days: EVERY_DAY, from: 0, until: DAY_MINUTES };

    /// Beginning and end, by the clock, of the window that begins on this day, if one does.
    pub(crate) fn on(&self, date: Date) -> Option<(DateTime, DateTime)> {
        let day = date.weekday().to_monday_zero_offset();
        if self.days & (1 << day) == 0 {
            return None;
        }
        Some((clock(date, self.from)?, clock(date, self.until)?))
    }
}

fn clock(date: Date, minutes: u16) -> Option<DateTime> {
    let date = date.checked_add(i64::from(minutes / DAY_MINUTES).days()).ok()?;
    let minutes = minutes % DAY_MINUTES;
    Some(date.at((minutes / 60) as i8, (minutes % 60) as i8, 0, 0))
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Window, WindowError> {
        parse(text).ok_or_else(|| WindowError(text.chars().take(60).collect()))
    }
}

fn parse(text: &str) -> Option<Window> {
    let text = text.trim().to_ascii_lowercase();
    let begins_with_day = DAYS.iter().any(|day| text.starts_with(day));
    let (days, hours) = match text.split_once(char::is_whitespace) {
        _ if !begins_with_day => (EVERY_DAY, text.as_str()),
        Some((days, hours)) => (parse_days(days)?, hours.trim()),
        None => (parse_days(&text)?, "00:00-24:00"),
    };
    let (from, until) = if let Some(until) = hours.strip_prefix("until ") {
        (0, parse_clock(until.trim())?)
    } else if let Some(from) = hours.strip_prefix("from ") {
        (parse_clock(from.trim())?, DAY_MINUTES)
    } else {
        let (from, until) = hours.split_once('-')?;
        (parse_clock(from.trim())?, parse_clock(until.trim())?)
    };
    // Equal hours might mean nothing or everything: 00:00-24:00 says everything.
    if from == until || from == DAY_MINUTES {
        return None;
    }
    Some(Window { days, from, until: if until < from { until + DAY_MINUTES } else { until } })
}

fn parse_days(text: &str) -> Option<u8> {
    let day = |text: &str| DAYS.iter().position(|day| *day == text);
    let mut days = 0;
    for part in text.split(',') {
        match part.split_once('-') {
            None => days |= 1 << day(part)?,
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                let count = (last + 7 - first) % 7;
                for step in 0..=count {
                    days |= 1 << ((first + step) % 7);
                }
            }
        }
    }
    Some(days)
}

/// `HH:MM`, up to 24:00.
fn parse_clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let is_plain = |part: &str, longest| {
        (1..=longest).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_plain(hours, 2) || minutes.len() != 2 || !is_plain(minutes, 2) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != EVERY_DAY {
            let names: Vec<&str> = DAYS
                .iter()
                .enumerate()
                .filter(|(day, _)| self.days & (1 << day) != 0)
                .map(|(_, d)| *d)
                .collect();
            write!(f, "{} ", names.join(","))?;
        }
        let until = if self.until > DAY_MINUTES { self.until - DAY_MINUTES } else { self.until };
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, until / 60, until % 60)
    }
}
