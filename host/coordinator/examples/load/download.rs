//! A blob over TLS to `curl`, piped into `sha256sum`: from the coordinator, and the same file from nginx.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anneal_api::{Client, ClientOptions, Nonce, SecretKey, sign::RequestClaims};
use anneal_job::{Blob, Digest};

use crate::{child::Service, fixture::new_key, serve::tls_file, setting::Setting};

/// Downloads of each, in turns.
const ROUNDS: usize = 5;
/// Where nginx listens.
const NGINX_PORT: u16 = 18_443;

/// Prints both throughputs and their ratio.
pub async fn run(setting: &Setting) {
    println!("\n## A blob of {} MiB over TLS to `curl | sha256sum`\n", setting.blob_mib);
    let folder = setting.folder();
    let (blob, path) = content(folder.path(), setting.blob_mib);
    let service = Service::start(setting, folder.path(), true);
    let key = new_key();
    let mut options = ClientOptions::new(service.url.parse().expect("an address"), key.clone());
    options.certificates = vec![tls_file("ca.pem")];
    let client = Client::connect(options).await.expect("it answers");
    client.upload(blob, &path, None, &mut |_, _| {}).await.expect("uploaded");
    let Some(nginx) = Nginx::start(folder.path()) else {
        println!(
            "nginx is not installed (`apt-get install nginx-light`): nothing to compare with, so not measured"
        );
        return service.stop();
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let url = format!("{}/v1/blobs/{}", service.url, blob.digest);
        ours.push(download(&url, &headers(&client, &key, blob.digest), blob));
        theirs.push(download(&format!("https://localhost:{NGINX_PORT}/content"), &[], blob));
    }
    drop(nginx);
    service.stop();
    println!("| round | coordinator MB/s | nginx MB/s | ratio |");
    println!("| --- | --- | --- | --- |");
    for (round, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        println!("| {} | {ours:.0} | {theirs:.0} | {:.2} |", round + 1, ours / theirs);
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("| median | {ours:.0} | {theirs:.0} | {:.2} |", ours / theirs);
}

/// A file that nothing can compress.
fn content(folder: &Path, mib: u64) -> (Blob, PathBuf) {
    let path = folder.join("content");
    let mut bytes = Vec::with_capacity((mib << 20) as usize);
    let mut block = *Digest::of(b"content").as_bytes();
    while (bytes.len() as u64) < mib << 20 {
        block = *Digest::of(&block).as_bytes();
        bytes.extend_from_slice(&block);
    }
    std::fs::write(&path, &bytes).expect("a file");
    (Blob { digest: Digest::of(&bytes), bytes: bytes.len() as u64 }, path)
}

/// The headers of a signed download.
fn headers(client: &Client, key: &SecretKey, blob: Digest) -> Vec<String> {
    let claims = RequestClaims {
        audience: client.coordinator(),
        method: "GET".to_owned(),
        target: format!("/v1/blobs/{blob}"),
        body: Digest::of(b""),
        at: client.now(),
        nonce: Nonce::random().expect("random"),
        command: None,
    };
    let mut headers = http::HeaderMap::new();
    claims.sign_into(key, &mut headers);
    let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
    headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect()
}

/// MB per second of one download.
fn download(url: &str, headers: &[String], blob: Blob) -> f64 {
    let begun = Instant::now();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(tls_file("ca.pem")).arg(url);
    for header in headers {
        curl.args(["--header", header]);
    }
    let mut curl = curl.stdout(Stdio::piped()).spawn().expect("curl");
    let output = curl.stdout.take().expect("its output");
    let digest = Command::new("sha256sum").stdin(output).output().expect("sha256sum");
    assert!(curl.wait().expect("it ends").success(), "the download of {url} failed");
    let found = String::from_utf8_lossy(&digest.stdout);
    assert!(found.starts_with(&blob.digest.to_string()), "other bytes: {found}");
    blob.bytes as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// A running nginx.
struct Nginx(Child);

impl Nginx {
    /// Serves a folder, as its documentation sets it up; `None` where it is not installed.
    fn start(folder: &Path) -> Option<Nginx> {
        let text = format!(
            "daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user root;
             events {{ worker_connections 1024; }}
             http {{ access_log off; sendfile on; tcp_nopush on;
               server {{ listen 127.0.0.1:{NGINX_PORT} ssl; server_name localhost; root {folder};
                 ssl_certificate {certificate}; ssl_certificate_key {key}; }} }}",
            folder = folder.display(),
            certificate = tls_file("certificate.pem").display(),
            key = tls_file("key.pem").display(),
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text).expect("a file");
        let binary =
            ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists())?;
        let mut child = Command::new(binary);
        child.arg("-p").arg(folder).arg("-c").arg(&file);
        let child = child.spawn().expect("nginx starts");
        let nginx = Nginx(child);
        while std::net::TcpStream::connect(("127.0.0.1", NGINX_PORT)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let quit = Command::new("kill").arg(self.0.id().to_string()).status();
        if !quit.is_ok_and(|quit| quit.success()) {
            // Its workers would stay.
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}
