//! How many bytes a series takes.

use super::{Entity, Forecast, Series, SeriesState};

impl SeriesState {
    /// Bytes of its state beside the ensemble, and of what it is called.
    pub(in crate::detect) fn bytes(&self) -> (usize, usize) {
        let heap = self.seasonal.profile.heap_bytes()
            + self.rolling.heap_bytes()
            + self.rare.heap_bytes()
            + self.forecast.as_ref().map_or(0, |f| size_of::<Forecast>() + f.heap_bytes())
            + self.beside.heap_bytes();
        let Series { source, entity, metric, labels, unit, query, .. } = &self.series;
        let labels = labels.0.iter().map(|(k, v)| 2 * size_of::<String>() + k.len() + v.len());
        let names = [source, metric, unit, entity.name(), entity.attribute()].map(str::len);
        let texts = names.iter().sum::<usize>() + query.as_ref().map_or(0, String::len);
        let own = size_of::<Self>() - size_of::<Entity>() - size_of::<Series>();
        (own + heap, size_of::<Series>() + texts + labels.sum::<usize>())
    }
}
