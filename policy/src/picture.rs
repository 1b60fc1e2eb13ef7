//! A simulated day as a picture: temperature, duty and money over the hours, as SVG without scripts or
//! fonts of its own, dark where the reader's system is.

mod panel;

use std::fmt::Write;

use anneal_job::shown;
use jiff::{SignedDuration, Timestamp, civil::Time};

use crate::{Policy, simulate::Simulation};
use panel::{Panel, Series, Span};

/// Points of a line: about one for each two pixels.
const POINTS_MAX: usize = 420;
const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PANEL_HEIGHT: f64 = 150.0;
const PANEL_GAP: f64 = 46.0;
const TOP: f64 = 64.0;
/// Hours between marks, the finest that leaves at most this many.
const MARK_HOURS: [i64; 6] = [1, 3, 6, 12, 24, 168];
const MARKS_MAX: i64 = 12;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:17px;font-weight:600}.small{fill:#59636e}\
.back{fill:#ffffff}.grid{stroke:#d8dee4;stroke-width:1}.frame{stroke:#8c959f;stroke-width:1;fill:none}\
.heat{stroke:#c2410c;fill:none;stroke-width:1.6}.limit{stroke:#b91c1c;stroke-dasharray:5 4;fill:none}\
.target{stroke:#6e7781;stroke-dasharray:2 3;fill:none}.duty{fill:#2563eb;fill-opacity:.30;stroke:#2563eb}\
.earned{stroke:#15803d;fill:none;stroke-width:1.8}.cost{stroke:#a16207;fill:none;stroke-width:1.8}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.back{fill:#0d1117}\
.grid{stroke:#2a313a}.frame{stroke:#656c76}.heat{stroke:#fb923c}.limit{stroke:#f87171}\
.target{stroke:#9198a1}.duty{fill:#60a5fa;stroke:#60a5fa}.earned{stroke:#4ade80}.cost{stroke:#facc15}}";

/// A simulated day as SVG.
pub fn picture(policy: &Policy, simulation: &Simulation) -> String {
    let panels = panels(policy, simulation);
    let height = TOP + panels.len() as f64 * (PANEL_HEIGHT + PANEL_GAP);
    let span = span(simulation);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
        escape(&headline(policy, simulation))
    );
    // Writing to a String cannot fail.
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{LEFT}\" y=\"28\">{}</text>",
        escape(&headline(policy, simulation))
    );
    let marks = marks(policy, &span);
    for (index, panel) in panels.iter().enumerate() {
        let top = TOP + index as f64 * (PANEL_HEIGHT + PANEL_GAP);
        svg.push_str(&panel.draw(&span, &marks, top));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panels(policy: &Policy, simulation: &Simulation) -> Vec<Panel> {
    let rows = &simulation.rows;
    let chunk = rows.len().div_ceil(POINTS_MAX).max(1);
    let mut heat = Series::new("heat", "GPU");
    let mut duty = Series::new("duty", "");
    let (mut earned, mut cost) = (Series::new("earned", "earned"), Series::new("cost", "energy"));
    for rows in rows.chunks(chunk) {
        let Some(first) = rows.first() else { continue };
        let at = first.time;
        heat.push(at, rows.iter().filter_map(|row| row.temperature).map(|c| c.0).reduce(f64::max));
        let busy: f64 = rows.iter().map(|row| row.decision.duty().fraction()).sum();
        duty.push(at, Some(100.0 * busy / rows.len() as f64));
        earned.push(at, Some(first.earned_xmr * simulation.summary.xmr_price.unwrap_or(1.0)));
        cost.push(at, Some(first.cost));
    }
    let gpu = &policy.temperature.gpu;
    let has_price = simulation.summary.xmr_price.is_some();
    let currency = if has_price { simulation.summary.currency.as_str() } else { "XMR" };
    let money = if policy.earnings.is_some() && has_price { vec![earned, cost] } else { vec![earned] };
    vec![
        Panel::new("temperature, °C", vec![heat])
            .lines(&[("target", gpu.target.0), ("limit", gpu.limit.0)])
            .range(20.0, 100.0),
        Panel::new("duty, %", vec![duty]).range(0.0, 100.0),
        Panel::new(&format!("money, {currency}"), money),
    ]
}

fn headline(policy: &Policy, simulation: &Simulation) -> String {
    let summary = &simulation.summary;
    let from = simulation.rows.first().map_or_else(String::new, |row| policy.schedule.local(row.time));
    let share = if summary.seconds > 0.0 { 100.0 * summary.ran_s / summary.seconds } else { 0.0 };
    format!("From {from}: ran {share:.0} % of the time, {}", summary.energy)
}

fn span(simulation: &Simulation) -> Span {
    let first = simulation.rows.first().map_or(Timestamp::UNIX_EPOCH, |row| row.time);
    let last = simulation.rows.last().map_or(first, |row| row.time);
    Span { first, last, left: LEFT, right: WIDTH - RIGHT }
}

/// Full hours by the owner's clock, with what it shows.
fn marks(policy: &Policy, span: &Span) -> Vec<(Timestamp, String)> {
    let hours = span.last.duration_since(span.first).as_hours().max(1);
    let step = MARK_HOURS.into_iter().find(|step| hours / step <= MARKS_MAX).unwrap_or(hours);
    let midnight = span.first.to_zoned(policy.schedule.zone.clone()).with().time(Time::midnight()).build();
    let Ok(midnight) = midnight else { return Vec::new() };
    (0..)
        .map_while(|index| midnight.timestamp().checked_add(SignedDuration::from_hours(index * step)).ok())
        .take_while(|mark| *mark <= span.last)
        .filter(|mark| *mark >= span.first)
        .map(|mark| {
            let zoned = mark.to_zoned(policy.schedule.zone.clone());
            let format = if step >= 24 { "%a %d" } else { "%H:%M" };
            (mark, zoned.strftime(format).to_string())
        })
        .collect()
}

fn escape(text: &str) -> String {
    // What the owner or a trace has named is shown, then spelled as XML.
    shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
