//! What a task may be told: how many parameters, of what names and sizes. Wherever parameters are given (a manifest,
//! its plan, the command line, a job or a task of the network), they are checked here.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    ParameterValue, PlanSpec,
    manifest::{NameError, check_name},
    shown_name,
};

/// Parameters of a task: those of its job, and those that a plan varies.
pub const PARAMETERS_MAX: usize = 256;
/// Bytes of a text parameter.
pub const PARAMETER_TEXT_BYTES_MAX: usize = 4096;
/// Bytes of the names and the texts of a task's parameters together; no manifest of few parameters has more.
pub const PARAMETERS_BYTES_MAX: usize = 1 << 20;

/// Parameters that no task may have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParametersError {
    /// Over [`PARAMETERS_MAX`].
    #[error(
        "a task would have {found} parameters, those that the plan varies among them, but at most \
         {PARAMETERS_MAX} are allowed: leave some out, or put them into an input"
    )]
    Count {
        /// How many.
        found: usize,
    },
    /// No name.
    #[error("the parameter `{}`: {reason}", shown_name(.name))]
    Name {
        /// What is none.
        name: String,
        /// What a name is.
        reason: NameError,
    },
    /// No finite number.
    #[error("the parameter `{name}` is {found}, but must be finite: use another number")]
    NotFinite {
        /// Its name.
        name: String,
        /// As a text, for it equals nothing.
        found: String,
    },
    /// Over [`PARAMETER_TEXT_BYTES_MAX`].
    #[error(
        "the parameter `{name}` is a text of {found} bytes, but at most {PARAMETER_TEXT_BYTES_MAX} are allowed: \
         put it into an input"
    )]
    Text {
        /// Its name.
        name: String,
        /// How many.
        found: usize,
    },
    /// Over [`PARAMETERS_BYTES_MAX`].
    #[error(
        "a task's parameters would have {found} bytes together, but at most {PARAMETERS_BYTES_MAX} are allowed: \
         put long texts into an input"
    )]
    Bytes {
        /// How many.
        found: usize,
    },
}

impl ParametersError {
    /// Of what there was too much, how much there was, and what is allowed.
    pub fn excess(&self) -> Option<(&'static str, usize, usize)> {
        match *self {
            ParametersError::Count { found } => {
                Some(("the number of parameters of a task", found, PARAMETERS_MAX))
            }
            ParametersError::Text { found, .. } => {
                Some(("the length of a parameter", found, PARAMETER_TEXT_BYTES_MAX))
            }
            ParametersError::Bytes { found } => {
                Some(("the length of a task's parameters together", found, PARAMETERS_BYTES_MAX))
            }
            ParametersError::Name { .. } | ParametersError::NotFinite { .. } => None,
        }
    }
}

/// What every task of a job may be told: its parameters, with those that its plan varies in their place.
///
/// # Errors
/// The first thing that no task may be told.
pub fn check_parameters(
    parameters: &BTreeMap<String, ParameterValue>,
    plan: Option<&PlanSpec>,
) -> Result<(), ParametersError> {
    let nothing = BTreeMap::new();
    let over = match plan {
        Some(PlanSpec::Map { over }) => over,
        Some(PlanSpec::Single | PlanSpec::Train { .. }) | None => &nothing,
    };
    let fixed = parameters.keys().filter(|name| !over.contains_key(*name)).count();
    if fixed + over.len() > PARAMETERS_MAX {
        return Err(ParametersError::Count { found: fixed + over.len() });
    }
    let mut bytes = 0;
    for (name, value) in parameters {
        let needed = check(name, std::slice::from_ref(value))?;
        bytes += if over.contains_key(name) { 0 } else { needed };
    }
    for (name, values) in over {
        bytes += check(name, values)?;
    }
    if bytes > PARAMETERS_BYTES_MAX { Err(ParametersError::Bytes { found: bytes }) } else { Ok(()) }
}

/// The bytes of a name and the longest of its values.
fn check(name: &str, values: &[ParameterValue]) -> Result<usize, ParametersError> {
    check_name(name).map_err(|reason| ParametersError::Name { name: name.to_owned(), reason })?;
    let mut longest = 0;
    for value in values {
        let name = || name.to_owned();
        match value {
            ParameterValue::Number(number) if !number.is_finite() => {
                return Err(ParametersError::NotFinite { name: name(), found: number.to_string() });
            }
            ParameterValue::Text(text) if text.len() > PARAMETER_TEXT_BYTES_MAX => {
                return Err(ParametersError::Text { name: name(), found: text.len() });
            }
            ParameterValue::Text(text) => longest = longest.max(text.len()),
            ParameterValue::Boolean(_) | ParameterValue::Integer(_) | ParameterValue::Number(_) => {}
        }
    }
    Ok(name.len() + longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many parameters from this number on, each of these bytes.
    fn parameters(from: usize, count: usize, bytes: usize) -> BTreeMap<String, ParameterValue> {
        let text = || ParameterValue::Text("x".repeat(bytes));
        (from..from + count).map(|number| (format!("p{number:03}"), text())).collect()
    }

    fn map(over: BTreeMap<String, ParameterValue>) -> PlanSpec {
        PlanSpec::Map { over: over.into_iter().map(|(name, value)| (name, vec![value])).collect() }
    }

    #[test]
    fn every_way_of_dividing_them_has_one_limit() {
        for fixed in [0, 1, 100, PARAMETERS_MAX] {
            for overlap in [0, 1, fixed].into_iter().filter(|overlap| *overlap <= fixed) {
                for total in [PARAMETERS_MAX, PARAMETERS_MAX + 1] {
                    let varied = total + overlap - fixed;
                    let plan = map(parameters(fixed - overlap, varied, 10));
                    let found = check_parameters(&parameters(0, fixed, 10), Some(&plan));
                    let expected = match total {
                        PARAMETERS_MAX => Ok(()),
                        found => Err(ParametersError::Count { found }),
                    };
                    assert_eq!(found, expected, "{fixed} and {varied}, {overlap} of them twice");
                }
            }
        }
        let many = parameters(0, PARAMETERS_MAX + 1, 1);
        for plan in [None, Some(&PlanSpec::Single)] {
            assert_eq!(check_parameters(&many, plan), Err(ParametersError::Count { found: 257 }));
        }
    }

    #[test]
    fn together_they_have_so_many_bytes() {
        let each = PARAMETERS_BYTES_MAX / PARAMETERS_MAX - "p000".len();
        let (small, large) = (parameters(0, 128, each), parameters(128, 128, each));
        assert_eq!(check_parameters(&small, Some(&map(large.clone()))), Ok(()));
        let larger = parameters(128, 128, each + 1);
        let found = PARAMETERS_BYTES_MAX + 128;
        assert_eq!(check_parameters(&small, Some(&map(larger))), Err(ParametersError::Bytes { found }));
        // Of the values that one takes the longest counts, and what the plan replaces does not.
        let mut over = BTreeMap::from([("p128".to_owned(), vec![ParameterValue::Boolean(true); 2])]);
        over.insert(
            "p129".to_owned(),
            vec![ParameterValue::Integer(1), ParameterValue::Text("x".repeat(4000))],
        );
        assert_eq!(check_parameters(&large, Some(&PlanSpec::Map { over })), Ok(()));
    }

    #[test]
    fn a_wrong_one_is_named_wherever_it_stands() {
        let long = "n".repeat(65);
        let one = |name: &str, value: ParameterValue| BTreeMap::from([(name.to_owned(), value)]);
        for (given, words) in [
            (one("\u{1b}[31m", ParameterValue::Boolean(true)), "`\\u{1b}[31m`: a name has 1 to 64"),
            (one("", ParameterValue::Boolean(true)), "a name has 1 to 64"),
            (one(&long, ParameterValue::Boolean(true)), "a name has 1 to 64"),
            (one("a", ParameterValue::Number(f64::NAN)), "`a` is NaN, but must be finite"),
            (one("a", ParameterValue::Number(f64::INFINITY)), "`a` is inf"),
            (one("a", ParameterValue::Text("x".repeat(4097))), "4097 bytes, but at most 4096"),
        ] {
            let plan = map(given.clone());
            let errors = [
                check_parameters(&given, None).expect_err(words),
                check_parameters(&BTreeMap::new(), Some(&plan)).expect_err(words),
                check_parameters(&given, Some(&plan)).expect_err(words),
            ];
            for error in errors {
                assert!(error.to_string().contains(words), "{error}");
            }
        }
    }
}
