//! One diagram of the picture: a frame with marks, its lines, and what they are called.

use std::fmt::Write;

use jiff::Timestamp;

use super::{PANEL_HEIGHT, escape};

/// The time that is drawn, and where.
pub(super) struct Span {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) left: f64,
    pub(super) right: f64,
}

/// Values over time; none where nothing is known.
pub(super) struct Series {
    class: &'static str,
    name: &'static str,
    points: Vec<(Timestamp, Option<f64>)>,
}

/// One diagram.
pub(super) struct Panel {
    title: String,
    series: Vec<Series>,
    /// Named values that do not change.
    lines: Vec<(&'static str, f64)>,
    low: f64,
    high: f64,
}

impl Span {
    fn x(&self, moment: Timestamp) -> f64 {
        let whole = self.last.duration_since(self.first).as_secs_f64().max(1.0);
        let part = moment.duration_since(self.first).as_secs_f64() / whole;
        self.left + part.clamp(0.0, 1.0) * (self.right - self.left)
    }
}

impl Series {
    pub(super) fn new(class: &'static str, name: &'static str) -> Series {
        Series { class, name, points: Vec::new() }
    }

    pub(super) fn push(&mut self, moment: Timestamp, value: Option<f64>) {
        self.points.push((moment, value.filter(|value| value.is_finite())));
    }

    fn highest(&self) -> f64 {
        self.points.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max)
    }
}

impl Panel {
    /// A diagram from nothing to its highest value.
    pub(super) fn new(title: &str, series: Vec<Series>) -> Panel {
        let highest = series.iter().map(Series::highest).fold(0.0, f64::max);
        let high = if highest > 0.0 { round_up(highest) } else { 1.0 };
        Panel { title: title.to_owned(), series, lines: Vec::new(), low: 0.0, high }
    }

    /// With other ends.
    pub(super) fn range(self, low: f64, high: f64) -> Panel {
        Panel { low, high, ..self }
    }

    /// With values that do not change.
    pub(super) fn lines(self, lines: &[(&'static str, f64)]) -> Panel {
        Panel { lines: lines.to_vec(), ..self }
    }

    /// As SVG, with its frame's upper edge here.
    pub(super) fn draw(&self, span: &Span, marks: &[(Timestamp, String)], top: f64) -> String {
        let mut svg =
            format!("<g><text x=\"{}\" y=\"{}\">{}</text>\n", span.left, top - 8.0, escape(&self.title));
        self.draw_grid(&mut svg, span, marks, top);
        let mut name_x = span.right;
        for series in self.series.iter().rev() {
            let points = self.points(series, span, top);
            let _ = writeln!(svg, "<path class=\"{}\" d=\"{points}\"/>", series.class);
            if !series.name.is_empty() {
                self.draw_name(&mut svg, series, name_x, top);
                name_x -= 90.0;
            }
        }
        svg.push_str("</g>\n");
        svg
    }

    fn draw_grid(&self, svg: &mut String, span: &Span, marks: &[(Timestamp, String)], top: f64) {
        let (left, right, bottom) = (span.left, span.right, top + PANEL_HEIGHT);
        for (moment, shown) in marks {
            let x = span.x(*moment);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"small\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{shown}</text>",
                bottom + 17.0
            );
        }
        for quarter in 0..=4 {
            let value = self.low + (self.high - self.low) * f64::from(quarter) / 4.0;
            let y = self.y(value, top);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text class=\"small\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.0,
                shown(value, self.high)
            );
        }
        self.draw_lines(svg, span, top);
        let (width, height) = (right - left, PANEL_HEIGHT);
        let _ = writeln!(
            svg,
            "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }

    fn draw_lines(&self, svg: &mut String, span: &Span, top: f64) {
        let (left, right) = (span.left, span.right);
        for (class, value) in &self.lines {
            let y = self.y(*value, top);
            let _ = writeln!(
                svg,
                "<path class=\"{class}\" d=\"M{left} {y:.1}H{right}\"/>\
                 <text class=\"small\" x=\"{}\" y=\"{:.1}\">{class}</text>",
                left + 6.0,
                y - 4.0
            );
        }
    }

    fn draw_name(&self, svg: &mut String, series: &Series, right: f64, top: f64) {
        let y = top - 12.0;
        let _ = writeln!(
            svg,
            "<path class=\"{}\" d=\"M{} {y}h18\"/><text x=\"{}\" y=\"{}\">{}</text>",
            series.class,
            right - 74.0,
            right - 50.0,
            top - 8.0,
            escape(series.name)
        );
    }

    /// A line, or for the duty an area down to nothing; broken where a value is missing.
    fn points(&self, series: &Series, span: &Span, top: f64) -> String {
        let is_area = series.class == "duty";
        let bottom = self.y(self.low, top);
        let mut path = String::new();
        let mut last_x = None;
        for (moment, value) in &series.points {
            let x = span.x(*moment);
            match (value, last_x) {
                (Some(value), None) if is_area => {
                    let _ = write!(path, "M{x:.1} {bottom:.1}V{:.1}", self.y(*value, top));
                }
                (Some(value), None) => {
                    let _ = write!(path, "M{x:.1} {:.1}", self.y(*value, top));
                }
                (Some(value), Some(_)) if is_area => {
                    let _ = write!(path, "H{x:.1}V{:.1}", self.y(*value, top));
                }
                (Some(value), Some(_)) => {
                    let _ = write!(path, "L{x:.1} {:.1}", self.y(*value, top));
                }
                (None, _) => {}
            }
            last_x = value.map(|_| x);
        }
        if let (true, Some(_)) = (is_area, last_x) {
            let _ = write!(path, "H{:.1}V{bottom:.1}", span.right);
        }
        path
    }

    fn y(&self, value: f64, top: f64) -> f64 {
        let part = (value - self.low) / (self.high - self.low);
        top + PANEL_HEIGHT * (1.0 - part.clamp(0.0, 1.0))
    }
}

/// The next 1, 2, 4 or 8 times a power of ten: its quarters are short numbers.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 4.0, 8.0, 10.0].into_iter().find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

fn shown(value: f64, high: f64) -> String {
    let digits = if high >= 40.0 { 0 } else { (2.0 - high.log10().floor()).clamp(0.0, 12.0) as usize };
    format!("{value:.digits$}")
}
