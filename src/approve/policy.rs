//! Who may decide what: roles, the same person twice, one's own request. Pure.
//!
//! Nobody is known to be the same person on two platforms, nor to be another one. So where two
//! people must agree, only approvals of one platform count together, and where nobody may approve
//! their own, whoever asked or edited on another platform holds an approval back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::action::Requirement;
use crate::model::{Actor, Proposal, Refused, Risk, Role, Verdict};

/// Policy of approvals. An action's runbook may ask for more, never for less.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Least role for actions of low and medium risk.
    pub role: Role,
    /// Least role for actions of high risk.
    pub high_risk_role: Role,
    /// How many different people must approve an action of high risk, all on the platform of the
    /// first who does: accounts of two platforms may be one person's.
    #[schemars(range(min = 1, max = 10))]
    pub high_risk_approvals: u8,
    /// Refuse approvals by whoever requested the action, edited its parameters or authored the
    /// change that it undoes, and by whoever can't be told from them: an account of another
    /// platform than that on which it was requested or edited.
    pub no_self_approval: bool,
    /// Minutes (event time) after which an undecided proposal expires.
    #[schemars(range(min = 1))]
    pub expires_min: u32,
    /// Seconds (event time) between two runs of the same action on the same target.
    pub cooldown_s: u32,
    /// Runs in a row that did not help after which an action on a target is not offered or run
    /// again for `breaker_min`.
    #[schemars(range(min = 1))]
    pub breaker_after: u32,
    /// Minutes (event time) for which it then rests.
    pub breaker_min: u32,
    /// Proposals open at once for one incident.
    #[schemars(range(min = 1))]
    pub max_open: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: Role::Approver,
            high_risk_role: Role::Approver,
            high_risk_approvals: 2,
            no_self_approval: false,
            expires_min: 60,
            cooldown_s: 300,
            breaker_after: 3,
            breaker_min: 120,
            max_open: 2,
        }
    }
}

/// What an action of a risk needs: the policy's word, raised by what its runbook asks for.
#[must_use]
pub fn requirement(
    config: &Config,
    risk: Risk,
    role: Option<Role>,
    approvals: Option<u8>,
) -> Requirement {
    let (least, n) = match risk {
        Risk::High => (config.high_risk_role, config.high_risk_approvals.max(1)),
        Risk::Low | Risk::Medium => (config.role, 1),
    };
    Requirement {
        role: least.max(role.unwrap_or(least)),
        n_approvals: n.max(approvals.unwrap_or(1)),
        no_self_approval: config.no_self_approval,
    }
}

/// Why this person may not decide on this proposal, if so.
///
/// # Errors
/// [`Refused::Forbidden`], naming who may.
pub fn may_decide(proposal: &Proposal, actor: &Actor, verdict: Verdict) -> Result<(), Refused> {
    let requires = &proposal.requires;
    if actor.is_bot() {
        return Err(Refused::Forbidden("Only a person can decide on an action.".into()));
    }
    if actor.role < requires.role {
        return Err(Refused::Forbidden(format!(
            "This needs the role {}; you have {}. Ask somebody with that role to decide.",
            requires.role, actor.role
        )));
    }
    if verdict != Verdict::Ignore
        && requires.no_self_approval
        && let Some((why, elsewhere)) = own(proposal, actor)
    {
        return Err(Refused::Forbidden(format!(
            "{why}, and policy asks for another person's approval. Ask a colleague with the role \
             {}{}.",
            requires.role,
            if elsewhere { " to decide there" } else { "" }
        )));
    }
    Ok(())
}

/// Why this person may not change a proposal's parameters, if so. Whoever may respond may edit:
/// nothing happens by it, and somebody has to approve what was edited.
///
/// # Errors
/// [`Refused::Forbidden`], naming who may.
pub fn may_edit(actor: &Actor) -> Result<(), Refused> {
    if actor.is_bot() || actor.role < Role::Responder {
        return Err(Refused::Forbidden(format!(
            "To edit a plan you need the role {}; you have {}. Ask somebody with that role.",
            Role::Responder,
            actor.role
        )));
    }
    Ok(())
}

/// In what way the proposal is, or may be, the actor's own, and whether only the platform makes it
/// so.
fn own(proposal: &Proposal, actor: &Actor) -> Option<(String, bool)> {
    if proposal.requested_by.same_as(actor) {
        return Some(("You requested this action".into(), false));
    }
    if proposal.edited_by.iter().any(|e| e.same_as(actor)) {
        return Some(("You edited its parameters".into(), false));
    }
    let asked = std::iter::once((&proposal.requested_by, "requested this action"));
    let edited = proposal.edited_by.iter().map(|e| (e, "edited its parameters"));
    let unclear = asked.chain(edited).find(|(p, _)| !p.is_bot() && !actor.is_other_than(p));
    if let Some((person, did)) = unclear {
        let why = format!(
            "{} {did} in {}; whether you are somebody else can't be known from {}",
            person.name,
            person.place(),
            actor.place()
        );
        return Some((why, true));
    }
    // Sources write one person in several ways: `Ann`, `ann`, `@ann`.
    let bare = |name: &str| name.trim().trim_start_matches('@').to_lowercase();
    let author = bare(proposal.change_author.as_deref()?);
    let same = |name: &str| bare(name) == author;
    let own = same(&actor.name) || same(&actor.id);
    own.then(|| ("You authored the change that it undoes".into(), false))
}

/// Why this approval would not be one more person's, if so: they have approved before, or whoever
/// approved first did so on another platform.
pub(super) fn another(proposal: &Proposal, actor: &Actor) -> Result<(), Refused> {
    for approver in approvers(proposal) {
        if approver.same_as(actor) {
            return Err(Refused::Conflict(
                "You have already approved this; another person's approval is needed.".into(),
            ));
        }
        if !actor.is_other_than(approver) {
            return Err(Refused::Forbidden(format!(
                "{} approved this in {}, and whether you are somebody else can't be known from \
                 {}. Where several people must agree, all decide on one platform: approve there, \
                 or decline here.",
                approver.name,
                approver.place(),
                actor.place()
            )));
        }
    }
    Ok(())
}

/// How many people, known to be different, have validly approved the plan as it stands now.
#[must_use]
pub fn n_approved(proposal: &Proposal) -> usize {
    approvers(proposal).len()
}

/// The people, known to be different, who have validly approved the plan as it stands now, in
/// order: accounts of the platform of the first.
pub(super) fn approvers(proposal: &Proposal) -> Vec<&Actor> {
    let mut people: Vec<&Actor> = Vec::new();
    for decision in &proposal.decisions {
        let approves = matches!(decision.verdict, Verdict::Approve | Verdict::Schedule { .. });
        if approves
            && decision.digest == proposal.digest
            && may_decide(proposal, &decision.actor, decision.verdict).is_ok()
            && people.iter().all(|p| decision.actor.is_other_than(p))
        {
            people.push(&decision.actor);
        }
    }
    people
}
