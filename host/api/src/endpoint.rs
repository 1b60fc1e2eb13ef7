//! The table of requests: one type per request, which the client calls, the coordinator serves and the OpenAPI
//! description is made from. No handler and no connection is here.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// A request by method and path, with the types that travel.
pub trait Endpoint: 'static {
    /// Its name in the description.
    const NAME: &'static str;
    /// How it is sent.
    const METHOD: Method;
    /// The path, with `{name}` where a part of [`Endpoint::Path`] stands.
    const PATH: &'static str;
    /// One sentence.
    const SUMMARY: &'static str;
    /// Who may send it.
    const ACCESS: Access;
    /// What its body is.
    const BODY: Media = Media::Json;
    /// What its reply's body is.
    const REPLY: Media = Media::Json;
    /// Bytes of its body.
    const BODY_BYTES_MAX: usize = JSON_BYTES_MAX;
    /// The parts of the path.
    type Path: Fields;
    /// The query.
    type Query: Fields;
    /// The body; `()` where there is none or it is no JSON.
    type Body: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// The reply's body; `()` where it is no JSON.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

/// Bytes of a JSON body where nothing else is said.
pub const JSON_BYTES_MAX: usize = 1 << 20;

/// What stands in a path or a query: plain fields that show as digits, hexadecimal or words.
pub trait Fields: Serialize + DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: Serialize + DeserializeOwned + JsonSchema + Send + 'static> Fields for T {}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads; may be sent again freely.
    Get,
    /// Commands; carry a command's id, so may be sent again with the same.
    Post,
    /// Puts bytes where the path says; sent again, it does nothing more.
    Put,
}

/// Who may send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Anybody; who is signed in or has a page's token sees more.
    OpenOrToken,
    /// Signed requests only.
    Signed,
}

/// What travels as a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Nothing.
    None,
    /// JSON of the endpoint's type.
    Json,
    /// Bytes as they are.
    Bytes,
    /// Lines of text.
    Text,
}

/// No path parts, no query or no body. As a body it is `{}`, and takes no fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Method {
    /// As HTTP writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
        }
    }
}

/// The target of a request: the path with its parts, and the query.
pub fn target<E: Endpoint>(path: &E::Path, query: &E::Query) -> String {
    let mut target = E::PATH.to_owned();
    for (name, value) in plain_fields(path) {
        target = target.replace(&format!("{{{name}}}"), &value);
    }
    let mut separator = '?';
    for (name, value) in plain_fields(query) {
        target.push(separator);
        target.push_str(&name);
        target.push('=');
        target.push_str(&value);
        separator = '&';
    }
    target
}

/// The fields of a path or query as text. A field that would need escaping is our own mistake.
fn plain_fields(fields: &impl Serialize) -> Vec<(String, String)> {
    let value = serde_json::to_value(fields).expect("path and query are plain fields");
    let Some(object) = value.as_object() else { return Vec::new() };
    object
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            assert!(
                plain && !text.is_empty() && text != "." && text != "..",
                "{name} cannot stand in a path"
            );
            (name.clone(), text)
        })
        .collect()
}
