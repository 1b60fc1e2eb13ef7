//! The way to a server: what its URL says, and whether it is encrypted. To another machine it always is, and the
//! server's certificate is checked; libpq would go on without either where the URL does not ask for them. On this
//! machine it is where the URL asks for it: servers there often have a certificate that nobody vouches for.

use std::path::PathBuf;

use anneal_api::{
    Secret,
    transport::{TransportError, client_config, is_loopback},
};
use percent_encoding::percent_decode_str;
use thiserror::Error;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where the server is and how it is talked to.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) config: Config,
    /// Certificates of authorities beside the system's, PEM.
    certificates: Vec<PathBuf>,
}

/// Why a URL names no way.
#[derive(Debug, Error)]
pub(super) enum WayError {
    #[error("it is not understood")]
    NotUnderstood(#[from] tokio_postgres::Error),
    #[error(
        "it names another machine and `sslmode=disable`: passwords and money would travel in the open. \
         Leave `sslmode` out, and say `sslrootcert=FILE` where the server's authority is your own"
    )]
    InTheOpen,
}

impl Way {
    /// What a URL says. Beside the driver's own parameters it may have `sslrootcert`, and the values of `sslmode`
    /// that check the certificate, as libpq's may.
    pub(super) fn read(text: &Secret) -> Result<Way, WayError> {
        let (server, query) = text.expose().split_once('?').unwrap_or((text.expose(), ""));
        let (mut certificates, mut others) = (Vec::new(), Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslrootcert", path)) => {
                    certificates.push(PathBuf::from(&*percent_decode_str(path).decode_utf8_lossy()));
                }
                Some(("sslmode", "verify-ca" | "verify-full")) => others.push("sslmode=require"),
                _ => others.push(parameter),
            }
        }
        let mut config: Config = format!("{server}?{}", others.join("&")).parse()?;
        if is_elsewhere(&config) {
            match config.get_ssl_mode() {
                SslMode::Disable => return Err(WayError::InTheOpen),
                _ => config.ssl_mode(SslMode::Require),
            };
        }
        Ok(Way { config, certificates })
    }

    /// What encrypts; `None` where nobody asks for it.
    pub(super) fn tls(&self) -> Result<Option<MakeRustlsConnect>, TransportError> {
        if self.config.get_ssl_mode() != SslMode::Require && self.certificates.is_empty() {
            return Ok(None);
        }
        let certificates: Vec<&std::path::Path> = self.certificates.iter().map(PathBuf::as_path).collect();
        client_config(&certificates).map(MakeRustlsConnect::new).map(Some)
    }
}

fn is_elsewhere(config: &Config) -> bool {
    let named = |host: &Host| matches!(host, Host::Tcp(name) if !is_loopback(name));
    config.get_hosts().iter().any(named)
        || config.get_hostaddrs().iter().any(|address| !address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Way, WayError> {
        Way::read(&Secret::new(url))
    }

    #[test]
    fn another_machine_is_talked_to_with_tls_or_not_at_all() {
        for (url, mode) in [
            ("postgres://a@db.example.org/x", SslMode::Require),
            ("postgres://a@10.0.0.7/x?sslmode=prefer", SslMode::Require),
            ("postgres://a@db.example.org/x?sslmode=verify-full", SslMode::Require),
            ("postgres://a@localhost/x?hostaddr=10.0.0.7", SslMode::Require),
            ("postgres://a@127.0.0.1:5433/x", SslMode::Prefer),
            ("postgres://a@localhost/x?sslmode=disable", SslMode::Disable),
            ("postgres://a@%2Frun%2Fpostgresql/x", SslMode::Prefer),
        ] {
            assert_eq!(read(url).expect(url).config.get_ssl_mode(), mode, "{url}");
        }
        let open = read("postgres://a@127.0.0.1,db.example.org/x?sslmode=disable");
        assert!(matches!(open, Err(WayError::InTheOpen)), "{open:?}");
        assert!(read("postgres://a@db.example.org/x?unknown=1").is_err());
    }

    #[test]
    fn what_is_ours_does_not_reach_the_driver_and_the_rest_does() {
        let url = "postgres://a:p%40ss@db/x?sslrootcert=%2Fetc%2Fdb%20ca.pem&application_name=a%20b&connect_timeout=3";
        let way = read(url).expect("it is understood");
        assert_eq!(way.certificates, [PathBuf::from("/etc/db ca.pem")]);
        assert_eq!(way.config.get_application_name(), Some("a b"));
        assert_eq!(way.config.get_password(), Some(&b"p@ss"[..]));
    }
}
