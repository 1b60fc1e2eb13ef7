//! SOCKS 5 as Tor speaks it: no password, the name is resolved by the proxy (RFC 1928). Not a proxy itself.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Connects to a host through a proxy.
pub(super) async fn connect(proxy: &str, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy).await?;
    // Version 5, one method: no authentication.
    stream.write_all(&[5, 1, 0]).await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await?;
    if method != [5, 0] {
        return Err(io::Error::other("the SOCKS proxy wants a password"));
    }
    let length = u8::try_from(host.len()).map_err(|_| io::Error::other("the host's name is too long"))?;
    // Connect, to a name.
    let mut request = vec![5, 1, 0, 3, length];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if head[1] != 0 {
        return Err(io::Error::other(format!("the SOCKS proxy refuses with code {}", head[1])));
    }
    // The bound address is of no use, but must be read.
    let rest = match head[3] {
        1 => 4 + 2,
        4 => 16 + 2,
        3 => usize::from(stream.read_u8().await?) + 2,
        _ => return Err(io::Error::other("the SOCKS proxy's answer is malformed")),
    };
    let mut bound = [0; 257];
    stream.read_exact(&mut bound[..rest]).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_name_goes_through_the_proxy() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            let proxy = async {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut hello = [0; 3];
                stream.read_exact(&mut hello).await.expect("a hello");
                stream.write_all(&[5, 0]).await.expect("an answer");
                let mut request = [0; 5 + 4 + 2];
                stream.read_exact(&mut request).await.expect("a request");
                assert_eq!(&request[5..9], b"host");
                assert_eq!(request[9..], [1, 187]);
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, b'!']).await.expect("an answer");
            };
            let client = async {
                let mut stream = connect(&address, "host", 443).await.expect("a connection");
                assert_eq!(stream.read_u8().await.expect("the first byte"), b'!');
            };
            tokio::join!(proxy, client);
        });
    }
}
