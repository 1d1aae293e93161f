//! The desk: API tokens, made and revoked while the bot runs.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Desk, Problem, need, secret};
use crate::model::time::DAY_MS;
use crate::model::{Actor, Refused, Role, Time, wall_now};
use crate::store::{Filter, Index, Record};

/// One API token as the store keeps it. All times are wall-clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// SHA-256 of the secret.
    pub hash: String,
    /// Whose it is, as records will say; unique among the tokens that work.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Time,
    /// By whom.
    pub created_by: Actor,
    /// When it stops working.
    pub expires_at: Option<Time>,
    /// When it was last used, to five minutes.
    pub last_used_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

impl ApiToken {
    /// Its id: enough of the digest to name it, too little to be of use.
    #[must_use]
    pub fn id(&self) -> String {
        self.hash.chars().take(16).collect()
    }

    /// Whether it works at a time.
    #[must_use]
    pub fn works_at(&self, now: Time) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }

    /// Whom it stands for.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            via: "token".into(),
            id: self.name.clone(),
            name: self.name.clone(),
            role: self.role,
        }
    }
}

impl Record for ApiToken {
    const KIND: &'static str = "api_token";
    fn key(&self) -> String {
        self.hash.clone()
    }
    fn index(&self) -> Index {
        Index { at: self.created_at, subject: self.name.clone(), ..Index::default() }
    }
}

/// A token as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Whose it will be.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Days after which it stops working, 1 to 730; left out: never.
    #[serde(default)]
    pub days: Option<u32>,
}

impl Desk {
    /// Makes a token; gives it with its secret, which is kept nowhere.
    ///
    /// # Errors
    /// The role does not allow it, the name is empty, too long or taken, or the days are too many.
    pub async fn create_token(
        &self,
        actor: &Actor,
        new: NewToken,
        taken: &[String],
    ) -> Result<(ApiToken, String), Problem> {
        need(actor, Role::Admin, "make an API token")?;
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
            return Err(Refused::Invalid(
                "Name the token after who will use it, in at most 60 characters.".into(),
            )
            .into());
        }
        if new.days.is_some_and(|d| !(1..=730).contains(&d)) {
            return Err(Refused::Invalid("A token lasts between 1 and 730 days.".into()).into());
        }
        let used = Refused::Conflict(format!(
            "There is a token with the name `{name}`; choose another, or revoke that one first."
        ));
        if taken.contains(&name) {
            return Err(used.into());
        }
        let (given, now) = (format!("nj_{}", secret::random()), wall_now());
        let token = ApiToken {
            hash: secret::digest(&given).to_string(),
            name,
            role: new.role,
            created_at: now,
            created_by: actor.clone(),
            expires_at: new.days.map(|d| now.plus_ms(i64::from(d) * DAY_MS)),
            last_used_at: None,
            revoked_at: None,
        };
        let (kept, at) = (token.clone(), self.clock.now());
        self.transact(move |tx| {
            let same = tx.list::<ApiToken>(&Filter::subject(&kept.name))?;
            if same.iter().any(|t| t.works_at(now)) {
                return Ok(Err(used));
            }
            tx.put(&kept)?;
            let detail =
                json!({ "name": kept.name, "role": kept.role, "expires_at": kept.expires_at });
            tx.audit(at, &kept.created_by, "token.create", &kept.id(), &detail)?;
            Ok(Ok(()))
        })
        .await?;
        Ok((token, given))
    }

    /// Revokes a token: from now on it is refused.
    ///
    /// # Errors
    /// The role does not allow it, or there is no such token that works.
    pub async fn revoke_token(&self, actor: &Actor, id: &str) -> Result<ApiToken, Problem> {
        need(actor, Role::Admin, "revoke an API token")?;
        let (actor, id) = (actor.clone(), id.to_owned());
        let (now, at) = (wall_now(), self.clock.now());
        self.transact(move |tx| {
            let all = tx.list::<ApiToken>(&Filter::all())?;
            let Some(mut token) = all.into_iter().find(|t| t.id() == id && t.revoked_at.is_none())
            else {
                return Ok(Err(Refused::NotFound(
                    "There is no such token, or it was revoked already. Tokens of the \
                     configuration are removed there."
                        .into(),
                )));
            };
            token.revoked_at = Some(now);
            tx.put(&token)?;
            tx.audit(at, &actor, "token.revoke", &id, &json!({ "name": token.name }))?;
            Ok(Ok(token))
        })
        .await
    }
}
