//! One bot to a data folder: a lock that the operating system lets go of with the process, and a
//! note in it that says where the bot is, for the command line of the same user.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::model::Secret;

/// The lock's file in the data folder.
const FILE: &str = "nightjar.lock";

/// Where a running bot is.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its process.
    pub pid: u32,
    /// Base address of its API; empty while it starts.
    pub url: String,
    /// A token for the user who may read the data folder.
    pub token: Secret,
}

/// The note as it is written. Only the file's owner may read it.
#[derive(Serialize, Deserialize)]
struct Written {
    pid: u32,
    url: String,
    token: String,
}

/// The lock, held as long as this lives.
#[derive(Debug)]
pub struct Presence {
    file: File,
}

impl Presence {
    /// Takes the folder (made if need be) for this process.
    ///
    /// # Errors
    /// Another process has it, or it can't be written.
    pub fn take(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("can't make the data folder {}; choose one that can be written", shown(folder))
        })?;
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(false).mode(0o600);
        let file = options.open(folder.join(FILE)).with_context(|| {
            format!("can't write to the data folder {}; give it to this user", shown(folder))
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let by = match note(&file) {
                    Some(note) if note.url.is_empty() => format!("process {}", note.pid),
                    Some(note) => format!("process {}, at {}", note.pid, note.url),
                    None => "another process".to_owned(),
                };
                anyhow::bail!(
                    "the data folder {} is in use by a running nightjar ({by}); stop it, or give \
                     this one another folder with --data-dir",
                    shown(folder)
                );
            }
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("locking {}", shown(folder)));
            }
        }
        let presence = Self { file };
        presence.announce("", &Secret::default())?;
        Ok(presence)
    }

    /// Says where the bot is.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn announce(&self, url: &str, token: &Secret) -> anyhow::Result<()> {
        let token = token.reveal().to_owned();
        let written = Written { pid: std::process::id(), url: url.to_owned(), token };
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(&written)?)?;
        Ok(())
    }

    /// The bot that runs on this folder, if one does.
    #[must_use]
    pub fn running(folder: &Path) -> Option<Note> {
        let file = File::open(folder.join(FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => note(&file),
            _ => None,
        }
    }
}

fn note(mut file: &File) -> Option<Note> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    let Written { pid, url, token } = serde_json::from_str(&text).ok()?;
    Some(Note { pid, url, token: token.into() })
}

fn shown(folder: &Path) -> String {
    std::path::absolute(folder).unwrap_or_else(|_| PathBuf::from(folder)).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_bot_and_says_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("data");
        assert!(Presence::running(&folder).is_none());
        let first = Presence::take(&folder).expect("free");
        first.announce("http://127.0.0.1:1", &"fake-token".into()).expect("written");
        let note = Presence::running(&folder).expect("it runs");
        assert_eq!((note.url.as_str(), note.token.reveal()), ("http://127.0.0.1:1", "fake-token"));
        let refused = Presence::take(&folder).expect_err("taken").to_string();
        assert!(refused.contains("http://127.0.0.1:1"), "{refused}");
        drop(first);
        assert!(Presence::running(&folder).is_none());
        Presence::take(&folder).expect("free again");
    }

    #[test]
    fn the_note_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let _presence = Presence::take(folder.path()).expect("free");
        let mode = std::fs::metadata(folder.path().join(FILE)).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o077, 0);
    }
}
