//! A version's card for people.

use std::fmt::Write as _;

use super::{Classifier, HeadCard};

impl Classifier {
    /// One line: number, state, what it answers and how well.
    #[must_use]
    pub fn line(&self) -> String {
        let heads: Vec<String> = self
            .card
            .heads
            .iter()
            .filter(|h| h.silent.is_none())
            .map(|h| {
                let use_ = if h.is_useful() { "" } else { ", of no use" };
                format!(
                    "{} {:.0} % right of {} (commonest class {:.0} %{use_})",
                    h.question.words(),
                    h.accuracy * 100.0,
                    h.rows,
                    h.base_accuracy * 100.0
                )
            })
            .collect();
        let drift = self.watch.as_ref().filter(|w| w.drifts).map_or("", |_| ", drifts");
        format!(
            "{:>3}  {:<7} {}  {}{drift}",
            self.version,
            self.state.as_str(),
            self.card.trained_at.minute_text(),
            heads.join("; ")
        )
    }

    /// The whole card.
    #[must_use]
    pub fn text(&self) -> String {
        let card = &self.card;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "Version {} of the classifier, {}. Trained {} by {} in {} ms.",
            self.version,
            self.state.as_str(),
            card.trained_at.minute_text(),
            self.trained_by.name,
            card.took_ms
        );
        let range = match (card.since, card.until) {
            (Some(since), Some(until)) => {
                format!(" from {} to {}", since.minute_text(), until.minute_text())
            }
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "{} labelled incidents{range}, {} features. Code {}.",
            card.rows, card.n_features, card.code
        );
        let _ = writeln!(out, "Trees {}\nData  {}", self.hash, card.data_hash);
        for head in &card.heads {
            head.tell(&mut out);
        }
        if let Some(watch) = &self.watch {
            let word = if watch.drifts { "It drifts. " } else { "" };
            let _ = writeln!(out, "\nWatch, {}: {word}{}", watch.at.minute_text(), watch.text);
        }
        for deed in &self.deeds {
            let _ = writeln!(
                out,
                "{} {} by {}: {}",
                deed.at.minute_text(),
                deed.to.as_str(),
                deed.by.name,
                deed.reason
            );
        }
        out
    }
}

impl HeadCard {
    fn tell(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}", self.question.words().to_uppercase());
        if let Some(why) = &self.silent {
            let _ = writeln!(out, "{why}");
            return;
        }
        let rare = match self.n_rare {
            0 => String::new(),
            n => format!("; {n} more of classes too rare to be learned"),
        };
        let _ = writeln!(
            out,
            "By cross-validation over {} incidents{rare}: {:.1} % right, always the commonest \
             class {:.1} %. Brier score {:.3}, knowing only how common each class is {:.3}{}. \
             Calibration error {:.3}.",
            self.rows,
            self.accuracy * 100.0,
            self.base_accuracy * 100.0,
            self.brier,
            self.base_brier,
            if self.is_useful() { "" } else { ": of no use, it is not shown" },
            self.calibration_error
        );
        if let Some(later) = &self.later {
            let _ = writeln!(
                out,
                "Trained on the oldest seven tenths, of the {} after: {:.1} % right, always the \
                 commonest {:.1} %.",
                later.n,
                later.accuracy * 100.0,
                later.base_accuracy * 100.0
            );
        }
        for class in &self.classes {
            let precision = class.precision().map_or("never told".to_owned(), |p| {
                format!("precision {p:.2} ({} of {})", class.n_right, class.n_told)
            });
            let _ = writeln!(
                out,
                "  {}: {precision}, recall {:.2} of {}",
                class.name,
                class.recall(),
                class.n
            );
        }
        let bins: Vec<String> = self
            .calibration
            .iter()
            .map(|b| {
                format!("{:.0} % came true {:.0} % of {}", b.said * 100.0, b.came * 100.0, b.n)
            })
            .collect();
        let _ = writeln!(out, "  Said and came: {}.", bins.join("; "));
        let shares: Vec<String> =
            self.importance.iter().map(|(f, s)| format!("{f} {:.0} %", s * 100.0)).collect();
        let _ = writeln!(out, "  Looks at: {}.", shares.join(", "));
    }
}
