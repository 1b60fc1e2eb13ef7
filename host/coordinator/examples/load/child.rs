//! The coordinator's process as Linux sees it: CPU time apart from ours, by thread; memory; when it is ready.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::setting::Setting;

/// Linux counts a process's time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// A coordinator in a process of its own.
pub struct Service {
    child: Child,
    /// Where it listens.
    pub url: String,
    /// From its start until it took commands.
    pub ready_after: Duration,
}

/// CPU seconds of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// In all.
    pub all: f64,
    /// Of the thread that owns the market and writes the database.
    pub writer: f64,
}

impl Service {
    /// Starts one, and waits until it is ready.
    pub fn start(setting: &Setting, folder: &Path, tls: bool) -> Service {
        let begun = Instant::now();
        let mut command = Command::new(&setting.service);
        command.arg("serve").arg(folder).args(tls.then_some("tls"));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the service starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut url).expect("its address");
        let url = url.trim().to_owned();
        let mut service = Service { child, url, ready_after: Duration::ZERO };
        if !tls {
            while !service.is_ready() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        service.ready_after = begun.elapsed();
        service
    }

    fn is_ready(&self) -> bool {
        let address = self.url.trim_start_matches("http://");
        let asked = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply)?;
            Ok(reply.starts_with("HTTP/1.1 200"))
        };
        asked().unwrap_or(false)
    }

    /// CPU time until now.
    pub fn cpu(&self) -> Cpu {
        let process = format!("/proc/{}", self.child.id());
        let mut cpu = Cpu { all: seconds(&format!("{process}/stat")), writer: 0.0 };
        for thread in std::fs::read_dir(format!("{process}/task")).expect("Linux").flatten() {
            let path = thread.path();
            let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.trim() == "anneal-writer" {
                cpu.writer = seconds(&path.join("stat").display().to_string());
            }
        }
        cpu
    }

    /// MiB of it in memory.
    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
        line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") / 1024.0
    }

    /// Stops it in order.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends");
    }

    /// Kills it: the next one finds what was committed.
    pub fn kill(mut self) {
        self.child.kill().expect("it ends");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Where it was stopped, it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cpu {
    /// What was used since.
    pub fn since(self, before: Cpu) -> Cpu {
        Cpu { all: self.all - before.all, writer: self.writer - before.writer }
    }
}

/// CPU seconds of this process: what playing the network takes.
pub fn own_cpu() -> f64 {
    seconds("/proc/self/stat")
}

/// User and system time.
fn seconds(path: &str) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).map_or(0.0, |field| field.parse::<f64>().expect("a number"));
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}
