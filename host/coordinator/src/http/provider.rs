//! Providers: enrolling, polling for leases and duties, batches.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anneal_api::{
    ErrorBody, ErrorCode, Nothing,
    endpoints::{
        EnrolProvider, GetProvider, ListProviders, PauseProvider, PollProvider, SendBatch, WAIT_MS_MAX,
    },
    wire::{
        BATCH_ITEMS_MAX, Batch, BatchReply, DEVICES_MAX, Duty, Enrol, GiveBackItem, GiveBackReason,
        HeartbeatReply, ItemReply, Lease, NoLease, Poll, PollReply,
    },
};
use anneal_job::{AttemptId, Digest, Identity, RecordHasher, Span};
use anneal_market::{Command, Demand, DeviceClass, DeviceId, NothingHint, OperatorMarks, Reply, row};

use super::{
    jobs::{check_name, to_json, unexpected},
    route::{Ask, Outcome, json, raw_json},
};
use crate::{
    app::App,
    convert, doubt,
    fair::Prefix,
    profile::{self, DeviceProfile, Profile},
    views,
    waiters::Waiter,
    writer::Turn,
};

/// Bytes of a device's name.
const DEVICE_NAME_BYTES_MAX: usize = 100;
/// Idle devices of a poll.
const IDLE_MAX: usize = 256;
/// Attempts that a poll names.
const HOLDS_MAX: usize = 1024;
/// A device that was refused a lease may ask again after this.
const REFUSED_AGAIN: Span = Span::seconds(30);
/// Bytes of a payout address.
const PAYOUT_BYTES_MAX: usize = 256;

pub(super) async fn enrol(app: Arc<App>, ask: Ask<EnrolProvider>) -> Outcome {
    let provider = ask.caller.who()?;
    check_enrol(&ask.body)?;
    let marks = marks(ask.body.payout.as_deref(), ask.caller.address);
    let profile = profile_of(&ask.body);
    let row = row::encode(&profile);
    let count = ask.body.devices.len();
    let offers = ask.body.devices.iter().cloned();
    let offers = offers.map(|device| Ok((DeviceId(device.device), convert::offer(device)?)));
    let devices = offers.collect::<Result<BTreeMap<DeviceId, _>, ErrorBody>>()?;
    if devices.len() != count {
        return Err(ErrorCode::Invalid.because("two devices have the same number"));
    }
    if app.read(move |store| store.row(&format!("provider/{provider}"))).await?.is_none() {
        app.guard.enrols(ask.caller.party().prefix)?;
    }
    let enrolled = app.announcement_of(&ask.caller, ask.caller.key(), move |turn| {
        // One command: where it is refused, nothing has changed.
        turn.apply(Command::EnrolWith { provider, marks, devices })?;
        turn.put_row(profile::row_key(provider), row);
        to_json(&Nothing {})
    });
    let reply = enrolled.await?;
    app.profiles.set(provider, profile);
    Ok(raw_json(reply))
}

fn check_enrol(enrol: &Enrol) -> Result<(), ErrorBody> {
    check_name(&enrol.name)?;
    let invalid = |detail: String| Err(ErrorCode::Invalid.because(detail));
    if enrol.devices.len() > DEVICES_MAX {
        return invalid(format!("at most {DEVICES_MAX} devices"));
    }
    if enrol.payout.as_ref().is_some_and(|payout| payout.len() > PAYOUT_BYTES_MAX) {
        return invalid(format!("a payout address has at most {PAYOUT_BYTES_MAX} bytes"));
    }
    let plain = |name: &str| name.len() <= DEVICE_NAME_BYTES_MAX && !name.chars().any(char::is_control);
    if !enrol.devices.iter().all(|device| plain(&device.name)) {
        return invalid(format!(
            "a device's name has at most {DEVICE_NAME_BYTES_MAX} bytes, no control characters"
        ));
    }
    Ok(())
}

fn profile_of(enrol: &Enrol) -> Profile {
    let device = |device: &anneal_api::wire::DeviceOffer| {
        let profile = DeviceProfile { name: device.name.clone(), price_floor: device.price_floor };
        (device.device, profile)
    };
    Profile { name: enrol.name.clone(), devices: enrol.devices.iter().map(device).collect() }
}

/// What makes it likely that keys are one person's. Neither address goes further than this.
fn marks(payout: Option<&str>, address: IpAddr) -> OperatorMarks {
    let mark = |kind: &str, bytes: &[u8]| RecordHasher::new(kind).bytes(bytes).finish();
    let network = match Prefix::of(address) {
        Prefix::Local => None,
        Prefix::V4(prefix) => Some(mark("anneal network 4", &prefix)),
        Prefix::V6(prefix) => Some(mark("anneal network 6", &prefix)),
    };
    OperatorMarks { payout: payout.map(|payout| mark("anneal payout", payout.as_bytes())), network }
}

pub(super) async fn pause(app: Arc<App>, ask: Ask<PauseProvider>) -> Outcome {
    let provider = ask.caller.who()?;
    let command = match ask.body.paused {
        true => Command::PauseProvider { provider },
        false => Command::ResumeProvider { provider },
    };
    let done = app.announcement_of(&ask.caller, ask.caller.key(), move |turn| {
        turn.apply(command)?;
        to_json(&Nothing {})
    });
    done.await.map(raw_json)
}

pub(super) async fn poll(app: Arc<App>, ask: Ask<PollProvider>) -> Outcome {
    let provider = ask.caller.who()?;
    let Poll { idle, seen, wait_ms, holds } = ask.body;
    if idle.len() > IDLE_MAX || holds.iter().flatten().count() > HOLDS_MAX {
        return Err(
            ErrorCode::Invalid.because(format!("at most {IDLE_MAX} idle devices, and {HOLDS_MAX} attempts"))
        );
    }
    app.saw(provider);
    let profile = app.profiles.get(&app, provider).await?;
    let floors: BTreeMap<u32, anneal_job::Price> =
        profile.devices.iter().map(|(number, device)| (*number, device.price_floor)).collect();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
    let place = app.waiters.provider(provider);
    let mut stopping = app.stopping.clone();
    loop {
        let (asked, floors, waiter, shared) =
            ((idle.clone(), holds.clone()), floors.clone(), place.waiter.clone(), app.clone());
        let looked = Arc::new(OnceLock::new());
        let look = looked.clone();
        let polled = app.turn_of(&ask.caller, ask.caller.key(), move |turn| {
            let (reply, again) = ask_for(turn, &shared, provider, &asked, &floors, &waiter)?;
            let given: Vec<AttemptId> = reply.leases.iter().map(|lease| lease.attempt).collect();
            // Only leases must not be given out twice for one command.
            if given.is_empty() {
                turn.forget_reply();
            }
            let _ = look.set((reply, again));
            Ok(row::encode(&given))
        });
        let given = polled.await?;
        let Some((reply, again)) = looked.get() else {
            let given =
                row::decode(&given).map_err(|error| ErrorCode::Internal.because(error.to_string()))?;
            return answered_before(&app, provider, given, holds, place.waiter.clone()).await;
        };
        if !reply.leases.is_empty() || reply.revision != seen || tokio::time::Instant::now() >= deadline {
            return json(reply);
        }
        let again = (tokio::time::Instant::now() + *again).min(deadline);
        tokio::select! {
            () = place.waiter.news.notified() => {}
            () = tokio::time::sleep_until(again) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return Err(ErrorCode::ShuttingDown.body()),
        }
    }
}

/// A poll whose reply was lost: the leases that it was given and has not begun to end, and what is wanted now.
async fn answered_before(
    app: &Arc<App>,
    provider: Identity,
    given: Vec<AttemptId>,
    holds: Option<Vec<AttemptId>>,
    waiter: Arc<Waiter>,
) -> Outcome {
    let shared = app.clone();
    let answered = Arc::new(OnceLock::new());
    let answer = answered.clone();
    app.turn(None, move |turn| {
        let holds = holds.map(|holds| holds.into_iter().chain(given.iter().copied()).collect());
        let asked = (Vec::new(), holds);
        let (mut reply, _) = ask_for(turn, &shared, provider, &asked, &BTreeMap::new(), &waiter)?;
        let market = turn.market();
        let lease = |id: &AttemptId| {
            let device = market.attempt(id)?.device;
            Some(convert::lease(device.0, market.lease(id)?))
        };
        reply.leases = given.iter().filter_map(lease).collect();
        let _ = answer.set(reply);
        Ok(Vec::new())
    })
    .await?;
    answered.get().map_or_else(|| Err(ErrorCode::Internal.body()), json)
}

/// Leases for idle devices, and what is wanted of the provider. Who gets nothing waits from here on: what opens
/// after this turn wakes it.
fn ask_for(
    turn: &mut Turn<'_>,
    app: &App,
    provider: Identity,
    (idle, holds): &(Vec<u32>, Option<Vec<AttemptId>>),
    floors: &BTreeMap<u32, anneal_job::Price>,
    waiter: &Arc<Waiter>,
) -> Result<(PollReply, Duration), ErrorBody> {
    let (mut leases, mut none, mut again) = (Vec::new(), Vec::new(), Span::minutes(10));
    for device in idle {
        let price_floor = floors.get(device).copied().unwrap_or_default();
        let id = DeviceId(*device);
        let class = class_of(turn, provider, id);
        let asked = turn.apply(Command::AskLease { provider, device: id, price_floor });
        let reply = match asked {
            Ok(reply) => reply,
            Err(refusal) if refusal.code == "unknown-provider" => return Err(refusal),
            // Who is paused gets no leases, and still hears of its duties: a dispute goes on.
            Err(refusal) => {
                again = again.min(REFUSED_AGAIN);
                none.push(NoLease { device: *device, hint: refusal.code });
                continue;
            }
        };
        match reply {
            Reply::Lease(lease) => leases.push(convert::lease(*device, *lease)),
            Reply::Nothing { retry_after, hint } => {
                class.into_iter().for_each(|class| app.waiters.idle(class, waiter));
                again = again.min(retry_after);
                none.push(NoLease { device: *device, hint: hint_name(hint) });
            }
            other => return Err(unexpected(&other)),
        }
    }
    let given = leases.iter().map(|lease: &Lease| lease.attempt);
    let attempts = holds.iter().flatten().copied().chain(given).collect();
    let demands = match turn.apply(Command::Heartbeat { provider, attempts, all: holds.is_some() })? {
        Reply::Demands { demands } => demands,
        other => return Err(unexpected(&other)),
    };
    let revision = revision(&demands);
    let duties: Vec<Duty> = demands.into_iter().map(convert::duty).collect();
    let prices = prices(turn, provider);
    let reply = PollReply { leases, duties, revision, none, prices };
    Ok((reply, Duration::from_millis(again.0)))
}

fn class_of(turn: &Turn<'_>, provider: Identity, device: DeviceId) -> Option<DeviceClass> {
    let device = turn.market().provider(&provider)?.devices.get(&device)?;
    Some(device.offer.class.clone())
}

/// What work is paid now on each of a provider's devices.
fn prices(turn: &Turn<'_>, provider: Identity) -> BTreeMap<u32, anneal_job::Price> {
    let market = turn.market();
    let devices = market.provider(&provider).into_iter().flat_map(|provider| &provider.devices);
    devices.map(|(id, device)| (id.0, market.price_of(&device.offer.class))).collect()
}

fn hint_name(hint: NothingHint) -> String {
    let value = serde_json::to_value(hint).unwrap_or_default();
    value.as_str().unwrap_or("nothing").to_owned()
}

/// Equal for equal duties, also after a restart; 0 where there are none.
fn revision(demands: &[Demand]) -> u64 {
    if demands.is_empty() {
        return 0;
    }
    let bytes = serde_json::to_vec(demands).unwrap_or_default();
    let digest = Digest::of(&bytes);
    let number = u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"));
    // JSON numbers of other languages hold 53 bits.
    (number >> 11).max(1)
}

pub(super) async fn batch(app: Arc<App>, ask: Ask<SendBatch>) -> Outcome {
    let provider = ask.caller.who()?;
    let Batch { reveals, given_back, .. } = &ask.body;
    if ask.body.items() > BATCH_ITEMS_MAX {
        return Err(ErrorCode::Invalid.because(format!("at most {BATCH_ITEMS_MAX} items")));
    }
    app.saw(provider);
    // Signatures are checked here, on many threads, and not by the one writer.
    let forged: Vec<bool> = reveals
        .iter()
        .map(|item| item.receipt.receipt.provider != provider || !item.receipt.holds())
        .collect();
    let unusable = |item: &&GiveBackItem| item.reason == GiveBackReason::Blob;
    let unusable: Vec<AttemptId> = given_back.iter().filter(unusable).map(|item| item.attempt).collect();
    let doubted = Arc::new(OnceLock::new());
    let (caller, batch, doubt) = (ask.caller, ask.body, doubted.clone());
    let done = app.turn_of(&caller, caller.key(), move |turn| {
        if !unusable.is_empty() {
            let market = turn.market();
            let of_provider =
                |id: &AttemptId| market.attempt(id).is_some_and(|attempt| attempt.provider == provider);
            let own = unusable.into_iter().filter(of_provider);
            // Set once: a turn is carried out once.
            let _ = doubt.set(own.flat_map(|id| doubt::blobs_of_attempt(market, id)).collect::<Vec<_>>());
        }
        to_json(&batch_turn(turn, provider, batch, &forged))
    });
    let reply = done.await?;
    if let Some(blobs) = doubted.get() {
        tokio::spawn(doubt::look(app, blobs.clone()));
    }
    Ok(raw_json(reply))
}

fn batch_turn(turn: &mut Turn<'_>, provider: Identity, batch: Batch, forged: &[bool]) -> BatchReply {
    let mut reply = BatchReply::default();
    if !batch.heartbeats.is_empty() {
        reply.heartbeats = heartbeats(turn, provider, &batch);
    }
    for item in batch.commits {
        let (attempt, commitment) = (item.attempt, item.commitment);
        reply.commits.push(apply(turn, Command::Commit { provider, attempt, commitment }));
    }
    for (item, forged) in batch.reveals.into_iter().zip(forged) {
        if *forged {
            reply.reveals.push(ItemReply { error: Some(ErrorCode::SignatureWrong.body()) });
            continue;
        }
        let (attempt, signature) = (item.receipt.attempt, item.receipt.signature);
        // Asked before: with the receipt its task may be over.
        let task = turn.market().attempt(&attempt).map(|attempt| attempt.task);
        let done = apply(turn, convert::reveal(provider, item));
        if let Some(task) = task.filter(|_| done.error.is_none()) {
            turn.put_row(views::signature_key(task, attempt), signature.to_string().into_bytes());
        }
        reply.reveals.push(done);
    }
    for item in batch.faults {
        let (attempt, fault) = (item.attempt, item.fault);
        reply.faults.push(apply(turn, Command::HostFault { provider, attempt, fault }));
    }
    for item in batch.given_back {
        let (attempt, reason) = (item.attempt, convert::give_back_reason(item.reason));
        reply.given_back.push(apply(turn, Command::GiveBack { provider, attempt, reason }));
    }
    for item in batch.traces {
        reply.traces.push(apply(turn, convert::trace(provider, item)));
    }
    for attempt in batch.appeals {
        reply.appeals.push(apply(turn, Command::Appeal { provider, attempt }));
    }
    reply
}

fn heartbeats(turn: &mut Turn<'_>, provider: Identity, batch: &Batch) -> Vec<HeartbeatReply> {
    let attempts: Vec<_> = batch.heartbeats.iter().map(|heartbeat| heartbeat.attempt).collect();
    // Only those are named that are due.
    let demands = match turn.apply(Command::Heartbeat { provider, attempts: attempts.clone(), all: false }) {
        Ok(Reply::Demands { demands }) => demands,
        _ => Vec::new(),
    };
    let stopped = |attempt| demands.contains(&Demand::Stop { attempt });
    attempts.into_iter().map(|attempt| HeartbeatReply { wanted: !stopped(attempt) }).collect()
}

fn apply(turn: &mut Turn<'_>, command: Command) -> ItemReply {
    ItemReply { error: turn.apply(command).err() }
}

pub(super) async fn list(app: Arc<App>, ask: Ask<ListProviders>) -> Outcome {
    let viewer = ask.caller.identity;
    let mut page = app.read(move |store| views::providers(store, ask.query, viewer)).await?;
    for provider in &mut page.providers {
        provider.seen = app.last_seen(provider.identity);
    }
    page.providers.sort_by_key(|provider| std::cmp::Reverse(provider.seen));
    json(&page)
}

pub(super) async fn get(app: Arc<App>, ask: Ask<GetProvider>) -> Outcome {
    let (viewer, identity) = (ask.caller.identity, ask.path.identity);
    let found = app.read(move |store| views::provider(store, identity, viewer)).await?;
    let mut provider = found.ok_or_else(|| ErrorCode::NotFound.body())?;
    provider.seen = app.last_seen(identity);
    json(&provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_market_hears_of_the_clients_prefix_and_of_no_address() {
        let network = |address: &str| marks(None, address.parse().expect("an address")).network;
        assert_eq!(network("192.0.2.1"), network("192.0.2.200"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.9"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:ffff::4"));
        assert_ne!(network("2001:db8:1::"), network("2001:db8:2::"));
        assert_eq!((network("127.0.0.1"), network("::1")), (None, None));
        assert_eq!(marks(Some("a"), [127, 0, 0, 1].into()), marks(Some("a"), [127, 0, 0, 2].into()));
    }
}
