//! What only the network's operator may ask: who has the coordinator's own key.

use std::sync::Arc;

use anneal_api::{ErrorBody, ErrorCode, Nothing, endpoints::SetBan, wire::Ban};
use anneal_market::Command;

use super::{
    jobs::to_json,
    route::{Ask, Outcome, raw_json},
};
use crate::{app::App, bans};

/// Characters of a reason.
const REASON_CHARS_MAX: usize = 200;

pub(super) async fn set(app: Arc<App>, ask: Ask<SetBan>) -> Outcome {
    if ask.caller.who()? != app.coordinator {
        return Err(ErrorCode::Forbidden.because("only the coordinator's own key may ban"));
    }
    let key = ask.caller.key();
    let Ban { identity, banned, reason } = ask.body;
    check(&reason)?;
    if identity == app.coordinator {
        return Err(
            ErrorCode::Invalid.because("the coordinator's own key cannot be banned: nobody could undo it")
        );
    }
    let kept = banned.then(|| reason.clone());
    let set = app.turn(key, move |turn| {
        turn.put_row(bans::key(identity), bans::value(banned.then_some(reason.as_str())));
        turn.apply(match banned {
            true => Command::Ban { identity, reason },
            false => Command::Unban { identity, reason },
        })?;
        to_json(&Nothing {})
    });
    let reply = set.await?;
    app.bans.set(identity, kept);
    tracing::warn!(%identity, banned, "set by the operator");
    Ok(raw_json(reply))
}

fn check(reason: &str) -> Result<(), ErrorBody> {
    let count = reason.chars().count();
    if (1..=REASON_CHARS_MAX).contains(&count) && !reason.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ErrorCode::Invalid.because("a reason has 1 to 200 characters and no control characters"))
}
