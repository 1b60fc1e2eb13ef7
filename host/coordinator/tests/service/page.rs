//! The page: its files, what it may load, and whose jobs a link's token shows.

use std::time::Duration;

use anneal_job::{PlanSpec, Redundancy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::fixture::{Job, Site, client, new_key};

pub async fn get(coordinator: &anneal_coordinator::Coordinator, path: &str, token: Option<&str>) -> String {
    let mut stream = TcpStream::connect(coordinator.address()).await.expect("a connection");
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{token}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("a reply");
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_loads_nothing_from_elsewhere() {
    let site = Site::new();
    let coordinator = site.start().await;
    for path in ["/", "/shown.js", "/page.js", "/charts.js", "/page.css"] {
        let reply = get(&coordinator, path, None).await;
        assert!(reply.starts_with("HTTP/1.1 200"), "{path}: {reply}");
        assert!(reply.contains("content-security-policy: default-src 'none'"), "{path}");
        let body = reply.split_once("\r\n\r\n").expect("a body").1;
        for word in ["http://", "https://", "innerHTML", "eval("] {
            let namespace = body.replace("http://www.w3.org/2000/svg", "");
            assert!(!namespace.contains(word), "{path} has {word}");
        }
    }
    let described = get(&coordinator, "/v1/openapi.json", None).await;
    assert!(described.contains("\"openapi\":\"3.1.0\""));
    let metrics = get(&coordinator, "/metrics", None).await;
    assert!(
        metrics.contains("\nanneal_leader 1\n") && metrics.contains("anneal_requests_total{"),
        "{metrics}"
    );
    assert!(get(&coordinator, "/ready", None).await.ends_with("ready\n"));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_links_token_shows_private_jobs_to_their_owner_only() {
    let site = Site::new();
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1)).submit(&developer).await;
    let link = developer.page_link(Duration::from_secs(60));
    let token = link.expose().split_once("#token=").expect("a token").1.to_owned();
    let path = format!("/v1/jobs/{id}");
    assert!(get(&coordinator, "/v1/jobs", Some(&token)).await.contains(&id.to_string()));
    assert!(get(&coordinator, &path, Some(&token)).await.starts_with("HTTP/1.1 200"));
    assert!(!get(&coordinator, "/v1/jobs", None).await.contains(&id.to_string()));
    assert!(get(&coordinator, &path, None).await.contains("\"not-found\""));
    let stranger = client(&coordinator, new_key()).await.page_link(Duration::from_secs(60));
    let other = stranger.expose().split_once("#token=").expect("a token").1.to_owned();
    assert!(get(&coordinator, &path, Some(&other)).await.contains("\"not-found\""));
    assert!(get(&coordinator, &path, Some("no token")).await.contains("\"token-wrong\""));
    let long = developer.page_link(Duration::from_secs(48 * 3600));
    let long = long.expose().split_once("#token=").expect("a token").1.to_owned();
    assert!(get(&coordinator, &path, Some(&long)).await.contains("\"token-wrong\""));
    coordinator.stop().await;
}

/// In a real browser, with real jobs: what a person sees, on a screen and on a phone, light and dark.
#[cfg(feature = "chromium")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_jobs_providers_and_the_log() {
    let site = Site::new();
    let (coordinator, keys) = site.start_with_anchors(3).await;
    let liar = crate::provider::Provider::enrol_as(&coordinator, &keys[0], Some((1, 2))).await;
    let mut providers = tokio::task::JoinSet::new();
    providers.spawn(liar.run());
    for key in &keys[1..] {
        providers.spawn(crate::provider::Provider::enrol_as(&coordinator, key, None).await.run());
    }
    let developer = client(&coordinator, new_key()).await;
    let plan = PlanSpec::Train { segments: 4, workers: 2 };
    let id = Job::new(site.folder.path(), plan, Redundancy::Fixed(2)).submit(&developer).await;
    crate::fixture::ended(&developer, id).await;
    // It may have held two leases by the time that it was caught.
    let faulted = developer.provider(keys[0].identity()).await.expect("a provider").faulted;
    assert!(faulted > 0, "it lied");
    let faulted = format!("{faulted} faulted");
    let link = developer.page_link(Duration::from_secs(600));
    let (base, token) = link.expose().split_once("/#token=").expect("a link");
    for (page, words) in [
        ("/jobs", &["Your jobs", "a job", "completed"][..]),
        (
            &format!("/job/{id}"),
            &["Verified metrics", "aria-label=\"loss:", "✗ faulted", "merge 4", "Result"],
        ),
        ("/providers", &["a provider", &faulted, "takes leases"]),
        ("/log", &["job-ended", "Last signed head"]),
        ("/health", &["takes commands", "this process"]),
    ] {
        for (size, look) in [("1200,900", 1), ("390,844", 0)] {
            let shown = browse(site.folder.path(), base, token, page, size, look).await;
            for word in words {
                assert!(shown.contains(word), "{page} at {size} lacks {word}: {shown}");
            }
        }
    }
    providers.shutdown().await;
    coordinator.stop().await;
}

/// Long names, names from the right to the left and names that hide, wherever a stranger may put one: nothing of them
/// is in the page raw, and no page is wider than its window.
#[cfg(feature = "chromium")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_breaks_a_page() {
    use anneal_tests::browser::{hostile_names, page_with, renamed, shown_by_browser, widths};
    use serde_json::{Value, json};

    let site = Site::new();
    let (coordinator, keys) = site.start_with_anchors(3).await;
    let liar = crate::provider::Provider::enrol_as(&coordinator, &keys[0], Some((1, 2))).await;
    let mut providers = tokio::task::JoinSet::new();
    providers.spawn(liar.run());
    for key in &keys[1..] {
        providers.spawn(crate::provider::Provider::enrol_as(&coordinator, key, None).await.run());
    }
    let developer = client(&coordinator, new_key()).await;
    let plan = PlanSpec::Train { segments: 4, workers: 2 };
    let id = Job::new(site.folder.path(), plan, Redundancy::Fixed(2)).submit(&developer).await;
    crate::fixture::ended(&developer, id).await;
    let link = developer.page_link(Duration::from_secs(600));
    let token = link.expose().split_once("#token=").expect("a token").1.to_owned();
    let body = async |path: &str| {
        let reply = get(&coordinator, path, Some(&token)).await;
        reply.split_once("\r\n\r\n").expect("a body").1.to_owned()
    };
    let mut replies = serde_json::Map::new();
    let job = format!("/v1/jobs/{id}");
    for path in ["/v1/jobs", &job, "/v1/providers", "/v1/log", "/v1/health", "/v1/about"] {
        replies.insert(path.to_owned(), serde_json::from_str(&body(path).await).expect("JSON"));
    }
    let mut files = std::collections::BTreeMap::new();
    for path in ["/page.css", "/shown.js", "/charts.js", "/page.js"] {
        files.insert(path, body(path).await);
    }
    let index = body("/").await;
    providers.shutdown().await;
    coordinator.stop().await;

    let replies = Value::Object(replies);
    let known = ["a job", "a provider", "loss", "cpu", "a cpu", "takes leases"];
    let folder = site.folder.path().to_owned();
    tokio::task::spawn_blocking(move || {
        for name in hostile_names() {
            let mut replies = renamed(&replies, &known, &name);
            replies[&job]["reason"] = json!(&name);
            for provider in replies["/v1/providers"]["providers"].as_array_mut().expect("providers") {
                provider["paused"] = json!(&name);
            }
            for entry in replies["/v1/log"]["entries"].as_array_mut().expect("entries") {
                entry["event"] = json!(json!({ "event": &name, "at": 0, &name: &name }).to_string());
            }
            let html = page_with(&index, |path| files[path].clone(), &replies);
            for page in ["/jobs", &format!("/job/{id}"), "/providers", "/log", "/health"] {
                for size in ["1200,900", "500,844"] {
                    let shown = shown_by_browser(&folder, &html, page, size);
                    let (content, window) = widths(&shown);
                    assert!(
                        content <= window,
                        "{page} at {size} with {name:?} is {content} of {window} wide"
                    );
                    for line in shown.lines() {
                        assert_eq!(anneal_job::shown(line), line, "{page} with {name:?}");
                    }
                    assert!(!shown.contains("<img"), "{page} with {name:?}: {shown}");
                }
            }
        }
    })
    .await
    .expect("the pages hold");
}

/// The functions of the pages' scripts that decide something: what is shown of a text, and which points of a curve.
#[cfg(feature = "chromium")]
#[test]
fn the_scripts_show_as_the_programs_do_and_thin_a_million_points() {
    let folder = tempfile::tempdir().expect("a folder");
    let charts = include_str!("../../page/charts.js");
    let table = anneal_job::shown_json(include_str!("../../../job/src/shown.json").to_owned());
    let html = format!(
        "<!doctype html><title>none</title><body><script>{}</script><script>{charts}</script><script>
         const wrong = {table}.filter(([text, expected]) => shown(text) !== expected);
         const values = Array.from({{ length: 1000000 }}, (_, index) => Math.sin(index / 1000));
         values[123456] = 1e6; values[654321] = -1e6; values[5] = null; values[6] = NaN;
         const thin = thinned(values, 1200), at = thin.map(([index]) => index);
         const same = thin.every(([index, value]) => values[index] === value);
         const ordered = at.every((index, place) => place === 0 || at[place - 1] < index);
         const few = thinned([3, 1, 2], 1200).length, none = thinned([], 1200).length;
         document.body.append(curve('loss', values), curve('none', []), curve('one', [1]));
         const paths = [...document.querySelectorAll('path')].map(path => path.getAttribute('d').length);
         document.title = JSON.stringify({{ wrong, count: thin.length, first: at[0], last: at[at.length - 1],
           peaks: [at.includes(123456), at.includes(654321)], same, ordered, few, none, drawn: paths.length,
           longest: Math.max(...paths) < 40000 }});
         </script></body>",
        anneal_job::SHOWN_SCRIPT
    );
    let shown = anneal_tests::browser::shown_by_browser(folder.path(), &html, "", "800,600");
    let title =
        shown.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).expect("a title");
    let found: serde_json::Value =
        serde_json::from_str(title).unwrap_or_else(|error| panic!("{error}: {title}"));
    let expected = serde_json::json!({
        "wrong": [], "count": found["count"], "first": 0, "last": 999_999, "peaks": [true, true], "same": true,
        "ordered": true, "few": 3, "none": 0, "drawn": 3, "longest": true
    });
    assert_eq!(found, expected);
    let count = found["count"].as_u64().expect("a number");
    assert!((1000..=1200).contains(&count), "{count} points");
}

/// The page after its scripts have run, as HTML; and a picture of it in target/pages.
#[cfg(feature = "chromium")]
async fn browse(
    folder: &std::path::Path,
    base: &str,
    token: &str,
    page: &str,
    size: &str,
    look: u32,
) -> String {
    let pictures = anneal_tests::workspace().join("target/pages");
    std::fs::create_dir_all(&pictures).expect("a folder");
    let name = page.split('/').nth(1).expect("a page");
    let picture = pictures.join(format!("{name}-{}.png", if look == 1 { "light" } else { "dark-phone" }));
    let url = format!("{base}/#token={token}&page={page}");
    let run = |what: String| {
        let (profile, url, size) = (folder.join("browser"), url.clone(), size.to_owned());
        async move {
            let mut command = std::process::Command::new("chromium");
            command.args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--no-first-run",
            ]);
            command
                .arg(format!("--user-data-dir={}", profile.display()))
                .arg(format!("--window-size={size}"));
            command.arg(format!("--blink-settings=preferredColorScheme={look}"));
            command.args(["--virtual-time-budget=4000", &what]).arg(url);
            let done = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs");
            let done = done.expect("chromium is installed: run `tests/setup tests`");
            String::from_utf8_lossy(&done.stdout).into_owned()
        }
    };
    run(format!("--screenshot={}", picture.display())).await;
    run("--dump-dom".to_owned()).await
}
