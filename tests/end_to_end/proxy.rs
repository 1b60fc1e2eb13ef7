//! A SOCKS 5 proxy between the command and a coordinator that is elsewhere.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use anneal_tests::{command, finish};

#[test]
fn a_coordinator_elsewhere_is_asked_for_through_the_proxy_by_its_name() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    // As the protocol has it: no password, then a name and a port; this proxy reaches nothing.
    let proxy = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).expect("a hello");
        stream.write_all(&[5, 0]).expect("an answer");
        let mut request = [0; 5];
        stream.read_exact(&mut request).expect("a request");
        let mut name = vec![0; usize::from(request[4]) + 2];
        stream.read_exact(&mut name).expect("a name");
        stream.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).expect("host unreachable");
        (request[..4].to_vec(), name)
    });
    let audit = |proxy: &str, url: &str| {
        let mut command = command();
        command.args(["audit", url]).env("ANNEAL_PROXY", proxy);
        finish(command)
    };
    // The name is nobody's: only the proxy is ever asked for it.
    let coordinator = thread::spawn(move || {
        let url = "https://coordinator.invalid:4433";
        audit(&format!("socks5h://{address}"), url).failure(1).stderr()
    });
    let (request, name) = proxy.join().expect("it was asked");
    assert_eq!((request, &name[..]), (vec![5, 1, 0, 3], &b"coordinator.invalid\x11\x51"[..]));
    let said = coordinator.join().expect("it ends");
    assert!(said.contains(&format!("through the proxy {address}")), "{said}");
    // What is on this machine is reached without it.
    let said = audit(&address.to_string(), "http://127.0.0.1:1").failure(1).stderr();
    assert!(said.contains("127.0.0.1:1 cannot be reached") && !said.contains("proxy"), "{said}");
    let said = audit("http://proxy:3128", "http://127.0.0.1:1").failure(1).stderr();
    assert!(said.contains("socks5h://HOST:PORT"), "{said}");
}
