//! `nightjar logs templates`: mines templates from files of raw lines; asks no running bot.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::start::Stop;
use crate::model::figure::n_of;
use crate::templates::{Event, Folder, Miner, TemplateId, record};

/// Bytes that are kept of a line.
const LONGEST_LINE: u64 = 65_536;
/// Bytes read at once.
const BLOCK: usize = 1 << 18;
/// Ids held in memory; more of them wait in a file beside the output.
const HELD: usize = 4 << 20;
/// Names that are tried for the file in which ids wait.
const MOST_NAMES: u64 = 100;

/// What is to be mined.
#[derive(clap::Args)]
pub(super) struct Templates {
    /// Files of raw lines; `-` is standard input. Line numbers run on over files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where to write the rows `line_no,template_id,template`, one for each line; `-` is standard
    /// output. No file that is read.
    #[arg(long)]
    csv: PathBuf,
    /// Templates that are kept at a time; past it the rarest makes room.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    capacity: u32,
    /// Write ids as they were known when the line came, instead of what they turned out to be.
    #[arg(long)]
    as_seen: bool,
}

/// Mines and writes; gives what is said about it.
///
/// # Errors
/// [`Stop`] with the file, and the line where there is one.
pub(super) fn templates(given: &Templates) -> anyhow::Result<String> {
    let stop = |text: String| Stop { code: 1, text };
    let is_piped = given.csv.as_os_str() == "-";
    let shown = if is_piped { "standard output".into() } else { given.csv.display().to_string() };
    let cant_write = |e: io::Error| stop(format!("{shown} can't be written: {e}."));
    let is_input = |file: &&PathBuf| !is_piped && is_same(file, &given.csv);
    if let Some(file) = given.files.iter().find(is_input) {
        let file = file.display();
        let text = format!("{shown} is {file}, which is read. Choose another file for --csv.");
        return Err(Stop::usage(text).into());
    }
    // What can't be written is found out before hours of reading.
    let out = (!is_piped).then(|| Partial::new(&given.csv, &given.files));
    let out = out.transpose().map_err(cant_write)?;
    let mut mined = Mined::new(given);
    for file in &given.files {
        let before = mined.ids.n;
        mined.read_file(file).map_err(|e| {
            let read = mined.ids.n - before;
            let place = if read == 0 { String::new() } else { format!(" after line {read}") };
            stop(format!("{} can't be read{place}: {e}.", file.display()))
        })?;
    }
    let (n_lines, n_templates) = (mined.ids.n, mined.miner.iter().count());
    let Some(out) = out else {
        let to = BufWriter::with_capacity(BLOCK, io::stdout().lock());
        return match mined.write(to, given.as_seen) {
            // Whoever reads has seen enough.
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(cant_write(e).into()),
            _ => Ok(String::new()),
        };
    };
    mined.write(BufWriter::with_capacity(BLOCK, &out.file), given.as_seen).map_err(cant_write)?;
    out.keep().map_err(cant_write)?;
    let (lines, templates) = (n_of(n_lines, "line"), n_of(n_templates as u64, "template"));
    Ok(format!("{lines}, {templates}, in {shown}.\n"))
}

/// Whether two paths lead to one file: through links, other spellings or a second name.
fn is_same(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let id = {
            use std::os::unix::fs::MetadataExt as _;
            (found.is_file(), found.dev(), found.ino())
        };
        #[cfg(not(unix))]
        let id = (found.is_file(), path.canonicalize().ok()?);
        Some(id)
    };
    place(a).is_some_and(|a| a.0 && place(b) == Some(a))
}

/// The n-th name beside a file.
fn beside(target: &Path, ending: &str, n: u64) -> PathBuf {
    let mut path = target.to_owned().into_os_string();
    path.push(if n == 0 { format!(".{ending}") } else { format!(".{ending}-{n}") });
    path.into()
}

/// A file beside its place, which is moved there when it is whole and is removed when it is not.
struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Partial {
    /// What is no file, such as a device or a pipe, is written as it stands. None of the files that
    /// are read is written over.
    fn new(target: &Path, read: &[PathBuf]) -> io::Result<Self> {
        let found = fs::metadata(target).ok();
        if found.is_some_and(|m| !m.is_file()) {
            let file = File::options().write(true).open(target)?;
            return Ok(Self { file, path: target.to_owned(), target: target.to_owned() });
        }
        // What a link leads to is replaced, not the link.
        let target = target.canonicalize().unwrap_or_else(|_| target.to_owned());
        // What an earlier run left behind is in nobody's way.
        let is_free = |path: &PathBuf| !read.iter().any(|file| is_same(file, path));
        let mut names = (0_u64..).map(|n| beside(&target, "partial", n));
        let path = names.find(is_free).expect("fewer files are read than there are names");
        Ok(Self { file: File::create(&path)?, path, target })
    }

    fn keep(self) -> io::Result<()> {
        if self.path == self.target {
            return Ok(());
        }
        fs::rename(&self.path, &self.target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.path != self.target {
            // After it was kept there is nothing of this name any more.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// What was mined: bounded but for the texts of templates that had to make room.
struct Mined {
    miner: Miner,
    ids: Ids,
    /// Merged templates and what stands for them.
    merged: BTreeMap<TemplateId, TemplateId>,
    /// Texts of templates that had to make room.
    evicted: BTreeMap<TemplateId, String>,
}

impl Mined {
    fn new(given: &Templates) -> Self {
        let is_piped = given.csv.as_os_str() == "-";
        let name = || std::env::temp_dir().join(format!("nightjar-{}", std::process::id()));
        let spill = if is_piped { name() } else { given.csv.clone() };
        Self {
            miner: Miner::new(given.capacity),
            ids: Ids { n: 0, held: Vec::new(), spill, file: None },
            merged: BTreeMap::new(),
            evicted: BTreeMap::new(),
        }
    }

    fn read_file(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str() == "-" {
            return self.read(io::stdin().lock());
        }
        self.read(BufReader::with_capacity(BLOCK, File::open(path)?))
    }

    /// Reads to the end; a stack trace does not reach over files.
    fn read(&mut self, mut from: impl BufRead) -> io::Result<()> {
        let mut folder = Folder::default();
        let mut line = Vec::new();
        while read_line(&mut from, &mut line)? {
            if let Some(event) = folder.push(&line) {
                self.learn(event)?;
            }
        }
        folder.finish().map_or(Ok(()), |event| self.learn(event))
    }

    fn learn(&mut self, event: &Event) -> io::Result<()> {
        let found = self.miner.learn(&record::read(&event.text).message);
        if let Some(evicted) = found.evicted {
            self.evicted.insert(evicted, self.miner.evicted_text().unwrap_or_default());
        }
        if self.miner.has_merges() {
            for merge in self.miner.take_merges() {
                self.merged.insert(merge.from, merge.into);
            }
        }
        self.ids.push(found.id, event.lines)
    }

    fn write(self, mut to: impl Write, as_seen: bool) -> io::Result<()> {
        let Self { miner, mut ids, merged, evicted: mut texts } = self;
        texts.extend(miner.iter().map(|(id, text, _)| (id, text)));
        // The end of a row for each id that was given.
        let mut ends: BTreeMap<TemplateId, String> = BTreeMap::new();
        let mut line_no = 0_u64;
        writeln!(to, "line_no,template_id,template")?;
        ids.each(|id| {
            let end = ends.entry(id).or_insert_with(|| {
                let mut last = id;
                while let Some(into) = merged.get(&last) {
                    last = *into;
                }
                let text = texts.get(&last).map(|t| t.replace('"', "\"\"")).unwrap_or_default();
                format!(",{},\"{text}\"\n", if as_seen { id } else { last })
            });
            line_no += 1;
            write!(to, "{line_no}")?;
            to.write_all(end.as_bytes())
        })?;
        to.flush()
    }
}

/// The id of each line, in order: 4 bytes a line, of which at most [`HELD`] are in memory.
struct Ids {
    n: u64,
    held: Vec<TemplateId>,
    spill: PathBuf,
    file: Option<File>,
}

impl Ids {
    fn push(&mut self, id: TemplateId, n_lines: u32) -> io::Result<()> {
        self.n += u64::from(n_lines);
        self.held.extend(std::iter::repeat_n(id, n_lines as usize));
        if self.held.len() < HELD {
            return Ok(());
        }
        if self.file.is_none() {
            let mut options = File::options();
            options.create_new(true).read(true).write(true);
            // Whatever stands there, it may be a file that is read.
            let mut names = (0..MOST_NAMES).map(|n| beside(&self.spill, "ids", n));
            let path = names.find(|p| !p.exists()).unwrap_or_else(|| self.spill.clone());
            self.file = Some(options.open(&path)?);
            // It has no name any more, so nothing is left behind however this ends.
            fs::remove_file(&path)?;
        }
        if let Some(file) = &mut self.file {
            let bytes: Vec<u8> = self.held.iter().flat_map(|id| id.to_le_bytes()).collect();
            file.write_all(&bytes)?;
        }
        self.held.clear();
        Ok(())
    }

    fn each(&mut self, mut take: impl FnMut(TemplateId) -> io::Result<()>) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.rewind()?;
            let n_spilled = self.n - self.held.len() as u64;
            let mut from = BufReader::with_capacity(BLOCK, file);
            for _ in 0..n_spilled {
                let mut bytes = [0; 4];
                from.read_exact(&mut bytes)?;
                take(TemplateId::from_le_bytes(bytes))?;
            }
        }
        self.held.iter().try_for_each(|id| take(*id))
    }
}

/// Reads a line without its end into `line`; of a longer one than 64 KiB only the start is kept.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut limited = io::Read::take(&mut *from, LONGEST_LINE);
    if limited.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 >= LONGEST_LINE {
        from.skip_until(b'\n')?;
    }
    Ok(true)
}
