//! The owner's page: a few files in the binary, served on loopback, and the same requests as the control socket.
//!
//! Every program of this machine and every site in its browsers can reach a loopback port. So a request must
//! name this very host, against names that are rebound to loopback, and all but the files wants the token that
//! only the folder's owner can ask for (`anneal status`). The token is in a header of ours, which no other site may
//! send.
//!
//! Another user of the machine can wait on a port while nothing of ours is there, and be taken for the page. So the
//! port is another at each start, unless the owner wants one, and the token is new at each start: what such a
//! program is told opens nothing.

use std::{io, net::SocketAddr};

use anneal_job::{Digest, SHOWN_SCRIPT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use crate::{
    exchange::{self, Reply, refuse, with_type},
    owner::Owner,
};

/// Nothing but our own files, no frames, no forms that lead elsewhere.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                              img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/shown.js", "text/javascript; charset=utf-8", SHOWN_SCRIPT),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("../page/page.js")),
    ("/page.css", "text/css; charset=utf-8", include_str!("../page/page.css")),
];

/// Opens the page: on loopback, at this port, or at one that is chosen anew. It is answered once it is served.
///
/// # Errors
/// Where the port is taken.
pub async fn open(port: Option<u16>, owner: &Owner) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(0)))).await?;
    owner.set_page(listener.local_addr()?);
    Ok(listener)
}

/// Serves the page, for ever.
pub async fn serve(listener: TcpListener, owner: Owner) {
    let Ok(address) = listener.local_addr() else { return };
    let answer = move |request| {
        let owner = owner.clone();
        async move { answer(&owner, address, request).await }
    };
    exchange::serve(listener, answer).await;
}

async fn answer(owner: &Owner, address: SocketAddr, request: Request<Incoming>) -> Reply {
    if !is_for(address, request.headers()) {
        return refuse(StatusCode::MISDIRECTED_REQUEST, "host-wrong", "this is another host than the page's");
    }
    if request.method() == Method::GET
        && let Some((_, media, text)) = FILES.iter().find(|(path, ..)| *path == request.uri().path())
    {
        return file(media, text);
    }
    if !is_allowed(owner.token(), address, request.headers()) {
        return refuse(
            StatusCode::FORBIDDEN,
            "token-wrong",
            "open the page by the link that `anneal status` shows",
        );
    }
    exchange::answer(owner, request).await
}

fn file(media: &'static str, text: &'static str) -> Reply {
    let mut reply = with_type(StatusCode::OK, media, text);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply
}

/// Whether a request names the page's own address, and not a name that somebody made to lead here.
fn is_for(address: SocketAddr, headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return false };
    own_hosts(address).iter().any(|own| own.as_bytes() == host.as_bytes())
}

/// Whether it has the token, and comes of no other site's page.
fn is_allowed(token: &str, address: SocketAddr, headers: &HeaderMap) -> bool {
    let from_here = headers.get_all(header::ORIGIN).iter().all(|origin| {
        own_hosts(address).iter().any(|own| format!("http://{own}").as_bytes() == origin.as_bytes())
    });
    let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
    // Digests are compared, so that time tells nothing of the token.
    from_here && Digest::of(given) == Digest::of(token.as_bytes())
}

fn own_hosts(address: SocketAddr) -> [String; 2] {
    [address.to_string(), format!("localhost:{}", address.port())]
}

#[cfg(test)]
mod tests;
