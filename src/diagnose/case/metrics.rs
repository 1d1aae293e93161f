//! `metrics.csv`.

use super::{Broken, Known};
use crate::diagnose::weigh::{Measured, Scene, kind};

const FILE: &str = "metrics.csv";

/// Reads the series of all candidates and the time between two rows.
pub(super) fn read(text: &str, known: &Known, scene: &mut Scene) -> Result<(), Broken> {
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let broken = |e: &csv::Error| {
        let line = e.position().map(|p| p.line() as usize);
        Broken::new(FILE, line, format!("{e}"))
    };
    let head = rows.headers().map_err(|e| broken(&e))?.clone();
    let mut columns: Vec<Option<usize>> = Vec::new();
    for name in head.iter().skip(1) {
        let mut parts = name.splitn(3, '|');
        let service = parts.next().unwrap_or_default();
        let Some(metric) = parts.next() else {
            let text = format!(
                "the column {name} is not named as `service|metric` or `service|metric|unit`"
            );
            return Err(Broken::new(FILE, 1, text));
        };
        columns.push(known.service(service).map(|service| {
            let (kind, outgoing) = kind::read(metric);
            let name = (metric.to_owned(), parts.next().unwrap_or_default().to_owned());
            scene.series.push(Measured {
                service,
                name,
                unit: String::new(),
                kind,
                outgoing,
                points: Vec::new(),
            });
            scene.series.len() - 1
        }));
    }
    let mut times: Vec<f64> = Vec::new();
    for row in rows.records() {
        let row = row.map_err(|e| broken(&e))?;
        let line = row.position().map_or(0, |p| p.line() as usize);
        if row.len() != head.len() {
            let text = format!("{} fields where the head has {}", row.len(), head.len());
            return Err(Broken::new(FILE, line, text));
        }
        let Some(at) = row.get(0).and_then(|t| t.trim().parse::<f64>().ok()) else {
            return Err(Broken::new(FILE, line, "the first field is no time in Unix seconds"));
        };
        if !at.is_finite() {
            return Err(Broken::new(FILE, line, "the first field is no time in Unix seconds"));
        }
        if times.last().is_some_and(|last| at - known.at < *last) {
            return Err(Broken::new(FILE, line, "rows are not in order of time"));
        }
        times.push(at - known.at);
        for (column, field) in columns.iter().zip(row.iter().skip(1)) {
            // A field that is empty or no number is a missing value.
            if let (Some(i), Ok(value)) = (column, field.trim().parse::<f64>())
                && value.is_finite()
            {
                scene.series[*i].points.push((at - known.at, value));
            }
        }
    }
    let gaps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).filter(|g| *g > 0.0).collect();
    scene.step = crate::stats::median(&gaps).unwrap_or(60.0);
    Ok(())
}
