//! What a question asks for: its intent, the entities and incident it names, its time. Pure.

use jiff::tz::TimeZone;

use crate::model::{EntityRef, Time};

use super::when::{self, Range};

mod names;
#[cfg(test)]
mod tests;
mod words;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Status,
    Why,
    Changes,
    Happened,
    Errors,
    Compare,
    SeenBefore,
    WhatToDo,
    Runbook,
    Paged,
    Deploy,
    Slowest,
    Graph,
    Health,
    Show,
    Count,
    Silenced,
    Help,
    Unknown,
}

impl Intent {
    /// The word for records.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Why => "why",
            Self::Changes => "changes",
            Self::Happened => "happened",
            Self::Errors => "errors",
            Self::Compare => "compare",
            Self::SeenBefore => "seen_before",
            Self::WhatToDo => "what_to_do",
            Self::Runbook => "runbook",
            Self::Paged => "paged",
            Self::Deploy => "deploy",
            Self::Slowest => "slowest",
            Self::Graph => "graph",
            Self::Health => "health",
            Self::Show => "show",
            Self::Count => "count",
            Self::Silenced => "silenced",
            Self::Help => "help",
            Self::Unknown => "unknown",
        }
    }
}

/// A question, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) intent: Intent,
    /// Named entities in the order of the text.
    pub(super) entities: Vec<EntityRef>,
    /// A word where a service's name would stand, that no known entity has.
    pub(super) unknown_name: Option<String>,
    /// What was read as what, where that took a guess.
    pub(super) guesses: Vec<(String, String)>,
    /// `#12`.
    pub(super) number: Option<u64>,
    pub(super) range: Option<Range>,
    /// Whether the time is named by the incident: "since it started".
    pub(super) since_onset: bool,
}

impl Plan {
    /// The first named entity.
    pub(super) fn entity(&self) -> Option<&EntityRef> {
        self.entities.first()
    }
}

/// Phrases in order of precedence: the first rule of which every group has a phrase decides.
const RULES: &[(Intent, &[&str])] = &[
    (
        Intent::Help,
        &[
            "what can you do|what can i ask|what do you know|how do you work|how do i use you|what questions|what can you answer|what can you tell",
        ],
    ),
    (
        Intent::WhatToDo,
        &[
            "should|shall|do we|do i|can we|can i|is it safe to",
            "roll back|rollback|revert|restart|scale|fail over|failover|undo",
        ],
    ),
    (
        Intent::Deploy,
        &[
            "what if|if we|if i|if someone|safe to|should we|should i|shall we|can we|can i|may we|may i|could we|ok to|okay to|good time to|good idea to|risky to|risk of|what would happen|what happens if|wait with",
            "deploy*|ship*|release*|releasing|roll out|rollout|rolled out|push*|merge*|go live",
        ],
    ),
    (
        Intent::Deploy,
        &["safe|good time|okay|ok", "to deploy|for a deploy|for deploying|to release|to ship"],
    ),
    (
        Intent::SeenBefore,
        &[
            "last time|deja vu|known issue|known problem|recurring|similar*|first time|seen this|seen that|seen it|seen something|had this|had that|this before|that before|it before|happen before|like this before|happened already|happened again|happening again|again|anything like this|same thing|same problem|same issue|ever happened|ever seen|ever had|has it happened|how often",
            "last time|deja vu|known|recurring|similar*|before|already|again|ever|first time|in the past|same|like this|how often|previously|seen",
        ],
    ),
    (
        Intent::SeenBefore,
        &["has|have|did", "happened before|seen before|occurred before|happen before"],
    ),
    (Intent::Happened, &["what happened|what has happened|what all happened"]),
    (Intent::Runbook, &["runbook*|playbook*|sop|procedure|documentation|which doc|any docs|howto"]),
    (
        Intent::Paged,
        &[
            "paged|pager|page me|page us|page anyone|page anybody|page someone|page them|got a page|get a page|paging|woke|woken|wake|notified|notify|alerted|who was told|who got told|was told|who knows about|who has been told|got pinged|was pinged",
        ],
    ),
    (
        Intent::Paged,
        &[
            "why|did|was|were|is|how come",
            "no alert|not alert|alert not|no alarm|not alarm|alert fire|alert did|not fire|alerts fire|alert suppressed|alert dropped|alerts suppressed",
        ],
    ),
    (Intent::Silenced, &["silence*|silencing|muted|mute|mutes|snoozed|maintenance"]),
    (
        Intent::WhatToDo,
        &[
            "what should|what shall|what do i do|what do we do|what can i do|what can we do|what could i do|what now|now what|what next|next step*|how to fix|how do i fix|how do we fix|how can i fix|how can we fix|how to solve|how do i solve|how to mitigate|how do we mitigate|how do i mitigate|how to stop|how do i stop|fix it|fix this|mitigat*|remediat*|suggestion*|suggest|workaround|what to do|what are my options|options|what would you do|what would help|any proposals|proposals|proposed",
        ],
    ),
    (
        Intent::Count,
        &[
            "how many incidents|number of incidents|list incidents|list of incidents|incidents this|incidents today|incidents yesterday|incident list|incidents in|incidents over|incidents last|incidents since|incidents between|recent incidents|past incidents|all incidents|latest incidents|incident history",
        ],
    ),
    (
        Intent::Why,
        &[
            "why|root cause|rootcause|rca|culprit|what caused|whats caused|cause of|the cause|likely cause|what causes|causing|what broke|who broke|what is breaking|reason for|the reason|what is wrong|wrong with|what is up with|the matter with|explain|diagnose|diagnosis|how come|responsible for",
        ],
    ),
    (
        Intent::Compare,
        &[
            "compare*|comparison|than yesterday|than last|than usual|than normal|than before|than it was|versus|vs|against yesterday|against last|difference|differ|week over week|day over day|slower than|faster than|worse than|higher than|lower than|same as yesterday|as yesterday|as last week|compared",
        ],
    ),
    (
        Intent::Changes,
        &[
            "what is new|anything new|what is different|changed|changes|change|deploys|deployed|deployment|deployments|deploy|rollouts|rollout|rolled out|releases|released|release|shipped|merged|migrations|migration|feature flag|feature flags|flags|config change|who touched|touched|pushed|went out|went live|version|versions",
        ],
    ),
    (
        Intent::Graph,
        &[
            "depend*|dependenc*|who calls|what calls|which services call|services call|talks to|talk to|upstream*|downstream*|neighbours|neighbors|topology|call graph|service graph|service map|blast radius|who uses|what uses|affected by|runs on|run on|what runs|running on|relies on|rely on|connected to",
        ],
    ),
    (Intent::Graph, &["what does|which|who does|does", "call|calls|use|uses"]),
    (
        Intent::Slowest,
        &[
            "slowest|slow services|what is slow|who is slow|which services are slow|which service is slow|which is slow|highest latency|worst latency|top latency|highest p99|what is slowest",
        ],
    ),
    (
        Intent::Happened,
        &[
            "what went on|timeline|what was going on|story|storyline|summary|summarise|summarize|recap|catch me up|walk me through|history of|what did i miss|what have i missed|sequence of events|chronolog*|events|happened between|happened from|happening between",
        ],
    ),
    (
        Intent::Show,
        &[
            "error rate|errors rate|failure rate|success rate|p99|p95|p90|p50|plot|graph of|chart|latency|latencies|throughput|rps|qps|traffic|cpu|memory|utilization|utilisation|saturation|response time|response times|metrics|metric|request rate|how slow|how fast|durations|load",
        ],
    ),
    (
        Intent::Errors,
        &[
            "error*|log|logs|logging|exception*|stack trace|stacktrace*|stack traces|5xx|500s|4xx|503s|502s|panic*|crash*|warnings|fatals|fatal|failures|failed requests|log lines",
        ],
    ),
    (Intent::Count, &["incidents", "list|all|recent|past|yesterday|week|month|today|hours"]),
    (
        Intent::Status,
        &[
            "open incidents|active incidents|current incidents|what is broken|what is down|what is failing|on fire",
        ],
    ),
    (
        Intent::Health,
        &[
            "healthy|health|ok|okay|up|down|alive|working|fine|how is|how are|state of|doing|slow|failing|broken|degraded|behaving|dead|unhealthy|stable|recovered",
        ],
    ),
    (Intent::Paged, &["alerts|alert|alarms|alarm|firing"]),
    (
        Intent::Status,
        &[
            "status|going on|happening|wrong|outage*|incident*|issues|problems|problem|all good|all green|everything|anything|situation|sitrep|state|overview|status report|broken|news|update|sup",
        ],
    ),
    (Intent::Help, &["help|commands|usage|hello|hi|hey|examples"]),
    (Intent::Show, &["show|display|give me"]),
];

/// Whether the words mean the time since the incident began.
fn since_onset(spaced: &str) -> bool {
    words::has(
        spaced,
        "since it started|since it began|since this started|since then|since the start|since the incident|since the onset|since the incident started|since onset|during the incident|during this incident|since it broke|since that",
    )
}

/// The number after `#`, or after the word `incident`.
fn number(mended: &str) -> Option<u64> {
    let digits = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let after = |mark: &str| mended.split(mark).skip(1).find_map(digits);
    after("#").or_else(|| after("incident ")).or_else(|| after("inc-").filter(|n| *n < 100_000))
}

/// Understands a question.
pub(super) fn understand(text: &str, known: &[EntityRef], now: Time, zone: &TimeZone) -> Plan {
    // Long texts are pasted logs: what is asked stands at their beginning.
    let text: String = text.chars().take(600).collect();
    let mended = words::mend(&text, known);
    let spaced = words::spaced(&mended);
    let found = RULES.iter().find(|(_, groups)| groups.iter().all(|g| words::has(&spaced, g)));
    let intent = found.map_or(Intent::Unknown, |(intent, _)| *intent);
    let number = number(&mended);
    let named = names::find(&words::spaced(&text.to_lowercase()), known);
    let guesses = named
        .iter()
        .filter(|n| n.guessed)
        .map(|n| (n.words.clone(), n.entity.name().to_owned()))
        .collect();
    let entities: Vec<EntityRef> = named.into_iter().map(|n| n.entity).collect();
    let is_named = !entities.is_empty();
    let intent = match intent {
        // "Is it slow" without a name asks for the state of everything.
        Intent::Health if !is_named => Intent::Status,
        Intent::Status if is_named && number.is_none() => Intent::Health,
        Intent::Unknown if number.is_some() => Intent::Status,
        Intent::Unknown if is_named => Intent::Health,
        other => other,
    };
    let unknown_name = if is_named || number.is_some() { None } else { names::unknown(&spaced) };
    let range = when::parse(&mended, now, zone);
    let since_onset = since_onset(&spaced);
    Plan { intent, entities, unknown_name, guesses, number, range, since_onset }
}
