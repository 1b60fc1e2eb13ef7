//! Between the wire's types and the market's. Only shapes: what is allowed is the market's to say.

use anneal_api::{
    ErrorBody, ErrorCode, Signature,
    wire::{self, Duty, FindingView, LeaseDeveloper, RevealItem, TraceItem},
};
use anneal_job::Identity;
use anneal_market::{
    Command, Demand, DeviceClass, DeviceOffer, Finding, GiveBackReason, JobRequirements, JobSpec, Lease,
    Nonce, Quote, TraceLevel, TraceReport,
};

pub(crate) fn spec(spec: wire::JobSpec) -> JobSpec {
    let wire::JobRequirements { memory_bytes, features, speed_gas_per_second } = spec.requirements;
    JobSpec {
        component: spec.component,
        inputs_blob: spec.inputs_blob,
        inputs: spec.inputs,
        seed: spec.seed,
        plan: spec.plan,
        parameters: spec.parameters,
        limits: spec.limits,
        versions: spec.versions,
        redundancy: spec.redundancy,
        requirements: JobRequirements { memory_bytes, features, speed_gas_per_second },
        price_cap: spec.price_cap,
        gas_expected: spec.gas_expected,
        allow: spec.allow,
        private: spec.private,
        test: spec.test,
        component_signature: spec.component_signature.map(|signature| signature.to_string()),
    }
}

pub(crate) fn wire_spec(spec: JobSpec) -> wire::JobSpec {
    let JobRequirements { memory_bytes, features, speed_gas_per_second } = spec.requirements;
    wire::JobSpec {
        component: spec.component,
        inputs_blob: spec.inputs_blob,
        inputs: spec.inputs,
        seed: spec.seed,
        plan: spec.plan,
        parameters: spec.parameters,
        limits: spec.limits,
        versions: spec.versions,
        redundancy: spec.redundancy,
        requirements: wire::JobRequirements { memory_bytes, features, speed_gas_per_second },
        price_cap: spec.price_cap,
        gas_expected: spec.gas_expected,
        allow: spec.allow,
        private: spec.private,
        test: spec.test,
        component_signature: spec.component_signature.as_deref().and_then(Signature::parse),
    }
}

pub(crate) fn quote(quote: Quote) -> wire::Quote {
    let Quote { tasks, replicas, replicas_max, expected, cap, .. } = quote;
    wire::Quote { tasks, replicas, replicas_max, expected, cap }
}

pub(crate) fn finding(finding: &Finding) -> FindingView {
    match finding.clone() {
        Finding::Operation { segment, step, operation, name, expected, found } => {
            FindingView::Operation { segment, step, operation, name, expected, found }
        }
        Finding::Commit { segment, step, expected, found } => {
            FindingView::Commit { segment, step, expected, found }
        }
        Finding::Forged => FindingView::Forged,
        Finding::Silent => FindingView::Silent,
        Finding::Untraced => FindingView::Untraced,
    }
}

pub(crate) fn offer(offer: wire::DeviceOffer) -> Result<DeviceOffer, ErrorBody> {
    let class = DeviceClass::new(&offer.class).ok_or_else(|| {
        ErrorCode::Invalid.because("a class is 1 to 32 lower-case letters, digits, `-` or `.`")
    })?;
    Ok(DeviceOffer {
        class,
        memory_bytes: offer.memory_bytes,
        features: offer.features,
        software: offer.software,
        selftest: offer.selftest,
        speed_gas_per_second: offer.speed_gas_per_second,
    })
}

pub(crate) fn lease(device: u32, lease: Lease) -> wire::Lease {
    let state = |state: anneal_market::StateRef| wire::StateRef { state: state.state, blob: state.blob };
    wire::Lease {
        attempt: lease.attempt,
        lease_epoch: lease.lease_epoch,
        device,
        task_tag: lease.task_tag.0,
        salt: lease.salt,
        task: lease.task,
        task_id: lease.task_id,
        developer: Some(LeaseDeveloper {
            identity: lease.developer,
            component_signature: lease.component_signature.as_deref().and_then(Signature::parse),
        }),
        component: lease.component,
        inputs_blob: lease.inputs_blob,
        states: lease.states.into_iter().map(state).collect(),
        expected: lease.expected,
        deadline: lease.deadline,
        heartbeat_every: lease.heartbeat_every,
        price: lease.price,
        shadow: lease.shadow,
    }
}

pub(crate) fn duty(demand: Demand) -> Duty {
    match demand {
        Demand::Reveal { attempt, deadline } => Duty::Reveal { attempt, deadline },
        Demand::Upload { attempt, blob, deadline } => Duty::Upload { attempt, blob, deadline },
        Demand::Trace { attempt, level, deadline } => {
            Duty::Trace { attempt, level: wire_level(level), deadline }
        }
        Demand::Stop { attempt } => Duty::Stop { attempt },
    }
}

fn wire_level(level: TraceLevel) -> wire::TraceLevel {
    match level {
        TraceLevel::Operations { step } => wire::TraceLevel::Operations { step },
        TraceLevel::Commits | TraceLevel::None => wire::TraceLevel::Commits,
    }
}

pub(crate) fn reveal(provider: Identity, item: RevealItem) -> Command {
    let RevealItem { receipt, nonce } = item;
    let attempt = receipt.attempt;
    Command::Reveal { provider, attempt, receipt: Box::new(receipt.receipt), nonce: Nonce(nonce) }
}

pub(crate) fn trace(provider: Identity, item: TraceItem) -> Command {
    let TraceItem { attempt, level, digests, names } = item;
    let level = match level {
        wire::TraceLevel::Commits => TraceLevel::Commits,
        wire::TraceLevel::Operations { step } => TraceLevel::Operations { step },
    };
    Command::TraceAnswer { provider, attempt, level, report: TraceReport { digests, names } }
}

pub(crate) fn give_back_reason(reason: wire::GiveBackReason) -> GiveBackReason {
    match reason {
        wire::GiveBackReason::Policy => GiveBackReason::Policy,
        wire::GiveBackReason::Shutdown => GiveBackReason::Shutdown,
        wire::GiveBackReason::Blob => GiveBackReason::Blob,
        wire::GiveBackReason::Versions => GiveBackReason::Versions,
    }
}
