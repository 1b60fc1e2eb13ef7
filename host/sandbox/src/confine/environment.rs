//! The layer of the environment: a worker inherits the variables that GPU loaders and drivers read, and no
//! other, so that a token in the owner's shell stays there. The parent clears; the child looks whether it did.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::worker::{ENVIRONMENT_KEPT, ENVIRONMENT_PREFIXES};

/// Variables by which Mesa and NVIDIA are told where they keep compiled shaders: on their own they use the
/// owner's home, where one attempt could leave something for any other.
const SHADER_CACHES: [&str; 7] = [
    "MESA_SHADER_CACHE_DISABLE",
    "MESA_SHADER_CACHE_DIR",
    "MESA_GLSL_CACHE_DIR",
    "MESA_SHADER_CACHE_MAX_SIZE",
    "__GL_SHADER_DISK_CACHE",
    "__GL_SHADER_DISK_CACHE_PATH",
    "__GL_SHADER_DISK_CACHE_SIZE",
];

/// A worker's environment: of this one what is kept, and compiled shaders in this folder alone.
pub(crate) fn cleared(
    environment: &[(OsString, OsString)],
    shaders: Option<&Path>,
) -> Vec<(OsString, OsString)> {
    let ours = |name: &OsStr| SHADER_CACHES.iter().any(|cache| name == *cache);
    let kept = environment.iter().filter(|(name, _)| is_kept(&name.to_string_lossy()) && !ours(name));
    kept.cloned().chain(shader_caches(shaders)).collect()
}

fn shader_caches(folder: Option<&Path>) -> Vec<(OsString, OsString)> {
    let Some(folder) = folder else {
        return vec![
            ("MESA_SHADER_CACHE_DISABLE".into(), "true".into()),
            ("__GL_SHADER_DISK_CACHE".into(), "0".into()),
        ];
    };
    vec![
        ("MESA_SHADER_CACHE_DIR".into(), folder.into()),
        ("MESA_SHADER_CACHE_MAX_SIZE".into(), "256M".into()),
        ("__GL_SHADER_DISK_CACHE_PATH".into(), folder.into()),
        ("__GL_SHADER_DISK_CACHE_SIZE".into(), (256 << 20).to_string().into()),
    ]
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
        let check = |shaders: Option<&Path>, caches: &[&str]| {
            let cleared: Vec<String> = cleared(&given, shaders)
                .iter()
                .map(|(name, value)| format!("{}={}", name.display(), value.display()))
                .collect();
            assert_eq!(cleared, [&["VK_ICD_FILENAMES=/icd.json", "PATH=/bin"], caches].concat());
        };
        check(None, &["MESA_SHADER_CACHE_DISABLE=true", "__GL_SHADER_DISK_CACHE=0"]);
        let kept = [
            "MESA_SHADER_CACHE_DIR=/shaders",
            "MESA_SHADER_CACHE_MAX_SIZE=256M",
            "__GL_SHADER_DISK_CACHE_PATH=/shaders",
            "__GL_SHADER_DISK_CACHE_SIZE=268435456",
        ];
        check(Some(Path::new("/shaders")), &kept);
    }
}
