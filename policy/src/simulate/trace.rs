//! A recorded day as CSV: one row of readings a line. Errors name line and column.
//!
//! Only `time` must be there. A column that is missing is a sensor that the machine does not have; a cell that
//! is empty is a sensor that failed at that time.

use anneal_job::{ByteCount, manifest::nearest};
use csv::StringRecord;
use jiff::Timestamp;
use thiserror::Error;

use crate::{Celsius, Percent, Piconero, Readings, Sensor, Watts};

/// Rows of a trace: a month of readings every two seconds.
pub const TRACE_ROWS_MAX: usize = 1_400_000;

/// Columns, by name. `ambient_c` in place of `gpu_c` asks for a simulated device in a room of that temperature.
pub const COLUMNS: [&str; 18] = [
    "time",
    "device",
    "ambient_c",
    "gpu_c",
    "hot_spot_c",
    "gpu_memory_c",
    "cpu_c",
    "fan_percent",
    "gpu_watts",
    "cpu_watts",
    "idle_s",
    "fullscreen",
    "programs",
    "gpu_memory_by_others",
    "gpu_percent_by_others",
    "on_battery",
    "metered",
    "earnings_piconero_per_hour",
];

/// What was read at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRow {
    /// When.
    pub time: Timestamp,
    /// The room, where the device is to be simulated.
    pub ambient: Option<Celsius>,
    /// The readings.
    pub readings: Readings,
}

/// Why a text is no trace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// A column that means nothing.
    #[error("line 1: unknown column `{column}`{}; known: {}", did_you_mean(.nearest), COLUMNS.join(", "))]
    UnknownColumn {
        /// Its name.
        column: String,
        /// The known one that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A column that must be there, or only once.
    #[error("line 1: the column `{column}` must be there once, but is there {found} times")]
    Count {
        /// Its name.
        column: String,
        /// How often it is there.
        found: usize,
    },
    /// A cell that is none of what it must be.
    #[error("line {line}, column `{column}`: found {found:?}, but expected {expected}")]
    Cell {
        /// From 1.
        line: u64,
        /// Its name.
        column: &'static str,
        /// What was there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A row earlier than the one before.
    #[error("line {line}, column `time`: {found} does not come after the row before")]
    Order {
        /// From 1.
        line: u64,
        /// Its time.
        found: Timestamp,
    },
    /// Not CSV.
    #[error("line {line}: {message}")]
    Csv {
        /// From 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// More than any trace.
    #[error("line {line}: a trace has at most {TRACE_ROWS_MAX} rows")]
    TooLong {
        /// From 1.
        line: u64,
    },
    /// No row.
    #[error("the trace has no rows: its first line names the columns, each further line is a reading")]
    Empty,
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(" (did you mean `{nearest}`?)"))
}

/// Reads a trace.
///
/// # Errors
/// The first thing wrong with it.
pub fn read_trace(text: &str) -> Result<Vec<TraceRow>, TraceError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = columns(reader.headers().map_err(|error| csv_error(&error))?)?;
    let mut rows: Vec<TraceRow> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        if rows.len() == TRACE_ROWS_MAX {
            return Err(TraceError::TooLong { line });
        }
        let row = Cells { line, columns: &columns, record: &record }.row()?;
        if rows.last().is_some_and(|last| row.time <= last.time) {
            return Err(TraceError::Order { line, found: row.time });
        }
        rows.push(row);
    }
    if rows.is_empty() { Err(TraceError::Empty) } else { Ok(rows) }
}

/// Where each column is.
fn columns(header: &StringRecord) -> Result<[Option<usize>; COLUMNS.len()], TraceError> {
    let mut found = [None; COLUMNS.len()];
    for (place, name) in header.iter().enumerate() {
        let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
            let column = name.chars().take(60).collect();
            return Err(TraceError::UnknownColumn { column, nearest: nearest(name, COLUMNS) });
        };
        if found[column].replace(place).is_some() {
            return Err(TraceError::Count { column: name.to_owned(), found: 2 });
        }
    }
    if found[0].is_none() {
        return Err(TraceError::Count { column: COLUMNS[0].to_owned(), found: 0 });
    }
    Ok(found)
}

fn csv_error(error: &csv::Error) -> TraceError {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, but the first line names {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".to_owned(),
        _ => "this is no CSV".to_owned(),
    };
    TraceError::Csv { line, message }
}

struct Cells<'a> {
    line: u64,
    columns: &'a [Option<usize>; COLUMNS.len()],
    record: &'a StringRecord,
}

impl Cells<'_> {
    fn row(&self) -> Result<TraceRow, TraceError> {
        let time = "a time like 2026-11-23T22:00:00+01:00";
        let time = self.read("time", time, |text| text.parse().ok())?;
        let Sensor::Value(time) = time else {
            return Err(self.wrong("time", "", "a time like 2026-11-23T22:00:00+01:00"));
        };
        let readings = Readings {
            device: self.cell("device").unwrap_or_default().to_owned(),
            gpu: self.number("gpu_c")?.map(|value| Celsius(*value)),
            hot_spot: self.number("hot_spot_c")?.map(|value| Celsius(*value)),
            gpu_memory: self.number("gpu_memory_c")?.map(|value| Celsius(*value)),
            cpu: self.number("cpu_c")?.map(|value| Celsius(*value)),
            fan: self.number("fan_percent")?.map(|value| Percent(*value)),
            gpu_watts: self.number("gpu_watts")?.map(|value| Watts(*value)),
            cpu_watts: self.number("cpu_watts")?.map(|value| Watts(*value)),
            idle_s: self.number("idle_s")?,
            fullscreen: self.flag("fullscreen")?,
            programs: self.programs(),
            memory_by_others: self.size("gpu_memory_by_others")?,
            use_by_others: self.number("gpu_percent_by_others")?.map(|value| Percent(*value)),
            on_battery: self.flag("on_battery")?,
            metered: self.flag("metered")?,
            earnings_per_hour: self.piconero("earnings_piconero_per_hour")?,
            ..Readings::default()
        };
        let ambient = self.number("ambient_c")?.value().map(|value| Celsius(*value));
        Ok(TraceRow { time, ambient, readings })
    }

    fn cell(&self, column: &'static str) -> Option<&str> {
        let index = COLUMNS.iter().position(|known| *known == column)?;
        self.record.get(self.columns[index]?)
    }

    /// A cell, if its column is there.
    fn read<T>(
        &self,
        column: &'static str,
        expected: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Sensor<T>, TraceError> {
        match self.cell(column) {
            None => Ok(Sensor::Absent),
            Some("") => Ok(Sensor::Lost),
            Some(text) => read(text).map(Sensor::Value).ok_or_else(|| self.wrong(column, text, expected)),
        }
    }

    fn number(&self, column: &'static str) -> Result<Sensor<f64>, TraceError> {
        self.read(column, "a number, or nothing for a sensor that failed", |text| text.parse().ok())
    }

    fn flag(&self, column: &'static str) -> Result<Sensor<bool>, TraceError> {
        self.read(column, "true or false, or nothing for a sensor that failed", |text| text.parse().ok())
    }

    fn size(&self, column: &'static str) -> Result<Sensor<ByteCount>, TraceError> {
        self.read(column, "a size like 2 GiB", |text| text.parse().ok())
    }

    fn piconero(&self, column: &'static str) -> Result<Option<Piconero>, TraceError> {
        let cell = self.read(column, "a whole number of piconero", |text| text.parse().ok())?;
        Ok(cell.value().map(|amount| Piconero(*amount)))
    }

    /// Names with semicolons between them; an empty cell is an empty list here.
    fn programs(&self) -> Sensor<Vec<String>> {
        let names = |text: &str| {
            text.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        self.cell("programs").map_or(Sensor::Absent, |text| Sensor::Value(names(text)))
    }

    fn wrong(&self, column: &'static str, found: &str, expected: &'static str) -> TraceError {
        TraceError::Cell { line: self.line, column, found: found.chars().take(60).collect(), expected }
    }
}
