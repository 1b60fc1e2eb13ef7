//! A page of ours in a real browser, with replies that no honest service would give: its own files, the requests of
//! its scripts answered from a table. For tests with the feature `chromium`.

use std::{fs, path::Path, process::Command};

use anneal_job::shown_json;
use serde_json::Value;

/// A page with its style and scripts in it, whose requests get these replies by their path.
///
/// # Panics
/// Where the page names a file in another way than ours do.
pub fn page_with(index: &str, file: impl Fn(&str) -> String, replies: &Value) -> String {
    let replies = shown_json(replies.to_string()).replace('<', "\\u003c");
    let answering = format!(
        "<script>const REPLIES = {replies};\nwindow.fetch = async path => ({{ ok: true, json: async () => \
         REPLIES[path.split('?')[0]] }});\n\
         addEventListener('load', () => setTimeout(() => {{ const page = document.documentElement; \
         document.title = JSON.stringify({{ scroll: page.scrollWidth, client: page.clientWidth }}); }}, 2000));</script>"
    );
    let mut html = String::new();
    let mut scripts = String::new();
    for line in index.lines() {
        if let Some(rest) = line.strip_prefix("<link rel=\"stylesheet\" href=\"") {
            let name = rest.split('"').next().expect("a name");
            html += &format!("<style>{}</style>\n", file(name));
        } else if let Some(rest) = line.strip_prefix("<script src=\"") {
            let name = rest.split('"').next().expect("a name");
            scripts += &format!("<script>{}</script>\n", file(name));
        } else if line == "</body>" {
            // Deferred scripts run when the page is there.
            html += &format!("{answering}\n{scripts}</body>\n");
        } else {
            html += &format!("{line}\n");
        }
    }
    assert!(!scripts.is_empty(), "the page has scripts");
    html
}

/// What a browser makes of a document, after its scripts have run.
///
/// # Panics
/// Where there is no browser.
pub fn shown_by_browser(folder: &Path, html: &str, hash: &str, size: &str) -> String {
    let path = folder.join("page.html");
    fs::write(&path, html).expect("scratch is writable");
    let mut command = Command::new("chromium");
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]);
    command.arg(format!("--user-data-dir={}", folder.join("browser").display()));
    command.args([&format!("--window-size={size}"), "--virtual-time-budget=6000", "--dump-dom"]);
    command.arg(format!("file://{}#{hash}", path.display()));
    let done = command.output().expect("chromium is installed: run `tests/setup tests`");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// What was measured of a page of [`page_with`]: how wide its content is, and how wide the window.
///
/// # Panics
/// Where the page did not come to its end, or drew nothing.
pub fn widths(dumped: &str) -> (u64, u64) {
    let title = dumped.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
    let measured: Value = serde_json::from_str(title.expect("a title"))
        .unwrap_or_else(|error| panic!("the page was not measured ({error}): {dumped}"));
    let content = dumped.split("<main").nth(1).and_then(|rest| rest.split("</main>").next());
    let content = content.expect("the page has a content");
    assert!(!content.contains("Loading") && content.len() > 200, "nothing was drawn: {dumped}");
    (measured["scroll"].as_u64().expect("a width"), measured["client"].as_u64().expect("a width"))
}

/// Names that break a page that trusts them: long ones, ones from the right to the left, ones that hide and turn.
pub fn hostile_names() -> Vec<String> {
    vec![
        "W".repeat(4000),
        "\u{202e}\u{2066}evil\u{200b}\u{2028}\u{1b}[31m".repeat(20),
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627} 0.5 (a) ".repeat(30),
        format!("a{}", "\u{301}".repeat(500)),
        "<img src=x onerror=alert(1)>\"'&amp;</script>".to_owned(),
        "\u{6587}".repeat(1000),
    ]
}

/// The same value with every text that is one of these replaced.
pub fn renamed(value: &Value, names: &[&str], with: &str) -> Value {
    match value {
        Value::String(text) if names.contains(&text.as_str()) => Value::String(with.to_owned()),
        Value::Array(items) => items.iter().map(|item| renamed(item, names, with)).collect(),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, field)| (key.clone(), renamed(field, names, with))).collect(),
        ),
        other => other.clone(),
    }
}
