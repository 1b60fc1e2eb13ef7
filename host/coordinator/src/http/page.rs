//! The web page: a few files in the binary, and nothing from anywhere else.

use std::sync::Arc;

use anneal_job::SHOWN_SCRIPT;
use axum::{Router, response::Response, routing::get};
use http::{HeaderValue, StatusCode, header};

use super::route::with_type;
use crate::app::App;

/// Nothing but our own files, no frames, no forms that lead elsewhere.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                              img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = include_str!("../../page/index.html");
const SCRIPT: &str = include_str!("../../page/page.js");
const CHARTS: &str = include_str!("../../page/charts.js");
const STYLE: &str = include_str!("../../page/page.css");

/// The page's files.
pub(super) fn routes(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router
        .route("/", get(async || file("text/html; charset=utf-8", HTML)))
        .route("/shown.js", get(async || file("text/javascript; charset=utf-8", SHOWN_SCRIPT)))
        .route("/page.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/charts.js", get(async || file("text/javascript; charset=utf-8", CHARTS)))
        .route("/page.css", get(async || file("text/css; charset=utf-8", STYLE)))
}

fn file(media: &'static str, content: &'static str) -> Response {
    let mut response = with_type(StatusCode::OK, media, content);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
