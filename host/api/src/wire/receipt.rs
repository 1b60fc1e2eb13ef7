//! A receipt with its provider's signature: what a developer keeps.

use anneal_job::{AttemptId, Digest, Receipt, RecordHasher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SecretKey, Signature};

/// The signed account of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// The attempt it accounts for.
    pub attempt: AttemptId,
    /// The account.
    pub receipt: Receipt,
    /// By `receipt.provider` over attempt and receipt.
    pub signature: Signature,
}

impl SignedReceipt {
    /// Signs a receipt.
    pub fn sign(key: &SecretKey, attempt: AttemptId, receipt: Receipt) -> SignedReceipt {
        let signature = key.sign(&signed(attempt, &receipt));
        SignedReceipt { attempt, receipt, signature }
    }

    /// Whether its provider signed it.
    pub fn holds(&self) -> bool {
        self.signature.is_by(&self.receipt.provider, &signed(self.attempt, &self.receipt))
    }
}

fn signed(attempt: AttemptId, receipt: &Receipt) -> Digest {
    let mut hasher = RecordHasher::new("anneal signed receipt 1");
    hasher.bytes(attempt.0.as_bytes()).bytes(receipt.root().as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use anneal_job::{FailureCode, GuestFailure, ReceiptOutcome, TaskId, Versions};

    use super::*;

    #[test]
    fn a_receipt_holds_for_its_provider_and_attempt_only() {
        let key = SecretKey::generate().expect("random");
        let receipt = Receipt {
            task: TaskId(Digest::of(b"task")),
            outcome: ReceiptOutcome::GuestFailure {
                failure: GuestFailure { code: FailureCode::Gas, message: "out of gas".to_owned(), gas: 5 },
            },
            trace_root: Digest::of(b"trace"),
            component: Digest::of(b"component"),
            versions: Versions { contract: [0, 1, 0], numerics: 1, gas: 1 },
            device_class: "cpu".to_owned(),
            provider: key.identity(),
            lease_epoch: 1,
            salt: Digest::of(b"salt"),
        };
        let signed = SignedReceipt::sign(&key, AttemptId(Digest::of(b"attempt")), receipt);
        assert!(signed.holds());
        let json = serde_json::to_string(&signed).expect("JSON");
        let read: SignedReceipt = serde_json::from_str(&json).expect("what was written");
        assert!(read.holds());
        let mut other = read.clone();
        other.attempt = AttemptId(Digest::of(b"another"));
        assert!(!other.holds());
        let mut other = read;
        other.receipt.trace_root = Digest::of(b"another");
        assert!(!other.holds());
    }
}
