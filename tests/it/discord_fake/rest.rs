//! The REST half: who may ask, what is limited, and which route does what.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use nightjar::model::wall_now;
use serde_json::{Value, json};

use super::{ADA, BOT, Fail, Fake, GUILD, STRANGER, Seen, TOKEN, World, rules};

/// An answer: status and body.
pub(super) type Answer = (u16, Value);

/// An error with the API's own code.
pub(super) fn error(status: u16, code: u32, message: &str) -> Answer {
    (status, json!({ "code": code, "message": message }))
}

/// The body of error 50035.
pub(super) fn form_error(faults: &[rules::Wrong]) -> Answer {
    let mut errors = json!({});
    for fault in faults {
        let mut at = &mut errors;
        for part in fault.path.split('.').filter(|p| !p.is_empty()) {
            at = &mut at[part];
        }
        let one = json!({ "code": fault.code, "message": fault.message });
        match at["_errors"].as_array_mut() {
            Some(all) => all.push(one),
            None => at["_errors"] = json!([one]),
        }
    }
    (400, json!({ "code": 50035, "message": "Invalid Form Body", "errors": errors }))
}

/// Names and bytes of what was uploaded.
type Files = Vec<(String, Vec<u8>)>;

/// A request's parts, as the routes look at them.
pub(super) struct Asked {
    pub(super) body: Value,
    pub(super) files: Files,
    pub(super) query: String,
}

impl Asked {
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|p| p.split_once('='));
        pairs.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }
}

pub(super) async fn answer(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // Tokens of interactions are told to nobody, not even to the log of a test.
    let line = format!("{method} {}", uri.path());
    let fail = {
        let mut world = fake.world();
        let at = world.fails.iter().position(|(part, _)| line.contains(part));
        at.and_then(|at| world.fails.remove(at)).map(|(_, fail)| fail)
    };
    let response = match fail {
        Some(Fail::Html(status)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, axum::response::Html("<html><body>cloud error</body></html>")).into_response()
        }
        Some(Fail::Limit { after_s, global }) => limited(after_s, global),
        Some(Fail::Unauthorized) => reply(error(401, 0, "401: Unauthorized")),
        Some(Fail::Forbidden) => reply(error(403, 50013, "Missing Permissions")),
        Some(Fail::Late(by)) => {
            tokio::time::sleep(by).await;
            done(&fake, &method, &uri, &headers, &body)
        }
        Some(Fail::Swallow) => {
            done(&fake, &method, &uri, &headers, &body);
            fake.changed();
            std::future::pending::<Response>().await
        }
        None => done(&fake, &method, &uri, &headers, &body),
    };
    let status = response.status().as_u16();
    fake.world().seen.push(Seen { line, status });
    fake.changed();
    response
}

fn reply((status, body): Answer) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, axum::Json(body)).into_response()
}

fn limited(after_s: f64, global: bool) -> Response {
    let body = json!({
        "message": "You are being rate limited.", "retry_after": after_s, "global": global,
    });
    let mut response = reply((429, body));
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: String| {
        headers.insert(name, value.parse().expect("a header"));
    };
    set("retry-after", after_s.ceil().to_string());
    if global {
        set("x-ratelimit-global", "true".into());
        set("x-ratelimit-scope", "global".into());
    } else {
        set("x-ratelimit-scope", "user".into());
        set("x-ratelimit-limit", "5".into());
        set("x-ratelimit-remaining", "0".into());
        set("x-ratelimit-reset-after", format!("{after_s:.3}"));
        set("x-ratelimit-bucket", "messages".into());
    }
    response
}

fn done(fake: &Fake, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
    let path = uri.path().strip_prefix("/api/v10/").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    // Interactions carry their own token.
    let open = matches!(parts.first(), Some(&("interactions" | "webhooks")));
    let mut world = fake.world();
    if !open && (given != Some(&format!("Bot {TOKEN}")) || world.token_is_bad) {
        return reply(error(401, 0, "401: Unauthorized"));
    }
    let Some(asked) = read(headers, body, uri) else {
        return reply(error(400, 50109, "The request body contains invalid JSON."));
    };
    let bucket = match (method, parts.as_slice()) {
        (&Method::POST, ["channels", channel, "messages"]) => Some((false, *channel)),
        (&Method::PATCH, ["channels", channel, "messages", _]) => Some((true, *channel)),
        _ => None,
    };
    let mut left = None;
    if !open && world.limits {
        let second = Duration::from_secs(1);
        world.newest.retain(|at| at.elapsed() < second);
        if world.newest.len() >= 50 {
            return limited(second.saturating_sub(world.newest[0].elapsed()).as_secs_f64(), true);
        }
        world.newest.push_back(Instant::now());
    }
    if let Some((edits, channel)) = bucket
        && world.limits
    {
        let channel: u64 = channel.parse().unwrap_or(0);
        let window = Duration::from_secs(5);
        let times = world.sends.entry((edits, channel)).or_default();
        times.retain(|at| at.elapsed() < window);
        if times.len() >= 5 {
            let after = window.saturating_sub(times[0].elapsed()).as_secs_f64();
            return limited(after, false);
        }
        times.push(Instant::now());
        let reset = window.saturating_sub(times[0].elapsed()).as_secs_f64();
        left = Some((5 - times.len(), reset));
    }
    let (answer, events) = route(&mut world, method, &parts, &asked);
    for (name, data) in events {
        if name.starts_with("MESSAGE_") && data["author"]["bot"] == true {
            world.shown.push((wall_now(), data.to_string()));
        }
        world.dispatch(name, &data);
    }
    drop(world);
    let mut response = reply(answer);
    if let Some((left, reset)) = left {
        let headers = response.headers_mut();
        headers.insert("x-ratelimit-limit", "5".parse().expect("a header"));
        headers.insert("x-ratelimit-remaining", left.to_string().parse().expect("a header"));
        headers.insert("x-ratelimit-reset-after", format!("{reset:.3}").parse().expect("a header"));
        headers.insert("x-ratelimit-bucket", "messages".parse().expect("a header"));
    }
    response
}

fn read(headers: &HeaderMap, body: &Bytes, uri: &Uri) -> Option<Asked> {
    let query = uri.query().unwrap_or_default().to_owned();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if let Some(boundary) = kind.strip_prefix("multipart/form-data; boundary=") {
        let (body, files) = multipart(boundary.trim_matches('"'), body)?;
        return Some(Asked { body, files, query });
    }
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).ok()? };
    Some(Asked { body, files: Vec::new(), query })
}

/// The JSON and the files of a multipart body.
fn multipart(boundary: &str, body: &[u8]) -> Option<(Value, Files)> {
    let border = format!("--{boundary}");
    let find = |hay: &[u8], needle: &[u8]| hay.windows(needle.len()).position(|w| w == needle);
    let (mut rest, mut json, mut files) = (body, Value::Null, Vec::new());
    while let Some(at) = find(rest, border.as_bytes()) {
        rest = &rest[at + border.len()..];
        let Some(end) = find(rest, border.as_bytes()) else { break };
        let part = &rest[..end];
        let head_end = find(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&part[..head_end]).into_owned();
        let bytes = part[head_end + 4..].strip_suffix(b"\r\n")?;
        if head.contains("name=\"payload_json\"") {
            json = serde_json::from_slice(bytes).ok()?;
        } else if let Some((_, name)) = head.split_once("filename=\"") {
            files.push((name.split('"').next()?.to_owned(), bytes.to_vec()));
        }
    }
    Some((json, files))
}

/// What is told to everybody who listens.
pub(super) type Events = Vec<(&'static str, Value)>;

fn route(world: &mut World, method: &Method, parts: &[&str], asked: &Asked) -> (Answer, Events) {
    let method = method.as_str();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let quiet = |answer: Answer| (answer, Vec::new());
    match (method, parts) {
        ("GET", ["users", "@me"]) => quiet((200, World::user(BOT))),
        ("GET", ["users", "@me", "guilds"]) => {
            let permissions = world.permissions.to_string();
            let guild =
                json!({ "id": GUILD.to_string(), "name": "Shop", "permissions": permissions });
            quiet((200, json!([guild])))
        }
        ("GET", ["oauth2", "applications", "@me"] | ["applications", "@me"]) => {
            quiet((200, super::gateway::application(world)))
        }
        ("GET", ["gateway", "bot"] | ["gateway"]) => {
            let url = format!("ws://127.0.0.1:{}", world.gateway_port);
            let n = 1_000_u64.saturating_sub(world.n_identified as u64);
            let limit = json!({ "total": 1000, "remaining": n, "reset_after": 14_400_000, "max_concurrency": 1 });
            quiet((200, json!({ "url": url, "shards": 1, "session_start_limit": limit })))
        }
        ("GET", ["guilds", guild]) if number(guild) == GUILD => quiet((200, world.guild())),
        ("GET", ["guilds", guild, "roles"]) if number(guild) == GUILD => {
            quiet((200, world.guild()["roles"].clone()))
        }
        ("GET", ["guilds", guild, "members", user])
            if number(guild) == GUILD && number(user) == STRANGER =>
        {
            quiet(error(404, 10007, "Unknown Member"))
        }
        ("GET", ["guilds", guild, "members", user]) if number(guild) == GUILD => {
            let user = if *user == "@me" { BOT } else { number(user) };
            let mut member = World::member(user);
            member["user"] = World::user(user);
            quiet((200, member))
        }
        ("GET" | "PUT" | "POST", ["applications", _, "guilds", guild, "commands"]) => {
            quiet(commands(world, method, number(guild), asked))
        }
        ("POST", ["users", "@me", "channels"]) => {
            let user = asked.body["recipient_id"].as_str().map_or(ADA, number);
            let id = world.direct(user);
            quiet((200, world.channel(id).expect("it was made")))
        }
        (_, ["interactions", id, token, "callback"]) => {
            world.callback(number(id), token, &asked.body, &asked.query)
        }
        (_, ["webhooks", _, token, rest @ ..]) => world.webhook(method, token, rest, asked),
        (_, ["channels" | "guilds", ..]) => world.channel_route(method, parts, asked),
        _ => quiet(error(404, 0, "404: Not Found")),
    }
}

fn commands(world: &mut World, method: &str, guild: u64, asked: &Asked) -> Answer {
    if guild != GUILD {
        return error(403, 50001, "Missing Access");
    }
    if method == "PUT" {
        let faults = rules::commands(&asked.body);
        if !faults.is_empty() {
            return form_error(&faults);
        }
        let mut all = asked.body.clone();
        for command in all.as_array_mut().into_iter().flatten() {
            command["id"] = json!(world.id().to_string());
            command["application_id"] = json!(BOT.to_string());
            command["version"] = json!("1");
            // As the API gives back what has none.
            if command["description"].is_null() {
                command["description"] = json!("");
            }
        }
        world.commands.insert(guild, all);
        world.n_registered += 1;
    }
    (200, world.commands.get(&guild).cloned().unwrap_or(json!([])))
}
