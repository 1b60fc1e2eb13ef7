//! HTTP: connections, guards, and a handler per request of the table in `anneal_api::endpoints`.

mod about;
mod bans;
mod blobs;
mod forward;
mod grants;
pub(crate) mod guard;
mod jobs;
mod log;
mod nonces;
mod page;
mod provider;
mod rates;
mod route;
mod serve;
mod stall;
mod tls;

use std::sync::Arc;

use anneal_api::endpoints as ends;
use axum::Router;

use crate::app::App;
use route::route;

pub(crate) use serve::{Server, bind};
pub use tls::TlsError;
pub(crate) use tls::acceptor;

/// Everything that is served.
pub(crate) fn router(app: Arc<App>) -> Router {
    let router = Router::new();
    let router = route::<ends::GetAbout, _, _>(router, about::about);
    let router = route::<ends::GetHealth, _, _>(router, about::health);
    let router = route::<ends::GetLive, _, _>(router, about::live);
    let router = route::<ends::GetReady, _, _>(router, about::ready);
    let router = route::<ends::GetMetrics, _, _>(router, about::metrics);
    let router = route::<ends::GetOpenApi, _, _>(router, about::openapi);
    let router = route::<ends::Quotes, _, _>(router, jobs::quote);
    let router = route::<ends::Submit, _, _>(router, jobs::submit);
    let router = route::<ends::ListJobs, _, _>(router, jobs::list);
    let router = route::<ends::GetJob, _, _>(router, jobs::get);
    let router = route::<ends::Cancel, _, _>(router, jobs::cancel);
    let router = route::<ends::Resume, _, _>(router, jobs::resume);
    let router = route::<ends::EnrolProvider, _, _>(router, provider::enrol);
    let router = route::<ends::PauseProvider, _, _>(router, provider::pause);
    let router = route::<ends::PollProvider, _, _>(router, provider::poll);
    let router = route::<ends::SendBatch, _, _>(router, provider::batch);
    let router = route::<ends::ListProviders, _, _>(router, provider::list);
    let router = route::<ends::GetProvider, _, _>(router, provider::get);
    let router = route::<ends::MissingBlobs, _, _>(router, blobs::missing);
    let router = route::<ends::GetUpload, _, _>(router, blobs::upload);
    let router = route::<ends::PutBlob, _, _>(router, blobs::put);
    let router = route::<ends::GetBlob, _, _>(router, blobs::get);
    let router = route::<ends::SetBan, _, _>(router, bans::set);
    let router = route::<ends::GetLog, _, _>(router, log::page);
    page::routes(router)
        .fallback(route::not_found)
        .method_not_allowed_fallback(route::method_not_allowed)
        .with_state(app)
}
