//! The start of the stages that look back: what business series did, and what judgements mean.

use super::App;
use crate::config::Config;
use crate::impact::Impact;
use crate::learn::Tune;

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
        let judged_by = (settings.detect.clone(), settings.correlate.clone());
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let (clock, shard) = (self.clock.clone(), self.shard.clone());
        self.tasks.stage(&self.bus, move || {
            let reach = (store.clone(), bus.clone(), clock.clone());
            Tune::new(learn.clone(), judged_by.clone(), reach, shard.clone())
        });
    }
}
