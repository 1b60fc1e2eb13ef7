//! `anneal setup`: asks an owner what `anneal provide` must know, and writes it to the provider's folder:
//! `provider.toml`, and the limits as `policy.toml`, from a preset. Every answer is also a flag.

use std::path::{Path, PathBuf};

use anneal_policy::preset::{PRESETS, Preset};
use anneal_provider::payout;
use anneal_runner::failure::{Failure, Outcome};
use anyhow::Context;
use serde::Serialize;

use super::{
    owner, parse_url, service,
    settings::{self, Settings},
};
use crate::{arguments::Setup, host::Host, terminal::Terminal};

/// The owner's limits, in the provider's folder.
pub const POLICY: &str = "policy.toml";

/// What was set up.
#[derive(Debug, Serialize)]
pub struct SetUp {
    /// What `anneal provide` works by.
    pub provider: PathBuf,
    /// The owner's limits.
    pub policy: PathBuf,
    /// The preset that the limits were taken from.
    pub limits: &'static str,
    /// Where earnings go.
    pub payout: Option<String>,
    /// Whom it works for.
    pub coordinators: Vec<String>,
    /// The service, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<service::ServiceReport>,
}

/// Asks for what the flags leave open, and writes the files.
///
/// # Errors
/// Where an answer is missing and there is nobody to ask, an answer is wrong, or files are there already.
pub fn setup(arguments: &Setup, host: &Host, terminal: &Terminal) -> Outcome<SetUp> {
    let folder = owner::folder(arguments.provide.folder.as_deref(), host);
    let (provider, policy) = (folder.join(settings::FILE), folder.join(POLICY));
    if !arguments.force {
        refuse_to_overwrite(&[&provider, &policy])?;
    }
    let given = Settings::default().with(&arguments.provide)?;
    given.coordinators.iter().try_for_each(|url| parse_url(url).map(drop))?;
    let limits = arguments.limits.as_deref().map(preset).transpose()?;
    let asker = Asker { terminal, is_asking: terminal.can_ask() };
    asker.expect_all(&given, limits.is_some() || asker.is_asking, arguments, host)?;
    let settings = asker.complete(given, arguments, host)?;
    let limits = match limits {
        Some(limits) => limits,
        None => asker.limits()?,
    };

    let made = || -> std::io::Result<()> {
        let dir = anneal_files::private_folder(&folder)?;
        anneal_files::write_whole(&dir, POLICY.as_ref(), limits.text(&host.zone).as_bytes())?;
        anneal_files::write_whole(&dir, settings::FILE.as_ref(), settings.document().as_bytes())
    };
    made().with_context(|| format!("{} cannot be written to", folder.display())).map_err(Failure::host)?;
    terminal.data(format!("wrote {}", provider.display()));
    terminal.data(format!("wrote {} ({})", policy.display(), limits.summary()));
    let service = match arguments.service {
        true => Some(service::install(&folder, host, terminal)?),
        false => {
            let flag = arguments.provide.folder.as_ref();
            let flag = flag.map_or_else(String::new, |folder| format!(" --folder {}", folder.display()));
            terminal.data(format!("next: anneal provide{flag}"));
            None
        }
    };
    let Settings { payout, coordinators, .. } = settings;
    Ok(SetUp { provider, policy, limits: limits.name, payout, coordinators, service })
}

fn refuse_to_overwrite(files: &[&Path]) -> Outcome<()> {
    match files.iter().find(|file| file.exists()) {
        None => Ok(()),
        Some(file) => Err(Failure::bad_input(format!(
            "{} is there already: change it, or say --force to write it anew",
            file.display()
        ))),
    }
}

fn preset(name: &str) -> Outcome<Preset> {
    Preset::named(name).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        Failure::bad_input(format!("there are no limits `{name}`; choose one of {}", names.join(", ")))
    })
}

/// Gets answers of a person, where there is one.
struct Asker<'a> {
    terminal: &'a Terminal,
    is_asking: bool,
}

impl Asker<'_> {
    /// Names every flag at once that must be said where there is nobody to ask.
    fn expect_all(&self, given: &Settings, limits: bool, arguments: &Setup, host: &Host) -> Outcome<()> {
        if self.is_asking {
            return Ok(());
        }
        let missing: Vec<&str> = [
            (given.payout.is_none() && !arguments.no_payout, "--payout ADDRESS (or --no-payout)"),
            (!limits, "--limits PRESET"),
            (given.coordinators.is_empty() && host.coordinator.is_none(), "--coordinator URL"),
        ]
        .into_iter()
        .filter_map(|(is_missing, flag)| is_missing.then_some(flag))
        .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::bad_input(format!("there is nobody to ask: say {}", missing.join(" and "))))
    }

    fn complete(&self, mut settings: Settings, arguments: &Setup, host: &Host) -> Outcome<Settings> {
        if settings.payout.is_none() && !arguments.no_payout {
            settings.payout = self.payout()?;
        }
        if settings.coordinators.is_empty() {
            settings.coordinators = vec![self.coordinator(host.coordinator.as_deref())?];
        }
        Ok(settings)
    }

    fn payout(&self) -> Outcome<Option<String>> {
        self.terminal.note(
            "Where do earnings go? A Monero subaddress, like Feather's Receive tab shows: 95 characters, it begins \
             with 8. Length, alphabet, kind and checksum are checked. Nothing: none yet.",
        );
        self.until_sound("payout address", |answer| {
            if answer.is_empty() {
                return Ok(None);
            }
            payout::check(answer).map(|()| Some(answer.to_owned())).map_err(|error| error.to_string())
        })
    }

    fn coordinator(&self, default: Option<&str>) -> Outcome<String> {
        if !self.is_asking {
            return Ok(default.unwrap_or_default().to_owned());
        }
        let default = default.unwrap_or("http://127.0.0.1:4200");
        self.until_sound(&format!("coordinator [{default}]"), |answer| {
            let answer = if answer.is_empty() { default } else { answer };
            parse_url(answer).map(|_| answer.to_owned()).map_err(|error| error.to_string())
        })
    }

    fn limits(&self) -> Outcome<Preset> {
        self.terminal.note("Which limits of heat, power and time? You can change policy.toml afterwards.");
        for (preset, number) in PRESETS.iter().zip(1..) {
            self.terminal.note(format!("  {number} {:<12} {}", preset.name, preset.summary()));
        }
        self.until_sound("limits, by number or name", |answer| {
            let numbered =
                answer.parse::<usize>().ok().and_then(|number| PRESETS.get(number.checked_sub(1)?));
            numbered
                .copied()
                .or_else(|| Preset::named(answer))
                .ok_or_else(|| "there are no such limits".to_owned())
        })
    }

    /// Asks until the answer is sound.
    fn until_sound<T>(&self, question: &str, read: impl Fn(&str) -> Result<T, String>) -> Outcome<T> {
        loop {
            match read(&self.terminal.ask(question)?) {
                Ok(answer) => return Ok(answer),
                Err(words) => self.terminal.note(words),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_found_by_its_name_and_others_are_named_in_the_refusal() {
        for known in PRESETS {
            assert_eq!(preset(known.name).ok(), Some(known));
        }
        let error = preset("silent").expect_err("there is none").to_string();
        assert!(PRESETS.iter().all(|preset| error.contains(preset.name)), "{error}");
    }
}
