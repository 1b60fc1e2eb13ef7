//! Entities as rows, and a market from its rows.

use thiserror::Error;

use crate::{
    Key, Market, Parameters,
    row::{RowError, decode as read, encode as write},
};

/// Why rows are no market.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A row's bytes are none of ours.
    #[error("the row {key} cannot be read; restore the store from a backup")]
    Row {
        /// Which.
        key: Key,
        /// Why.
        #[source]
        source: RowError,
    },
    /// A row that must be there is not.
    #[error("the row {key} is missing; restore the store from a backup")]
    Missing {
        /// Which.
        key: Key,
    },
}

impl Market {
    /// The row of an entity in memory; `None` once it has ended.
    pub fn row(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Rules => Some(write(&self.parameters)),
            Key::Totals => Some(write(&self.totals)),
            Key::Operator(id) => self.operators.get(id).map(write),
            Key::Provider(id) => self.providers.get(id).map(write),
            Key::Developer(id) => self.developers.get(id).map(write),
            Key::Spec(id) => self.specs.get(id).map(write),
            Key::Job(id) => self.jobs.get(id).map(write),
            Key::Task(id) => self.tasks.get(id).map(write),
            Key::Attempt(_, id) => self.attempts.get(id).map(write),
            Key::Class(name) => self.classes.get(name).map(write),
            Key::Cached(developer, task) => self.cached.get(&(*developer, *task)).map(write),
        }
    }

    /// The keys of all entities in memory.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::Rules, Key::Totals];
        keys.extend(self.operators.keys().copied().map(Key::Operator));
        keys.extend(self.providers.keys().copied().map(Key::Provider));
        keys.extend(self.developers.keys().copied().map(Key::Developer));
        keys.extend(self.specs.keys().copied().map(Key::Spec));
        keys.extend(self.jobs.keys().copied().map(Key::Job));
        keys.extend(self.tasks.keys().copied().map(Key::Task));
        keys.extend(self.attempts.values().map(|attempt| Key::Attempt(attempt.task, attempt.id)));
        keys.extend(self.classes.keys().cloned().map(Key::Class));
        keys.extend(self.cached.keys().map(|(developer, task)| Key::Cached(*developer, *task)));
        keys
    }

    /// A market from the rows of all that has not ended, in any order.
    ///
    /// # Errors
    /// Where a row cannot be read, or rules or totals are missing.
    pub fn load(rows: impl IntoIterator<Item = (Key, Vec<u8>)>) -> Result<Market, LoadError> {
        let mut market = Market::new(Parameters::default());
        let (mut rules, mut totals) = (false, false);
        for (key, row) in rows {
            rules |= key == Key::Rules;
            totals |= key == Key::Totals;
            market.insert(&key, &row).map_err(|source| LoadError::Row { key, source })?;
        }
        for (there, key) in [(rules, Key::Rules), (totals, Key::Totals)] {
            if !there {
                return Err(LoadError::Missing { key });
            }
        }
        for key in market.keys() {
            market.reindex(&key);
        }
        market.presence.since = market.totals.now;
        Ok(market)
    }

    fn insert(&mut self, key: &Key, row: &[u8]) -> Result<(), RowError> {
        match key {
            Key::Rules => self.parameters = read(row)?,
            Key::Totals => self.totals = read(row)?,
            Key::Operator(id) => drop(self.operators.insert(*id, read(row)?)),
            Key::Provider(id) => drop(self.providers.insert(*id, read(row)?)),
            Key::Developer(id) => drop(self.developers.insert(*id, read(row)?)),
            Key::Spec(id) => drop(self.specs.insert(*id, read(row)?)),
            Key::Job(id) => drop(self.jobs.insert(*id, read(row)?)),
            Key::Task(id) => drop(self.tasks.insert(*id, read(row)?)),
            Key::Attempt(_, id) => drop(self.attempts.insert(*id, read(row)?)),
            Key::Class(name) => drop(self.classes.insert(name.clone(), read(row)?)),
            Key::Cached(developer, task) => drop(self.cached.insert((*developer, *task), read(row)?)),
        }
        Ok(())
    }
}
