//! Who may see and steer: every combination of host, origin and token that a stranger could send.

use std::os::unix::fs::PermissionsExt;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::status::Wish;

/// Nothing here takes so long: a test that hangs shall say where.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

async fn ask(address: SocketAddr, lines: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let length = body.len();
    let request = format!("{lines}connection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply");
    reply
}

#[tokio::test]
async fn only_the_owners_own_page_steers() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("ours");
    let owner = Owner::open(folder.path(), "0").expect("a folder");
    let listener = open(Some(0), &owner).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    assert_eq!(owner.page(), Some(format!("http://{address}/#token={}", owner.token())));
    tokio::spawn(serve(listener, owner.clone()));
    let (token, port) = (owner.token().to_owned(), address.port());

    for (path, ..) in FILES {
        let reply = ask(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n"), "").await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{path}: {reply}");
        assert!(reply.contains("content-security-policy: default-src 'none'"), "{path}");
        let body = reply.split_once("\r\n\r\n").expect("a body").1;
        for word in ["http://", "https://", "innerHTML", "eval(", token.as_str()] {
            assert!(!body.contains(word), "{path} has {word}");
        }
    }

    let mut steered = 0;
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "evil.example".to_owned()];
    let origins = [
        None,
        Some(format!("http://127.0.0.1:{port}")),
        Some("http://evil.example".to_owned()),
        Some("null".to_owned()),
    ];
    let tokens = [None, Some(token.clone()), Some(String::new()), Some(format!("{token}0"))];
    for (host, is_own) in hosts.iter().zip([true, true, false]) {
        for (origin, is_here) in origins.iter().zip([true, true, false, false]) {
            for (given, is_right) in tokens.iter().zip([false, true, false, false]) {
                owner.wish(Wish::Run).expect("written");
                let mut lines = format!("POST /v1/wish HTTP/1.1\r\nhost: {host}\r\n");
                lines += &origin.as_ref().map(|text| format!("origin: {text}\r\n")).unwrap_or_default();
                lines += &given
                    .as_ref()
                    .map(|text| format!("authorization: Bearer {text}\r\n"))
                    .unwrap_or_default();
                let reply = ask(address, &lines, "{\"wish\":\"pause\"}").await;
                let may = is_own && is_here && is_right;
                assert_eq!(reply.starts_with("HTTP/1.1 200"), may, "{lines}: {reply}");
                assert_eq!(owner.status().wish == Wish::Pause, may, "{lines}: {reply}");
                let code = if is_own { "token-wrong" } else { "host-wrong" };
                assert!(may || reply.contains(code), "{reply}");
                steered += usize::from(may);
            }
        }
    }
    assert_eq!(steered, 4);

    let twice = format!("GET /v1/status HTTP/1.1\r\nhost: {address}\r\nhost: evil.example\r\n");
    assert!(!ask(address, &twice, "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_port_is_chosen_anew_and_a_wanted_one_is_held() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("ours");
    let owner = Owner::open(folder.path(), "0").expect("a folder");
    let first = open(None, &owner).await.expect("a port");
    let port = first.local_addr().expect("bound").port();
    assert!(open(Some(port), &owner).await.is_err(), "it is held");
    let second = open(None, &owner).await.expect("another port");
    assert_ne!(second.local_addr().expect("bound").port(), port);
    drop(first);
    let wanted = open(Some(port), &owner).await.expect("it is free");
    assert_eq!(wanted.local_addr().expect("bound").port(), port);
}

/// More connections than there are places, none of which asks anything: whoever comes then is answered, with nobody
/// having run into a time-out of the page's (in tests it has none), and those that waited longest are let go of.
#[tokio::test]
async fn idle_connections_delay_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("ours");
    let owner = Owner::open(folder.path(), "0").expect("a folder");
    let listener = open(None, &owner).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(serve(listener, owner.clone()));
    let mut idle = Vec::new();
    for half in
        [&b""[..], b"GET / HTTP/1.1\r\nhost: "].into_iter().cycle().take(4 * exchange::CONNECTIONS_MAX)
    {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(half).await.expect("sent");
        idle.push(stream);
        if idle.len() % 16 == 0 {
            let token = owner.token();
            let asked =
                format!("GET /v1/status HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n");
            let answered = tokio::time::timeout(PATIENCE, ask(address, &asked, "")).await;
            assert!(answered.expect("nobody is waited for").starts_with("HTTP/1.1 200"));
        }
    }
    let mut ended = Vec::new();
    // The oldest have no place any more.
    let closed = tokio::time::timeout(PATIENCE, idle[0].read_to_end(&mut ended)).await;
    assert_eq!(closed.expect("it is let go of").expect("closed"), 0);
}
