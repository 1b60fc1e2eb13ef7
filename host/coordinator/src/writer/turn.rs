//! What a handler may do on the writer's thread: apply commands, look at the market, write rows of the
//! service's own.

use anneal_api::{ErrorBody, random_bytes};
use anneal_job::{Digest, Timestamp};
use anneal_market::{Command, Market, Reply, Seed};

use super::draft::Draft;
use crate::store::KeptBlob;

/// A handler's time with the market.
pub(crate) struct Turn<'a> {
    pub(super) market: &'a mut Market,
    pub(super) draft: &'a mut Draft,
    pub(super) now: Timestamp,
    /// Whether the reply must be the same when the command comes again.
    pub(super) remember: bool,
}

impl Turn<'_> {
    /// Applies a command for who was authenticated.
    pub(crate) fn apply(&mut self, command: Command) -> Result<Reply, ErrorBody> {
        let Ok(random) = random_bytes() else {
            return Err(anneal_api::ErrorCode::Internal.because("the operating system gave no random bytes"));
        };
        let applied = self.market.apply(self.now, Seed(random), command);
        let applied =
            applied.map_err(|rejection| ErrorBody::refused(rejection.code(), rejection.to_string()))?;
        let reply = applied.reply.clone();
        self.draft.take(applied, self.now);
        Ok(reply)
    }

    /// Entries of the log that this group of turns has caused so far.
    pub(crate) fn events(&self) -> u64 {
        self.draft.events()
    }

    /// The market as it is now.
    pub(crate) fn market(&self) -> &Market {
        self.market
    }

    /// The time of this turn.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Writes a row of the service's own; no key of the market's begins like it.
    pub(crate) fn put_row(&mut self, key: String, value: Vec<u8>) {
        self.draft.put(key, value);
    }

    /// An effect is done, once this is committed.
    pub(crate) fn effect_done(&mut self, id: String) {
        self.draft.done.push(id);
    }

    /// An identity keeps a blob from now on.
    pub(crate) fn keep_blob(&mut self, kept: KeptBlob) {
        self.draft.kept.push(kept);
    }

    /// Nobody keeps a blob any more.
    pub(crate) fn forget_blob(&mut self, blob: Digest) {
        self.draft.forgotten.push(blob);
    }

    /// The reply need not be kept: sent again, the command does no harm.
    pub(crate) fn forget_reply(&mut self) {
        self.remember = false;
    }
}
