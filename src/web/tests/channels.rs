//! Channels and files of the console, as far as each person may see them.

use reqwest::{Method, Response, StatusCode};
use serde_json::json;

use super::{Server, failure, sample};
use crate::approve::tests::sample::t0;
use crate::chat::{Address, Chat as _, Content, Draft, File, Place, StoredFile};
use crate::model::{Actor, Incident, IncidentState, Role};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot a whole picture";

/// Writes an incident's card into a channel.
async fn tell(server: &Server, incident: &Incident, channel: &str) -> Place {
    sample::put(server, incident).await;
    let draft = Draft::new(format!("{}/card", incident.id), channel, Content::text("the card"));
    let draft = Draft { incident: Some(incident.id), ..draft };
    server.state.shared.console.post(draft).await.expect("written")
}

#[tokio::test]
async fn each_channel_has_its_incidents() {
    let server = Server::start().await;
    let console = &server.state.shared.console;
    console.ensure_channel("quiet", "Nothing happens here").await.expect("made");
    let incidents = [
        (1, IncidentState::Open, "incidents"),
        (2, IncidentState::Open, "payments"),
        (3, IncidentState::Resolved, "payments"),
    ];
    for (number, state, channel) in incidents {
        let place = tell(&server, &sample::incident(number, state, 1), channel).await;
        let reply = Draft::new(format!("reply-{number}"), channel, Content::text("a delta"));
        let reply = Draft { thread: Some(place), ..reply };
        console.post(reply).await.expect("written");
    }
    let said = Draft::new("chatter", "payments", Content::text("words of no incident"));
    console.post(said).await.expect("written");
    let found = server.get("/api/v1/channels").await;
    let seen: Vec<_> = found["channels"].as_array().expect("channels").iter().collect();
    let names: Vec<_> = seen.iter().map(|c| (&c["name"], &c["n_active"])).collect();
    let want = [("incidents", 1), ("payments", 1), ("quiet", 0)].map(|(n, k)| (json!(n), json!(k)));
    assert_eq!(names, want.iter().map(|(n, k)| (n, k)).collect::<Vec<_>>());
    assert_eq!(seen[2]["topic"], "Nothing happens here");
    assert_eq!((&seen[1]["newest_at"], &seen[2]["newest_at"]), (&json!(t0()), &json!(null)));
    let numbers = async |query: &str| -> Vec<u64> {
        let found = server.get(&format!("/api/v1/incidents?{query}")).await;
        let list = found["incidents"].as_array().expect("a list");
        list.iter().map(|i| i["number"].as_u64().expect("a number")).collect()
    };
    let sorted = |mut all: Vec<u64>| {
        all.sort_unstable();
        all
    };
    assert_eq!(sorted(numbers("channel=payments").await), [2, 3]);
    assert_eq!(numbers("channel=payments&active=true").await, [2]);
    assert_eq!(numbers("channel=payments&state=resolved").await, [3]);
    assert_eq!(numbers("channel=payments&limit=1").await.len(), 1);
    assert_eq!(numbers("channel=incidents").await, [1]);
    assert_eq!(numbers("channel=nowhere").await, [0; 0]);
    assert_eq!(numbers("").await.len(), 3);
    server.end().await;
}

async fn read(server: &Server, role: Role, key: &str) -> Response {
    let path = format!("/api/v1/files/{}", key.replace('/', "%2F"));
    server.as_role(role, Method::GET, &path).send().await.expect("an answer")
}

fn headers(answer: &Response) -> Vec<String> {
    let names = ["content-type", "content-disposition", "x-content-type-options"];
    names.map(|n| answer.headers()[n].to_str().expect("text").to_owned()).to_vec()
}

#[tokio::test]
async fn files_are_shown_or_saved_and_run_nothing() {
    let server = Server::start().await;
    let incident = sample::incident(1, IncidentState::Open, 1);
    let place = tell(&server, &incident, "incidents").await;
    let key = format!("{}/chart", incident.id);
    let file = |name: &str, media_type: &str, bytes: &[u8]| File {
        key: key.clone(),
        channel: "incidents".into(),
        thread: Some(place.clone()),
        name: name.into(),
        media_type: media_type.into(),
        alt: "p99 over an hour".into(),
        bytes: bytes.to_vec(),
        place: None,
        doubtful: false,
        tried_at: None,
    };
    let console = &server.state.shared.console;
    console.upload(file("p99.png", "image/png", PNG)).await.expect("written");
    let answer = read(&server, Role::Viewer, &key).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let want = ["image/png", "inline; filename=\"p99.png\"; filename*=UTF-8''p99.png", "nosniff"];
    assert_eq!(headers(&answer), want);
    let policy = answer.headers()["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("sandbox") && !policy.contains("script-src"), "{policy}");
    assert_eq!(answer.bytes().await.expect("the bytes"), PNG);
    let page = b"<script>window.taken=1</script>";
    console.upload(file("\"\r\nX-Bad: 1.html", "text/html", page)).await.expect("written");
    let answer = read(&server, Role::Viewer, &key).await;
    assert_eq!(headers(&answer)[0], "application/octet-stream");
    assert!(headers(&answer)[1].starts_with("attachment; "), "{:?}", headers(&answer));
    assert!(!answer.headers().contains_key("x-bad"));
    // Without a message that shows it, a file is nobody's.
    let stored = StoredFile::new("loose", "image/png", PNG, t0());
    server.store.write(move |tx| tx.put(&stored)).await.expect("written");
    for unknown in ["loose", "nothing", "../nightjar.sqlite"] {
        let (status, _, words) = failure(read(&server, Role::Admin, unknown).await).await;
        assert_eq!((status, words.as_str()), (StatusCode::NOT_FOUND, "There is no such file."));
    }
    let open = server.open(Method::GET, "/api/v1/files/loose").send().await.expect("an answer");
    assert_eq!(open.status(), StatusCode::UNAUTHORIZED);
    server.end().await;
}

#[tokio::test]
async fn an_ephemeral_file_is_for_its_person_alone() {
    let server = Server::start().await;
    let name = Role::Viewer.to_string();
    let actor = Actor { via: "token".into(), id: name.clone(), name, role: Role::Viewer };
    let stored = StoredFile::new("own", "text/plain", b"for you", t0());
    server.store.write(move |tx| tx.put(&stored)).await.expect("written");
    let incident = sample::incident(1, IncidentState::Open, 1);
    let place = tell(&server, &incident, "incidents").await;
    let thread = Some(place.message);
    let to = Address { actor, channel: "incidents".into(), thread, trigger: None };
    let content = Content::File {
        name: "own.txt".into(),
        media_type: "text/plain".into(),
        alt: "Words".into(),
        file: "own".into(),
    };
    server.state.shared.console.ephemeral(to, content).await.expect("written");
    let own = read(&server, Role::Viewer, "own").await;
    assert_eq!(own.status(), StatusCode::OK);
    assert_eq!(own.text().await.expect("words"), "for you");
    assert_eq!(read(&server, Role::Admin, "own").await.status(), StatusCode::NOT_FOUND);
    let thread = format!("/api/v1/incidents/{}/messages", incident.id);
    let seen = server.get(&thread).await;
    assert_eq!(seen["messages"].as_array().map(Vec::len), Some(1), "an admin sees the card only");
    server.end().await;
}
