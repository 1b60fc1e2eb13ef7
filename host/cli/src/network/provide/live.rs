//! What `anneal provide` shows while it works: a line for all that happens, and on a terminal what each device is
//! at. Reads the boards only.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use anneal_job::{shown, shown_name};
use anneal_provider::{Owner, OwnerStatus, Wish};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::sleep;

use crate::{network::owner::does, terminal::Terminal};

/// How often the boards are read.
const EVERY: Duration = Duration::from_millis(500);

/// Shows how it goes.
pub struct Live {
    owner: Owner,
    terminal: Terminal,
    told: Told,
    bars: Option<Bars>,
}

impl Live {
    /// On this terminal.
    pub fn new(owner: Owner, terminal: Terminal) -> Live {
        let bars = terminal.interactive().then(Bars::new);
        Live { owner, terminal, told: Told::default(), bars }
    }

    /// For ever.
    pub async fn run(&mut self) -> Infallible {
        loop {
            self.look();
            sleep(EVERY).await;
        }
    }

    /// What came last, and no bars any more.
    pub fn end(mut self) {
        self.look();
        if let Some(bars) = self.bars {
            bars.bars.values().for_each(ProgressBar::finish_and_clear);
        }
    }

    fn look(&mut self) {
        let status = self.owner.status();
        for line in self.told.news(&status) {
            match &self.bars {
                // Above the bars, which stay at the bottom.
                Some(bars) => bars.all.suspend(|| self.terminal.note(line)),
                None => self.terminal.note(line),
            }
        }
        if let Some(bars) = &mut self.bars {
            bars.draw(&status);
        }
    }
}

/// What has been told.
#[derive(Default)]
struct Told {
    wish: Wish,
    /// By the coordinator's place: lines, and trouble.
    coordinators: BTreeMap<usize, (u64, Option<String>)>,
}

impl Told {
    /// What there is to tell since the last time.
    fn news(&mut self, status: &OwnerStatus) -> Vec<String> {
        let mut news = Vec::new();
        if std::mem::replace(&mut self.wish, status.wish) != status.wish {
            news.push(match status.wish {
                Wish::Run => "takes work".to_owned(),
                Wish::Pause => "paused: `anneal resume` lets it take work".to_owned(),
                Wish::Finish => "finishing: ends once everything that was taken is judged".to_owned(),
                Wish::Leave => "giving back what is not finished".to_owned(),
            });
        }
        let several = status.coordinators.len() > 1;
        for (place, known) in status.coordinators.iter().enumerate() {
            let (read, trouble) = self.coordinators.entry(place).or_default();
            let whose = if several { format!("{}: ", known.coordinator) } else { String::new() };
            let (lines, total) = known.lines_after(*read);
            news.extend(lines.iter().map(|line| format!("{whose}{line}")));
            *read = total;
            if *trouble != known.trouble {
                news.push(match &known.trouble {
                    Some(words) => format!("{whose}trouble: {words}"),
                    None => format!("{whose}the trouble is over"),
                });
                trouble.clone_from(&known.trouble);
            }
        }
        news
    }
}

/// A line for each device of each coordinator.
struct Bars {
    all: MultiProgress,
    bars: BTreeMap<(usize, u32), ProgressBar>,
}

impl Bars {
    fn new() -> Bars {
        Bars { all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), bars: BTreeMap::new() }
    }

    fn draw(&mut self, status: &OwnerStatus) {
        for (place, known) in status.coordinators.iter().enumerate() {
            for (&number, device) in &known.devices {
                let bar = self.bars.entry((place, number)).or_insert_with(|| {
                    let style = ProgressStyle::with_template("{prefix} [{bar:20}] {wide_msg}");
                    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
                    self.all.add(ProgressBar::new(1).with_style(style.progress_chars("=> ")))
                });
                let (done, total) = device.work.as_ref().and_then(|work| work.progress).unwrap_or((0, 1));
                let idle =
                    if status.wish == Wish::Pause { "paused".to_owned() } else { does(device, status.wish) };
                let words = if device.work.is_some() { does(device, status.wish) } else { idle };
                bar.set_prefix(shown_name(&device.name).into_owned());
                bar.set_message(format!("{}, {} finished", shown(&words), known.finished));
                bar.set_length(total.max(1));
                bar.set_position(done.min(total));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anneal_provider::status::Status;

    use super::*;

    #[test]
    fn everything_is_told_once() {
        let mut told = Told::default();
        let mut status = OwnerStatus {
            version: String::new(),
            process: 1,
            folder: "/".into(),
            page: None,
            wish: Wish::Run,
            coordinators: vec![Status::default()],
        };
        assert!(told.news(&status).is_empty());
        status.coordinators[0].lines = vec!["leased".to_owned(), "ran".to_owned()];
        status.coordinators[0].lines_total = 2;
        status.wish = Wish::Pause;
        let news = told.news(&status);
        assert_eq!(news[1..], ["leased", "ran"]);
        assert!(news[0].contains("anneal resume") && told.news(&status).is_empty());
        status.coordinators[0].trouble = Some("gone".to_owned());
        assert_eq!(told.news(&status), ["trouble: gone"]);
        assert!(told.news(&status).is_empty());
        status.coordinators[0].trouble = None;
        status.coordinators.push(Status { coordinator: "b".to_owned(), ..Status::default() });
        assert_eq!(told.news(&status), [": the trouble is over"]);
    }
}
