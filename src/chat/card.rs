//! The neutral card and its buttons, with the one encoding that a button carries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{
    AlertId, EvidenceId, HarmlessId, IncidentId, ProposalId, RunId, SilenceId, TuningId,
};

/// The state that a card shows at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Nobody has taken it, and users are affected.
    Critical,
    /// Nobody has taken it.
    Open,
    /// Somebody works on it.
    Taken,
    /// The fix is in and watched.
    Watching,
    /// It is over.
    Over,
    /// Words without a state.
    Plain,
}

impl Mark {
    /// The sign that stands before the title where a platform has no colours.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Critical => "🔴",
            Self::Open => "🟠",
            Self::Taken => "🟡",
            Self::Watching => "🔵",
            Self::Over => "🟢",
            Self::Plain => "",
        }
    }
}

/// One label with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Field {
    /// What it is.
    pub label: String,
    /// What it says.
    pub value: String,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// What it says, plain text.
    pub text: String,
    /// The evidence it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceId>,
}

impl Item {
    /// A line that cites nothing.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), evidence: Vec::new() }
    }
}

/// One part of a card. All text is plain; an adapter escapes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text {
        /// Its heading.
        heading: Option<String>,
        /// What it says.
        text: String,
        /// The evidence it rests on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<EvidenceId>,
    },
    /// Labels with values.
    Fields {
        /// Its heading.
        heading: Option<String>,
        /// In order.
        fields: Vec<Field>,
    },
    /// A list.
    List {
        /// Its heading.
        heading: Option<String>,
        /// In order.
        items: Vec<Item>,
    },
    /// A chart of one piece of evidence; the adapter has it drawn.
    Chart {
        /// Which.
        evidence: EvidenceId,
        /// What it shows, in one sentence with figures.
        alt: String,
    },
}

/// How a button looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// The one to press first.
    Primary,
    /// An ordinary one.
    Plain,
    /// One that ends or changes something.
    Danger,
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What a button asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Verb {
            $($(#[$doc])* $name,)*
        }

        impl Verb {
            /// What stands on the menu of a card.
            pub const MORE: &'static str = "More…";

            /// Every verb.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in the encoding.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

verbs! {
    /// Take an incident.
    Acknowledge = "acknowledge";
    /// Give an incident to somebody.
    Assign = "assign";
    /// Approve a proposal (opens a form).
    Approve = "approve";
    /// Approve a proposal for later (opens a form).
    Schedule = "schedule";
    /// Decline a proposal.
    Ignore = "ignore";
    /// Explain an incident, alert or proposal.
    Why = "why";
    /// Silence what an incident or alert is about (opens a form).
    Silence = "silence";
    /// Say that an incident is none (opens a form).
    NotAnIncident = "not_an_incident";
    /// End an incident (opens a form).
    Resolve = "resolve";
    /// Open an incident again.
    Reopen = "reopen";
    /// Ask for the rollback of a run.
    Rollback = "rollback";
    /// Fold an incident into another (opens a form).
    Merge = "merge";
    /// Write into an incident's story (opens a form).
    Note = "note";
    /// Open an incident by hand (opens a form).
    Declare = "declare";
    /// End a silence.
    EndSilence = "end_silence";
    /// Apply a proposed change of detection (opens a form with its backtest), or confirm a pattern.
    Apply = "apply";
    /// Decline a proposed change of detection or a pattern (opens a form).
    Decline = "decline";
}

/// What a button is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Subject {
    /// An incident.
    Incident(IncidentId),
    /// An alert.
    Alert(AlertId),
    /// A proposal.
    Proposal(ProposalId),
    /// A run.
    Run(RunId),
    /// A silence.
    Silence(SilenceId),
    /// A proposed change of detection.
    Tuning(TuningId),
    /// A pattern of alerts learned to be harmless.
    Harmless(HarmlessId),
    /// Nothing that is there yet: what a form makes.
    Nothing,
}

/// The word for [`Subject::Nothing`].
const NOTHING: &str = "none";

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incident(id) => id.fmt(f),
            Self::Alert(id) => id.fmt(f),
            Self::Proposal(id) => id.fmt(f),
            Self::Run(id) => id.fmt(f),
            Self::Silence(id) => id.fmt(f),
            Self::Tuning(id) => id.fmt(f),
            Self::Harmless(id) => id.fmt(f),
            Self::Nothing => f.write_str(NOTHING),
        }
    }
}

impl FromStr for Subject {
    type Err = BadCode;
    fn from_str(text: &str) -> Result<Self, BadCode> {
        let subject = match text.get(..4) {
            Some("INC-") => text.parse().map(Self::Incident).ok(),
            Some("ALT-") => text.parse().map(Self::Alert).ok(),
            Some("PRP-") => text.parse().map(Self::Proposal).ok(),
            Some("RUN-") => text.parse().map(Self::Run).ok(),
            Some("SIL-") => text.parse().map(Self::Silence).ok(),
            Some("TUN-") => text.parse().map(Self::Tuning).ok(),
            Some("HRM-") => text.parse().map(Self::Harmless).ok(),
            Some(NOTHING) => Some(Self::Nothing),
            _ => None,
        };
        // ULIDs are also read in lower case and with look-alikes; only one spelling is ours.
        subject.filter(|s| s.to_string() == text).ok_or(BadCode("its subject is not an id"))
    }
}

impl From<Subject> for String {
    fn from(s: Subject) -> Self {
        s.to_string()
    }
}

impl TryFrom<String> for Subject {
    type Error = BadCode;
    fn try_from(text: String) -> Result<Self, BadCode> {
        text.parse()
    }
}

impl ToSchema for Subject {
    fn name() -> std::borrow::Cow<'static, str> {
        // What an anomaly is about is called a subject too.
        "ButtonSubject".into()
    }
}
impl utoipa::PartialSchema for Subject {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

/// Why a text is not the encoding of a button.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a button of this version: {0}; open the newest message and press there")]
pub struct BadCode(pub &'static str);

/// A button. What it carries is [`Button::code`]; the label is only for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Button {
    /// What it asks for.
    pub verb: Verb,
    /// What stands on it.
    pub label: String,
    /// How it looks.
    pub style: Style,
    /// What it is about.
    pub subject: Subject,
    /// For decisions: the first 16 digits of the plan's digest.
    pub digest: Option<String>,
}

impl Button {
    /// Whether it is asked once more before it is done: it is done at once, and what was is not
    /// simply had back.
    #[must_use]
    pub fn asks_first(&self) -> bool {
        self.style == Style::Danger && !self.verb.opens_form()
    }

    /// The most bytes that every platform takes (Discord's custom id).
    pub const MAX_BYTES: usize = 100;

    /// The canonical encoding: `v1:verb:subject` or `v1:verb:subject:digest`.
    #[must_use]
    pub fn code(&self) -> String {
        match &self.digest {
            Some(digest) => format!("v1:{}:{}:{digest}", self.verb.as_str(), self.subject),
            None => format!("v1:{}:{}", self.verb.as_str(), self.subject),
        }
    }

    /// Reads [`Button::code`]. Strict: every accepted text is the one that [`Button::code`]
    /// gives for the result (label and style are not part of it and are left plain).
    ///
    /// # Errors
    /// Anything else, with the reason.
    pub fn parse(code: &str) -> Result<Self, BadCode> {
        if code.len() > Self::MAX_BYTES {
            return Err(BadCode("it is too long"));
        }
        let mut parts = code.split(':');
        if parts.next() != Some("v1") {
            return Err(BadCode("its version is unknown"));
        }
        let word = parts.next().unwrap_or_default();
        let verb = Verb::ALL.iter().copied().find(|v| v.as_str() == word);
        let verb = verb.ok_or(BadCode("its verb is unknown"))?;
        let subject: Subject = parts.next().unwrap_or_default().parse()?;
        let digest = parts.next().map(str::to_owned);
        if parts.next().is_some() {
            return Err(BadCode("it has too many parts"));
        }
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digest.as_ref().is_some_and(|d| d.len() != 16 || !d.bytes().all(hex)) {
            return Err(BadCode("its digest is not 16 hexadecimal digits"));
        }
        let fits = match verb {
            Verb::Approve | Verb::Schedule | Verb::Ignore => {
                matches!(subject, Subject::Proposal(_)) && digest.is_some()
            }
            Verb::Rollback => matches!(subject, Subject::Run(_)) && digest.is_none(),
            Verb::Why => {
                let told = matches!(
                    subject,
                    Subject::Incident(_) | Subject::Alert(_) | Subject::Proposal(_)
                );
                told && digest.is_none()
            }
            Verb::Apply | Verb::Decline => {
                matches!(subject, Subject::Tuning(_) | Subject::Harmless(_)) && digest.is_none()
            }
            Verb::EndSilence => matches!(subject, Subject::Silence(_)) && digest.is_none(),
            Verb::Silence => {
                let about =
                    matches!(subject, Subject::Incident(_) | Subject::Alert(_) | Subject::Nothing);
                about && digest.is_none()
            }
            Verb::Declare => subject == Subject::Nothing && digest.is_none(),
            _ => matches!(subject, Subject::Incident(_)) && digest.is_none(),
        };
        if !fits {
            return Err(BadCode("its verb and subject don't belong together"));
        }
        Ok(Self { verb, label: String::new(), style: Style::Plain, subject, digest })
    }
}

/// A card: one message with structure, drawn by each platform in its own way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Card {
    /// State at a glance.
    pub mark: Mark,
    /// One line.
    pub title: String,
    /// One line beneath the title: severity, state, age, owner, services.
    pub context: String,
    /// In order.
    pub blocks: Vec<Block>,
    /// In order.
    pub buttons: Vec<Button>,
    /// What else can be asked for, in one menu beside the buttons; each opens a form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub menu: Vec<Button>,
    /// Where the console shows the same, for people who read it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// One line at the end.
    pub footer: String,
    /// The whole in one or two lines of plain text, for notifications and readers.
    pub fallback: String,
}

impl Card {
    /// A card with a title and words only.
    #[must_use]
    pub fn words(title: impl Into<String>, text: impl Into<String>) -> Self {
        let (title, text) = (title.into(), text.into());
        let fallback = format!("{title}: {text}");
        let blocks = vec![Block::Text { heading: None, text, evidence: Vec::new() }];
        let (context, footer) = (String::new(), String::new());
        let (mark, buttons, menu, url) = (Mark::Plain, Vec::new(), Vec::new(), None);
        Self { mark, title, context, blocks, buttons, menu, url, footer, fallback }
    }

    /// The whole card as plain text, as `nightjar ask` and logs show it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{} {}", self.mark.sign(), self.title).trim().to_owned()];
        lines.extend((!self.context.is_empty()).then(|| self.context.clone()));
        for block in &self.blocks {
            lines.push(String::new());
            let (Block::Text { heading, .. }
            | Block::Fields { heading, .. }
            | Block::List { heading, .. }) = block
            else {
                if let Block::Chart { alt, .. } = block {
                    lines.push(format!("[chart] {alt}"));
                }
                continue;
            };
            lines.extend(heading.iter().map(|h| format!("{h}:")));
            match block {
                Block::Text { text, .. } => lines.push(text.clone()),
                Block::Fields { fields, .. } => {
                    lines.extend(fields.iter().map(|f| format!("{}: {}", f.label, f.value)));
                }
                Block::List { items, .. } => {
                    lines.extend(items.iter().map(|i| format!("- {}", i.text)));
                }
                Block::Chart { .. } => {}
            }
        }
        if !self.buttons.is_empty() {
            let labels: Vec<String> =
                self.buttons.iter().map(|b| format!("[{}]", b.label)).collect();
            lines.extend([String::new(), labels.join(" ")]);
        }
        if !self.menu.is_empty() {
            let labels: Vec<&str> = self.menu.iter().map(|b| b.label.as_str()).collect();
            lines.push(format!("More: {}", labels.join(", ")));
        }
        lines.extend((!self.footer.is_empty()).then(|| self.footer.clone()));
        lines.join("\n")
    }
}
