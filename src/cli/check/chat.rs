//! Chat platforms: tokens, permissions, channels, groups.

use std::time::Duration;

use futures_util::future::join_all;

use super::Row;
use crate::chat::discord;
use crate::chat::slack::{self, Finding};
use crate::config::Config;

/// Every Slack workspace. It takes a dozen questions, each with its own time limit.
pub(super) async fn slack(config: &Config, patience: Duration) -> Vec<Row> {
    let asked = config.chat.slack.iter().enumerate().map(|(i, workspace)| async move {
        let what = format!("chat.slack[{i}]");
        let mend = format!("mend {what}, or the way to {}", workspace.api_url);
        match tokio::time::timeout(patience * 6, slack::check(workspace)).await {
            Err(_) => vec![Row::failed(what, "Slack takes too long to answer", mend)],
            Ok(Err(fault)) => vec![Row::failed(what, fault.chain(), mend)],
            Ok(Ok(found)) => found.into_iter().map(|finding| row(finding, &mend)).collect(),
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Every Discord bot.
pub(super) async fn discord(config: &Config, patience: Duration) -> Vec<Row> {
    let asked = config.chat.discord.iter().enumerate().map(|(i, bot)| async move {
        let what = format!("chat.discord[{i}]");
        let mend = format!("mend {what}, or the way to {}", bot.api_url);
        match tokio::time::timeout(patience * 6, discord::check(bot)).await {
            Err(_) => vec![Row::failed(what, "Discord takes too long to answer", mend)],
            Ok(Err(fault)) => vec![Row::failed(what, fault.chain(), mend)],
            Ok(Ok(found)) => {
                let row = |(what, result)| row(Finding { what, result, essential: true }, &mend);
                found.into_iter().map(row).collect()
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What is wrong says what to do after its last semicolon, colon or full stop; a platform that is
/// not reached says nothing, and `way` does.
fn row(finding: Finding, way: &str) -> Row {
    let Finding { what, result, essential } = finding;
    match result {
        Ok(said) => Row::ok(what, said),
        Err(why) if why.contains("not reached") => Row::failed(what, why, way),
        Err(why) => {
            let ends = ["; ", ": ", ". "];
            let at = ends.iter().filter_map(|end| why.rfind(end)).max().unwrap_or(why.len());
            let (said, mend) = why.split_at(at);
            let mend = mend.trim_start_matches([':', ';', '.', ' ']);
            if essential { Row::failed(what, said, mend) } else { Row::warning(what, said, mend) }
        }
    }
}
