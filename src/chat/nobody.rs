//! An inlet that hears nothing: a check listens to nobody.

use std::collections::BTreeMap;
use std::future::ready;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Card, Completion, Inbound, Inlet, Pressed};
use crate::model::{Actor, Fault};

/// Stands where people's words would go. Nothing is kept, so nothing may be acknowledged.
pub(super) struct Nobody;

impl Inlet for Nobody {
    fn press(&self, _: Actor, _: String) -> BoxFuture<'_, Result<Pressed, Fault>> {
        ready(Ok(Pressed::Refused("Nobody listens.".into()))).boxed()
    }

    fn faults(
        &self,
        _: Option<Actor>,
        _: String,
        _: BTreeMap<String, String>,
    ) -> BoxFuture<'_, Result<BTreeMap<String, String>, Fault>> {
        ready(Ok(BTreeMap::new())).boxed()
    }

    fn accept(&self, _: Inbound) -> BoxFuture<'_, Result<bool, Fault>> {
        ready(Err(Fault::because("nobody listens"))).boxed()
    }

    fn complete(
        &self,
        _: Completion,
        _: String,
    ) -> BoxFuture<'_, Result<Vec<(String, String)>, Fault>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn home(&self, _: Actor) -> BoxFuture<'_, Result<Vec<Card>, Fault>> {
        ready(Ok(Vec::new())).boxed()
    }
}
