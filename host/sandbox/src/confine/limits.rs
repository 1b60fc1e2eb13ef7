//! The layer of limits: what one process may use of memory, files and CPU time, by the kernel's resource
//! limits. They need nobody's permission.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    grant,
    report::{Enforced, Unavailable},
};

pub(super) fn enforce(limits: &grant::Limits) -> Enforced {
    let failed = |error: io::Error| {
        Unavailable::new(
            format!("the kernel refused a limit ({error})"),
            "this is a bug of anneal: report it",
        )
    };
    at_most(Resource::Core, 0).map_err(failed)?;
    at_most(Resource::Msgqueue, 0).map_err(failed)?;
    at_most(Resource::Fsize, limits.file_bytes).map_err(failed)?;
    at_most(Resource::Nofile, limits.open_files).map_err(failed)?;
    let optional = [
        (Resource::Data, limits.data_bytes),
        (Resource::As, limits.address_bytes),
        (Resource::Cpu, limits.cpu_seconds),
    ];
    for (resource, limit) in optional {
        limit.map_or(Ok(()), |limit| at_most(resource, limit)).map_err(failed)?;
    }
    let files = format!("files of {} MiB, {} open at once", limits.file_bytes >> 20, limits.open_files);
    match limits.data_bytes.or(limits.address_bytes) {
        Some(bytes) => Ok(format!("{} MiB of memory, {files}", bytes >> 20)),
        None => Err(Unavailable::new(
            format!("memory is not limited; {files} are"),
            "name a limit of memory for the worker",
        )),
    }
}

fn at_most(resource: Resource, limit: u64) -> io::Result<()> {
    let limit = getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit));
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}
