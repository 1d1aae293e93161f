//! The rows of a CSV file of series, one at a time.
//!
//! The first line names the columns, in any order and case: `timestamp`, an optional `label`, and
//! the values, of which there may be several. Columns without a name (an index that a data frame
//! wrote) are left out. A field that is empty or no number is a missing value; every row that is
//! not blank is given, whatever is in it.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read};

use csv::ByteRecord;

use super::moment;

/// What stands for a missing value.
const MISSING: [&str; 9] = ["", "nan", "na", "n/a", "null", "none", "nil", "-", "?"];
/// What may stand in a label for yes and for no, beside numbers.
const YES: [&str; 4] = ["true", "yes", "anomaly", "anomalous"];
const NO: [&str; 3] = ["false", "no", "normal"];

/// Bytes read at once.
const BUFFER: usize = 1 << 17;

/// Which forms of a file are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Every column but `timestamp` and `label` is a value.
    Wide,
    /// That, or a point a row: `timestamp`, `series`, `value`, and a `label` or not.
    LongToo,
}

/// Why a file can't be read, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line, from 1, where one can be named.
    pub line: Option<u64>,
    /// What is wrong and what to do, in one or two sentences.
    pub text: String,
}

impl Broken {
    pub(super) fn new(line: Option<u64>, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// What was taken in spite of its form: how often, and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Times that can't be read: the row has the time of the row before.
    pub bad_times: u64,
    /// Line and text of the first of them.
    pub first_bad_time: Option<(u64, String)>,
    /// Fields that are no numbers and no usual word for a missing one.
    pub bad_values: u64,
    /// Line and text of the first of them.
    pub first_bad_value: Option<(u64, String)>,
    /// Columns that are taken as values and are named like a label.
    pub label_like: Vec<String>,
}

impl Notes {
    /// One sentence for each thing worth saying.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        if let Some((line, text)) = &self.first_bad_time {
            let n = self.bad_times;
            said.push(format!(
                "Times that can't be read: {n}, first `{text}` in line {line}; such a row has the \
                 time of the row before it."
            ));
        }
        if let Some((line, text)) = &self.first_bad_value {
            let n = self.bad_values;
            said.push(format!(
                "Values that are no numbers: {n}, first `{text}` in line {line}; taken as missing."
            ));
        }
        for name in &self.label_like {
            said.push(format!(
                "The column `{name}` is judged as a value; name it `label` if it tells anomalies."
            ));
        }
        said
    }
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The line it begins in, from 1.
    pub line: u64,
    /// The time as written.
    pub time: &'a [u8],
    /// The time in unix milliseconds; that of the row before where it can't be read.
    pub at_ms: i64,
    /// The first value column as written.
    pub first: &'a [u8],
    /// One value a column, in the file's order; missing ones are NaN.
    pub values: &'a [f64],
    /// The name of the series in long form.
    pub series: Option<&'a [u8]>,
    /// The label as written; `None` where there is no such column.
    pub label: Option<&'a [u8]>,
}

impl Row<'_> {
    /// Whether it is labelled as anomalous; `None` where nothing or something else is said (empty, a
    /// negative number).
    #[must_use]
    pub fn is_anomalous(&self) -> Option<bool> {
        let word = String::from_utf8_lossy(self.label?).trim().to_ascii_lowercase();
        match word.parse::<f64>() {
            Ok(n) if n > 0.0 => Some(true),
            Ok(0.0) => Some(false),
            _ if YES.contains(&word.as_str()) => Some(true),
            _ if NO.contains(&word.as_str()) => Some(false),
            _ => None,
        }
    }
}

/// Which column is what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    time: usize,
    label: Option<usize>,
    series: Option<usize>,
    values: Vec<usize>,
    names: Vec<String>,
}

/// Reads rows; memory is that of one row.
pub struct Reader<R> {
    csv: csv::Reader<BufReader<R>>,
    /// Lines end in CR LF: the parser counts such a line when the next one is read.
    ends_late: bool,
    record: ByteRecord,
    columns: Columns,
    values: Vec<f64>,
    last_ms: Option<i64>,
    /// Line of the newest row, if one of its fields has several lines.
    going_on: Option<u64>,
    notes: Notes,
}

impl<R: Read> Reader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// It can't be read, or does not name a `timestamp` and at least one value.
    pub fn open(source: R, form: Form) -> Result<Self, Broken> {
        let mut source = BufReader::with_capacity(BUFFER, source);
        let start = source
            .fill_buf()
            .map_err(|e| Broken::new(None, format!("The file can't be read: {e}.")))?;
        let end = start.iter().position(|b| *b == b'\n').unwrap_or(0);
        let ends_late = end > 0 && start[end - 1] == b'\r';
        let mut csv =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source);
        let mut record = ByteRecord::new();
        let any = csv.read_byte_record(&mut record).map_err(|e| unreadable(&e))?;
        if !any {
            return Err(Broken::new(
                None,
                "The file is empty. Its first line must name the columns, such as `timestamp,value`.",
            ));
        }
        let mut notes = Notes::default();
        let columns = Columns::of(&record, form, &mut notes)?;
        let values = vec![f64::NAN; columns.values.len()];
        Ok(Self { csv, ends_late, record, columns, values, last_ms: None, going_on: None, notes })
    }

    /// How many value columns there are.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.columns.values.len()
    }

    /// Names of the value columns, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.columns.names
    }

    /// Whether there is a label.
    #[must_use]
    pub fn has_label(&self) -> bool {
        self.columns.label.is_some()
    }

    /// What was taken so far in spite of its form.
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The file can't be read further, a quote does not end, or it holds no time at all.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Broken> {
        loop {
            let any = self.csv.read_byte_record(&mut self.record).map_err(|e| unreadable(&e))?;
            if !any {
                return self.at_end().map(|()| None);
            }
            if !(self.record.len() == 1 && self.record[0].trim_ascii().is_empty()) {
                break;
            }
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        let line = line + u64::from(self.ends_late);
        if self.record.iter().any(|field| field.contains(&b'\n')) {
            let columns = &self.columns;
            let used = std::iter::once(&columns.time).chain(&columns.values);
            let mut used = used.chain(&columns.label).chain(&columns.series);
            if used.any(|i| self.record.get(*i).is_some_and(|f| f.contains(&b'\n'))) {
                return Err(goes_on(line));
            }
            self.going_on = Some(line);
        } else {
            self.going_on = None;
        }
        self.read_time(line);
        self.read_values(line);
        let field = |i: usize| self.record.get(i).unwrap_or_default();
        Ok(Some(Row {
            line,
            time: field(self.columns.time),
            at_ms: self.last_ms.unwrap_or(0),
            first: field(self.columns.values[0]),
            values: &self.values,
            series: self.columns.series.map(field),
            label: self.columns.label.map(field),
        }))
    }

    fn read_time(&mut self, line: u64) {
        let field = self.record.get(self.columns.time).unwrap_or_default();
        if let Some(ms) = std::str::from_utf8(field).ok().and_then(moment::parse) {
            self.last_ms = Some(ms);
            return;
        }
        self.notes.bad_times += 1;
        if self.notes.first_bad_time.is_none() {
            self.notes.first_bad_time = Some((line, shown(field)));
        }
    }

    fn read_values(&mut self, line: u64) {
        for (value, column) in self.values.iter_mut().zip(&self.columns.values) {
            let field = self.record.get(*column).unwrap_or_default().trim_ascii();
            let number = std::str::from_utf8(field).ok().and_then(|t| t.parse::<f64>().ok());
            *value = number.filter(|n| n.is_finite()).unwrap_or(f64::NAN);
            let is_word = |w: &&str| field.eq_ignore_ascii_case(w.as_bytes());
            if number.is_none() && !MISSING.iter().any(is_word) {
                self.notes.bad_values += 1;
                if self.notes.first_bad_value.is_none() {
                    self.notes.first_bad_value = Some((line, shown(field)));
                }
            }
        }
    }

    /// A file none of whose times can be read is not what it seems to be, and a last field over
    /// several lines has swallowed rows. (Elsewhere it may be a remark that nobody uses.)
    fn at_end(&self) -> Result<(), Broken> {
        if let Some(line) = self.going_on {
            return Err(goes_on(line));
        }
        match (&self.notes.first_bad_time, self.last_ms) {
            (Some((line, text)), None) => Err(Broken::new(
                Some(*line),
                format!(
                    "`{text}` is no time, and no other row has one. Write unix seconds or \
                     milliseconds, or ISO dates such as 2026-11-21 14:05:00."
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Columns {
    fn of(head: &ByteRecord, form: Form, notes: &mut Notes) -> Result<Self, Broken> {
        if head.get(0).is_some_and(|f| f.starts_with(&[0xff, 0xfe]) || f.starts_with(&[0xfe, 0xff]))
        {
            return Err(Broken::new(Some(1), "The file is UTF-16. Save it as UTF-8."));
        }
        let names: Vec<String> = head.iter().map(|f| shown(f.trim_ascii())).collect();
        let is = |name: &str, what: &str| name.eq_ignore_ascii_case(what);
        let Some(time) = names.iter().position(|n| is(n, "timestamp")) else {
            let found = names.join(", ");
            let found: String = found.chars().take(120).collect();
            return Err(Broken::new(
                Some(1),
                format!(
                    "There is no column `timestamp`, only: {found}. The first line must name the \
                     columns, separated by commas."
                ),
            ));
        };
        let label = names.iter().position(|n| is(n, "label"));
        let value = names.iter().position(|n| is(n, "value"));
        let series = names.iter().position(|n| is(n, "series"));
        let series = series.filter(|_| form == Form::LongToo && value.is_some());
        let is_index = |n: &str| n.is_empty() || is(n, "unnamed: 0");
        let values: Vec<usize> = (0..names.len())
            .filter(|i| !is(&names[*i], "timestamp") && !is(&names[*i], "label"))
            .filter(|i| !is_index(&names[*i]) && (series.is_none() || value == Some(*i)))
            .collect();
        if values.is_empty() {
            return Err(Broken::new(
                Some(1),
                "There is no column with values beside `timestamp` and `label`. Add one.",
            ));
        }
        let names: Vec<String> = values.iter().map(|i| names[*i].clone()).collect();
        let alike = ["is_anomaly", "anomaly", "is_anomalous", "ground_truth"];
        notes.label_like =
            names.iter().filter(|n| alike.iter().any(|a| is(n, a))).cloned().collect();
        Ok(Self { time, label, series, values, names })
    }
}

fn goes_on(line: u64) -> Broken {
    Broken::new(
        Some(line),
        "A field goes on over the end of the line: a quote is opened and not closed. Close or \
         remove it.",
    )
}

fn unreadable(error: &csv::Error) -> Broken {
    let line = error.position().map(csv::Position::line);
    Broken::new(line, format!("The file can't be read: {error}."))
}

/// A field as it is shown: short, in one line, without what is no text.
fn shown(field: &[u8]) -> String {
    String::from_utf8_lossy(field).chars().filter(|c| !c.is_control()).take(60).collect()
}
