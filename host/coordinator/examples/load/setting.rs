//! What is measured, how much and how long: `name=value` on the command line.

use std::{path::PathBuf, time::Duration};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Providers that work.
    pub providers: u64,
    /// Devices of each: with more of them a request is about more attempts.
    pub devices: u32,
    /// How long a measurement takes, after it has begun to run evenly.
    pub seconds: u64,
    /// Leases per second where the rate is fixed.
    pub rate: u64,
    /// Providers that only wait.
    pub idle: u64,
    /// The longest history, in tasks.
    pub tasks: u64,
    /// MiB of the blob that is downloaded.
    pub blob_mib: u64,
    /// What jobs are drawn from.
    pub seed: u64,
    /// The program that serves, where it is another build of this one: to compare two in one run.
    pub service: PathBuf,
    /// Where coordinators keep their data.
    pub folder: PathBuf,
}

impl Setting {
    /// The defaults, changed by arguments.
    pub fn read(arguments: &[String]) -> Setting {
        let mut setting = Setting {
            providers: 64,
            devices: 16,
            seconds: 20,
            rate: 500,
            idle: 8_000,
            tasks: 1_000_000,
            blob_mib: 1_024,
            seed: 1,
            service: std::env::current_exe().expect("its own path"),
            folder: std::env::temp_dir(),
        };
        for argument in arguments {
            let (name, value) = argument.split_once('=').expect("name=value");
            let number = || value.parse::<u64>().expect("a number");
            match name {
                "providers" => setting.providers = number(),
                "devices" => setting.devices = number() as u32,
                "seconds" => setting.seconds = number(),
                "rate" => setting.rate = number(),
                "idle" => setting.idle = number(),
                "tasks" => setting.tasks = number(),
                "blob_mib" => setting.blob_mib = number(),
                "seed" => setting.seed = number(),
                "service" => setting.service = value.into(),
                "folder" => setting.folder = value.into(),
                other => panic!("there is no setting {other}"),
            }
        }
        setting
    }

    /// How long a measurement takes.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// A folder that is gone afterwards.
    pub fn folder(&self) -> tempfile::TempDir {
        tempfile::Builder::new().prefix("anneal-load-").tempdir_in(&self.folder).expect("a folder")
    }
}
