//! Who waits for what: providers for leases and duties, pages and developers for a job's news. Nothing here
//! outlives the process; who waits asks again anyway.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anneal_job::{Identity, JobId};
use anneal_market::DeviceClass;
use tokio::sync::{Notify, watch};

/// Devices woken beyond the leases there are, for those that will not fit.
const WOKEN_BESIDES: u64 = 3;

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Waiters {
    lists: Mutex<Lists>,
    /// The beginning of all revisions of this process.
    start: AtomicU64,
    /// Polls so far.
    polls: AtomicU64,
    waiting: AtomicU64,
}

#[derive(Default)]
struct Lists {
    calls: HashMap<Identity, Weak<Waiter>>,
    /// Who waits for leases of a class, by ticket: who has waited longest has the lowest.
    idle: HashMap<DeviceClass, BTreeMap<u64, Weak<Waiter>>>,
    /// The tickets of each waiter, by its number, so that nothing is ever searched for.
    tickets: HashMap<u64, Vec<(DeviceClass, u64)>>,
    ticket_next: u64,
    jobs: HashMap<JobId, watch::Sender<u64>>,
}

/// One poll that waits.
pub(crate) struct Waiter {
    number: u64,
    /// Set under the lists' lock: who is gone waits for nothing, whatever the writer still does for it.
    gone: AtomicBool,
    /// Notified when it is to look again.
    pub(crate) news: Notify,
}

/// A provider's place; given up when dropped.
pub(crate) struct Place<'a> {
    waiters: &'a Waiters,
    identity: Identity,
    pub(crate) waiter: Arc<Waiter>,
}

impl Waiters {
    /// From now on revisions begin anew, above all that other leaders gave.
    pub(crate) fn begin(&self, epoch: u64) {
        self.start.store(epoch << 32, Ordering::Relaxed);
        self.lists().jobs.clear();
    }

    /// A provider waits. Only one of its polls does at a time: an older one returns.
    pub(crate) fn provider(&self, identity: Identity) -> Place<'_> {
        let number = self.polls.fetch_add(1, Ordering::Relaxed);
        let waiter = Arc::new(Waiter { number, gone: AtomicBool::new(false), news: Notify::new() });
        let older = self.lists().calls.insert(identity, Arc::downgrade(&waiter));
        if let Some(older) = older.and_then(|older| older.upgrade()) {
            older.news.notify_one();
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Place { waiters: self, identity, waiter }
    }

    /// A waiting provider has an idle device of this class.
    pub(crate) fn idle(&self, class: DeviceClass, waiter: &Arc<Waiter>) {
        let mut lists = self.lists();
        if waiter.gone.load(Ordering::Relaxed) {
            return;
        }
        let ticket = lists.ticket_next;
        let tickets = lists.tickets.entry(waiter.number).or_default();
        if tickets.iter().any(|(other, _)| *other == class) {
            return;
        }
        tickets.push((class.clone(), ticket));
        lists.ticket_next += 1;
        lists.idle.entry(class).or_default().insert(ticket, Arc::downgrade(waiter));
    }

    /// Wakes those that have waited longest, a few more than there are leases.
    pub(crate) fn wake(&self, class: Option<&DeviceClass>, slots: u64) {
        let mut lists = self.lists();
        let Lists { idle, tickets, .. } = &mut *lists;
        let wanted = slots.saturating_add(WOKEN_BESIDES);
        for (name, queue) in &mut *idle {
            if class.is_some_and(|class| class != name) {
                continue;
            }
            let mut woken = 0;
            while woken < wanted {
                let Some((ticket, waiter)) = queue.pop_first() else { break };
                let Some(waiter) = waiter.upgrade() else { continue };
                if let Some(tickets) = tickets.get_mut(&waiter.number) {
                    tickets.retain(|(_, other)| *other != ticket);
                }
                waiter.news.notify_one();
                woken += 1;
            }
        }
        idle.retain(|_, queue| !queue.is_empty());
    }

    /// A provider has duties.
    pub(crate) fn call(&self, identity: Identity) {
        let waiter = self.lists().calls.get(&identity).and_then(Weak::upgrade);
        if let Some(waiter) = waiter {
            waiter.news.notify_one();
        }
    }

    /// A job has changed.
    pub(crate) fn changed(&self, job: JobId) {
        let start = self.start.load(Ordering::Relaxed);
        let mut lists = self.lists();
        let sender = lists.jobs.entry(job).or_insert_with(|| watch::Sender::new(start));
        sender.send_modify(|revision| *revision += 1);
    }

    /// A job's revisions, from the present one on.
    pub(crate) fn job(&self, job: JobId) -> watch::Receiver<u64> {
        let start = self.start.load(Ordering::Relaxed);
        self.lists().jobs.entry(job).or_insert_with(|| watch::Sender::new(start)).subscribe()
    }

    /// An ended job changes no more.
    pub(crate) fn forget(&self, job: JobId) {
        let mut lists = self.lists();
        if lists.jobs.get(&job).is_some_and(watch::Sender::is_closed) {
            lists.jobs.remove(&job);
        }
    }

    /// Polls that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiters.waiting.fetch_sub(1, Ordering::Relaxed);
        let own = Arc::downgrade(&self.waiter);
        let mut lists = self.waiters.lists();
        self.waiter.gone.store(true, Ordering::Relaxed);
        if lists.calls.get(&self.identity).is_some_and(|waiter| waiter.ptr_eq(&own)) {
            lists.calls.remove(&self.identity);
        }
        for (class, ticket) in lists.tickets.remove(&self.waiter.number).unwrap_or_default() {
            let Some(queue) = lists.idle.get_mut(&class) else { continue };
            queue.remove(&ticket);
            if queue.is_empty() {
                lists.idle.remove(&class);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(place: &Place<'_>) -> bool {
        let notified = std::pin::pin!(place.waiter.news.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        notified.poll(&mut context).is_ready()
    }

    use std::future::Future;

    #[test]
    fn who_waits_longest_is_woken_first_and_no_more_than_needed() {
        let waiters = Waiters::default();
        let class = DeviceClass::new("cpu").expect("a class");
        let other = DeviceClass::new("gpu").expect("a class");
        let places: Vec<Place<'_>> =
            (0..10).map(|number| waiters.provider(Identity::from_bytes([number; 32]))).collect();
        for place in &places {
            waiters.idle(class.clone(), &place.waiter);
            waiters.idle(class.clone(), &place.waiter);
        }
        waiters.wake(Some(&other), 5);
        waiters.wake(Some(&class), 1);
        let first: Vec<bool> = places.iter().map(|place| woken(place)).collect();
        assert_eq!(first.iter().filter(|woken| **woken).count() as u64, 1 + WOKEN_BESIDES);
        assert!(first[..4].iter().all(|woken| *woken));
        waiters.wake(None, 100);
        let rest: Vec<bool> = places.iter().map(|place| woken(place)).collect();
        assert!(rest[4..].iter().all(|woken| *woken) && !rest[..4].iter().any(|woken| *woken));
        // Who found nothing waits again, behind the others; who gives up leaves nothing behind.
        places.iter().for_each(|place| waiters.idle(class.clone(), &place.waiter));
        let late = places[0].waiter.clone();
        drop(places);
        waiters.idle(class, &late);
        let lists = waiters.lists();
        assert!(lists.idle.is_empty() && lists.tickets.is_empty() && lists.calls.is_empty());
    }

    #[test]
    fn one_poll_of_a_provider_waits_at_a_time() {
        let waiters = Waiters::default();
        let identity = Identity::from_bytes([1; 32]);
        let older = waiters.provider(identity);
        let newer = waiters.provider(identity);
        assert!(woken(&older));
        drop(older);
        waiters.call(identity);
        assert!(woken(&newer));
        drop(newer);
        assert_eq!(waiters.waiting(), 0);
    }
}
