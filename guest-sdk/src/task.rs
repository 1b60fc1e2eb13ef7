//! [`Task`]: who this run is (segment, worker, seed) and the parameters of its manifest.

use std::ops::Range;

use crate::bindings::context as raw;
use crate::error::{Failure, Result};
use crate::folds::part;

/// What one call of a job's function is given beside its tensors.
#[derive(Clone, Debug)]
pub struct Task {
    /// Keys the host's random streams; another for every entry, round, segment and worker.
    pub seed: u64,
    /// The round of a data-parallel plan, from 0; the segment where there is one worker.
    pub round: u32,
    /// The segment within the job, from 0.
    pub segment: u32,
    /// How many segments the plan has.
    pub segments: u32,
    /// The worker within the round, from 0.
    pub worker: u32,
    /// How many workers a round has.
    pub workers: u32,
    parameters: Vec<(String, Value)>,
}

/// A value of the manifest's table `[parameters]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `"…"`
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point or an exponent.
    Number(f64),
    /// `true` or `false`.
    Boolean(bool),
}

/// What a parameter can be read as.
pub trait FromValue: Sized {
    /// For messages: "a whole number from 0 to 4294967295".
    const EXPECTED: &'static str;
    /// The value, where it is of this type and in its range.
    fn from_value(value: &Value) -> Option<Self>;
}

impl Task {
    /// The parameter `name`, or `default` where the manifest does not set it. Fails where it is set to
    /// something else than a `T`.
    pub fn parameter<T: FromValue>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// The parameter `name`; fails where the manifest does not set it, or not to a `T`.
    pub fn required<T: FromValue>(&self, name: &str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| {
            Failure::new(format!(
                "the parameter `{name}` is missing: set it in [parameters] of job.toml to {}",
                T::EXPECTED
            ))
        })
    }

    /// Fails where the manifest sets a parameter that is not among `known`: a misspelt one would otherwise
    /// silently leave the default in place.
    pub fn only_parameters(&self, known: &[&str]) -> Result<()> {
        match self.parameters.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(Failure::new(format!(
                "the parameter `{name}` is unknown; this job has: {}",
                known.join(", ")
            ))),
        }
    }

    /// The part of `total` (epochs, say) that falls to this segment: the segments' parts follow each other,
    /// differ in length by at most one, and cover everything.
    pub fn share_of(&self, total: u32) -> Range<u32> {
        let part = part(total, self.segments.max(1), self.segment);
        part.start as u32..part.end as u32
    }

    fn optional<T: FromValue>(&self, name: &str) -> Result<Option<T>> {
        let Some((_, value)) = self.parameters.iter().find(|(given, _)| given == name) else {
            return Ok(None);
        };
        let read = T::from_value(value);
        read.map(Some).ok_or_else(|| {
            Failure::new(format!("the parameter `{name}` is {value} and must be {}", T::EXPECTED))
        })
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Integer(integer) => write!(f, "{integer}"),
            Value::Number(number) => write!(f, "{number:?}"),
            Value::Boolean(boolean) => write!(f, "{boolean}"),
        }
    }
}

impl From<raw::Task> for Task {
    fn from(task: raw::Task) -> Task {
        let parameters = task.parameters.into_iter().map(|(name, value)| (name, value.into())).collect();
        let raw::Task { seed, round, segment, segments, worker, workers, .. } = task;
        Task { seed, round, segment, segments, worker, workers, parameters }
    }
}

impl From<raw::Value> for Value {
    fn from(value: raw::Value) -> Value {
        match value {
            raw::Value::Text(text) => Value::Text(text),
            raw::Value::Integer(integer) => Value::Integer(integer),
            raw::Value::Number(number) => Value::Number(number),
            raw::Value::Boolean(boolean) => Value::Boolean(boolean),
        }
    }
}

/// Whole numbers; a number such as `3.0` is refused, as TOML tells the two apart.
macro_rules! whole {
    ($($type:ty: $expected:literal)*) => {$(
        impl FromValue for $type {
            const EXPECTED: &'static str = $expected;
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(integer) => (*integer).try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

whole! {
    u32: "a whole number from 0 to 4294967295"
    i32: "a whole number from -2147483648 to 2147483647"
    u64: "a whole number, not negative"
    i64: "a whole number"
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a finite number";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.is_finite().then_some(*number),
            Value::Integer(integer) => Some(*integer as f64),
            _ => None,
        }
    }
}

impl FromValue for f32 {
    const EXPECTED: &'static str = f64::EXPECTED;
    fn from_value(value: &Value) -> Option<Self> {
        let narrow = f64::from_value(value)? as f32;
        narrow.is_finite().then_some(narrow)
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "true or false";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a text in quotes";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        let parameters = [
            ("fold", Value::Integer(-1)),
            ("lr", Value::Number(0.5)),
            ("name", Value::Text("x".into())),
            ("on", Value::Boolean(true)),
        ];
        let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Task { seed: 0, round: 0, segment: 1, segments: 3, worker: 0, workers: 1, parameters }
    }

    #[test]
    fn parameters_are_typed() {
        let task = task();
        assert_eq!(task.parameter("lr", 0.0_f32), Ok(0.5));
        assert_eq!(task.parameter("fold", 7_i64), Ok(-1));
        assert_eq!(task.parameter("fold", 0.0_f32), Ok(-1.0));
        assert_eq!(task.parameter("absent", 7_u32), Ok(7));
        assert_eq!(task.required::<bool>("on"), Ok(true));
        assert_eq!(task.required::<String>("name").as_deref(), Ok("x"));
    }

    #[test]
    fn a_wrong_parameter_says_what_to_do() {
        let task = task();
        let message = |result: Result<u32>| result.expect_err("must fail").message().to_owned();
        assert_eq!(
            message(task.parameter("fold", 0)),
            "the parameter `fold` is -1 and must be a whole number from 0 to 4294967295"
        );
        assert!(message(task.required("hidden")).starts_with("the parameter `hidden` is missing"));
        assert!(task.only_parameters(&["fold", "lr", "name"]).is_err());
        assert!(task.only_parameters(&["fold", "lr", "name", "on", "more"]).is_ok());
    }

    #[test]
    fn segments_share_everything_in_order() {
        let shares: Vec<_> = (0..3).map(|segment| Task { segment, ..task() }.share_of(10)).collect();
        assert_eq!(shares, [0..3, 3..6, 6..10]);
    }
}
