//! Ids that clients make: of commands and of single requests. Random, so nobody can guess another's.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::key::{KeyError, random_bytes};

macro_rules! id {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A new one.
            ///
            /// # Errors
            /// When the operating system gives no random bytes.
            pub fn random() -> Result<$name, KeyError> {
                random_bytes().map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = hex::FromHexError;

            fn from_str(text: &str) -> Result<$name, hex::FromHexError> {
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok($name(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = hex::FromHexError;

            fn try_from(text: String) -> Result<$name, hex::FromHexError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

id!(
    /// Names a command. A retry has the same id and the same content, and gets the same reply; the same id with
    /// other content is refused.
    CommandId
);
id!(
    /// Names one request: no two have the same.
    Nonce
);
