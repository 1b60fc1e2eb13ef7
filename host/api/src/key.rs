//! Ed25519: the secret key of an identity, and the signatures it makes. Not where keys are kept: the agent and
//! the command own their files.

use std::fmt;

use anneal_job::{Digest, Identity};
use ed25519_dalek::VerifyingKey;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// The secret key of an identity. `Debug` shows whose it is, and never the key.
pub struct SecretKey {
    pair: Ed25519KeyPair,
    seed: Secret,
}

/// Text that no log, error or `Debug` shows.
#[derive(Clone)]
pub struct Secret(String);

/// 64 bytes of an Ed25519 signature; as text, 128 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// Why a text is no secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("a secret key has 64 hexadecimal digits")]
    Malformed,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

impl SecretKey {
    /// A new key from the operating system's random bytes.
    ///
    /// # Errors
    /// When there are none.
    pub fn generate() -> Result<SecretKey, KeyError> {
        SecretKey::from_seed(&random_bytes::<32>()?)
    }

    /// The key with this text, as [`SecretKey::expose`] gave it; white space around it is no part of it.
    ///
    /// # Errors
    /// When the text is no key.
    pub fn parse(text: &str) -> Result<SecretKey, KeyError> {
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| KeyError::Malformed)?;
        SecretKey::from_seed(&seed)
    }

    fn from_seed(seed: &[u8; 32]) -> Result<SecretKey, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Malformed)?;
        Ok(SecretKey { pair, seed: Secret(hex::encode(seed)) })
    }

    /// The text to keep in a file that only its owner can read.
    pub fn expose(&self) -> &str {
        self.seed.expose()
    }

    /// The public half.
    pub fn identity(&self) -> Identity {
        let bytes = self.pair.public_key().as_ref();
        Identity::from_bytes(bytes.try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs a digest.
    pub fn sign(&self, digest: &Digest) -> Signature {
        let signature = self.pair.sign(digest.as_bytes());
        Signature(signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes"))
    }
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Signature {
    /// Whether `identity` signed `digest`.
    pub fn is_by(&self, identity: &Identity, digest: &Digest) -> bool {
        // The same equation as ring's: without a cofactor, and no signature has a second form.
        let signature = ed25519_dalek::Signature::from_bytes(&self.0);
        strong_key(identity).is_some_and(|key| key.verify_strict(digest.as_bytes(), &signature).is_ok())
    }

    /// The signature with these bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Signature {
        Signature(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The signature with this text, where it is one.
    pub fn parse(text: &str) -> Option<Signature> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Signature(bytes))
    }
}

/// The key of an identity, unless it is a weak one: a point of small order, for which anybody can make signatures;
/// one with a part of small order, so that two keys differ and sign alike; or the second encoding of a point.
fn strong_key(identity: &Identity) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(identity.as_bytes()).ok()?;
    let point = key.to_edwards();
    let strong =
        !key.is_weak() && point.is_torsion_free() && point.compress().as_bytes() == identity.as_bytes();
    strong.then_some(key)
}

/// Random bytes from the operating system.
///
/// # Errors
/// When it gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.identity())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 128];
        let written = hex::encode_to_slice(self.0, &mut text).ok();
        f.write_str(written.and_then(|()| std::str::from_utf8(&text).ok()).unwrap_or_default())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", &hex::encode(self.0)[..12])
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 128];
        let written = hex::encode_to_slice(self.0, &mut text).ok();
        serializer.serialize_str(written.and_then(|()| std::str::from_utf8(&text).ok()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Signature::parse(&text).ok_or_else(|| de::Error::custom("a signature has 128 hexadecimal digits"))
    }
}

impl schemars::JsonSchema for Signature {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Signature".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{128}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_is_never_shown() {
        let key = SecretKey::generate().expect("random bytes");
        let again = SecretKey::parse(&format!(" {}\n", key.expose())).expect("its own text");
        assert_eq!(key.identity(), again.identity());
        assert!(!format!("{key:?} {:?}", Secret::new("hidden")).contains("hidden"));
        assert!(!format!("{key:?}").contains(key.expose()));
        assert_eq!(SecretKey::parse("12").map(|key| key.identity()), Err(KeyError::Malformed));
    }

    #[test]
    fn a_signature_holds_for_one_key_and_one_digest() {
        let (key, other) = (SecretKey::generate().expect("random"), SecretKey::generate().expect("random"));
        let digest = Digest::of(b"what was said");
        let signature = key.sign(&digest);
        assert!(signature.is_by(&key.identity(), &digest));
        assert!(!signature.is_by(&other.identity(), &digest));
        assert!(!signature.is_by(&key.identity(), &Digest::of(b"something else")));
        assert_eq!(Signature::parse(&signature.to_string()), Some(signature));
    }

    /// The encodings of all points of small order, and those of them that are not canonical.
    const SMALL_ORDER: [&str; 14] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];

    fn point(text: &str) -> [u8; 32] {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).expect("hexadecimal digits");
        bytes
    }

    #[test]
    fn a_weak_key_has_signed_nothing() {
        // R = A and s = 0: for a key of small order this holds for one digest in eight or more.
        for key in SMALL_ORDER {
            for r in SMALL_ORDER {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&point(r));
                for number in 0..64_u8 {
                    let digest = Digest::of(&[number]);
                    let signature = Signature::from_bytes(signature);
                    assert!(!signature.is_by(&Identity::from_bytes(point(key)), &digest), "{key} {r}");
                }
            }
        }
    }

    #[test]
    fn a_key_with_a_part_of_small_order_is_weak_although_it_can_sign() {
        let key = SecretKey::generate().expect("random");
        assert!(strong_key(&key.identity()).is_some());
        let honest = VerifyingKey::from_bytes(key.identity().as_bytes()).expect("a key").to_edwards();
        for small in SMALL_ORDER.iter().filter(|text| !text.starts_with("01")).take(7) {
            let small = VerifyingKey::from_bytes(&point(small)).expect("a point").to_edwards();
            let mixed = Identity::from_bytes((honest + small).compress().0);
            assert!(VerifyingKey::from_bytes(mixed.as_bytes()).is_ok_and(|key| !key.is_weak()));
            assert!(strong_key(&mixed).is_none());
        }
    }
}
