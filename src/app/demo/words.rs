//! What the demo says at the terminal. Pure.

use crate::demo::scenario::Scenario;
use crate::model::Time;

/// Event seconds from the start until something happens to the shop.
const FIRST_S: f64 = 120.0;
/// Event seconds between the end of one scenario and the next.
const PAUSE_S: f64 = 2_700.0;

/// What is said when all is ready.
pub(super) struct Ready<'a> {
    /// The one scenario that is played; `None`: one after the other.
    pub(super) scenario: Option<&'a Scenario>,
    /// Event seconds per real second.
    pub(super) speed: f64,
    /// Real seconds that the start took.
    pub(super) took_s: f64,
    /// The one-time address of the console.
    pub(super) login: &'a str,
    /// Event time at which the last start ended, where there was one.
    pub(super) goes_on: Option<Time>,
    /// The seed of the data, where it is not the one that was asked for.
    pub(super) other_seed: Option<u64>,
}

impl Ready<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "Ready after {:.0} s. Event time runs {} times as fast as real time.\n",
            self.took_s, self.speed
        );
        if let Some(at) = self.goes_on {
            text.push_str(&format!("It goes on from {}, where it ended.\n", at.minute_text()));
        }
        if let Some(seed) = self.other_seed {
            text.push_str(&format!(
                "The data was begun with seed {seed}, which stays; another --data-dir begins anew.\n"
            ));
        }
        text.push_str(&format!("\nConsole:  {}\n\n", self.login));
        match self.scenario {
            Some(scenario) if !scenario.expected.opens() => self.harmless(&mut text, scenario),
            chosen => self.fault(&mut text, chosen),
        }
        text.push_str("- Ctrl-C ends; the next start goes on from here\n");
        text
    }

    fn harmless(&self, text: &mut String, scenario: &Scenario) {
        let minutes = (FIRST_S + scenario.onset.lasts_s) / self.speed / 60.0;
        text.push_str(&format!(
            "{}: nobody is to be told, so no incident is what you should see.\n\
             It is over in about {}. Try:\n\
             - ask: what changed? is anything wrong? was anyone paged, and why not?\n",
            scenario.title,
            about(minutes)
        ));
    }

    fn fault(&self, text: &mut String, chosen: Option<&Scenario>) {
        let within_s = chosen.map_or(240, |s| s.expected.message_within_s);
        let minutes = (FIRST_S + f64::from(within_s)) / self.speed / 60.0;
        let cause = chosen.and_then(|s| s.expected.cause.as_deref()).unwrap_or("=orders");
        let name = cause.rsplit('=').next().unwrap_or(cause);
        text.push_str(&format!(
            "{} stands there within {}. Try:\n\
             - read the card: what users feel, the likely cause, what changed before\n\
             - ask in its thread: what is wrong with {name}? what changed? what should I do?\n\
             - press Approve…, read exactly what will be done, confirm, watch it being measured\n",
            // What is under way since the last start may be over before the next thing happens.
            if self.goes_on.is_some() {
                "What was there is still there; the next incident"
            } else {
                "The first incident"
            },
            about(if self.goes_on.is_some() {
                minutes + PAUSE_S / self.speed / 60.0
            } else {
                minutes
            })
        ));
    }
}

fn about(minutes: f64) -> String {
    if minutes <= 1.0 { "a minute".to_owned() } else { format!("{:.0} minutes", minutes.ceil()) }
}

/// How far the reading of history is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// Whole percent.
    pub(super) percent: u32,
    pub(super) n_series: usize,
    pub(super) n_points: u64,
    /// Batches that are read and not judged.
    pub(super) waiting: u64,
}

impl History {
    /// What to write after `last` was written: in place at a terminal, a line for every tenth
    /// elsewhere; `None` where there is nothing new to say.
    pub(super) fn text(self, last: Option<Self>, at_terminal: bool) -> Option<String> {
        let text = format!(
            "Reading two weeks of history: {:3} %, {} series, {} points",
            self.percent, self.n_series, self.n_points
        );
        if at_terminal {
            let new = last != Some(self);
            return new.then(|| format!("\r{text}, {} batches to judge   ", self.waiting));
        }
        let tenth = self.percent / 10;
        (last.is_none_or(|l| l.percent / 10 < tenth)).then(|| format!("{text}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scenario::scenario;

    fn ready(key: Option<&str>) -> Ready<'static> {
        Ready {
            scenario: key.and_then(scenario),
            speed: 20.0,
            took_s: 4.2,
            login: "http://127.0.0.1:7878/login?token=once",
            goes_on: None,
            other_seed: None,
        }
    }

    #[test]
    fn a_first_start_says_where_to_look_and_what_to_try() {
        insta::assert_snapshot!(ready(None).text(), @r##"
        Ready after 4 s. Event time runs 20 times as fast as real time.

        Console:  http://127.0.0.1:7878/login?token=once

        The first incident stands there within a minute. Try:
        - read the card: what users feel, the likely cause, what changed before
        - ask in its thread: what is wrong with orders? what changed? what should I do?
        - press Approve…, read exactly what will be done, confirm, watch it being measured
        - Ctrl-C ends; the next start goes on from here
        "##);
    }

    #[test]
    fn what_is_promised_fits_the_scenario_and_the_speed() {
        let slow = ready(Some("slow-leak")).text();
        assert!(slow.contains("within 5 minutes") && slow.contains("recommendations"), "{slow}");
        insta::assert_snapshot!(ready(Some("nightly-batch")).text(), @r##"
        Ready after 4 s. Event time runs 20 times as fast as real time.

        Console:  http://127.0.0.1:7878/login?token=once

        The nightly batch: nobody is to be told, so no incident is what you should see.
        It is over in about 4 minutes. Try:
        - ask: what changed? is anything wrong? was anyone paged, and why not?
        - Ctrl-C ends; the next start goes on from here
        "##);
    }

    #[test]
    fn a_second_start_says_where_it_goes_on() {
        let at = Time::parse("2026-11-18T10:00:00Z").expect("valid");
        let again = Ready { goes_on: Some(at), other_seed: Some(7), ..ready(None) };
        let text = again.text();
        assert!(text.contains("It goes on from 2026-11-18 10:00 UTC"), "{text}");
        assert!(text.contains("begun with seed 7"), "{text}");
    }

    #[test]
    fn progress_is_written_in_place_at_a_terminal_and_in_tenths_elsewhere() {
        let at = |percent| History { percent, n_series: 186, n_points: 1_000, waiting: 1 };
        assert_eq!(at(7).text(Some(at(7)), true), None);
        assert!(at(8).text(Some(at(7)), true).is_some_and(|t| t.starts_with('\r')));
        assert_eq!(at(8).text(Some(at(7)), false), None);
        let line = at(14).text(Some(at(7)), false);
        assert_eq!(
            line.as_deref(),
            Some("Reading two weeks of history:  14 %, 186 series, 1000 points\n")
        );
    }
}
