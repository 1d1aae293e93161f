//! What can be checked without asking anybody: folders, doors, runbooks, programs, permissions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Row;
use crate::app::Presence;
use crate::config::Config;
use crate::model::Secret;
use crate::model::figure::figure;
use crate::runbook::Library;
use crate::runbook::schema::{Action, ExecutorKind};
use crate::store::Reader;

/// The file itself: it was read, so it is right; whether others may read it is another matter.
pub(super) fn file(path: &Path) -> Row {
    let shown = path.display().to_string();
    let Ok(text) = std::fs::read_to_string(path) else {
        return Row::ok("configuration", format!("{shown} (from elsewhere)"));
    };
    let open = std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o004 != 0);
    if open && !crate::config::written_secrets(&text).is_empty() {
        let text = format!("{shown} holds secrets, and every user of this machine may read it");
        return Row::warning(
            "configuration",
            text,
            format!("chmod 640 {shown}, or name the secrets by {{ file = … }} or {{ env = … }}"),
        );
    }
    Row::ok("configuration", format!("{shown} is right"))
}

/// The data folder: can be written, has room, holds a store that this version reads.
pub(super) fn data_folder(config: &Config) -> Vec<Row> {
    let folder = &config.data_dir;
    let shown = folder.display().to_string();
    let what = "data folder";
    let made = folder.exists();
    if let Err(e) = writable(folder) {
        let mend = format!("give it to the user that runs nightjar: chown that-user {shown}");
        return vec![Row::failed(what, format!("{shown} can't be written: {e}"), mend)];
    }
    let mut rows = Vec::new();
    let wanted = u64::from(config.retention.max_mb) * 1_000_000;
    let used = std::fs::metadata(folder.join("nightjar.sqlite")).map_or(0, |m| m.len());
    match free_bytes(folder) {
        Some(free) => {
            let said = format!("{shown}: writable, {} free", figure(free as f64, "By"));
            if free.saturating_add(used) < wanted {
                let said =
                    format!("{said}, and the store may grow to {}", figure(wanted as f64, "By"));
                let mend = "make room, or lower retention.max_mb";
                rows.push(Row::warning(what, said, mend));
            } else {
                rows.push(Row::ok(what, said));
            }
        }
        None => rows.push(Row::ok(what, format!("{shown}: writable"))),
    }
    if let Some(bot) = Presence::running(folder) {
        rows.push(Row::ok(
            "store",
            format!("in use by the bot at {} (process {})", bot.url, bot.pid),
        ));
    } else if used > 0 {
        rows.push(match Reader::open(&folder.join("nightjar.sqlite")) {
            Ok(_) => Row::ok("store", format!("can be opened, {}", figure(used as f64, "By"))),
            Err(e) => {
                Row::failed("store", e.chain(), "restore a backup, or start with another data_dir")
            }
        });
    }
    if !made {
        // The check leaves nothing behind.
        std::fs::remove_dir(folder).ok();
    }
    rows
}

fn writable(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".nightjar-check-{}", std::process::id()));
    std::fs::write(&probe, b"nightjar check\n")?;
    std::fs::remove_file(&probe)
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The address, who may come in by it, and the secrets of the webhooks.
pub(super) fn doors(config: &Config) -> Vec<Row> {
    let web = &config.web;
    let mut rows = vec![address(config)];
    let by_role: BTreeMap<String, usize> = web.tokens.iter().fold(BTreeMap::new(), |mut n, t| {
        *n.entry(t.role.to_string()).or_default() += 1;
        n
    });
    let listed: Vec<String> = by_role.iter().map(|(role, n)| format!("{n} {role}")).collect();
    rows.push(if listed.is_empty() {
        let said = "no token: the API is used with the login link that a start prints";
        Row::off("API tokens", said, "add [[web.tokens]] for people and programs")
    } else {
        Row::ok("API tokens", listed.join(", "))
    });
    let secret = |what: &str, secret: &Option<Secret>, off: &str, key: &str| match secret {
        Some(_) => Row::ok(what, "a secret is set"),
        None => Row::off(what, off, format!("set web.{key} (or web.{key}_file)")),
    };
    rows.push(match web.ingest_token {
        Some(_) => Row::ok("telemetry by push", "a token is asked for"),
        None => Row::off(
            "telemetry by push",
            "anybody on this machine may send",
            "set web.ingest_token where others use this machine",
        ),
    });
    let refused = "no secret: its deliveries are refused";
    rows.push(secret("GitHub webhook", &web.github_secret, refused, "github_secret"));
    rows.push(secret("deploy webhook", &web.hook_secret, refused, "hook_secret"));
    rows
}

fn address(config: &Config) -> Row {
    let what = "address";
    let bind = &config.web.bind;
    let Ok(addr) = bind.parse::<SocketAddr>() else {
        return Row::failed(what, format!("{bind} is none"), "mend web.bind: 127.0.0.1:7878");
    };
    match TcpListener::bind(addr) {
        Ok(_) => Row::ok(what, format!("{addr} is free")),
        Err(_)
            if Presence::running(&config.data_dir)
                .is_some_and(|bot| bot.url.ends_with(&format!(":{}", addr.port()))) =>
        {
            Row::ok(what, format!("{addr} is held by the running bot"))
        }
        Err(e) => {
            let mend = format!("stop what holds port {}, or choose another web.bind", addr.port());
            Row::failed(what, format!("{addr} can't be opened: {e}"), mend)
        }
    }
}

/// The runbooks, and the library where all of them can be read.
pub(super) fn runbooks(config: &Config) -> (Vec<Row>, Option<Library>) {
    match Library::load(&config.runbooks.folders) {
        Ok(library) => {
            let n_actions: usize = library.iter().map(|r| r.front.actions.len()).sum();
            let said = format!(
                "{} can be read, with {n_actions} actions; {} from {} folders of yours",
                library.iter().count(),
                library.iter().filter(|r| r.file.contains('/')).count(),
                config.runbooks.folders.len()
            );
            (vec![Row::ok("runbooks", said)], Some(library))
        }
        Err(mistakes) => {
            let lines: Vec<String> = mistakes.to_string().lines().map(str::to_owned).collect();
            let row = Row::failed("runbooks", "some can't be read", "mend the lines named above");
            (vec![row.details(lines)], None)
        }
    }
}

/// The programs that executors may run.
pub(super) fn programs(config: &Config) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    let rules = config.remediate.commands.iter().filter(|r| seen.insert(r.program.clone()));
    rules
        .map(|rule| {
            let what = format!("program {}", rule.program);
            match std::fs::metadata(&rule.program) {
                Ok(m) if m.is_file() && m.permissions().mode() & 0o111 != 0 => {
                    Row::ok(what, "is there and can be run")
                }
                Ok(_) => Row::failed(what, "can't be run", format!("chmod +x {}", rule.program)),
                Err(e) => {
                    Row::failed(what, e.to_string(), "install it, or mend remediate.commands")
                }
            }
        })
        .collect()
}

/// Whether the runbooks' actions have what they name: settings, secrets, and what executors allow.
pub(super) fn actions(config: &Config, library: &Library) -> Vec<Row> {
    let mut rows = Vec::new();
    if config.remediate.dry_run {
        let said = "executors only say what they would do";
        rows.push(Row::off("actions", said, "set remediate.dry_run = false to let them act"));
    } else if config.remediate.hosts.is_empty() && config.remediate.commands.is_empty() {
        let said = "no host and no program is allowed: every action is a dry run";
        let mend = "list what may be called: [[remediate.hosts]], [[remediate.commands]]";
        rows.push(Row::off("actions", said, mend));
    }
    let mut lacking: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for runbook in library.iter() {
        for action in &runbook.front.actions {
            let place = format!("{}/{}", runbook.front.id, action.id);
            for text in texts(action) {
                for name in named(text, "settings.") {
                    if !config.runbooks.settings.contains_key(&name) {
                        let what = format!("runbooks.settings.{name}");
                        lacking.entry(what).or_default().insert(place.clone());
                    }
                }
                for name in named(text, "${") {
                    if !config.remediate.secrets.contains_key(&name) {
                        let what = format!("remediate.secrets.{name}");
                        lacking.entry(what).or_default().insert(place.clone());
                    }
                }
            }
        }
    }
    for (what, places) in lacking {
        let said = format!("not set; actions that need it can't be offered: {}", places.len());
        let mend = format!("set {what}, or leave it if you do not want these actions");
        rows.push(Row::warning(what, said, mend).details(places.into_iter().collect()));
    }
    rows.extend(refused(config, library));
    rows
}

/// Actions whose requests and programs no list allows. Without any list that was said already.
fn refused(config: &Config, library: &Library) -> Option<Row> {
    let lists = &config.remediate;
    if lists.hosts.is_empty() && lists.commands.is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    for reach in library.reach(&config.runbooks.settings) {
        let Ok(touches) = &reach.touches else { continue };
        let why = match reach.executor {
            ExecutorKind::DryRun => None,
            ExecutorKind::Command => {
                let listed = lists.commands.iter().any(|rule| rule.program == *touches);
                (!listed).then(|| format!("{touches} is not in remediate.commands"))
            }
            // What is only known in an incident stands for any one word.
            ExecutorKind::Http => touches
                .split_once(' ')
                .and_then(|(method, url)| Some((method, url::Url::parse(url).ok()?)))
                .and_then(|(method, url)| lists.allows_request(method, &url).err()),
        };
        lines.extend(why.map(|why| format!("{}: {why}", reach.action)));
    }
    if lines.is_empty() {
        return None;
    }
    let said = format!("not allowed, so that they are dry runs or refused: {}", lines.len());
    let mend = "list what they touch, or leave it if you do not want these actions";
    Some(Row::warning("actions", said, mend).details(lines))
}

fn texts(action: &Action) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    if let Some(http) = &action.http {
        all.push(&http.url);
        all.extend(http.body.as_deref());
        all.extend(http.headers.values().map(String::as_str));
    }
    if let Some(observe) = &action.observe {
        all.push(&observe.url);
        all.extend(observe.headers.values().map(String::as_str));
    }
    if let Some(command) = &action.command {
        all.extend(command.args.iter().map(String::as_str));
    }
    all
}

/// The names that stand behind a mark.
fn named(text: &str, mark: &str) -> Vec<String> {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.split(mark)
        .skip(1)
        .map(|rest| rest.chars().take_while(is_name).collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}
