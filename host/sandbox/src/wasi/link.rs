//! Gives a component the functions of WASI that it imports, under the version it names.

use anneal_job::FailureCode;
use anneal_tensor::gas;
use wasmtime::{
    StoreContextMut,
    component::{
        Component, ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource,
        ResourceType, types::ComponentItem,
    },
};

use super::{
    EPOCH_SECONDS, TICK,
    streams::{IoError, StreamError, WRITE_BYTES},
};
use crate::{ending::Ending, host::Host, limits};

enum Pollable {}
enum InputStream {}
enum OutputStream {}
enum Descriptor {}
enum TerminalInput {}
enum TerminalOutput {}
enum Other {}

/// `wasi:clocks/wall-clock.datetime`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Instance<'a> = LinkerInstance<'a, Host>;

/// Defines every function and resource of WASI that the component imports.
///
/// # Errors
/// Where it imports something twice: wasmtime refuses such a component before.
pub(crate) fn link(linker: &mut Linker<Host>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine().clone();
    for (import, item) in component.component_type().imports(&engine) {
        let (true, ComponentItem::ComponentInstance(items)) = (import.starts_with("wasi:"), item.ty) else {
            continue;
        };
        let interface = import.split('@').next().unwrap_or(import);
        let mut instance = linker.instance(import)?;
        for (name, item) in items.exports(&engine) {
            match item.ty {
                ComponentItem::Resource(_) => {
                    instance.resource(name, resource(name), |mut store: StoreContextMut<'_, Host>, _| {
                        let host = store.data_mut();
                        host.others = host.others.saturating_sub(1);
                        Ok(host.charge(limits::LOOK_GAS)?)
                    })?;
                }
                ComponentItem::ComponentFunc(_) => function(&mut instance, interface, name)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn resource(name: &str) -> ResourceType {
    match name {
        "pollable" => ResourceType::host::<Pollable>(),
        "error" => ResourceType::host::<IoError>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "descriptor" => ResourceType::host::<Descriptor>(),
        "terminal-input" => ResourceType::host::<TerminalInput>(),
        "terminal-output" => ResourceType::host::<TerminalOutput>(),
        _ => ResourceType::host::<Other>(),
    }
}

fn function(instance: &mut Instance<'_>, interface: &str, name: &str) -> wasmtime::Result<()> {
    match interface.trim_start_matches("wasi:") {
        "io/poll" => poll(instance, name),
        "io/streams" if name.contains("input-stream") => input(instance, name),
        "io/streams" => output(instance, name),
        "clocks/monotonic-clock" => monotonic(instance, name),
        "clocks/wall-clock" => wall(instance, name),
        "random/random" | "random/insecure" | "random/insecure-seed" => random(instance, name),
        _ => command(instance, name),
    }
}

/// Defines a function that costs a call.
fn define<P, R>(
    instance: &mut Instance<'_>,
    name: &str,
    function: impl Fn(&mut Host, P) -> wasmtime::Result<R> + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + 'static,
    R: ComponentNamedList + Lower + 'static,
{
    instance.func_wrap(name, move |mut store: StoreContextMut<'_, Host>, parameters: P| {
        let host = store.data_mut();
        host.charge(limits::CALL_GAS)?;
        function(host, parameters)
    })
}

/// Defines a function that no job can need: it traps.
fn refuse(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    let message =
        format!("the guest called {name} of WASI, which no job gets: there are no files, and no waiting");
    instance.func_new(name, move |_, _, _, _| Err(Ending::failure(FailureCode::Trap, message.clone()).into()))
}

fn poll(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    type Self_ = (Resource<Pollable>,);
    match name {
        "[method]pollable.ready" => define(instance, name, |_, _: Self_| Ok((true,))),
        "[method]pollable.block" => define(instance, name, |_, _: Self_| Ok(())),
        "poll" => define(instance, name, |host, (pollables,): (Vec<Resource<Pollable>>,)| {
            host.charge(gas::LISTED * pollables.len() as u64)?;
            Ok(((0..pollables.len() as u32).collect::<Vec<u32>>(),))
        }),
        _ => refuse(instance, name),
    }
}

fn input(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    type Read = (Resource<InputStream>, u64);
    type Answer<T> = (Result<T, StreamError>,);
    match name.trim_start_matches("[method]input-stream.") {
        "read" | "blocking-read" => {
            define(instance, name, |_, _: Read| -> wasmtime::Result<Answer<Vec<u8>>> {
                Ok((Err(StreamError::Closed),))
            })
        }
        "skip" | "blocking-skip" => define(instance, name, |_, _: Read| -> wasmtime::Result<Answer<u64>> {
            Ok((Err(StreamError::Closed),))
        }),
        "subscribe" => define(instance, name, |host, _: (Resource<InputStream>,)| ready(host)),
        _ => refuse(instance, name),
    }
}

fn output(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    type Self_ = (Resource<OutputStream>,);
    type Answer<T> = (Result<T, StreamError>,);
    match name.trim_start_matches("[method]output-stream.") {
        "check-write" => {
            define(instance, name, |_, _: Self_| -> wasmtime::Result<Answer<u64>> { Ok((Ok(WRITE_BYTES),)) })
        }
        "write" | "blocking-write-and-flush" => {
            define(instance, name, |host, (_, bytes): (Resource<OutputStream>, Vec<u8>)| {
                host.charge(bytes.len() as u64)?;
                host.print(&bytes)?;
                let answer: Answer<()> = (Ok(()),);
                Ok(answer)
            })
        }
        "flush" | "blocking-flush" => {
            define(instance, name, |_, _: Self_| -> wasmtime::Result<Answer<()>> { Ok((Ok(()),)) })
        }
        "subscribe" => define(instance, name, |host, _: Self_| ready(host)),
        _ => refuse(instance, name),
    }
}

fn monotonic(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    match name {
        "now" => define(instance, name, |host, (): ()| Ok((host.wasi.tick(),))),
        "resolution" => define(instance, name, |_, (): ()| Ok((TICK,))),
        "subscribe-instant" | "subscribe-duration" => define(instance, name, |host, _: (u64,)| ready(host)),
        _ => refuse(instance, name),
    }
}

fn wall(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    match name {
        "now" => define(instance, name, |host, (): ()| {
            let nanoseconds = host.wasi.tick();
            let seconds = EPOCH_SECONDS + nanoseconds / 1_000_000_000;
            Ok((Datetime { seconds, nanoseconds: (nanoseconds % 1_000_000_000) as u32 },))
        }),
        "resolution" => {
            define(instance, name, |_, (): ()| Ok((Datetime { seconds: 0, nanoseconds: TICK as u32 },)))
        }
        _ => refuse(instance, name),
    }
}

fn random(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    match name {
        "get-random-bytes" | "get-insecure-random-bytes" => {
            define(instance, name, |host, (count,): (u64,)| {
                if count > limits::RANDOM_BYTES_MAX {
                    let message = format!(
                        "{count} random bytes at once, at most {} are given",
                        limits::RANDOM_BYTES_MAX
                    );
                    return Err(Ending::failure(FailureCode::Limit, message).into());
                }
                host.charge(count)?;
                Ok((host.wasi.random.bytes(count as usize),))
            })
        }
        "get-random-u64" | "get-insecure-random-u64" => {
            define(instance, name, |host, (): ()| Ok((host.wasi.random.word(),)))
        }
        "insecure-seed" => define(instance, name, |host, (): ()| {
            let random = &mut host.wasi.random;
            Ok(((random.word(), random.word()),))
        }),
        _ => refuse(instance, name),
    }
}

fn command(instance: &mut Instance<'_>, name: &str) -> wasmtime::Result<()> {
    type Strings = Vec<(String, String)>;
    match name {
        "get-environment" => define(instance, name, |_, (): ()| Ok((Strings::new(),))),
        "get-arguments" => define(instance, name, |_, (): ()| Ok((Vec::<String>::new(),))),
        "initial-cwd" => define(instance, name, |_, (): ()| Ok((None::<String>,))),
        "exit" => define(instance, name, |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
            let how = if status.is_ok() { "success" } else { "failure" };
            let message =
                format!("the guest called exit ({how}) instead of returning; return a value or an error");
            Err(Ending::failure(FailureCode::Trap, message).into())
        }),
        "get-stdin" => define(instance, name, |host, (): ()| own::<InputStream>(host)),
        "get-stdout" | "get-stderr" => define(instance, name, |host, (): ()| own::<OutputStream>(host)),
        "get-terminal-stdin" => define(instance, name, |_, (): ()| Ok((None::<Resource<TerminalInput>>,))),
        "get-terminal-stdout" | "get-terminal-stderr" => {
            define(instance, name, |_, (): ()| Ok((None::<Resource<TerminalOutput>>,)))
        }
        "get-directories" => {
            define(instance, name, |_, (): ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))
        }
        _ => refuse(instance, name),
    }
}

/// Something that is ready already.
fn ready(host: &mut Host) -> wasmtime::Result<(Resource<Pollable>,)> {
    own(host)
}

/// A handle to something that needs no state. It is counted, for the guest's table of handles is the host's memory.
fn own<T: 'static>(host: &mut Host) -> wasmtime::Result<(Resource<T>,)> {
    if host.others >= limits::OTHER_HANDLES_MAX {
        let message = format!(
            "the guest holds too many handles of WASI, {}: drop those that are not needed",
            host.others
        );
        return Err(Ending::failure(FailureCode::Handles, message).into());
    }
    host.others += 1;
    Ok((Resource::new_own(0),))
}
