//! Credits: every movement is one posting from one account to another, so nothing comes from nowhere.

use anneal_job::{Credits, GAS_PER_PRICE, Identity, Price, Span};

use crate::{Account, Effect, EventKind, Key, Market, Posting, Rejection, Reply};

/// All credits that ever come in: sums of amounts never overflow below it.
const SUPPLY_MAX: u64 = u64::MAX / 4;

/// Held earnings that an open question keeps are looked at again after this.
const RELEASE_RETRY: Span = Span::minutes(10);

/// All accounts together; [`Market::books`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    /// What was put in, less what was taken out.
    pub outside: u128,
    /// What all accounts inside hold.
    pub inside: u128,
}

impl Market {
    /// Both sides of the books: they are equal after every command.
    pub fn books(&self) -> Books {
        let sum =
            |amounts: &mut dyn Iterator<Item = Credits>| amounts.map(|one| u128::from(one.0)).sum::<u128>();
        let developers = sum(&mut self.developers.values().map(|developer| developer.available));
        let jobs = sum(&mut self.jobs.values().map(|job| job.escrow));
        let held = sum(&mut self.providers.values().flat_map(|provider| [provider.held, provider.payable]));
        let cases = self.providers.values().flat_map(|provider| provider.cases.values());
        let suspended = sum(&mut cases.map(|case| case.credits));
        let stakes = sum(&mut self.operators.values().map(|operator| operator.stake));
        let own = sum(&mut [self.totals.forfeits, self.totals.fees].into_iter());
        Books {
            outside: u128::from(self.totals.put_in.0) - u128::from(self.totals.taken_out.0),
            inside: developers + jobs + held + suspended + stakes + own,
        }
    }

    /// Moves credits. The account they leave has them: callers look first.
    pub(crate) fn post(&mut self, from: Account, to: Account, credits: Credits) {
        if credits == Credits::ZERO {
            return;
        }
        match from {
            Account::Outside => self.totals_mut().put_in.0 += credits.0,
            inside => self.change(inside, |balance| balance.checked_sub(credits)),
        }
        match to {
            Account::Outside => self.totals_mut().taken_out.0 += credits.0,
            inside => self.change(inside, |balance| balance.checked_add(credits)),
        }
        self.effect(Effect::Post { posting: Posting { from, to, credits } });
    }

    /// What an account holds.
    pub(crate) fn balance(&self, account: Account) -> Credits {
        let balance = match account {
            Account::Outside => None,
            Account::Available { owner } => self.developers.get(&owner).map(|developer| developer.available),
            Account::Escrow { job } => self.jobs.get(&job).map(|job| job.escrow),
            Account::Held { provider } => self.providers.get(&provider).map(|provider| provider.held),
            Account::Suspended { provider } => self
                .providers
                .get(&provider)
                .map(|provider| Credits(provider.cases.values().map(|case| case.credits.0).sum())),
            Account::Payable { provider } => self.providers.get(&provider).map(|provider| provider.payable),
            Account::Stake { operator } => self.operators.get(&operator).map(|operator| operator.stake),
            Account::Forfeits => Some(self.totals.forfeits),
            Account::Fees => Some(self.totals.fees),
        };
        balance.unwrap_or_default()
    }

    fn change(&mut self, account: Account, change: impl Fn(Credits) -> Option<Credits>) {
        let apply = |balance: &mut Credits| {
            *balance = change(*balance).expect("a posting moves what is there, and sums are bounded");
        };
        match account {
            Account::Outside => {}
            Account::Available { owner } => apply(&mut self.developer_mut(owner).available),
            Account::Escrow { job } => self.job_mut(job).into_iter().for_each(|job| apply(&mut job.escrow)),
            Account::Held { provider } => {
                self.provider_mut(provider).into_iter().for_each(|provider| apply(&mut provider.held));
            }
            // Each case holds its own: `case` counts it.
            Account::Suspended { .. } => {}
            Account::Payable { provider } => {
                self.provider_mut(provider).into_iter().for_each(|provider| apply(&mut provider.payable));
            }
            Account::Stake { operator } => {
                self.operator_mut(operator).into_iter().for_each(|operator| apply(&mut operator.stake));
            }
            Account::Forfeits => apply(&mut self.totals_mut().forfeits),
            Account::Fees => apply(&mut self.totals_mut().fees),
        }
    }

    pub(crate) fn set_funds(&mut self, account: Account, credits: Credits) -> Result<Reply, Rejection> {
        match account {
            Account::Available { .. } => {}
            Account::Stake { operator } if self.operators.contains_key(&operator) => {}
            Account::Stake { .. } => return Err(Rejection::UnknownProvider),
            _ => return Err(Rejection::AccountNotSettable),
        }
        let before = self.balance(account);
        self.put_in(account, credits.saturating_sub(before))?;
        if let Account::Available { owner } = account {
            self.developer_mut(owner).funded = true;
        }
        self.post(account, Account::Outside, before.saturating_sub(credits));
        self.emit(EventKind::FundsSet { account, credits });
        Ok(Reply::Done)
    }

    /// Credits from outside, unless they were more than there may ever be.
    fn put_in(&mut self, account: Account, more: Credits) -> Result<(), Rejection> {
        let put_in = self.totals.put_in.checked_add(more).filter(|all| all.0 <= SUPPLY_MAX);
        put_in.ok_or(Rejection::AmountOverflow)?;
        self.post(Account::Outside, account, more);
        Ok(())
    }

    /// What gas is worth to a job now: whole credits, with the rest carried to the next payment, so that all
    /// payments together are worth exactly all gas, rounded down once.
    pub(crate) fn split(remainder: u64, gas: u64, price: Price) -> (Credits, u64) {
        let units = u128::from(gas) * u128::from(price.0) + u128::from(remainder);
        let whole = units / u128::from(GAS_PER_PRICE);
        let rest = (units % u128::from(GAS_PER_PRICE)) as u64;
        (Credits(u64::try_from(whole).unwrap_or(u64::MAX)), rest)
    }

    /// Releases what has been held for long enough.
    pub(crate) fn release(&mut self, id: Identity) {
        let now = self.now();
        let Some(provider) = self.providers.get(&id) else { return };
        let over = |hour: &u64| anneal_job::Timestamp(0) + Span::hours(*hour) <= now;
        let hours: Vec<u64> = provider.hours.keys().copied().filter(over).collect();
        if hours.is_empty() {
            return;
        }
        if self.has_open_questions(id) {
            // A jammed queue lets nobody out: what an audit may yet take is not released before its answer.
            let later = now + RELEASE_RETRY;
            if let Some(provider) = self.provider_mut(id) {
                provider.release_not_before = later;
            }
            return;
        }
        for hour in hours {
            let Some(released) = self.provider_mut(id).and_then(|provider| provider.hours.remove(&hour))
            else {
                continue;
            };
            let (from, to) = (Account::Held { provider: id }, Account::Payable { provider: id });
            self.post(from, to, released.credits);
            let operator = self.providers.get(&id).map(|provider| provider.operator);
            if let Some(operator) = operator.and_then(|operator| self.operator_mut(operator)) {
                operator.counted = operator.counted.saturating_sub(released.counted);
            }
        }
        self.touch(Key::Provider(id));
    }

    /// Whether a trusted worker has yet to answer about a task that a provider has agreed on. A task that no
    /// trusted worker can replay holds back its own pay alone.
    fn has_open_questions(&self, id: Identity) -> bool {
        self.index.attempts_of(&id).any(|attempt| {
            let Some(attempt) = self.attempts.get(&attempt).filter(|attempt| attempt.earned.is_some()) else {
                return false;
            };
            self.tasks.get(&attempt.task).is_some_and(|task| {
                let audited = task.audit.is_some_and(|draw| draw.audited) && task.truths.is_empty();
                let answerable = task.replay_failures < self.parameters.replay_failures_max;
                answerable && (audited || !task.replays.is_empty())
            })
        })
    }

    /// Funds that nobody paid in.
    pub(crate) fn grant_funds(&mut self, owner: Identity, credits: Credits) -> Result<Reply, Rejection> {
        let account = Account::Available { owner };
        let more = credits.saturating_sub(self.balance(account));
        self.put_in(account, more)?;
        self.developer_mut(owner);
        if more > Credits::ZERO {
            let credits = self.balance(account);
            self.emit(EventKind::FundsSet { account, credits });
        }
        Ok(Reply::Done)
    }
}
