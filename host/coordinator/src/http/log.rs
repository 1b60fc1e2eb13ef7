//! Pages of the log.

use std::sync::Arc;

use anneal_api::{
    LogPage,
    endpoints::{GetLog, LOG_PAGE_ENTRIES_MAX},
};

use super::route::{Ask, Outcome, json};
use crate::app::App;

pub(super) async fn page(app: Arc<App>, ask: Ask<GetLog>) -> Outcome {
    let after = ask.query.after;
    let limit = ask.query.limit.unwrap_or(LOG_PAGE_ENTRIES_MAX).clamp(1, LOG_PAGE_ENTRIES_MAX);
    let page = app.read(move |store| {
        let entries = store.log_entries(after, limit)?;
        let last = entries.last().map_or(after, |entry| entry.sequence);
        Ok(LogPage { heads: store.log_heads(after.saturating_add(1), last)?, entries })
    });
    json(&page.await?)
}
