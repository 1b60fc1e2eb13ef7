//! A server that says who it is as a coordinator does, and answers everything else with what the test says.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anneal_api::{
    API_VERSION, SecretKey,
    wire::{About, LimitsReport, ServiceVersions},
};
use anneal_job::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What it answers.
#[derive(Clone)]
pub enum Answer {
    /// With status 200.
    Json(String),
    /// Bytes until nobody listens any more.
    Endless { status: u16 },
}

pub struct Coordinator {
    url: String,
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Coordinator {
    pub async fn start(answer: Answer) -> Coordinator {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let (sent, answered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (of_task, count) = (Arc::clone(&sent), Arc::clone(&answered));
        let about = about();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, about) = (answer.clone(), about.clone());
                tokio::spawn(serve(stream, answer, about, Arc::clone(&of_task), Arc::clone(&count)));
            }
        });
        Coordinator { url, sent, answered }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Bytes of endless answers that the system took from it.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Requests, without the one that asks who it is.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }
}

/// One request of each connection; the client opens another one for the next.
async fn serve(
    mut stream: TcpStream,
    answer: Answer,
    about: String,
    sent: Arc<AtomicU64>,
    count: Arc<AtomicU64>,
) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let is_about = request.starts_with(b"GET /v1/about ");
    let answer = if is_about { Answer::Json(about) } else { answer };
    if !is_about {
        count.fetch_add(1, Relaxed);
    }
    match answer {
        Answer::Json(text) => {
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
            let written = stream.write_all(&[head.as_bytes(), text.as_bytes()].concat()).await;
            let _the_client_went = written.and(stream.shutdown().await);
            // What is still under way to us is read, or the system would take back what was sent.
            let mut rest = Vec::new();
            let _the_client_went = stream.read_to_end(&mut rest).await;
        }
        Answer::Endless { status } => {
            let head = format!("HTTP/1.1 {status} So\r\nconnection: close\r\n\r\n");
            let mut piece = head.into_bytes();
            while stream.write_all(&piece).await.is_ok() {
                sent.fetch_add(piece.len() as u64, Relaxed);
                piece = vec![b' '; 1 << 16];
            }
        }
    }
}

fn about() -> String {
    let about = About {
        service: "anneal".to_owned(),
        api: API_VERSION,
        coordinator: SecretKey::generate().expect("random bytes").identity(),
        now: Timestamp(1),
        versions: ServiceVersions { anneal: "0".to_owned(), task: None },
        limits: LimitsReport {
            blob_bytes_max: 1,
            upload_piece_bytes_max: 1,
            identity_bytes_max: 1,
            identity_jobs_max: 1,
            identity_requests_per_minute: 1,
            wait_ms_max: 1,
        },
    };
    serde_json::to_string(&about).expect("JSON")
}
