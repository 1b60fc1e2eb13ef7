//! What a key must show before it is believed, and whose turn it is. Keys are free, so nothing rests on having
//! one: a new key shadows others unpaid, a known one works beside an anchor, and an anchor has something to lose.
//! Not here: what a lease is (`lease`), how a quorum is judged (`verify`).

use std::collections::BTreeSet;

use anneal_job::{Credits, Identity, OperatorId, Span, Timestamp};

use crate::{
    JobSpec, Market, Reply, Seed, TaskKey,
    attempt::{Attempt, AttemptState},
    job::Job,
    matching::Asker,
    operator::Operator,
    provider::{Provider, Standing},
};

/// Anchors that are looked at to know whether there is one for a task.
const ANCHORS_SCANNED_MAX: usize = 256;
/// Waiting devices that are looked at to know whose turn it is.
const WAITING_SCANNED_MAX: usize = 1024;
/// Waiting devices that are looked at to know whom to call.
const CALLED_SCANNED_MAX: usize = 256;
/// Providers that are called beyond the leases there are, for those whose devices do not fit.
const CALLED_BESIDES: usize = 3;
/// A device waits for its turn for so long after it asked: a little longer than it takes to ask again.
const WAITS_FOR: Span = Span::seconds(35);
/// Who is called to work and has not asked for so long is passed over.
pub(crate) const ANSWERS_FOR: Span = Span::seconds(2);

impl Market {
    pub(crate) fn set_lists(
        &mut self,
        anchors: BTreeSet<Identity>,
        developers: BTreeSet<Identity>,
    ) -> Result<Reply, crate::Rejection> {
        let changed = self.totals.anchors != anchors;
        let totals = self.totals_mut();
        (totals.anchors, totals.developers) = (anchors.clone(), developers);
        if changed {
            self.emit(crate::EventKind::AnchorsListed { anchors });
        }
        Ok(Reply::Done)
    }

    /// Whether the network's operator vouches for a key.
    pub(crate) fn is_listed(&self, id: &Identity) -> bool {
        self.totals.anchors.contains(id)
    }

    /// Whether a key's word is enough beside others on a task that pays it so much.
    pub(crate) fn is_anchor(&self, provider: &Provider, operator: &Operator, pay: Credits) -> bool {
        let covered = || operator.covers(pay, &self.parameters);
        self.is_listed(&provider.id) || self.standing(provider) == Standing::Known && covered()
    }

    /// How far a key is believed, apart from its cover.
    pub(crate) fn standing(&self, provider: &Provider) -> Standing {
        let bonded = self.operators.get(&provider.operator).is_some_and(|known| known.stake > Credits::ZERO);
        let vouched = self.is_listed(&provider.id) || bonded;
        if vouched { Standing::Known } else { provider.standing }
    }

    /// How many anchors are there that could take a task and hold none of its attempts, up to a limit. An anchor
    /// counts only where `foreign` holds for it.
    pub(crate) fn anchors_for(
        &self,
        key: TaskKey,
        limit: usize,
        foreign: impl Fn(&Operator) -> bool,
    ) -> usize {
        let Some((job, spec)) = self.jobs.get(&key.job).zip(self.specs.get(&key.job)) else { return 0 };
        let listed = self.totals.anchors.iter().filter_map(|id| self.providers.get(id));
        let covered = self.index.by_cover().filter_map(|id| {
            let provider = self.providers.get(&self.operators.get(&id)?.provider)?;
            (!self.is_listed(&provider.id)).then_some(provider)
        });
        let mut found = 0;
        for provider in listed.chain(covered).take(ANCHORS_SCANNED_MAX) {
            let Some(operator) = self.operators.get(&provider.operator) else { continue };
            if foreign(operator) && self.could_anchor(provider, operator, key, job, spec) {
                found += 1;
                if found == limit {
                    break;
                }
            }
        }
        found
    }

    /// Whether there is an anchor that a task can wait for.
    pub(crate) fn has_anchor_for(&self, key: TaskKey) -> bool {
        let held = |operator: &Operator| {
            self.attempts_on(key).any(|other| other.operator == operator.id && other.excludes_operator())
        };
        self.anchors_for(key, 1, |operator| !held(operator)) > 0
    }

    fn could_anchor(
        &self,
        provider: &Provider,
        operator: &Operator,
        key: TaskKey,
        job: &Job,
        spec: &JobSpec,
    ) -> bool {
        if provider.pause.is_some() || self.is_away(&provider.id) {
            return false;
        }
        provider.devices.values().any(|device| {
            let price = self.price_of(&device.offer.class);
            let asker = Asker { provider: provider.id, device, operator, price };
            self.is_anchor(provider, operator, self.value(key, price)) && self.fits(&asker, job, spec)
        })
    }

    /// Whether nothing was heard from a provider for so long that nobody waits for it.
    pub(crate) fn is_away(&self, id: &Identity) -> bool {
        self.now() >= self.presence.last_heard(id) + self.parameters.silence
    }

    /// Whether the asker, which is no anchor, is the first of those that wait and could take the task: prefixes are
    /// served in turn, and within one its keys.
    pub(crate) fn is_turn(&self, asker: &Asker<'_>, key: TaskKey) -> bool {
        let Some((job, spec)) = self.jobs.get(&key.job).zip(self.specs.get(&key.job)) else { return true };
        let own = self.served(asker.operator);
        let waiting = self.presence.idle.iter().take(WAITING_SCANNED_MAX);
        !waiting.filter(|(_, idle)| self.now().since(idle.at) < WAITS_FOR).any(|((id, device), idle)| {
            let Some(other) = self.providers.get(id).filter(|other| other.id != asker.provider) else {
                return false;
            };
            if self.presence.called.get(id).is_some_and(|at| self.now().since(*at) >= ANSWERS_FOR) {
                return false;
            }
            let Some((operator, device)) = self.operators.get(&other.operator).zip(other.devices.get(device))
            else {
                return false;
            };
            if self.served(operator) >= own || other.pause.is_some() || other.backoff_until > self.now() {
                return false;
            }
            let price = self.price_of(&device.offer.class);
            let known = self.standing(other) == Standing::Known && idle.floor <= price;
            let is_anchor = self.is_anchor(other, operator, self.value(key, price));
            let asker = Asker { provider: other.id, device, operator, price };
            known && !is_anchor && self.has_room(operator) && self.fits(&asker, job, spec)
        })
    }

    /// When an operator's prefix, and then itself, was served last.
    fn served(&self, operator: &Operator) -> (Timestamp, Timestamp) {
        let at = |line| self.presence.served.get(&line).copied().unwrap_or_default();
        (at(operator.line()), at(operator.id.0))
    }

    /// A key that is no anchor was leased something.
    pub(crate) fn serve(&mut self, operator: OperatorId) {
        let Some(line) = self.operators.get(&operator).map(Operator::line) else { return };
        let now = self.now();
        self.presence.serve([line, operator.0], now);
    }

    /// Who waits and is to hear first that there is work: a few more anchors, and a few more of the known keys in their
    /// turn, than there are leases, and a few new keys for shadows. However many strangers wait, anchors hear of it, and
    /// however many new keys wait, known ones do.
    pub(crate) fn whom_to_call(&self, leases: usize, seed: Seed) -> Vec<Identity> {
        let wanted = leases.saturating_add(CALLED_BESIDES);
        let now = self.now();
        let idle_of = |id: &Identity| {
            let devices = (*id, crate::DeviceId(0))..=(*id, crate::DeviceId(u32::MAX));
            self.presence.idle.range(devices).any(|(_, idle)| now.since(idle.at) < WAITS_FOR)
        };
        let covered = self.index.by_cover().filter_map(|id| Some(self.operators.get(&id)?.provider));
        let anchors = self.totals.anchors.iter().copied().chain(covered).take(ANCHORS_SCANNED_MAX);
        let mut called: Vec<Identity> = anchors.filter(idle_of).take(wanted).collect();
        // From a random one on, so that no key is always among those that are looked at.
        let start = (Identity::from_bytes(seed.0), crate::DeviceId(0));
        let around = self.presence.idle.range(start..).chain(self.presence.idle.range(..start));
        let others = around.take(CALLED_SCANNED_MAX).filter(|(_, idle)| now.since(idle.at) < WAITS_FOR);
        let in_turn: BTreeSet<_> = others
            .filter_map(|((id, _), _)| {
                let provider = self.providers.get(id)?;
                let operator = self.operators.get(&provider.operator)?;
                let new = self.standing(provider) != Standing::Known;
                (!called.contains(id)).then(|| (new, self.served(operator), *id))
            })
            .collect();
        let (new, known): (Vec<_>, Vec<_>) = in_turn.into_iter().partition(|(new, ..)| *new);
        let called_new = new.into_iter().take(CALLED_BESIDES);
        called.extend(known.into_iter().take(wanted).chain(called_new).map(|(.., id)| id));
        called
    }

    /// Whether a prefix may have one more lease of keys that are no anchors.
    pub(crate) fn has_room(&self, operator: &Operator) -> bool {
        self.index.leases_of_line(&operator.line()) < self.parameters.prefix_leases_max as usize
    }

    /// Whether work for a developer counts as cover: who only spends what was granted could pay its own keys.
    pub(crate) fn is_known_developer(&self, id: &Identity) -> bool {
        let funded = self.developers.get(id).is_some_and(|developer| developer.funded);
        funded || self.totals.developers.contains(id)
    }

    /// Whether what an attempt earned counts as its key's cover: a trusted worker or a foreign anchor has vouched
    /// for the work, and the job cannot have been made for the key.
    pub(crate) fn counts_as_cover(&self, attempt: &Attempt) -> bool {
        let key = attempt.task;
        let Some((task, job)) = self.tasks.get(&key).zip(self.jobs.get(&key.job)) else { return false };
        let Some(spec) = self.specs.get(&key.job) else { return false };
        if spec.has_own_list() || spec.test || !self.is_known_developer(&job.developer) {
            return false;
        }
        let verdict = task.verdict.as_ref().map(|verdict| verdict.key);
        if task.truths.iter().any(|truth| Some(truth.key) == verdict) {
            return true;
        }
        let vouches = |other: &Attempt| {
            other.id != attempt.id
                && other.anchor
                && matches!(other.state, AttemptState::Revealed { valid: Some(true), .. })
        };
        let Some(own) = self.operators.get(&attempt.operator) else { return false };
        let foreign = |other: &Operator| other.id != own.id && !own.is_related(other);
        // A trusted worker could have taken it, too.
        let wanted = (self.parameters.foreign_anchors_min as usize).saturating_sub(1);
        self.attempts_on(key).any(vouches) && self.anchors_for(key, wanted, foreign) >= wanted
    }

    /// A shadow has been judged: its key is known, or barred.
    pub(crate) fn judge_shadow(&mut self, attempt: &Attempt, matched: bool) {
        let (task, provider, attempt) = (attempt.task_tag, attempt.provider, attempt.id);
        let Some(known) = self.provider_mut(provider) else { return };
        if known.standing == Standing::Known {
            return;
        }
        known.standing = if matched { Standing::Known } else { Standing::Barred };
        if matched {
            known.reputation.failures_in_a_row = 0;
            self.emit(crate::EventKind::ShadowMatched { task, attempt, provider });
            return;
        }
        self.emit(crate::EventKind::ShadowDiffered { task, attempt, provider });
        let message =
            "your first attempt gave another result than everybody else's: this key is leased nothing \
                       more. Run `anneal selftest`, and enrol with a new folder once it passes"
                .to_owned();
        self.effect(crate::Effect::TellProvider { provider, message });
    }

    /// Anchors have decided against an attempt, or its trace is not that of its result: it is not paid, and its key
    /// begins anew. Not a fault, which only a replay can find.
    pub(crate) fn dissent(&mut self, attempt: &Attempt) {
        let (task, provider, operator, attempt) =
            (attempt.task_tag, attempt.provider, attempt.operator, attempt.id);
        self.emit(crate::EventKind::Dissented { task, attempt, provider });
        if let Some(operator) = self.operator_mut(operator) {
            operator.gas_verified = 0;
        }
        if let Some(known) = self.provider_mut(provider) {
            known.standing = Standing::New;
            known.reputation.streaks.clear();
        }
        self.lease_failed(provider);
    }
}
