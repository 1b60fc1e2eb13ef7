//! Tables and fields of a TOML document that know their line and full key. No meaning of any key: `job.toml`
//! and a provider's `policy.toml` are both read with them.

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{ManifestError, check_name, nearest};
use crate::{ByteCount, PARAMETER_TEXT_BYTES_MAX, ParameterValue, shown, shown_name};

/// The text, to find lines in.
pub struct Source<'a> {
    text: &'a str,
    /// Where each line after the first begins: a line is found without counting anew from the start.
    line_starts: Vec<usize>,
}

/// A table.
pub struct Section<'a> {
    source: &'a Source<'a>,
    /// The keys that lead here, empty at the root.
    path: String,
    line: usize,
    table: &'a DeTable<'a>,
}

/// A key and its value.
pub struct Field<'a> {
    source: &'a Source<'a>,
    key: String,
    name: &'a str,
    line: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Source<'a> {
    /// The whole document.
    pub fn new(text: &'a str) -> Source<'a> {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Source { text, line_starts: ends.map(|(end, _)| end + 1).collect() }
    }

    /// The document as a table.
    ///
    /// # Errors
    /// When it is no TOML.
    pub fn parse(&self) -> Result<Spanned<DeTable<'a>>, ManifestError> {
        DeTable::parse(self.text).map_err(|error| ManifestError::Syntax {
            line: self.line(error.span().map_or(0, |span| span.start)),
            message: shown(error.message().trim()).into_owned(),
        })
    }

    /// The line, from 1, that a byte of the text is in.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.line_starts.partition_point(|&start| start <= offset)
    }
}

impl<'a> Section<'a> {
    /// The document's outermost table, with these keys and no others.
    ///
    /// # Errors
    /// At an unknown key.
    pub fn root(
        source: &'a Source<'a>,
        table: &'a DeTable<'a>,
        known: &[&str],
    ) -> Result<Section<'a>, ManifestError> {
        let section = Section { source, path: String::new(), line: 1, table };
        section.check_keys(known)?;
        Ok(section)
    }

    /// The line of the table's key.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        let (name, value) = self.table.get_key_value(name)?;
        Some(self.field(name, value))
    }

    /// The field of this name, which must be there.
    ///
    /// # Errors
    /// When it is missing.
    pub fn required(&self, name: &str, expected: &str, example: &str) -> Result<Field<'a>, ManifestError> {
        self.get(name).ok_or_else(|| ManifestError::Missing {
            line: self.line,
            key: self.key(name),
            expected: expected.to_owned(),
            example: example.to_owned(),
        })
    }

    /// At most so many fields.
    ///
    /// # Errors
    /// When there are more.
    pub fn count(&self, what: &'static str, limit: usize) -> Result<(), ManifestError> {
        let found = self.table.len();
        if found > limit {
            return Err(ManifestError::TooMany { line: self.line, what, found, limit });
        }
        Ok(())
    }

    /// Every field of a table whose keys are the developer's own names.
    ///
    /// # Errors
    /// At a key that is no name.
    pub fn named_fields(&self) -> Result<Vec<Field<'a>>, ManifestError> {
        self.fields()
            .map(|field| match check_name(field.name) {
                Ok(()) => Ok(field),
                Err(reason) => Err(ManifestError::Name { line: field.line, key: field.key, reason }),
            })
            .collect()
    }

    /// Every field, in the order of their names.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        self.table.iter().map(|(name, value)| self.field(name, value))
    }

    fn field(&self, name: &'a Spanned<DeString<'a>>, value: &'a Spanned<DeValue<'a>>) -> Field<'a> {
        Field {
            source: self.source,
            key: self.key(name.get_ref()),
            name: name.get_ref(),
            line: self.source.line(name.span().start),
            value: value.get_ref(),
        }
    }

    fn check_keys(&self, known: &[&str]) -> Result<(), ManifestError> {
        let unknown = self.table.iter().filter(|(name, _)| !known.contains(&name.get_ref().as_ref()));
        match unknown.min_by_key(|(name, _)| name.span().start).map(|(name, value)| self.field(name, value)) {
            None => Ok(()),
            Some(field) => Err(ManifestError::UnknownKey {
                line: field.line,
                nearest: nearest(field.name, known.iter().copied()).map(str::to_owned),
                key: field.key,
                known: known.iter().map(|&name| name.to_owned()).collect(),
            }),
        }
    }

    /// As people may be shown it.
    fn key(&self, name: &str) -> String {
        let name = shown_name(name);
        if self.path.is_empty() { name.into_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl<'a> Field<'a> {
    /// The last part of its key.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Its key, with the tables it is in.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether its value is a text.
    pub fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// The value is none of what it must be.
    pub fn invalid(&self, expected: impl Into<String>, example: &str) -> ManifestError {
        let example = if example.contains('=') {
            example.to_owned()
        } else {
            format!("{} = {example}", shown_name(self.name))
        };
        ManifestError::Value {
            line: self.line,
            key: self.key.clone(),
            found: describe(self.value),
            expected: expected.into(),
            example,
        }
    }

    /// A table with these keys and no others.
    ///
    /// # Errors
    /// When it is no table, or at an unknown key.
    pub fn section(&self, known: &[&str], example: &str) -> Result<Section<'a>, ManifestError> {
        let section = self.open_section(example)?;
        section.check_keys(known)?;
        Ok(section)
    }

    /// A table with keys of the developer's own.
    ///
    /// # Errors
    /// When it is no table.
    pub fn open_section(&self, example: &str) -> Result<Section<'a>, ManifestError> {
        match self.value {
            DeValue::Table(table) => {
                Ok(Section { source: self.source, path: self.key.clone(), line: self.line, table })
            }
            _ => Err(self.invalid("a table", example)),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// When it is none.
    pub fn text(&self, expected: &str, example: &str) -> Result<&'a str, ManifestError> {
        self.value.as_str().ok_or_else(|| self.invalid(format!("{expected}, in quotes"), example))
    }

    /// A whole number from `low` to `high`.
    ///
    /// # Errors
    /// When it is none.
    pub fn integer(&self, low: u64, high: u64, example: &str) -> Result<u64, ManifestError> {
        match integer(self.value) {
            Some(number) if (i128::from(low)..=i128::from(high)).contains(&number) => Ok(number as u64),
            _ => Err(self.invalid(format!("a whole number from {low} to {high}"), example)),
        }
    }

    /// A number from `low` to `high`, with or without a fraction.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, low: f64, high: f64, example: &str) -> Result<f64, ManifestError> {
        let number = match self.value {
            DeValue::Float(float) => float.as_str().parse().ok(),
            value => integer(value).map(|number| number as f64),
        };
        number
            .filter(|number: &f64| (low..=high).contains(number))
            .ok_or_else(|| self.invalid(format!("a number from {low} to {high}"), example))
    }

    /// True or false.
    ///
    /// # Errors
    /// When it is neither.
    pub fn boolean(&self, example: &str) -> Result<bool, ManifestError> {
        self.value.as_bool().ok_or_else(|| self.invalid("true or false", example))
    }

    /// The items of a list, each a field that knows its own line.
    ///
    /// # Errors
    /// When it is no list, or longer than `limit`.
    pub fn items(
        &self,
        what: &'static str,
        limit: usize,
        example: &str,
    ) -> Result<Vec<Field<'a>>, ManifestError> {
        let items = self.value.as_array().ok_or_else(|| self.invalid("a list", example))?;
        if items.len() > limit {
            return Err(ManifestError::TooMany { line: self.line, what, found: items.len(), limit });
        }
        let field = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| Field {
            source: self.source,
            key: format!("{}[{index}]", self.key),
            name: self.name,
            line: self.source.line(item.span().start),
            value: item.get_ref(),
        };
        Ok(items.iter().enumerate().map(field).collect())
    }

    /// A size: an integer, or a text with a unit.
    ///
    /// # Errors
    /// When it is none, or not from `low` to `high`.
    pub fn size(&self, low: ByteCount, high: ByteCount, example: &str) -> Result<ByteCount, ManifestError> {
        let size = match self.value {
            DeValue::String(text) => text.parse().ok(),
            value => integer(value).and_then(|number| u64::try_from(number).ok()).map(ByteCount),
        };
        size.filter(|size| (low..=high).contains(size))
            .ok_or_else(|| self.invalid(format!("a size from {low} to {high}, with its unit"), example))
    }

    /// One of a few words.
    ///
    /// # Errors
    /// When it is none of them; names the nearest.
    pub fn choice<T: Copy>(&self, names: &[(&'static str, T)]) -> Result<T, ManifestError> {
        let found = self.value.as_str().and_then(|text| names.iter().find(|(name, _)| *name == text));
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<String> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let near =
                self.value.as_str().and_then(|text| nearest(text, names.iter().map(|(name, _)| *name)));
            let example = near.map_or_else(|| words[0].clone(), |name| format!("\"{name}\""));
            self.invalid(words.join(" or "), &example)
        })
    }

    /// A parameter's value.
    ///
    /// # Errors
    /// When it is none.
    pub fn parameter(&self) -> Result<ParameterValue, ManifestError> {
        parameter(self.value).ok_or_else(|| {
            let expected =
                "true or false, a whole number of 64 bits, a finite number, or a text of at most 4096 bytes";
            self.invalid(expected, "0.1")
        })
    }

    /// A list of parameter values.
    ///
    /// # Errors
    /// When it is none.
    pub fn parameters(&self, example: &str) -> Result<Vec<ParameterValue>, ManifestError> {
        let values: Option<Vec<ParameterValue>> = self
            .value
            .as_array()
            .map(|items| items.iter().map(|item| parameter(item.get_ref())).collect())
            .unwrap_or(None);
        values
            .filter(|values| !values.is_empty())
            .ok_or_else(|| self.invalid("a list of at least one number, text or boolean", example))
    }
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    let integer = value.as_integer()?;
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn parameter(value: &DeValue<'_>) -> Option<ParameterValue> {
    match value {
        DeValue::Boolean(value) => Some(ParameterValue::Boolean(*value)),
        DeValue::Integer(_) => i64::try_from(integer(value)?).ok().map(ParameterValue::Integer),
        DeValue::Float(float) => {
            let number: f64 = float.as_str().parse().ok()?;
            number.is_finite().then_some(ParameterValue::Number(number))
        }
        DeValue::String(text) => {
            (text.len() <= PARAMETER_TEXT_BYTES_MAX).then(|| ParameterValue::Text(text.clone().into_owned()))
        }
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.len() <= 60 => format!("the text \"{}\"", shown(text)),
        DeValue::String(text) => format!("a text of {} bytes", text.len()),
        DeValue::Integer(number) => format!("the number {}", shown_name(&number.to_string())),
        DeValue::Float(number) => format!("the number {}", shown_name(&number.to_string())),
        DeValue::Boolean(value) => format!("the boolean {value}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) => format!("a list of {}", items.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
