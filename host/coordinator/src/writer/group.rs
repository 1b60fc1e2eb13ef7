//! One group: its turns, its transaction, its replies.

use std::collections::HashMap;

use anneal_api::{ErrorCode, random_bytes};
use anneal_job::{Digest, Timestamp};
use anneal_market::{Command, EpochSecret};
use tokio::sync::oneshot;

use super::{Answer, CommandKey, Ended, Leading, Turn, Work, draft::Draft};
use crate::{
    Vouched,
    clock::clock,
    store::{CommandRecord, StoreError},
};

/// How often a new epoch of secret draws begins.
const DRAW_EPOCH_MS: u64 = 60 * 60 * 1000;
/// How long replies are kept for commands that come again.
const REPLIES_MS: u64 = 24 * 60 * 60 * 1000;
/// How often older ones are forgotten.
const FORGET_MS: u64 = 60 * 1000;

type Replies = Vec<(oneshot::Sender<Answer>, Answer)>;

impl Leading {
    /// Carries out a group and commits it.
    pub(super) fn group(&mut self, group: Vec<Work>, tick: bool) -> Result<(), Ended> {
        let now = clock();
        let mut draft = Draft::default();
        let mut replies = Vec::new();
        let known = match self.known(&group) {
            Ok(known) => known,
            Err(error) => return Err(refuse_all(group, &error)),
        };
        if tick {
            if let Err(error) = self.renew() {
                return Err(refuse_all(group, &error));
            }
            self.tick(&mut draft, now);
        }
        self.turns(group, known, &mut draft, &mut replies, now);
        self.finish(draft, replies, now)
    }

    /// The commands of a group that were carried out before.
    fn known(&mut self, group: &[Work]) -> Result<HashMap<Digest, CommandRecord>, StoreError> {
        let ids: Vec<Digest> = group
            .iter()
            .filter_map(|work| match work {
                Work::Turn { key: Some(key), .. } => Some(key.id),
                _ => None,
            })
            .collect();
        let records = self.store.commands(&ids)?;
        Ok(records.into_iter().map(|record| (record.id, record)).collect())
    }

    fn turns(
        &mut self,
        group: Vec<Work>,
        mut known: HashMap<Digest, CommandRecord>,
        draft: &mut Draft,
        replies: &mut Replies,
        now: Timestamp,
    ) {
        for work in group {
            match work {
                Work::Stop => {}
                Work::Look(look) => look(Some(&self.market)),
                Work::Turn { key, run, reply } => {
                    if let Some(answer) = key.and_then(|key| answered(&known, key)) {
                        replies.push((reply, answer));
                        continue;
                    }
                    let before = draft.extent();
                    let mut turn = Turn { market: &mut self.market, draft, now, remember: true };
                    let answer = run(&mut turn);
                    let remember = turn.remember && draft.extent() != before;
                    if let (Some(CommandKey { id, content }), Ok(reply), true) = (key, &answer, remember) {
                        let record = CommandRecord { id, content, reply: reply.clone(), at: now };
                        known.insert(id, record.clone());
                        draft.commands.push(record);
                    }
                    self.turns += 1;
                    replies.push((reply, answer));
                }
            }
        }
    }

    /// Time passes; now and then a new epoch of draws begins and old replies are forgotten.
    fn tick(&mut self, draft: &mut Draft, now: Timestamp) {
        let mut turn = Turn { market: &mut self.market, draft, now, remember: false };
        if let Some(Vouched { anchors, developers }) = self.vouched.take()
            && let Err(error) = turn.apply(Command::SetLists { anchors, developers })
        {
            tracing::error!(%error, "whom the operator vouches for cannot be said");
        }
        if now.0.saturating_sub(self.draw_epoch_at.0) >= DRAW_EPOCH_MS
            && let Ok(random) = random_bytes()
        {
            self.draw_epoch_at = now;
            let secret = EpochSecret::from_bytes(random);
            if let Err(error) = turn.apply(Command::BeginEpoch { secret }) {
                tracing::error!(%error, "no epoch of draws can begin");
            }
        }
        if let Err(error) = turn.apply(Command::Tick) {
            tracing::error!(%error, "time cannot pass");
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Timestamp) {
        if now.0.saturating_sub(self.forgot_at.0) >= FORGET_MS {
            self.forgot_at = now;
            if let Err(error) = self.store.forget_commands(Timestamp(now.0.saturating_sub(REPLIES_MS))) {
                tracing::warn!(%error, "old replies cannot be forgotten");
            }
        }
    }

    /// Commits; only then anybody hears of it.
    fn finish(&mut self, draft: Draft, replies: Replies, now: Timestamp) -> Result<(), Ended> {
        let only_time = draft.is_only_time();
        let (transaction, end, notices) = draft.finish(&self.market, &self.key, self.end, now);
        let committed = if only_time || transaction.is_empty() {
            Ok(())
        } else {
            self.store.commit(self.epoch, &transaction)
        };
        match committed {
            Ok(()) => {
                self.end = end;
                for (reply, answer) in replies {
                    // Who waited may have gone.
                    let _ = reply.send(answer);
                }
                if !transaction.is_empty() || !notices.is_empty() {
                    self.listener.committed(&transaction, notices);
                }
                Ok(())
            }
            Err(error) => {
                let (code, ended) = outcome(&error);
                tracing::error!(%error, cause = %cause(&error), "a group was not committed");
                for (reply, _) in replies {
                    let _ = reply.send(Err(code.body()));
                }
                Err(ended)
            }
        }
    }
}

fn answered(known: &HashMap<Digest, CommandRecord>, key: CommandKey) -> Option<Answer> {
    let record = known.get(&key.id)?;
    let same = record.content == key.content;
    Some(if same { Ok(record.reply.clone()) } else { Err(ErrorCode::CommandConflict.body()) })
}

fn refuse_all(group: Vec<Work>, error: &StoreError) -> Ended {
    tracing::error!(%error, cause = %cause(error), "the store does not answer");
    let (code, ended) = outcome(error);
    for work in group {
        match work {
            Work::Turn { reply, .. } => drop(reply.send(Err(code.body()))),
            Work::Look(look) => look(None),
            Work::Stop => {}
        }
    }
    ended
}

fn outcome(error: &StoreError) -> (ErrorCode, Ended) {
    match error {
        StoreError::Fenced { .. } | StoreError::InUse(_) => (ErrorCode::NotLeader, Ended::Fenced),
        StoreError::Failed { .. }
        | StoreError::Damaged { .. }
        | StoreError::Corrupt { .. }
        | StoreError::OtherVersion { .. }
        | StoreError::Foreign => (ErrorCode::Unavailable, Ended::Failed),
    }
}

/// Why, in all its depth.
pub(crate) fn cause(error: &dyn std::error::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    causes.join(": ")
}
