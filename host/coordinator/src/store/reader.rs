//! A store for reading, shared by the handlers: used off the async threads, one reader at a time.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Store, StoreError, StoreUrl};

/// A connection of its own beside the writer's.
#[derive(Clone)]
pub struct Reader {
    url: Arc<StoreUrl>,
    store: Arc<Mutex<Option<Box<dyn Store>>>>,
}

impl Reader {
    /// Reads from here; connects when it is first used, and again after a failure.
    pub fn new(url: Arc<StoreUrl>) -> Reader {
        Reader { url, store: Arc::new(Mutex::new(None)) }
    }

    /// Runs something with the store.
    ///
    /// # Errors
    /// As the store fails.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.clone();
        let done = tokio::task::spawn_blocking(move || reader.read_blocking(read)).await;
        done.map_err(|source| StoreError::Failed { doing: "reading", source: source.into() })?
    }

    fn read_blocking<T>(
        &self,
        read: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = match slot.take() {
            Some(store) => store,
            None => self.url.open()?,
        };
        let result = read(store.as_mut());
        if !matches!(result, Err(StoreError::Failed { .. })) {
            *slot = Some(store);
        }
        result
    }
}
