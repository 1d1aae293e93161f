//! Slack's error codes in words: what happened and what to do.

use super::scopes;

/// What a person is told about an error of a method.
pub(super) fn advice(method: &str, code: &str, needed: Option<&str>, details: &str) -> String {
    let what = match code {
        "invalid_auth" | "not_authed" => {
            "the token does not count; copy the bot token (xoxb-…) and the app-level token \
             (xapp-…) again from the app's pages"
        }
        "token_revoked" | "token_expired" | "account_inactive" | "app_uninstalled" => {
            "the token was revoked; install the app in the workspace again and set the new token"
        }
        "missing_scope" => {
            let scope = needed.unwrap_or("a scope");
            let feature = scopes::feature(scope).unwrap_or("this");
            return format!(
                "Slack refuses {method}: the app lacks the scope {scope} ({feature}); add it to \
                 the app's manifest and install the app again"
            );
        }
        "not_allowed_token_type" => {
            "this kind of token may not call it; bot_token is the one that begins with xoxb- and \
             app_token the one with xapp-"
        }
        "channel_not_found" => {
            "there is no such channel for the bot; check its id or name, and invite the bot where \
             it is private"
        }
        "not_in_channel" => "the bot is not in the channel; invite it there with /invite",
        "is_archived" => "the channel is archived; choose another or unarchive it",
        "restricted_action" | "restricted_action_read_only_channel" | "no_permission" => {
            "the workspace does not let the bot do it there; ask an owner of the workspace"
        }
        "msg_too_long" | "msg_blocks_too_long" | "invalid_blocks" | "invalid_blocks_format" => {
            "the message is not one that Slack takes; this is a defect of ours"
        }
        "message_not_found" | "thread_not_found" => "the message is gone; somebody deleted it",
        "cant_update_message" | "edit_window_closed" => {
            "the message can't be edited; it is another app's or too old"
        }
        "expired_trigger_id" | "exchanged_trigger_id" | "trigger_expired" => {
            "the click is too old for a form; press the button again"
        }
        "metadata_too_large" | "invalid_metadata_format" | "invalid_arguments" => {
            "the call is not one that Slack takes; this is a defect of ours"
        }
        "method_not_supported_for_channel_type" | "user_not_in_channel" => {
            "it can't be done in this kind of channel or for this person"
        }
        "file_upload_size_restricted" | "storage_limit_reached" => {
            "the workspace takes no more files of this size"
        }
        _ => "Slack gives no more reason",
    };
    let details = if details.is_empty() { String::new() } else { format!(" ({details})") };
    format!("Slack refuses {method} with {code}{details}: {what}")
}
