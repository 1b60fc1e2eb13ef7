//! The warden: asks the owner's policy about each device once a second, sets the pace of the work there, and says
//! to the agents what they may take and what they must give back.
//!
//! What follows from a decision is `orders`, without a clock or files. Not here: reading sensors (a closure does),
//! holding work to a pace (the worker does), leases (the desk's). Where the warden's thread hangs or ends, each
//! device's pace runs out by itself after [`WORD_GOOD_FOR`], and work pauses.

mod admission;
mod orders;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use anneal_job::{AttemptId, Identity};
use anneal_policy::{EnergyUsed, History, KilowattHours, Moment, Piconero, Policy, Readings, decide};
use anneal_sandbox::PaceHandle;
use thiserror::Error;

use crate::status::DeviceLimits;
use admission::Taken;
pub use orders::FINISH_WITHIN;
use orders::{AtWork, Orders};

/// How often a device is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Without a decision for so long, work stops by itself: `anneal_policy` says so.
pub const WORD_GOOD_FOR: Duration = Duration::from_secs(2);
/// How often the histories are written.
const SAVED_EVERY: Duration = Duration::from_secs(10);
/// A thread that hangs in a sensor is waited for so long.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// The file of the histories, in the provider's folder.
const HISTORIES: &str = "limits.json";
const HISTORIES_BYTES_MAX: u64 = 16 << 20;

/// A device, as the policy and the sensors know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceName {
    /// Its number among those that are offered.
    pub number: u32,
    /// As `[devices]` of the policy names it.
    pub name: String,
    /// Whether it is a GPU, and no program that plays one: it has its own memory and sensors.
    pub is_gpu: bool,
}

/// Why there is no warden.
#[derive(Debug, Error)]
#[error(
    "{}, where the energy used and the state of the controllers are kept, cannot be used; without it limits \
     could be passed. If it is damaged, remove it: what was used until now is then not counted",
    .path.display()
)]
pub struct WardenError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Holds a provider's devices to the owner's policy; shared by all its agents.
#[derive(Debug)]
pub struct Warden {
    /// As the owner wrote it: what holds for the machine.
    policy: Policy,
    folder: PathBuf,
    wards: BTreeMap<u32, Ward>,
    standing: Mutex<Standing>,
}

/// A device that is watched.
#[derive(Debug)]
struct Ward {
    name: DeviceName,
    /// Its name in the file.
    key: String,
    /// As it holds for this kind of device.
    policy: Policy,
    pace: PaceHandle,
}

/// What changes.
#[derive(Debug, Default)]
struct Standing {
    devices: BTreeMap<u32, DeviceStanding>,
    /// What is taken of the machine.
    taken: BTreeMap<AttemptId, Taken>,
}

#[derive(Debug, Default)]
struct DeviceStanding {
    history: History,
    orders: Orders,
    work: Option<AtWork>,
    /// Whether something was under way at any time since the last look.
    has_worked: bool,
    /// What an hour of work would earn, as each coordinator said last.
    earnings: BTreeMap<Identity, Piconero>,
}

/// The thread that looks; it ends with this.
#[derive(Debug)]
pub struct Watch {
    ends: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Warden {
    /// A warden for these devices, with what is remembered in the provider's folder. Nothing runs before the
    /// first look.
    ///
    /// # Errors
    /// Where what is remembered cannot be read.
    pub fn new(
        policy: Policy,
        folder: &Path,
        devices: impl IntoIterator<Item = DeviceName>,
    ) -> Result<Warden, WardenError> {
        let mut histories = read(folder)?;
        let (mut wards, mut standing) = (BTreeMap::new(), Standing::default());
        for name in devices {
            let of_this_name = |ward: &&Ward| ward.name.name == name.name;
            let key = match wards.values().filter(of_this_name).count() {
                0 => name.name.clone(),
                earlier => format!("{} #{}", name.name, earlier + 1),
            };
            let history = histories.remove(&key).unwrap_or_default();
            standing.devices.insert(name.number, DeviceStanding { history, ..DeviceStanding::default() });
            let policy = if name.is_gpu { policy.clone() } else { policy.for_processor() };
            let pace = PaceHandle::watched(WORD_GOOD_FOR);
            wards.insert(name.number, Ward { name, key, policy, pace });
        }
        Ok(Warden { policy, folder: folder.to_owned(), wards, standing: Mutex::new(standing) })
    }

    /// Looks at every device once a second, from a thread of its own.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn watch(
        self: &Arc<Self>,
        mut read: impl FnMut(&DeviceName) -> Readings + Send + 'static,
    ) -> io::Result<Watch> {
        let warden = Arc::clone(self);
        let (ends, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("warden".to_owned()).spawn(move || {
            let began = Instant::now();
            let (mut next, mut saved) = (began, began);
            while ended.recv_timeout(next.saturating_duration_since(Instant::now()))
                == Err(mpsc::RecvTimeoutError::Timeout)
            {
                next = Instant::now() + PERIOD;
                for ward in warden.wards.values() {
                    let readings = read(&ward.name);
                    warden.look(ward.name.number, readings, moment(began));
                }
                if saved.elapsed() >= SAVED_EVERY {
                    saved = Instant::now();
                    warden.save_or_warn();
                }
            }
            warden.save_or_warn();
        })?;
        Ok(Watch { ends, thread })
    }

    /// Decides about a device, and sets its pace.
    pub fn look(&self, device: u32, readings: Readings, now: Moment) {
        let Some(ward) = self.wards.get(&device) else { return };
        let mut standing = self.standing();
        let energy_elsewhere = self.energy_elsewhere(&standing, device, now);
        let Some(known) = standing.devices.get_mut(&device) else { return };
        let readings = Readings {
            device: ward.name.name.clone(),
            energy_elsewhere,
            is_idle: !known.has_worked,
            earnings_per_hour: known.earnings.values().max().copied(),
            ..readings
        };
        known.has_worked = known.work.is_some();
        let decided = decide(&ward.policy, &readings, &known.history, now);
        known.orders = known.orders.after(&decided, known.work.as_ref(), now.steady_ms);
        known.history = decided.history;
        ward.pace.set(known.orders.pace);
    }

    fn energy_elsewhere(&self, standing: &Standing, device: u32, now: Moment) -> EnergyUsed {
        let date = self.policy.schedule.date(now.wall);
        let others = standing.devices.iter().filter(|(number, _)| **number != device);
        let mut used = EnergyUsed::default();
        for (_, other) in others {
            let EnergyUsed { day, month } = other.history.energy_on(date);
            used.day = KilowattHours(used.day.0 + day.0);
            used.month = KilowattHours(used.month.0 + month.0);
        }
        used
    }

    /// The pace of work on a device; a device that nobody watches does nothing.
    pub fn pace(&self, device: u32) -> PaceHandle {
        let pace = self.wards.get(&device).map(|ward| ward.pace.clone());
        pace.unwrap_or_else(|| PaceHandle::watched(Duration::ZERO))
    }

    /// Whether a device may begin something now.
    pub fn begins(&self, device: u32) -> bool {
        let is_heard = self.pace(device).pace() != anneal_tensor::Pace::Pause;
        let standing = self.standing();
        is_heard
            && standing.devices.get(&device).is_some_and(|known| known.orders.begins)
            && standing.has_room(device, self.policy.shares.concurrent_tasks)
    }

    /// What an hour of a device's work would earn now, as a coordinator says.
    pub fn would_earn(&self, device: u32, coordinator: Identity, an_hour: Piconero) {
        if let Some(known) = self.standing().devices.get_mut(&device) {
            known.earnings.insert(coordinator, an_hour);
        }
    }

    /// Whether what a device has is to be given back.
    pub fn releases(&self, device: u32) -> bool {
        self.standing().devices.get(&device).is_some_and(|known| known.orders.releases)
    }

    /// What the owner is shown of a device.
    pub fn limits(&self, device: u32) -> Option<DeviceLimits> {
        self.standing().devices.get(&device).map(|known| known.orders.limits.clone())
    }

    /// A device has begun an attempt that is expected to take so long.
    pub fn began(&self, device: u32, expected: Duration) {
        if let Some(known) = self.standing().devices.get_mut(&device) {
            known.work = Some(AtWork { expected, began: Instant::now(), progress: None });
            known.has_worked = true;
        }
    }

    /// How far it is.
    pub fn progressed(&self, device: u32, done: u64, total: u64) {
        if let Some(work) = self.standing().devices.get_mut(&device).and_then(|known| known.work.as_mut()) {
            work.progress = Some((done, total));
        }
    }

    /// It is at rest.
    pub fn ended(&self, device: u32) {
        if let Some(known) = self.standing().devices.get_mut(&device) {
            known.work = None;
        }
    }

    /// Writes what must be remembered.
    ///
    /// # Errors
    /// The operating system's.
    pub fn save(&self) -> Result<(), WardenError> {
        let histories: BTreeMap<String, History> = {
            let standing = self.standing();
            let history = |ward: &Ward| Some(standing.devices.get(&ward.name.number)?.history.clone());
            self.wards.values().filter_map(|ward| Some((ward.key.clone(), history(ward)?))).collect()
        };
        let written = anneal_files::private_folder(&self.folder).and_then(|folder| {
            anneal_files::write_whole(&folder, HISTORIES.as_ref(), &serde_json::to_vec(&histories)?)
        });
        written.map_err(|source| WardenError { path: self.folder.join(HISTORIES), source })
    }

    fn save_or_warn(&self) {
        if let Err(error) = self.save() {
            tracing::warn!(error = crate::agent::chain(&error), "the energy used so far is not written");
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Ends the thread, once it has written what must be remembered. One that hangs in a dead driver is left.
    pub fn end(self) {
        drop(self.ends);
        let patience = Instant::now() + ENDS_WITHIN;
        while !self.thread.is_finished() {
            if Instant::now() >= patience {
                tracing::warn!(
                    "a sensor does not answer; the energy used in the last seconds is not written"
                );
                return;
            }
            thread::sleep(ENDS_WITHIN / 100);
        }
        if self.thread.join().is_err() {
            tracing::error!("the warden panicked; this is a bug of anneal");
        }
    }
}

/// Now, by both clocks.
fn moment(began: Instant) -> Moment {
    Moment { wall: wall_now(), steady_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) }
}

/// Now by this machine's clock, which is the owner's: a coordinator's may be wrong.
pub(crate) fn wall_now() -> jiff::Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let milliseconds = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn read(folder: &Path) -> Result<BTreeMap<String, History>, WardenError> {
    let failed = |source: io::Error| WardenError { path: folder.join(HISTORIES), source };
    let opened = anneal_files::private_folder(folder).map_err(failed)?;
    if !opened.exists(HISTORIES) {
        return Ok(BTreeMap::new());
    }
    let bytes = anneal_files::read_bounded_in(&opened, HISTORIES.as_ref(), HISTORIES_BYTES_MAX)
        .map_err(|error| failed(io::Error::other(error.to_string())))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))
}
