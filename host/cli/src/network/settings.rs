//! `provider.toml`: what `anneal setup` has asked and `anneal provide` works by. A flag of `provide` wins over it.
//! The owner's limits are in `policy.toml` beside it.

use std::path::Path;

use anneal_files::ReadError;
use anneal_job::{manifest::section::Source, shown, shown_name};
use anneal_provider::payout;
use anneal_runner::failure::{Failure, Outcome};
use anneal_sandbox::confine::Layer;
use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::arguments::{Offered, Provide};

/// The file in the provider's folder.
pub const FILE: &str = "provider.toml";
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What a provider works by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where earnings go.
    pub payout: Option<String>,
    /// Whom it works for.
    pub coordinators: Vec<String>,
    /// What is offered; all hardware where nothing is said.
    pub devices: Vec<Offered>,
    /// Threads of the CPU.
    pub threads: Option<usize>,
    /// For people.
    pub name: String,
    /// Credits for 10^9 gas.
    pub price_floor: u64,
    /// Whether GPUs that are programs are offered, too.
    pub software: bool,
    /// The page's port; 0 for no page.
    pub page_port: Option<u16>,
    /// Layers of the confinement without which nothing is run, beside the minimum for strangers' work.
    pub require: Vec<Layer>,
}

impl Settings {
    /// Those of a folder; the defaults where nothing was set up.
    ///
    /// # Errors
    /// Where the file cannot be read or says what it may not.
    pub fn read(folder: &Path) -> Outcome<Settings> {
        let path = folder.join(FILE);
        let text = match anneal_files::read_text(&path, FILE_BYTES_MAX) {
            Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Settings::default());
            }
            read => read.with_context(|| format!("{} cannot be read", path.display()))?,
        };
        Ok(Settings::parse(&text).with_context(|| {
            format!("{} says what it may not; correct it, or run `anneal setup --force`", path.display())
        })?)
    }

    fn parse(text: &str) -> anyhow::Result<Settings> {
        let settings: Settings = toml::from_str(text).map_err(|error| {
            // One line, as for the other files: the parser's own would draw the place with lines of the file.
            let line = Source::new(text).line(error.span().map_or(0, |span| span.start));
            let written = text.lines().nth(line - 1).and_then(|line| line.split_once('='));
            let key = written.map_or_else(String::new, |(key, _)| format!(", `{}`", shown_name(key.trim())));
            anyhow!("line {line}{key}: {}", shown(error.message()))
        })?;
        if let Some(address) = &settings.payout {
            payout::check(address).context("payout")?;
        }
        Ok(settings)
    }

    /// With what the command line says instead.
    ///
    /// # Errors
    /// Where the command line names an address that is none.
    pub fn with(mut self, arguments: &Provide) -> Outcome<Settings> {
        let Provide { coordinators, devices, threads, name, payout, price_floor, .. } = arguments.clone();
        if !coordinators.is_empty() {
            self.coordinators = coordinators;
        }
        if !devices.is_empty() {
            self.devices = devices;
        }
        if let Some(address) = payout {
            payout::check(&address).map_err(|error| Failure::from(anyhow!(error).context("--payout")))?;
            self.payout = Some(address);
        }
        self.require.extend(&arguments.require);
        self.threads = threads.or(self.threads);
        self.name = name.unwrap_or(self.name);
        self.price_floor = price_floor.unwrap_or(self.price_floor);
        self.software |= arguments.software;
        self.page_port = if arguments.no_page { Some(0) } else { arguments.page_port.or(self.page_port) };
        Ok(self)
    }

    /// The file that says this, with a line on every key.
    pub fn document(&self) -> String {
        let text = |value: &str| toml::Value::from(value).to_string();
        let list = |values: &[String]| toml::Value::from(values.to_vec()).to_string();
        let devices: Vec<String> = self.devices.iter().map(|device| device.name().to_owned()).collect();
        let mut document = String::from(
            "# What `anneal provide` works by; written by `anneal setup`. Change it and start `provide` again.\n\
             # A flag of `anneal provide` wins over what is here. Your limits of heat, power and time are in\n\
             # policy.toml beside this file.\n",
        );
        let mut key = |about: &str, name: &str, value: Option<String>, example: &str| {
            document += &format!("\n# {about}\n");
            document += &match value {
                Some(value) => format!("{name} = {value}\n"),
                None => format!("# {name} = {example}\n"),
            };
        };
        key(
            "Where earnings go, once there is money: a Monero subaddress, as Feather's Receive tab shows.",
            "payout",
            self.payout.as_deref().map(text),
            "\"8...\"",
        );
        key(
            "The coordinators that are worked for. Without any, ANNEAL_COORDINATOR names one.",
            "coordinators",
            (!self.coordinators.is_empty()).then(|| list(&self.coordinators)),
            "[\"http://127.0.0.1:4200\"]",
        );
        key(
            "What is offered: \"gpu\", \"cpu\" or both. Without it, all hardware.",
            "devices",
            (!devices.is_empty()).then(|| list(&devices)),
            "[\"gpu\"]",
        );
        key(
            "Threads of the CPU that work. Without it, all.",
            "threads",
            self.threads.map(|threads| threads.to_string()),
            "4",
        );
        key(
            "How this provider is called on the coordinator's page.",
            "name",
            (!self.name.is_empty()).then(|| text(&self.name)),
            "\"attic\"",
        );
        key(
            "Work for no less than this many credits for 10^9 gas.",
            "price-floor",
            Some(self.price_floor.to_string()),
            "0",
        );
        key(
            "Offer GPUs that are programs, like Mesa's, too: they get tests only.",
            "software",
            Some(self.software.to_string()),
            "false",
        );
        key(
            "The port of your page on 127.0.0.1. Without it another at each start, so that nobody on this machine\n\
             # can wait on it; 0 for no page.",
            "page-port",
            self.page_port.map(|port| port.to_string()),
            "4280",
        );
        let require: Vec<String> = self.require.iter().map(|layer| layer.name().to_owned()).collect();
        key(
            "Layers of the confinement, as `anneal doctor` names them, without which nothing is run at all. Strangers'\n\
             # work always needs the minimum that `anneal doctor` shows.",
            "require",
            (!require.is_empty()).then(|| list(&require)),
            "[\"scope\", \"group\"]",
        );
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str =
        "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H";

    fn all() -> Settings {
        Settings {
            payout: Some(ADDRESS.to_owned()),
            coordinators: vec!["http://127.0.0.1:1".to_owned(), "http://localhost:2".to_owned()],
            devices: vec![Offered::Cpu, Offered::Gpu],
            threads: Some(3),
            name: "a \"quoted\" name\nwith two lines".to_owned(),
            price_floor: 7,
            software: true,
            page_port: Some(0),
            require: vec![Layer::Scope, Layer::Group],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for settings in [Settings::default(), all()] {
            let text = settings.document();
            assert_eq!(Settings::parse(&text).expect("our own file"), settings, "{text}");
        }
    }

    #[test]
    fn every_key_that_is_left_out_is_explained_with_a_value_that_is_read() {
        let text = Settings::default().document();
        let open: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ").filter(|rest| rest.contains(" = ")) {
                Some(key) if !key.contains("8...") => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let settings = Settings::parse(&open).expect("examples are read");
        assert!(settings.threads.is_some() && settings.page_port.is_some(), "{open}");
        assert_eq!(settings.require, [Layer::Scope, Layer::Group], "{open}");
        assert!(!settings.devices.is_empty() && !settings.coordinators.is_empty(), "{open}");
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        for (text, word) in [
            ("payout = \"8abc\"", "95 characters"),
            ("coordinator = \"http://127.0.0.1:1\"", "coordinator"),
            ("devices = [\"tpu\"]", "tpu"),
            ("page-port = 70000", "page-port"),
            ("require = [\"moat\"]", "moat"),
        ] {
            let error = Settings::parse(text).expect_err(text);
            assert!(format!("{error:#}").contains(word), "{text}: {error:#}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        use clap::Parser;
        let line = |line: &str| {
            let parsed = crate::arguments::Arguments::try_parse_from(line.split(' ')).expect("a command");
            let crate::arguments::Command::Provide(arguments) = parsed.command else { panic!("{line}") };
            all().with(&arguments).expect("sound")
        };
        assert_eq!(line("anneal provide"), all());
        let changed = line(
            "anneal provide --coordinator http://127.0.0.1:9 --device gpu --threads 1 --name b --price-floor 0",
        );
        let expected = Settings {
            coordinators: vec!["http://127.0.0.1:9".to_owned()],
            devices: vec![Offered::Gpu],
            threads: Some(1),
            name: "b".to_owned(),
            price_floor: 0,
            ..all()
        };
        assert_eq!(changed, expected);
        assert_eq!(line("anneal provide --page-port 5000").page_port, Some(5000));
        assert_eq!(line("anneal provide --no-page").page_port, Some(0));
    }
}
