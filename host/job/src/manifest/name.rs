//! Names of inputs and parameters, and the name that was probably meant.

use thiserror::Error;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a name has 1 to 64 letters, digits, `-`, `_` or `.`, like `learning-rate`; \
     rename it, also where the guest asks for it"
)]
pub struct NameError;

/// Whether a text may name an input or a parameter.
///
/// # Errors
/// Says what a name is.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits && plain { Ok(()) } else { Err(NameError) }
}

/// The known name that looks most like `name`, if one does.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No known name is longer; comparing costs the product of the lengths.
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let name = plain(name);
    known
        .into_iter()
        .map(|candidate| (likeness(&name, &plain(candidate)), candidate))
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// From 0 to 1; two neighbours swapped, or one letter off in a short word, count as near.
fn likeness(a: &str, b: &str) -> f64 {
    let slip = if strsim::damerau_levenshtein(a, b) <= 1 && a.len() >= 3 { 0.8 } else { 0.0 };
    strsim::jaro_winkler(a, b).max(slip)
}
