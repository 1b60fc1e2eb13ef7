//! What is said instead of the manifest, by the command's `--param`, `--input`, `--seed`, `--workers` …
//!
//! Pure: a misspelt name is refused here, because a guest could not tell it from one that was left out.

use std::path::{Path, PathBuf};

use anneal_job::{Manifest, ParameterValue, PlanSpec, check_parameters, manifest};
use anyhow::{Context, Result, bail, ensure};

/// What replaces parts of a manifest. Names and values are still one text each, `NAME=VALUE`.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Inputs, as `NAME=PATH`.
    pub inputs: Vec<String>,
    /// Parameters, as `NAME=VALUE`.
    pub parameters: Vec<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// How many workers train.
    pub workers: Option<u32>,
    /// How many segments or rounds.
    pub segments: Option<u32>,
}

/// Applies everything but the inputs. `strict` refuses parameters that the manifest does not have.
///
/// # Errors
/// Names the argument and what it must look like.
pub fn apply(manifest: &mut Manifest, overrides: &Overrides, strict: bool) -> Result<()> {
    for argument in &overrides.parameters {
        let (name, text) = pair(argument, "--param", "learning-rate=0.1")?;
        let value = parameter(name, text, manifest, strict)?;
        manifest.parameters.insert(name.to_owned(), value);
    }
    if let Some(seed) = overrides.seed {
        manifest.seed = seed;
    }
    // The command line may add some to the manifest's.
    check_parameters(&manifest.parameters, manifest.plan.as_ref()).context("--param")?;
    let given = overrides.segments.is_some() || overrides.workers.is_some();
    match &mut manifest.plan {
        Some(PlanSpec::Train { segments, workers }) => {
            *segments = overrides.segments.unwrap_or(*segments);
            *workers = overrides.workers.unwrap_or(*workers);
        }
        Some(PlanSpec::Single | PlanSpec::Map { .. }) if given => {
            bail!("--segments and --workers are for a plan of the kind \"train\"; this job's is another")
        }
        Some(_) => {}
        None if given => {
            let (segments, workers) = (overrides.segments.unwrap_or(1), overrides.workers.unwrap_or(1));
            manifest.plan = Some(PlanSpec::Train { segments, workers });
        }
        None => {}
    }
    Ok(())
}

/// The name and path of each `--input`.
///
/// # Errors
/// Names the argument and what it must look like.
pub fn inputs(manifest: &Manifest, overrides: &Overrides, strict: bool) -> Result<Vec<(String, PathBuf)>> {
    let known = || manifest.inputs.keys().map(String::as_str);
    overrides
        .inputs
        .iter()
        .map(|argument| {
            let (name, path) = pair(argument, "--input", "digits=digits.csv")?;
            ensure!(!strict || known().any(|input| input == name), unknown("input", name, known()));
            Ok((name.to_owned(), Path::new(path).to_owned()))
        })
        .collect()
}

fn pair<'a>(argument: &'a str, option: &str, example: &str) -> Result<(&'a str, &'a str)> {
    let (name, value) = argument
        .split_once('=')
        .with_context(|| format!("{option} {argument}: write NAME=VALUE, for example {option} {example}"))?;
    manifest::check_name(name).with_context(|| format!("{option} {argument}"))?;
    Ok((name, value))
}

fn parameter(name: &str, text: &str, manifest: &Manifest, strict: bool) -> Result<ParameterValue> {
    let Some(old) = manifest.parameters.get(name) else {
        let varied = matches!(&manifest.plan, Some(PlanSpec::Map { over }) if over.contains_key(name));
        ensure!(!varied, "--param {name}: the plan varies this parameter; change `over` in the manifest");
        ensure!(!strict, unknown("parameter", name, manifest.parameters.keys().map(String::as_str)));
        return Ok(guess(text));
    };
    let value = match old {
        ParameterValue::Boolean(_) => text.parse().ok().map(ParameterValue::Boolean),
        ParameterValue::Integer(_) => text.replace('_', "").parse().ok().map(ParameterValue::Integer),
        ParameterValue::Number(_) => {
            text.parse().ok().filter(|number: &f64| number.is_finite()).map(ParameterValue::Number)
        }
        ParameterValue::Text(_) => Some(ParameterValue::Text(text.to_owned())),
    };
    let kind = match old {
        ParameterValue::Boolean(_) => "true or false",
        ParameterValue::Integer(_) => "a whole number",
        ParameterValue::Number(_) => "a finite number",
        ParameterValue::Text(_) => "a text",
    };
    value.with_context(|| {
        format!("--param {name}={text}: the manifest's value is {kind}, so this must be, too")
    })
}

/// Without a manifest to tell the type: what TOML would read, else a text.
fn guess(text: &str) -> ParameterValue {
    if let Ok(value) = text.parse() {
        return ParameterValue::Boolean(value);
    }
    if let Ok(value) = text.parse() {
        return ParameterValue::Integer(value);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => ParameterValue::Number(value),
        _ => ParameterValue::Text(text.to_owned()),
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = manifest::nearest(name, known.clone())
        .map_or_else(String::new, |nearest| format!(" (did you mean `{nearest}`?)"));
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("the manifest has no {what} `{name}`{nearest}; it has: {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let text = "[plan]\nkind = \"train\"\nsegments = 3\n[inputs]\nx = \"x\"\n\
                    [parameters]\nrate = 0.5\nepochs = 3\nfast = true\nname = \"a\"";
        Manifest::parse(text).expect("a manifest")
    }

    fn check(parameter: &str, expected: Result<ParameterValue, &str>) {
        let mut manifest = manifest();
        let result = apply(
            &mut manifest,
            &Overrides { parameters: vec![parameter.to_owned()], ..Overrides::default() },
            true,
        );
        match expected {
            Ok(value) => {
                result.expect(parameter);
                assert_eq!(manifest.parameters[parameter.split('=').next().unwrap_or("")], value);
            }
            Err(words) => {
                let message = format!("{:#}", result.expect_err(parameter));
                assert!(message.contains(words), "{message}");
            }
        }
    }

    #[test]
    fn parameters_keep_their_types() {
        check("rate=1", Ok(ParameterValue::Number(1.0)));
        check("epochs=1_000", Ok(ParameterValue::Integer(1000)));
        check("name=1", Ok(ParameterValue::Text("1".to_owned())));
        check("fast=false", Ok(ParameterValue::Boolean(false)));
        check("epochs=1.5", Err("a whole number"));
        check("rate=nan", Err("a finite number"));
        check("epoch=1", Err("did you mean `epochs`?"));
        check("epochs", Err("write NAME=VALUE"));
    }

    #[test]
    fn the_command_line_gives_no_more_than_a_manifest_may() {
        let give = |parameters: Vec<String>| {
            let mut manifest = Manifest::default();
            apply(&mut manifest, &Overrides { parameters, ..Overrides::default() }, false)
                .map_err(|error| format!("{error:#}"))
        };
        let many = |count: usize| (0..count).map(|n| format!("p{n}=1")).collect::<Vec<_>>();
        assert_eq!(give(many(256)), Ok(()));
        assert!(give(many(257)).is_err_and(|error| error.contains("257 parameters")));
        let text = format!("a={}", "x".repeat(4097));
        assert!(give(vec![text]).is_err_and(|error| error.contains("4097 bytes, but at most 4096")));
        let mut changed = Manifest::parse("[parameters]\nname = \"a\"").expect("a manifest");
        let text = vec![format!("name={}", "x".repeat(5000))];
        let error = apply(&mut changed, &Overrides { parameters: text, ..Overrides::default() }, true);
        assert!(format!("{:#}", error.expect_err("it is too long")).contains("at most 4096"));
        // Those that the plan varies count, too.
        let text = format!(
            "[plan]\nkind = \"map\"\nover.a = [1]\n[parameters]\n{}",
            (0..255).map(|n| format!("p{n} = 1\n")).collect::<String>()
        );
        let mut full = Manifest::parse(&text).expect("it has 256");
        let one = Overrides { parameters: vec!["more=1".to_owned()], ..Overrides::default() };
        let error = apply(&mut full, &one, false).expect_err("it would have 257");
        assert!(format!("{error:#}").contains("257 parameters"), "{error:#}");
    }

    #[test]
    fn plans_and_inputs() {
        let mut changed = manifest();
        let given = Overrides {
            workers: Some(2),
            seed: Some(7),
            inputs: vec!["y=f".to_owned()],
            ..Overrides::default()
        };
        apply(&mut changed, &given, true).expect("good arguments");
        assert_eq!(
            (changed.plan.clone(), changed.seed),
            (Some(PlanSpec::Train { segments: 3, workers: 2 }), 7)
        );
        assert!(inputs(&changed, &given, true).is_err());
        assert_eq!(inputs(&changed, &given, false).expect("any name").len(), 1);
        changed.plan = Some(PlanSpec::Single);
        assert!(apply(&mut changed, &given, true).is_err());
    }

    #[test]
    fn values_without_a_manifest_are_guessed() {
        assert_eq!(guess("3"), ParameterValue::Integer(3));
        assert_eq!(guess("3.5"), ParameterValue::Number(3.5));
        assert_eq!(guess("true"), ParameterValue::Boolean(true));
        assert_eq!(guess("inf"), ParameterValue::Text("inf".to_owned()));
    }
}
