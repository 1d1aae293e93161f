//! The start of the stages that look back: what business series did, and what judgements mean.

use super::App;
use crate::config::Config;
use crate::detect::SharedShard;
use crate::impact::Impact;
use crate::learn::classify::{Classify, Keeper};
use crate::learn::{Hush, Past, Tune};
use crate::model::SharedClock;
use crate::store::Store;

/// What detection begins with, before its snapshot is read.
pub(super) fn shard(settings: &Config) -> SharedShard {
    SharedShard::new(settings.detect.clone())
        .with_objectives(settings.slo.clone())
        .with_condition(settings.correlate.condition())
}

/// Who keeps the versions of the classifier: one for all who ask, so that one training runs at a time.
pub(super) fn keeper(settings: &Config, store: &Store, clock: &SharedClock) -> Keeper {
    Keeper::new(settings.learn.classify.clone(), store.clone(), clock.clone())
}

impl App {
    /// Holds declared business and cost series against the technical ones of incidents, and makes
    /// proposals of what people say of incidents.
    pub(super) fn start_looking_back(&self, settings: &Config) {
        let business = settings.detect.business.clone();
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let (clock, shard) = (self.clock.clone(), self.shard.clone());
        self.tasks.stage(&self.bus, move || {
            Impact::new(business.clone(), store.clone(), bus.clone(), clock.clone(), shard.clone())
        });
        let learn = settings.learn.clone();
        // Both look through the same incidents.
        let read = Past::default();
        let past = read.clone();
        let judged_by = (settings.detect.clone(), settings.correlate.clone());
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let (clock, shard) = (self.clock.clone(), self.shard.clone());
        self.tasks.stage(&self.bus, move || {
            let reach = (store.clone(), bus.clone(), clock.clone());
            Tune::new(learn.clone(), judged_by.clone(), reach, shard.clone(), past.clone())
        });
        let (learn, past) = (settings.learn.clone(), read);
        let (store, bus, clock) = (self.store.clone(), self.bus.clone(), self.clock.clone());
        self.tasks.stage(&self.bus, move || {
            Hush::new(learn.clone(), store.clone(), bus.clone(), clock.clone(), past.clone())
        });
        let (keeper, bus, clock) = (self.keeper.clone(), self.bus.clone(), self.clock.clone());
        self.tasks
            .stage(&self.bus, move || Classify::new(keeper.clone(), bus.clone(), clock.clone()));
    }
}
