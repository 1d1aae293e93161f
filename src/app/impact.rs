//! The start of the impact stage.

use super::App;
use crate::detect::business::Business;
use crate::impact::Impact;

impl App {
    /// Holds declared business and cost series against the technical ones of incidents.
    pub(super) fn start_impact(&self, business: Vec<Business>) {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let (clock, shard) = (self.clock.clone(), self.shard.clone());
        self.tasks.stage(&self.bus, move || {
            Impact::new(business.clone(), store.clone(), bus.clone(), clock.clone(), shard.clone())
        });
    }
}
