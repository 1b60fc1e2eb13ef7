//! The hours in which work is allowed: weekly windows in the owner's time zone, holidays, a last moment.
//!
//! A window is a stretch between two instants, not a test of the clock's face, so that a night in which the
//! clock is set back has no hour too much: a window opens the first time its hour comes and closes the first
//! time its end comes. An hour that the clock leaps over is taken as the moment of the leap.

mod window;

use std::collections::BTreeSet;

use jiff::{
    Timestamp, ToSpan, Unit, ZonedRound,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

pub use window::{Window, WindowError};

/// Windows of one list.
pub const WINDOWS_MAX: usize = 64;
/// Holidays.
pub const HOLIDAYS_MAX: usize = 366;
/// Days after which windows that follow each other count as never closing.
const OPEN_DAYS_MAX: i64 = 8;
/// Days in which a next window is looked for; a year's holidays may be all there is.
const SEARCH_DAYS_MAX: i64 = 370;

/// When work is allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The owner's time zone.
    pub zone: TimeZone,
    /// Weekly windows; none means always.
    pub windows: Vec<Window>,
    /// The list of windows is there and empty: always, though it may not look so.
    pub has_empty_list: bool,
    /// Days to which `holiday_windows` apply instead.
    pub holidays: BTreeSet<Holiday>,
    /// What holds on holidays; none means that such a day has no window.
    pub holiday_windows: Vec<Window>,
    /// After this moment no work at all.
    pub until: Option<Timestamp>,
}

/// A day off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holiday {
    /// One date.
    Once(Date),
    /// Each year's day: month and day.
    Yearly(i8, i8),
}

/// Whether work is allowed at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is; until when, if it ends within the next week.
    Open {
        /// The first moment at which it is not.
        closes: Option<Timestamp>,
    },
    /// It is not; from when, if that comes within a year.
    Closed {
        /// The first moment at which it is.
        opens: Option<Timestamp>,
    },
}

/// The time zone of this name, from the tables that come with the program.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            zone: TimeZone::UTC,
            windows: Vec::new(),
            has_empty_list: false,
            holidays: BTreeSet::new(),
            holiday_windows: Vec::new(),
            until: None,
        }
    }
}

impl Schedule {
    /// Whether any rule of it depends on the clock being right.
    pub fn is_limited(&self) -> bool {
        !self.windows.is_empty() || !self.holidays.is_empty() || self.until.is_some()
    }

    /// Whether work is allowed at this moment.
    pub fn at(&self, now: Timestamp) -> Opening {
        if self.until.is_some_and(|until| now >= until) {
            return Opening::Closed { opens: None };
        }
        let opening = self.windows_at(now);
        match opening {
            Opening::Open { closes } => {
                let ends = [closes, self.until].into_iter().flatten().min();
                Opening::Open { closes: ends }
            }
            Opening::Closed { opens } => {
                Opening::Closed { opens: opens.filter(|opens| self.until.is_none_or(|until| *opens < until)) }
            }
        }
    }

    /// The owner's calendar day.
    pub fn date(&self, now: Timestamp) -> Date {
        now.to_zoned(self.zone.clone()).date()
    }

    /// A moment as the owner's clock shows it.
    pub fn local(&self, moment: Timestamp) -> String {
        let zoned = moment.to_zoned(self.zone.clone());
        let minute = zoned.round(ZonedRound::new().smallest(Unit::Minute)).unwrap_or(zoned);
        minute.strftime("%a %Y-%m-%d %H:%M").to_string()
    }

    /// The next moment after `now` at which the owner's clock shows this time: "until 07:30".
    pub fn next(&self, now: Timestamp, time: Time) -> Option<Timestamp> {
        let today = self.date(now);
        (0..=2)
            .filter_map(|days| today.checked_add(days.days()).ok())
            .filter_map(|date| self.instant(date.at(time.hour(), time.minute(), 0, 0)))
            .find(|instant| *instant > now)
    }

    /// Whether a moment lies in one of these windows, holidays or not: for tariffs.
    pub(crate) fn is_within(&self, windows: &[Window], now: Timestamp) -> bool {
        let today = self.date(now);
        (-1..=0)
            .filter_map(|days| today.checked_add(days.days()).ok())
            .flat_map(|date| self.spans_of(windows, date))
            .any(|(start, end)| start <= now && now < end)
    }

    fn windows_at(&self, now: Timestamp) -> Opening {
        if self.windows.is_empty() && self.holidays.is_empty() {
            return Opening::Open { closes: None };
        }
        let today = self.date(now);
        let spans =
            |days: i64| today.checked_add(days.days()).map_or_else(|_| Vec::new(), |date| self.spans(date));
        let around = (-1..=0).flat_map(spans);
        let end = around.filter(|(start, end)| *start <= now && now < *end).map(|(_, end)| end).max();
        let Some(mut end) = end else {
            let opens = (0..=SEARCH_DAYS_MAX).find_map(|days| {
                spans(days).into_iter().map(|(start, _)| start).filter(|start| *start > now).min()
            });
            return Opening::Closed { opens };
        };
        for days in -1..=OPEN_DAYS_MAX {
            let before = end;
            for (start, further) in spans(days) {
                if start <= end && further > end {
                    end = further;
                }
            }
            let has_ended = days > 0 && end == before && self.date(end) < self.date_after(today, days);
            if has_ended {
                return Opening::Open { closes: Some(end) };
            }
        }
        Opening::Open { closes: None }
    }

    fn date_after(&self, today: Date, days: i64) -> Date {
        today.checked_add(days.days()).unwrap_or(Date::MAX)
    }

    /// The stretches that begin on this day, by their beginning.
    fn spans(&self, date: Date) -> Vec<(Timestamp, Timestamp)> {
        let is_holiday = self.holidays.iter().any(|holiday| match *holiday {
            Holiday::Once(day) => day == date,
            Holiday::Yearly(month, day) => (date.month(), date.day()) == (month, day),
        });
        if is_holiday {
            return self.spans_of(&self.holiday_windows, date);
        }
        if self.windows.is_empty() {
            return self.spans_of(&[Window::WHOLE_DAY], date);
        }
        self.spans_of(&self.windows, date)
    }

    fn spans_of(&self, windows: &[Window], date: Date) -> Vec<(Timestamp, Timestamp)> {
        let mut spans: Vec<(Timestamp, Timestamp)> = windows
            .iter()
            .filter_map(|window| window.on(date))
            .filter_map(|(start, end)| Some((self.instant(start)?, self.instant(end)?)))
            .filter(|(start, end)| start < end)
            .collect();
        spans.sort_unstable();
        spans
    }

    /// The first time that the owner's clock shows this, or leaps over it.
    fn instant(&self, moment: jiff::civil::DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(moment);
        let is_leapt_over = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let earlier = ambiguous.earlier().ok()?;
        if !is_leapt_over {
            return Some(earlier);
        }
        Some(self.zone.following(earlier).next().map_or(earlier, |leap| leap.timestamp()))
    }
}

#[cfg(test)]
mod tests;
