//! CSV: rows of numbers become an f32 matrix. A first row in which no field is a number is a header.

use anyhow::{Context, Result, bail, ensure};
use csv::{ByteRecord, ReaderBuilder, Trim};

use super::{Part, numbers, shape};

/// Columns of a file.
const COLUMNS_MAX: usize = 1 << 20;

pub(super) fn read(bytes: &[u8]) -> Result<Part> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).trim(Trim::All).flexible(true).from_reader(bytes);
    let mut record = ByteRecord::new();
    let mut elements: Vec<f32> = Vec::new();
    let (mut rows, mut columns) = (0usize, None);
    let mut note = None;
    while reader.read_byte_record(&mut record).context("this is no CSV")? {
        let line = record.position().map_or(0, csv::Position::line);
        ensure!(
            record.len() <= COLUMNS_MAX,
            "line {line} has {} columns; at most {COLUMNS_MAX}",
            record.len()
        );
        if columns.is_none() {
            columns = Some(record.len());
            if is_header(&record) {
                note = Some("the first line is a header and was left out".to_owned());
                continue;
            }
        }
        ensure!(
            columns == Some(record.len()),
            "line {line} has {} columns, the first has {}; every row needs as many",
            record.len(),
            columns.unwrap_or(0)
        );
        for (column, field) in record.iter().enumerate() {
            elements.push(number(field).with_context(|| format!("line {line}, column {}", column + 1))?);
        }
        rows += 1;
    }
    ensure!(rows > 0, "there is no row of numbers in it; is it the right file?");
    let value = numbers::floats(elements, shape(&[rows, columns.unwrap_or(0)])?)?;
    Ok(Part { name: None, value, note })
}

fn is_header(record: &ByteRecord) -> bool {
    record.iter().all(|field| !field.is_empty() && parse(field).is_none())
}

fn parse(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn number(field: &[u8]) -> Result<f32> {
    match parse(field) {
        Some(number) if number.is_finite() => Ok(number),
        Some(_) => bail!("NaN or infinity (or more than f32 holds); clean the data first"),
        None if field.is_empty() => bail!("an empty field; fill the gap or remove the row"),
        None => {
            let text: String = String::from_utf8_lossy(field).chars().take(40).collect();
            bail!("{text:?} is no number; only numbers are taken, so encode words as numbers first")
        }
    }
}
