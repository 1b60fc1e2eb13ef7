//! The rules that events about attempts, verdicts and payments must keep.

use anneal_job::{AttemptId, CommitmentFields, Credits, Digest, Redundancy};

use crate::{
    AuditDraw, CloseReason, Draw, EventKind, Evidence, Judged, Market, Payer, ReplicateDraw, TaskTag,
    audit::{
        AuditReport,
        book::{Book, KnownAttempt, KnownDraw, Owed, ensure},
    },
};

impl Book {
    pub(super) fn check(&mut self, kind: &EventKind, report: &mut AuditReport) -> Result<(), String> {
        match kind {
            EventKind::Leased { .. } => self.lease(kind),
            EventKind::Committed { attempt, commitment } => {
                let known = self.attempt(*attempt)?;
                let closed = known.closed.is_some_and(|why| why != CloseReason::Superseded);
                let twice = known.commitment.replace(*commitment).is_some();
                ensure(!twice, "an attempt commits twice")?;
                ensure(!closed, "an attempt commits that was closed")
            }
            EventKind::AttemptClosed { attempt, reason } => {
                self.attempt(*attempt)?.closed = Some(*reason);
                Ok(())
            }
            EventKind::Revealed { attempt, receipt_root, nonce, key, gas } => {
                report.commitments += 1;
                self.reveal(*attempt, *receipt_root, &nonce.0, *key, *gas)
            }
            EventKind::Verdict { task, key, evidence, attempts } => {
                report.verdicts += 1;
                self.verdict(*task, *key, *evidence, attempts)
            }
            EventKind::Dissented { attempt, .. } => {
                self.attempt(*attempt)?.owed = None;
                Ok(())
            }
            EventKind::AppealDecided { attempt, stands, .. } => {
                let open = self.suspended.contains_key(attempt);
                if !stands && let Some(back) = self.suspended.remove(attempt) {
                    let owner = self.appealed.remove(attempt);
                    if let Some(owner) = owner {
                        let earned = self.earned.entry(owner).or_default();
                        earned.0 = earned.0.saturating_add(back.0);
                    }
                }
                ensure(open, "an appeal is decided about what was no fault")
            }
            EventKind::ForfeitFinal { attempt, credits, .. } => {
                let taken = self.suspended.remove(attempt);
                ensure(taken == Some(*credits), "a forfeit is final that no fault took, or another amount")
            }
            EventKind::Overturned { task, key, .. } => {
                let attempts = self.task(*task)?.attempts.clone();
                for attempt in attempts {
                    let Some(known) = self.attempts.get_mut(&attempt).filter(|known| known.valid) else {
                        continue;
                    };
                    if !known.shadow && known.revealed.is_some_and(|(found, _)| found != *key) {
                        known.owed = Some(Owed::Fault);
                    }
                }
                let known = self.task(*task)?;
                let contradicted = known.verdict.replace(*key).is_some_and(|before| before != *key);
                let replays = known.replays.iter().filter(|replay| *replay == key).count();
                ensure(contradicted, "a verdict is overturned by itself")?;
                let job = known.job;
                self.jobs.get_mut(&job).into_iter().for_each(|job| job.rerun = true);
                ensure(replays >= 2, "a verdict is overturned by less than two replays")
            }
            EventKind::ShadowMatched { task, attempt, .. } => self.shadow(*task, *attempt, true),
            EventKind::ShadowDiffered { task, attempt, .. } => self.shadow(*task, *attempt, false),
            EventKind::Fault { task, attempt, operator, expected, found, suspended } => {
                let again = self.suspended.insert(*attempt, *suspended).is_some();
                ensure(!again, "an attempt is at fault twice")?;
                self.take(*attempt, *suspended)?;
                let replayed = self.task(*task)?.replays.contains(expected);
                let known = self.attempt(*attempt)?;
                (known.valid, known.owed, known.unlocated) = (false, None, true);
                let revealed = known.revealed.is_some_and(|(key, _)| key == *found);
                let owner = known.operator == *operator;
                ensure(replayed, "a fault without a replay")?;
                ensure(revealed && found != expected, "a fault of an attempt that agrees with the replay")?;
                ensure(owner, "a fault of somebody else's attempt")
            }
            EventKind::Finding { attempt, .. } => {
                self.attempt(*attempt)?.unlocated = false;
                Ok(())
            }
            EventKind::Paid { .. } => {
                report.payments += 1;
                self.payment(kind)
            }
            EventKind::TaskFinal { task, audit, replicate } => self.finish(*task, *audit, *replicate),
            _ => Ok(()),
        }
    }

    /// A fault takes what its key has earned, and its operator's stake: never more.
    fn take(&mut self, attempt: AttemptId, suspended: Credits) -> Result<(), String> {
        let known = self.attempt(attempt)?;
        let (provider, operator) = (known.provider, known.operator);
        let earned = self.earned.entry(provider).or_default();
        let stake = self.stakes.remove(&operator).unwrap_or_default();
        let all = Credits(earned.0.saturating_add(stake.0));
        *earned = all.saturating_sub(suspended);
        self.appealed.insert(attempt, provider);
        ensure(suspended <= all, "a fault takes more than its key ever earned")
    }

    fn lease(&mut self, kind: &EventKind) -> Result<(), String> {
        let EventKind::Leased {
            task, attempt, provider, operator, lease_epoch, price, shadow, anchor, ..
        } = kind
        else {
            return Ok(());
        };
        let known = KnownAttempt {
            task: *task,
            provider: *provider,
            operator: *operator,
            lease_epoch: *lease_epoch,
            shadow: *shadow,
            anchor: *anchor,
            price: *price,
            commitment: None,
            closed: None,
            revealed: None,
            valid: false,
            judged: false,
            unlocated: false,
            paid: false,
            owed: None,
        };
        self.attempts.insert(*attempt, known);
        let others = self.task(*task)?.attempts.clone();
        self.task(*task)?.attempts.push(*attempt);
        let later = self.lease_epoch.replace(*lease_epoch).is_none_or(|before| *lease_epoch > before);
        ensure(later, "leases are not numbered upwards")?;
        ensure(self.providers.get(provider) == Some(operator), "the operator is not the provider's")?;
        let same = others.iter().filter_map(|other| self.attempts.get(other)).any(|other| {
            let gone = other.closed.is_some_and(|why| why != CloseReason::Superseded);
            other.operator == *operator && !gone
        });
        ensure(!same, "an operator holds the same task twice")
    }

    /// What a shadow showed. A different trace differs, too, so only a match can be checked here.
    fn shadow(&mut self, task: TaskTag, attempt: AttemptId, matched: bool) -> Result<(), String> {
        let verdict = self.task(task)?.verdict;
        let known = self.attempt(attempt)?;
        let same = known.revealed.is_some_and(|(key, _)| Some(key) == verdict);
        ensure(known.shadow, "an attempt is judged as a shadow that was none")?;
        ensure(!matched || same, "a shadow matched that gave another result than the verdict")
    }

    fn reveal(
        &mut self,
        id: AttemptId,
        receipt_root: Digest,
        nonce: &Digest,
        key: Digest,
        gas: u64,
    ) -> Result<(), String> {
        let known = self.attempt(id)?;
        let again = known.revealed.replace((key, gas)).is_some();
        ensure(!again, "an attempt reveals twice")?;
        let task = known.task;
        let fields = CommitmentFields {
            task_tag: task.0,
            attempt: id,
            lease_epoch: known.lease_epoch,
            provider: known.provider,
            receipt_root,
        };
        let matches = known.commitment == Some(fields.commitment(nonce.as_bytes()));
        ensure(matches, "what is revealed is not what was committed to")?;
        let others = self.task(task)?.attempts.clone();
        let open = others
            .iter()
            .filter_map(|other| self.attempts.get(other))
            .any(|other| other.commitment.is_none() && other.closed.is_none() && !other.shadow);
        ensure(!open, "a receipt is published while another attempt can still open")
    }

    fn verdict(
        &mut self,
        tag: TaskTag,
        key: Digest,
        evidence: Evidence,
        judged: &[Judged],
    ) -> Result<(), String> {
        let (mut valid, mut anchors) = (Vec::new(), 0);
        for Judged { attempt, valid: told } in judged {
            let known = self.attempt(*attempt)?;
            let again = std::mem::replace(&mut known.judged, true);
            ensure(!again, "an attempt is judged twice")?;
            known.valid = known.revealed.is_some_and(|(found, _)| found == key);
            known.owed = Some(match evidence {
                _ if known.valid => Owed::Pay,
                Evidence::Replay => Owed::Fault,
                Evidence::Quorum { .. } | Evidence::Anchors { .. } => Owed::Dissent,
            });
            ensure(known.valid == *told, "an attempt is judged otherwise than its receipt says")?;
            ensure(known.task == tag, "an attempt is judged under another task")?;
            ensure(!known.shadow, "a shadow counts towards a verdict")?;
            if known.valid {
                valid.push(known.operator);
                anchors += u8::from(known.anchor);
            }
        }
        let known = self.task(tag)?;
        let late = known.verdict.replace(key).is_some_and(|before| before == key);
        match evidence {
            Evidence::Quorum { .. } if late => Ok(()),
            Evidence::Anchors { .. } if late => Ok(()),
            Evidence::Anchors { agreeing } => {
                known.needed = Some(agreeing);
                ensure(agreeing >= 2 && anchors >= agreeing, "fewer anchors agree than the verdict says")
            }
            Evidence::Quorum { needed } => {
                known.needed = Some(needed);
                ensure(valid.len() == judged.len(), "attempts disagree, and no replay decides")?;
                valid.sort_unstable();
                valid.dedup();
                ensure(valid.len() >= usize::from(needed), "fewer operators agree than are needed")?;
                let job = known.job;
                let job = self.jobs.get(&job).ok_or("a verdict for an unknown job")?;
                let redundancy = job.redundancy;
                ensure(anchors > 0 || job.own_list, "no anchor is among those that agree")?;
                let planned = redundancy.replicas_max();
                let single = redundancy == Redundancy::Adaptive && needed == 1;
                ensure(needed >= planned || single, "fewer are needed than the job's redundancy")
            }
            Evidence::Replay => {
                known.by_replay = true;
                let replayed = known.replays.contains(&key);
                ensure(replayed, "a verdict by a replay that is not there")
            }
        }
    }

    fn payment(&mut self, kind: &EventKind) -> Result<(), String> {
        let EventKind::Paid { task, attempt, gas, price, credits, fee, payer } = kind else { return Ok(()) };
        let fee_millionths = self.parameters.fee_millionths;
        let known = self.attempt(*attempt)?;
        let again = std::mem::replace(&mut known.paid, true);
        known.owed = None;
        let right = known.valid && known.revealed.is_some_and(|(_, found)| found == *gas);
        let priced = known.price == *price && known.task == *task;
        let job = self.task(*task)?.job;
        let job = self.jobs.get_mut(&job).ok_or("a payment for an unknown job")?;
        let (expected, expected_fee) = match payer {
            Payer::Developer => {
                let (whole, rest) = Market::split(job.remainder, *gas, *price);
                job.remainder = rest;
                job.spent = job.spent.checked_add(whole).ok_or("more is paid than can be counted")?;
                (whole, whole.share(fee_millionths))
            }
            Payer::Network => {
                let (whole, _) = Market::split(0, *gas, *price);
                (whole.saturating_sub(whole.share(fee_millionths)), Credits::ZERO)
            }
        };
        let overspent = job.spent > job.escrow;
        let owner = self.attempt(*attempt)?.provider;
        let earned = self.earned.entry(owner).or_default();
        earned.0 = earned.0.saturating_add(credits.saturating_sub(*fee).0);
        ensure(!again, "an attempt is paid twice")?;
        ensure(right, "an attempt is paid that is not valid, or for other gas than it used")?;
        ensure(priced, "an attempt is paid at another price than its lease's")?;
        ensure(*credits == expected && *fee == expected_fee, "the split of the payment is wrong")?;
        ensure(!overspent, "more is paid than was in escrow")
    }

    fn finish(
        &mut self,
        tag: TaskTag,
        audit: Option<AuditDraw>,
        replicate: Option<ReplicateDraw>,
    ) -> Result<(), String> {
        let (floor, ceiling) =
            (self.parameters.audit_floor_millionths, self.parameters.audit_ceiling_millionths);
        let known = self.tasks.remove(&tag).ok_or("the end of a task that was never opened")?;
        if let Some(job) = self.jobs.get_mut(&known.job) {
            job.tasks.remove(&tag);
            job.finals += 1;
        }
        let attempts = known.attempts.iter().filter_map(|attempt| self.attempts.remove(attempt));
        let attempts: Vec<KnownAttempt> = attempts.collect();
        let owed = attempts.iter().find_map(|attempt| attempt.owed);
        ensure(owed.is_none(), owed.map_or("", Owed::missing))?;
        let ended = |attempt: &KnownAttempt| {
            attempt.revealed.is_some() || attempt.closed.is_some_and(|why| why != CloseReason::Superseded)
        };
        ensure(attempts.iter().all(ended), "a task is final while an attempt of it has no end")?;
        let unjudged = |attempt: &KnownAttempt| {
            attempt.revealed.is_some() && !attempt.shadow && !attempt.judged && attempt.closed.is_none()
        };
        ensure(
            !attempts.iter().any(unjudged),
            "a task is final while what an attempt revealed was never judged",
        )?;
        let unlocated = attempts.iter().any(|attempt| attempt.unlocated);
        ensure(!unlocated, "a task is final while it was not said where a faulty attempt went wrong")?;
        let shared = |attempt: &KnownAttempt| attempt.revealed.map(|(key, _)| key) == known.verdict;
        let replays = known.replays.iter().filter(|replay| Some(**replay) == known.verdict).count();
        let contradicted = attempts.iter().any(|attempt| attempt.revealed.is_some());
        let confirmed = replays >= 2 || attempts.iter().any(shared) || !contradicted;
        ensure(!known.by_replay || confirmed, "one replay contradicts every attempt, and was not repeated")?;
        if let Some(AuditDraw { epoch, millionths, audited }) = audit {
            let draw = KnownDraw { task: tag, draw: Draw::Audit, millionths, hit: audited };
            self.draws.entry(epoch).or_default().push(draw);
            ensure(!audited || !known.replays.is_empty(), "an audit was drawn and not done")?;
            ensure(millionths >= floor.min(ceiling) && millionths <= ceiling, "audits are too seldom")?;
        }
        if let Some(ReplicateDraw { attempt, millionths, replicated, epoch }) = replicate {
            let draw = KnownDraw { task: tag, draw: Draw::Replicate(attempt), millionths, hit: replicated };
            self.draws.entry(epoch).or_default().push(draw);
        }
        ensure(known.verdict.is_some(), "a task is final without a verdict")?;
        ensure(known.needed.is_none() || audit.is_some(), "an agreed task was not drawn for an audit")?;
        let single = known.needed == Some(1) && replicate.is_none_or(|draw| draw.replicated);
        let planned = self.jobs.get(&known.job).map(|job| job.redundancy.replicas_max());
        ensure(!single || planned == Some(1), "one attempt was enough without a draw that says so")
    }
}
