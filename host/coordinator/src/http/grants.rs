//! Whose job a request may read although it is another's: an owner's grant, which travels as a header.

use anneal_api::{ErrorBody, ErrorCode, Grant, grant::GRANT_HEADER};
use anneal_job::{Identity, JobId};
use http::HeaderMap;

use crate::{app::App, writer::clock};

/// Who grants this job to the request; `None` where no grant for it comes along. Whether the job is theirs is seen
/// where it is read.
pub(super) fn owner(app: &App, headers: &HeaderMap, job: JobId) -> Result<Option<Identity>, ErrorBody> {
    let Some(value) = headers.get(GRANT_HEADER) else { return Ok(None) };
    let wrong = |detail: String| ErrorCode::GrantWrong.because(detail);
    let text = value.to_str().map_err(|error| wrong(error.to_string()))?;
    let grant: Grant =
        text.parse().map_err(|error: anneal_api::grant::GrantError| wrong(error.to_string()))?;
    if grant.job() != job {
        return Ok(None);
    }
    grant.check(app.coordinator, clock()).map(Some).map_err(|error| wrong(error.to_string()))
}
