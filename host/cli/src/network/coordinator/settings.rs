//! What a coordinator is set up with: `coordinator.toml` in its folder, and flags, which go before it.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anneal_coordinator::{Grants, Limits, Network, blobs::BlobPlace, store::StoreUrl};
use anneal_files::ReadError;
use anneal_job::Identity;
use anneal_market::Parameters;
use anneal_runner::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::{arguments, host::Host};

/// The file of settings.
pub const SETTINGS_NAME: &str = "coordinator.toml";
/// Bytes of a file of settings or rules.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Where it listens where nothing is said.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4200);

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How other processes of this coordinator reach this one.
    pub advertise: Option<String>,
    /// The state.
    pub store: Option<String>,
    /// The blobs.
    pub blobs: Option<String>,
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Proxies that are believed where requests come from.
    pub trusted_proxies: Vec<Network>,
    /// Providers that its operator vouches for.
    pub anchors: BTreeSet<Identity>,
    /// Developers that its operator vouches for.
    pub developers: BTreeSet<Identity>,
    /// Whether a database of this machine is looked through before it is led on.
    pub check_at_start: bool,
    /// What strangers may send, and what they get. No replay workers are as many as half of the cores.
    pub limits: Limits,
    /// What newcomers get.
    pub grants: Grants,
    /// The market's rules, for a store that is new.
    pub rules: Parameters,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: LISTEN_DEFAULT,
            advertise: None,
            store: None,
            blobs: None,
            certificate: None,
            key: None,
            trusted_proxies: Vec::new(),
            anchors: BTreeSet::new(),
            developers: BTreeSet::new(),
            check_at_start: true,
            limits: Limits { replay_workers: 0, ..Limits::default() },
            grants: Grants::default(),
            rules: Parameters::default(),
        }
    }
}

/// A coordinator's folder, and its settings with where its data is said to be.
///
/// # Errors
/// Where the file is named and cannot be read, or is none.
pub fn of(data: &arguments::Data, host: &Host) -> Outcome<(PathBuf, Settings)> {
    let folder = data.folder.clone().unwrap_or_else(|| host.data.join("coordinator"));
    let path = data.settings.clone().unwrap_or_else(|| folder.join(SETTINGS_NAME));
    let mut settings = match anneal_files::read_text(&path, FILE_BYTES_MAX) {
        Ok(text) => parse(&text).with_context(|| format!("{} holds no settings", path.display()))?,
        Err(ReadError::Io(error))
            if error.kind() == std::io::ErrorKind::NotFound && data.settings.is_none() =>
        {
            Settings::default()
        }
        Err(error) => return Err(anyhow!(error).context(format!("cannot read {}", path.display())).into()),
    };
    settings.store = data.store.clone().or(settings.store);
    settings.blobs = data.blobs.clone().or(settings.blobs);
    Ok((folder, settings))
}

fn parse(text: &str) -> anyhow::Result<Settings> {
    // What a table of limits leaves out is the default of the service; only the workers depend on the machine.
    let mut settings: Settings = toml::from_str(text)?;
    let table: toml::Table = toml::from_str(text)?;
    let says_workers = table.get("limits").and_then(|limits| limits.get("replay_workers")).is_some();
    if !says_workers {
        settings.limits.replay_workers = 0;
    }
    Ok(settings)
}

impl Settings {
    /// With what the command line says, which goes before the file.
    ///
    /// # Errors
    /// Where its file of rules cannot be read, or a certificate has no key.
    pub fn with(mut self, arguments: &arguments::Serve) -> Outcome<Settings> {
        self.listen = arguments.listen.unwrap_or(self.listen);
        self.advertise = arguments.advertise.clone().or(self.advertise);
        self.certificate = arguments.certificate.clone().or(self.certificate);
        self.key = arguments.key.clone().or(self.key);
        self.trusted_proxies.extend(&arguments.trusted_proxies);
        self.anchors.extend(&arguments.anchors);
        self.developers.extend(&arguments.developers);
        if let Some(workers) = arguments.replay_workers {
            self.limits.replay_workers = workers;
        }
        if let Some(path) = &arguments.rules {
            self.rules = rules(path)?;
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(Failure::bad_input("a certificate and its key go together: name both or neither"));
        }
        Ok(self)
    }

    /// Where the state is; a file in the folder where nothing is said.
    ///
    /// # Errors
    /// Where what is said names no store.
    pub fn store_in(&self, folder: &Path) -> Outcome<StoreUrl> {
        let Some(text) = &self.store else { return Ok(StoreUrl::Sqlite(folder.join("state.sqlite"))) };
        Ok(text.parse().map_err(|error| anyhow!("the store `{text}`: {error}"))?)
    }

    /// Where the blobs are; a folder in the folder where nothing is said.
    ///
    /// # Errors
    /// Where what is said names no place.
    pub fn blobs_in(&self, folder: &Path, host: &Host) -> Outcome<BlobPlace> {
        let Some(text) = &self.blobs else { return Ok(BlobPlace::Folder(folder.join("stored"))) };
        let place: BlobPlace = text.parse().map_err(|error| anyhow!("the blobs `{text}`: {error}"))?;
        Ok(place.with_settings(host.storage.clone()))
    }
}

/// The market's rules from a file: what it does not say is the default.
fn rules(path: &Path) -> Outcome<Parameters> {
    let text = anneal_files::read_text(path, FILE_BYTES_MAX)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(toml::from_str(&text).with_context(|| format!("{} is not a file of rules", path.display()))?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_part_can_be_set_and_what_is_left_out_is_the_default() {
        let text = r#"
            listen = "127.0.0.1:1"
            advertise = "https://one.example:4200"
            store = "sqlite:/state"
            blobs = "/blobs"
            check_at_start = false
            anchors = ["abababababababababababababababababababababababababababababababab"]
            [limits]
            identity_bytes_max = 5
            upload_idle = "15 min"
            replay_workers = 3
            replay_slice = "90 s"
            disk_reserve_bytes = 7
            [grants]
            developer = 1
            [rules]
            jobs_per_developer = 9
        "#;
        let settings = parse(text).expect("settings");
        assert_eq!(settings.listen.port(), 1);
        assert_eq!(settings.advertise.as_deref(), Some("https://one.example:4200"));
        assert!(!settings.check_at_start);
        let limits = Limits {
            identity_bytes_max: 5,
            upload_idle: Duration::from_secs(900),
            replay_workers: 3,
            replay_slice: Duration::from_secs(90),
            disk_reserve_bytes: 7,
            ..Limits::default()
        };
        assert_eq!(settings.limits, limits);
        assert_eq!(settings.grants.developer.0, 1);
        assert_eq!(settings.anchors, [Identity::from_bytes([0xab; 32])].into());
        assert_eq!(settings.rules, Parameters { jobs_per_developer: 9, ..Parameters::default() });
        assert_eq!(settings.store_in(Path::new("/f")).expect("a store").to_string(), "sqlite:/state");

        let little = parse("[limits]\nrequests_burst = 1").expect("settings");
        let limits = Limits { requests_burst: 1, replay_workers: 0, ..Limits::default() };
        assert_eq!((little.limits, little.listen), (limits, LISTEN_DEFAULT));
        assert!(little.check_at_start);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (text, words) in [
            ("lissten = \"127.0.0.1:1\"", "lissten"),
            ("[limits]\nuploads = 1", "uploads"),
            ("[limits]\nupload_idle = 5", "upload_idle"),
            ("[limits]\nupload_idle = \"5 weeks\"", "5 weeks"),
            ("[grants]\ndeveloper = -1", "developer"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }
}
