//! From a job on disk to what a coordinator is given: its description and its blobs.

use std::path::PathBuf;

use anneal_api::wire::{JobRequirements, JobSpec};
use anneal_job::{BackendChoice, Blob, Price};
use anneal_runner::{
    Job,
    failure::{Failure, Outcome},
    work,
};
use anyhow::Context;

use crate::arguments::Terms;

/// The most that is paid for 10^9 gas where nothing is said.
const PRICE_CAP_DEFAULT: Price = Price(2_000);

/// A job, ready to be submitted.
pub struct Submission {
    /// What it is.
    pub spec: JobSpec,
    /// What must be uploaded.
    pub blobs: Vec<(Blob, PathBuf)>,
}

/// Describes a job as coordinators want it.
///
/// # Errors
/// Where its files cannot be read.
pub fn submission(job: &Job, terms: &Terms) -> Outcome<Submission> {
    let blob = |path: &PathBuf| {
        let blob = work::blob_of(path).with_context(|| format!("cannot read {}", path.display()));
        blob.map_err(Failure::host)
    };
    let component = blob(&job.component)?;
    let inputs_blob = job.inputs_file().map(blob).transpose()?;
    let mut blobs = vec![(component, job.component.clone())];
    blobs.extend(inputs_blob.zip(job.inputs_file().cloned()));
    let report = &job.report;
    let requirements = &job.manifest.requirements;
    let spec = JobSpec {
        component,
        inputs_blob,
        inputs: report.inputs.iter().map(|(name, input)| (name.clone(), input.digest)).collect(),
        seed: report.seed,
        plan: report.plan.clone(),
        parameters: report.parameters.clone(),
        limits: report.limits,
        versions: report.versions,
        redundancy: terms.redundancy.unwrap_or(job.manifest.redundancy),
        requirements: JobRequirements {
            memory_bytes: requirements.device_memory.unwrap_or_default().0,
            features: match requirements.backend {
                BackendChoice::Auto => Default::default(),
                BackendChoice::Cpu => ["cpu".to_owned()].into(),
                BackendChoice::Gpu => ["gpu".to_owned()].into(),
            },
            speed_gas_per_second: 0,
        },
        price_cap: terms.price_cap.map_or(PRICE_CAP_DEFAULT, Price),
        gas_expected: None,
        allow: terms.allow.iter().copied().collect(),
        private: !terms.public,
        test: terms.test,
        // The client signs as it submits.
        component_signature: None,
    };
    Ok(Submission { spec, blobs })
}
