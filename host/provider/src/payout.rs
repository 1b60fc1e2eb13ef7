//! Whether a text is a Monero address to pay to: its length, its alphabet, its network and kind, and its checksum.
//! Not whether anybody has its keys: that nobody can see.

use sha3::{Digest as _, Keccak256};
use thiserror::Error;

/// Characters of a subaddress.
const CHARACTERS: usize = 95;
/// Characters of an integrated address, which deserves a word of its own.
const CHARACTERS_INTEGRATED: usize = 106;
/// A network byte, two keys, and a checksum.
const BYTES: usize = 69;
const CHECKSUM_BYTES: usize = 4;
/// Monero's base58 goes by blocks: so many bytes, in so many characters, the last block shorter.
const BLOCK_BYTES: usize = 8;
const BLOCK_CHARACTERS: usize = 11;
/// Characters that so many bytes take.
const CHARACTERS_OF_BYTES: [usize; BLOCK_BYTES + 1] = [0, 2, 3, 5, 6, 7, 9, 10, 11];
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The network byte of a subaddress on the main network.
const SUBADDRESS: u8 = 42;

/// Why a text is no address to pay to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayoutError {
    /// Another length.
    #[error(
        "a Monero subaddress has {CHARACTERS} characters and begins with 8, this has {found}: copy it whole from \
         Feather's Receive tab"
    )]
    Length {
        /// Characters.
        found: usize,
    },
    /// A character that no address has.
    #[error(
        "the character {found:?} at place {place} is in no Monero address: copy it from Feather's Receive tab"
    )]
    Character {
        /// Which.
        found: char,
        /// From 1.
        place: usize,
    },
    /// Something was mistyped.
    #[error("the checksum is wrong, so a character is: copy the address from Feather's Receive tab")]
    Checksum,
    /// A sound address of another kind.
    #[error("this is {kind}: copy a subaddress, which begins with 8, from Feather's Receive tab")]
    Kind {
        /// Which.
        kind: &'static str,
    },
}

/// Checks a payout address.
///
/// # Errors
/// The first thing wrong with it.
pub fn check(address: &str) -> Result<(), PayoutError> {
    let strange =
        address.chars().zip(1..).find(|(found, _)| !found.is_ascii() || value(*found as u8).is_none());
    if let Some((found, place)) = strange {
        return Err(PayoutError::Character { found, place });
    }
    if ![CHARACTERS, CHARACTERS_INTEGRATED].contains(&address.len()) {
        return Err(PayoutError::Length { found: address.len() });
    }
    let bytes = decode(address.as_bytes())?;
    let (body, checksum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM_BYTES));
    if Keccak256::digest(body)[..CHECKSUM_BYTES] != *checksum {
        return Err(PayoutError::Checksum);
    }
    match kind(body[0]) {
        None if bytes.len() == BYTES => Ok(()),
        None => Err(PayoutError::Length { found: address.len() }),
        Some(kind) => Err(PayoutError::Kind { kind }),
    }
}

/// What a sound address is that nobody is paid to; `None` for a subaddress.
fn kind(network: u8) -> Option<&'static str> {
    match network {
        SUBADDRESS => None,
        18 => Some("a wallet's primary address"),
        19 => Some("an integrated address"),
        24 | 25 | 36 => Some("an address of Monero's stage network"),
        53 | 54 | 63 => Some("an address of Monero's test network"),
        _ => Some("no address of Monero's main network"),
    }
}

fn value(character: u8) -> Option<u64> {
    ALPHABET.iter().position(|&known| known == character).map(|place| place as u64)
}

fn decode(text: &[u8]) -> Result<Vec<u8>, PayoutError> {
    let length = PayoutError::Length { found: text.len() };
    let mut bytes = Vec::new();
    for block in text.chunks(BLOCK_CHARACTERS) {
        let Some(count) = CHARACTERS_OF_BYTES.iter().position(|&characters| characters == block.len()) else {
            return Err(length);
        };
        let number = block
            .iter()
            .try_fold(0_u64, |number, &character| number.checked_mul(58)?.checked_add(value(character)?));
        // A block that says more than its bytes hold was written by no wallet.
        let number = number.filter(|number| count == BLOCK_BYTES || number >> (8 * count) == 0);
        let number = number.ok_or(PayoutError::Checksum)?;
        bytes.extend(&number.to_be_bytes()[BLOCK_BYTES - count..]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUB: &str =
        "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H";
    const PRIMARY: &str =
        "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A";

    /// An address as a wallet would write it.
    fn address(network: u8, keys: &[u8]) -> String {
        let mut bytes = [&[network], keys].concat();
        let checksum = Keccak256::digest(&bytes);
        bytes.extend(&checksum[..CHECKSUM_BYTES]);
        let mut text = String::new();
        for block in bytes.chunks(BLOCK_BYTES) {
            let mut number = block.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
            let mut characters = vec![b'1'; CHARACTERS_OF_BYTES[block.len()]];
            for character in characters.iter_mut().rev() {
                *character = ALPHABET[(number % 58) as usize];
                number /= 58;
            }
            text += std::str::from_utf8(&characters).expect("ASCII");
        }
        text
    }

    #[test]
    fn known_addresses_are_told_apart() {
        assert_eq!(check(SUB), Ok(()));
        assert!(matches!(check(PRIMARY), Err(PayoutError::Kind { kind }) if kind.contains("primary")));
        assert!(matches!(check(""), Err(PayoutError::Length { found: 0 })));
        assert!(matches!(check(&SUB[..94]), Err(PayoutError::Length { found: 94 })));
        assert!(matches!(check(&format!("{SUB}1")), Err(PayoutError::Length { found: 96 })));
        assert_eq!(check("8é"), Err(PayoutError::Character { found: 'é', place: 2 }));
        assert_eq!(check(&SUB.replace('J', "0")), Err(PayoutError::Character { found: '0', place: 12 }));
    }

    proptest! {
        #[test]
        fn what_a_wallet_writes_is_taken_for_what_it_is(network: u8, keys in prop::collection::vec(any::<u8>(), 64)) {
            let text = address(network, &keys);
            prop_assert_eq!(text.len(), CHARACTERS);
            prop_assert_eq!(check(&text).is_ok(), network == SUBADDRESS, "{}", text);
            let sub = address(SUBADDRESS, &keys);
            prop_assert!(check(&sub).is_ok() && sub.starts_with('8'));
        }

        #[test]
        fn one_wrong_character_is_noticed(place in 0_usize..95, other in 0_usize..58) {
            let mut wrong = SUB.as_bytes().to_vec();
            let differs = wrong[place] != ALPHABET[other];
            wrong[place] = ALPHABET[other];
            let wrong = String::from_utf8(wrong).expect("ASCII");
            prop_assert_eq!(check(&wrong).is_err(), differs);
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,120}") {
            let _any_answer = check(&text);
        }
    }
}
