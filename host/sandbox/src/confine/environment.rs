//! The layer of the environment: a worker inherits the variables that GPU loaders and drivers read, and no
//! other, so that a token in the owner's shell stays there. The parent clears; the child looks whether it did.

use std::ffi::{OsStr, OsString};

use crate::worker::{ENVIRONMENT_KEPT, ENVIRONMENT_PREFIXES};

/// Drivers keep compiled shaders in the owner's home, where one attempt could leave something for the next:
/// these variables of Mesa and NVIDIA switch that off.
const SHADER_CACHES_OFF: [(&str, &str); 2] =
    [("MESA_SHADER_CACHE_DISABLE", "true"), ("__GL_SHADER_DISK_CACHE", "0")];

/// A worker's environment: of this one what is kept, and no caches.
pub(crate) fn cleared(environment: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let off = SHADER_CACHES_OFF.map(|(name, value)| (name.into(), value.into()));
    let ours = |name: &OsStr| SHADER_CACHES_OFF.iter().any(|(off, _)| name == *off);
    let kept = environment.iter().filter(|(name, _)| is_kept(&name.to_string_lossy()) && !ours(name));
    kept.cloned().chain(off).collect()
}

fn is_kept(name: &str) -> bool {
    ENVIRONMENT_KEPT.contains(&name) || ENVIRONMENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Looks at what this process was started with.
#[cfg(target_os = "linux")]
pub(super) fn enforce() -> super::report::Enforced {
    use super::report::Unavailable;
    let started_with = std::fs::read("/proc/self/environ").map_err(|error| {
        Unavailable::new(format!("/proc/self/environ cannot be read ({error})"), "mount /proc")
    })?;
    let names = started_with
        .split(|&byte| byte == 0)
        .filter(|entry| !entry.is_empty())
        .map(|entry| String::from_utf8_lossy(entry.split(|&byte| byte == b'=').next().unwrap_or_default()));
    let (kept, foreign): (Vec<_>, Vec<_>) = names.partition(|name| is_kept(name));
    match foreign.first() {
        None => Ok(format!("{} variables, all of them for loaders and drivers", kept.len())),
        Some(name) => Err(Unavailable::new(
            format!("the variable {name} was left in it"),
            "this is a bug of anneal: report it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_drivers_read_is_kept() {
        let given = [
            ("VK_ICD_FILENAMES", "/icd.json"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("MESA_SHADER_CACHE_DISABLE", "false"),
            ("PATH", "/bin"),
        ];
        let given = given.map(|(name, value)| (name.into(), value.into()));
        let cleared: Vec<String> = cleared(&given)
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        let expected = [
            "VK_ICD_FILENAMES=/icd.json",
            "PATH=/bin",
            "MESA_SHADER_CACHE_DISABLE=true",
            "__GL_SHADER_DISK_CACHE=0",
        ];
        assert_eq!(cleared, expected);
    }
}
