//! The audit log: reading it, and proving that nothing in it was changed.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, MOST, State, USUAL, VIEWER};
use crate::model::Time;
use crate::store::{AuditFilter, AuditRecord};
use crate::web::extract::Params;
use crate::web::table::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/audit", VIEWER, "Audit records, newest first", list)
            .query::<Which>()
            .gives::<Records>(),
        Route::get("/api/v1/audit/verify", VIEWER, "Walks the whole hash chain", verify)
            .gives::<Verified>(),
    ]
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Only about this id.
    subject: Option<String>,
    /// Only by this person or program: its name or id.
    actor: Option<String>,
    /// Only actions that begin so: `proposal.`, `incident.resolved`.
    action: Option<String>,
    /// Not before (event time).
    since: Option<Time>,
    /// Before (event time).
    until: Option<Time>,
    /// Only records before this place in the chain.
    before: Option<u64>,
    /// At most so many, up to 1,000.
    limit: Option<usize>,
}

/// Audit records, newest first.
#[derive(Serialize, ToSchema)]
struct Records {
    records: Vec<AuditRecord>,
}

async fn list(Shared(state): Shared<State>, Params(which): Params<Which>) -> Answer<Records> {
    let filter = AuditFilter {
        subject: which.subject,
        actor: which.actor,
        action: which.action,
        since: which.since,
        until: which.until,
        before: which.before,
        limit: which.limit.unwrap_or(USUAL).clamp(1, MOST),
    };
    let records = state.shared.store.read(move |r| r.audit_records(&filter)).await?;
    Ok(Json(Records { records }))
}

/// What a walk along the hash chain found.
#[derive(Serialize, ToSchema)]
struct Verified {
    /// Whether every record gives its hash.
    whole: bool,
    /// How many records there are, when it is whole.
    n: Option<u64>,
    /// The last hash, when it is whole; compare it with one written down elsewhere.
    hash: Option<String>,
    /// Where and why it is broken, when it is.
    reason: Option<String>,
}

async fn verify(Shared(state): Shared<State>) -> Answer<Verified> {
    Ok(Json(match state.shared.store.read(|r| r.audit_verify()).await? {
        Ok((n, hash)) => Verified { whole: true, n: Some(n), hash: Some(hash), reason: None },
        Err(broken) => {
            Verified { whole: false, n: None, hash: None, reason: Some(broken.to_string()) }
        }
    }))
}
