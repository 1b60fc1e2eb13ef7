//! Who waits for what: providers for leases and duties, pages and developers for a job's news. Nothing here
//! outlives the process; who waits asks again anyway.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
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
    waiting: AtomicU64,
}

#[derive(Default)]
struct Lists {
    calls: HashMap<Identity, Weak<Notify>>,
    idle: HashMap<DeviceClass, VecDeque<Weak<Notify>>>,
    jobs: HashMap<JobId, watch::Sender<u64>>,
}

/// A provider's place; given up when dropped.
pub(crate) struct Place<'a> {
    waiters: &'a Waiters,
    identity: Identity,
    pub(crate) news: Arc<Notify>,
}

impl Waiters {
    /// From now on revisions begin anew, above all that other leaders gave.
    pub(crate) fn begin(&self, epoch: u64) {
        self.start.store(epoch << 32, Ordering::Relaxed);
        self.lists().jobs.clear();
    }

    /// A provider waits. Only one of its polls does at a time: an older one returns.
    pub(crate) fn provider(&self, identity: Identity) -> Place<'_> {
        let news = Arc::new(Notify::new());
        let older = self.lists().calls.insert(identity, Arc::downgrade(&news));
        if let Some(older) = older.and_then(|older| older.upgrade()) {
            older.notify_one();
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Place { waiters: self, identity, news }
    }

    /// A waiting provider has an idle device of this class.
    pub(crate) fn idle(&self, class: DeviceClass, news: &Arc<Notify>) {
        let mut lists = self.lists();
        let queue = lists.idle.entry(class).or_default();
        let news = Arc::downgrade(news);
        if !queue.iter().any(|other| other.ptr_eq(&news)) {
            queue.push_back(news);
        }
    }

    /// Wakes those that have waited longest, a few more than there are leases.
    pub(crate) fn wake(&self, class: Option<&DeviceClass>, slots: u64) {
        let mut lists = self.lists();
        let wanted = slots.saturating_add(WOKEN_BESIDES);
        for (name, queue) in &mut lists.idle {
            if class.is_some_and(|class| class != name) {
                continue;
            }
            let mut woken = 0;
            while woken < wanted {
                let Some(waiter) = queue.pop_front() else { break };
                if let Some(news) = waiter.upgrade() {
                    news.notify_one();
                    woken += 1;
                }
            }
        }
        lists.idle.retain(|_, queue| !queue.is_empty());
    }

    /// A provider has duties.
    pub(crate) fn call(&self, identity: Identity) {
        let waiter = self.lists().calls.get(&identity).and_then(Weak::upgrade);
        if let Some(news) = waiter {
            news.notify_one();
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
        let own = Arc::downgrade(&self.news);
        let mut lists = self.waiters.lists();
        if lists.calls.get(&self.identity).is_some_and(|waiter| waiter.ptr_eq(&own)) {
            lists.calls.remove(&self.identity);
        }
        // Those in the queues of classes are skipped when their turn comes; here the longest are cleared.
        for queue in lists.idle.values_mut() {
            if queue.len() > 64
                && queue.iter().filter(|waiter| waiter.strong_count() > 0).count() * 2 < queue.len()
            {
                queue.retain(|waiter| waiter.strong_count() > 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(news: &Notify) -> bool {
        let notified = std::pin::pin!(news.notified());
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
            waiters.idle(class.clone(), &place.news);
            waiters.idle(class.clone(), &place.news);
        }
        waiters.wake(Some(&other), 5);
        waiters.wake(Some(&class), 1);
        let first: Vec<bool> = places.iter().map(|place| woken(&place.news)).collect();
        assert_eq!(first.iter().filter(|woken| **woken).count() as u64, 1 + WOKEN_BESIDES);
        assert!(first[..4].iter().all(|woken| *woken));
        waiters.wake(None, 100);
        let rest: Vec<bool> = places.iter().map(|place| woken(&place.news)).collect();
        assert!(rest[4..].iter().all(|woken| *woken) && !rest[..4].iter().any(|woken| *woken));
    }

    #[test]
    fn one_poll_of_a_provider_waits_at_a_time() {
        let waiters = Waiters::default();
        let identity = Identity::from_bytes([1; 32]);
        let older = waiters.provider(identity);
        let newer = waiters.provider(identity);
        assert!(woken(&older.news));
        drop(older);
        waiters.call(identity);
        assert!(woken(&newer.news));
        drop(newer);
        assert_eq!(waiters.waiting(), 0);
    }
}
