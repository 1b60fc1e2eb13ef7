//! What a provider offers, said at once: all of it is taken, or nothing is changed. And the classes of devices that
//! are remembered: names cost nothing, so those of nobody with verified work go when there are too many.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{Identity, OperatorId, RecordHasher};

use crate::{
    DeviceClass, DeviceId, DeviceOffer, EventKind, Key, Market, OperatorMarks, Rejection, Reply,
    enrol::check_count,
};

/// Features of a device, and bytes of a feature's name.
const FEATURES_MAX: usize = 64;
const FEATURE_BYTES_MAX: usize = 64;
/// Classes of devices that are remembered.
const CLASSES_MAX: usize = 1024;
/// Classes of one provider's devices.
const CLASSES_PER_PROVIDER_MAX: usize = 8;
/// The class that every network has: it is never forgotten, and there is always room for it.
const CLASS_OF_ALL: &str = "cpu";

impl Market {
    /// A provider joins, or says anew what it offers. Devices that it does not name are withdrawn.
    pub(crate) fn enrol_with(
        &mut self,
        id: Identity,
        marks: OperatorMarks,
        devices: BTreeMap<DeviceId, DeviceOffer>,
    ) -> Result<Reply, Rejection> {
        let limit = self.parameters.devices_per_provider as usize;
        check_count("the number of your devices", devices.len(), limit)?;
        devices.values().try_for_each(check_offer)?;
        let classes: BTreeSet<&DeviceClass> = devices.values().map(|offer| &offer.class).collect();
        check_count("the number of your device classes", classes.len(), CLASSES_PER_PROVIDER_MAX)?;
        self.check_classes(&classes)?;
        // The last step that can refuse, and the first that changes anything.
        self.enrol(id, marks)?;
        let known = self.providers.get(&id).into_iter().flat_map(|provider| provider.devices.keys());
        let gone: Vec<DeviceId> = known.filter(|device| !devices.contains_key(device)).copied().collect();
        for device in gone {
            self.withdraw_device(id, device)?;
        }
        for (device, offer) in devices {
            self.register_device(id, device, offer)?;
        }
        Ok(Reply::Done)
    }

    /// Refuses new classes for which there would be no room even without all that can be forgotten.
    pub(crate) fn check_classes(&self, offered: &BTreeSet<&DeviceClass>) -> Result<(), Rejection> {
        let new =
            |class: &&&DeviceClass| !self.classes.contains_key(**class) && class.as_str() != CLASS_OF_ALL;
        let new = offered.iter().filter(new).count();
        if new == 0 || self.classes.len() + new <= CLASSES_MAX {
            return Ok(());
        }
        let verified = self.verified_classes();
        let kept =
            self.classes.keys().filter(|name| verified.contains(name) || offered.contains(name)).count();
        check_count("the number of device classes", kept + new, CLASSES_MAX)
    }

    /// Forgets a class, where there is no room for another. Who offers a device of it loses nothing but the price that
    /// it had come to: it is a new class again.
    pub(crate) fn make_room_for_class(&mut self) {
        if self.classes.len() < CLASSES_MAX {
            return;
        }
        let stays = |name: &&DeviceClass| !self.is_ending(&Key::Class((*name).clone()));
        let remembered: Vec<DeviceClass> = self.classes.keys().filter(stays).cloned().collect();
        if remembered.len() < CLASSES_MAX {
            return;
        }
        // Of equals one by lot, so that no name protects.
        let lot = self.random("a class to forget");
        let (verified, crowds) = (self.verified_classes(), self.crowds());
        let rank = |name: &&DeviceClass| {
            let mut hasher = RecordHasher::new("anneal class lot 1");
            let lot = hasher.bytes(lot.as_bytes()).bytes(name.as_str().as_bytes()).finish();
            (crowds.get(*name).copied().unwrap_or(usize::MAX), lot)
        };
        let free = remembered.iter().filter(|name| !verified.contains(name) && name.as_str() != CLASS_OF_ALL);
        if let Some(name) = free.max_by_key(rank).cloned() {
            self.end(Key::Class(name.clone()));
            self.emit(EventKind::ClassForgotten { class: name });
        }
    }

    /// Classes of the devices of providers with verified work.
    fn verified_classes(&self) -> BTreeSet<&DeviceClass> {
        let verified = self.providers.values().filter(|provider| provider.reputation.valid > 0);
        verified.flat_map(|provider| provider.devices.values().map(|device| &device.offer.class)).collect()
    }

    /// How many classes whoever offers a class has, of those that offer it the one with the fewest. Nobody offers
    /// those that are not in it.
    fn crowds(&self) -> BTreeMap<DeviceClass, usize> {
        let mut operators: BTreeMap<OperatorId, BTreeSet<&DeviceClass>> = BTreeMap::new();
        for provider in self.providers.values() {
            let classes = provider.devices.values().map(|device| &device.offer.class);
            operators.entry(provider.operator).or_default().extend(classes);
        }
        let mut crowds = BTreeMap::new();
        for classes in operators.values() {
            for class in classes {
                let fewest: &mut usize = crowds.entry((*class).clone()).or_insert(usize::MAX);
                *fewest = classes.len().min(*fewest);
            }
        }
        crowds
    }
}

/// What any device must be.
pub(crate) fn check_offer(offer: &DeviceOffer) -> Result<(), Rejection> {
    if offer.selftest.is_none() {
        return Err(Rejection::NotSelftested);
    }
    check_count("the number of features", offer.features.len(), FEATURES_MAX)?;
    let longest = offer.features.iter().map(String::len).max().unwrap_or(0);
    check_count("the length of a feature's name", longest, FEATURE_BYTES_MAX)
}
