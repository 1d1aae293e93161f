//! The web server as callers meet it: the real router behind a bound loopback listener.

mod channels;
mod chaos;
mod charts;
mod detectors;
mod document;
mod hooks;
mod incidents;
mod input;
mod login;
mod origin;
mod outbox;
mod press;
mod proposals;
mod pushed;
mod reading;
mod sample;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::{Config, EventLog, Keys, Shared, State, Token, people, serve};
use crate::approve::tests::{offers, sample::t0};
use crate::approve::{self, Propose, Workshop};
use crate::assist::{self, Assistant};
use crate::bus::Bus;
use crate::chat::console::Console;
use crate::command::{Attend, Clerk, Counter, Desk};
use crate::model::clock::ManualClock;
use crate::model::{Role, wall_now};
use crate::notify::Deliver;
use crate::runbook::Library;
use crate::stage::Tasks;
use crate::store::Store;
use crate::telemetry::changes::{self, Seen};
use crate::telemetry::intake::Intake;
use crate::telemetry::otlp;

/// Secrets of the tests' tokens; none is real.
fn secret_of(role: Role) -> String {
    format!("not-a-real-{role}-token")
}

const ROLES: [Role; 4] = [Role::Viewer, Role::Responder, Role::Approver, Role::Admin];

/// A server on a free loopback port, over a store of its own.
struct Server {
    url: String,
    http: reqwest::Client,
    store: Store,
    bus: Bus,
    clock: Arc<ManualClock>,
    state: State,
    tasks: Tasks,
    offers: Propose,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        Self::over(folder, change).await
    }

    /// A server over a folder that may have been used before.
    async fn over(folder: tempfile::TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tokens = ROLES.map(|role| Token {
            name: role.to_string(),
            role,
            secret: secret_of(role).into(),
        });
        let mut config = Config { tokens: tokens.to_vec(), ..Config::default() };
        change(&mut config);
        let store = Store::open(&folder.path().join("nightjar.sqlite")).expect("a store");
        let (bus, tasks) = (Bus::default(), Tasks::default());
        let clock = ManualClock::new(t0());
        let runbooks = folder.path().join("runbooks");
        std::fs::create_dir_all(&runbooks).expect("a folder");
        std::fs::write(runbooks.join("two-ways.md"), offers::RUNBOOK).expect("a runbook");
        let library = Arc::new(Library::load(&[runbooks]).expect("the runbooks are right"));
        library.index(&store).await.expect("indexed");
        let offers = Propose {
            policy: approve::Config::default(),
            store: store.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            library: library.clone(),
            settings: BTreeMap::new(),
            observe: Arc::new(|_| Box::pin(async { Ok(None) })),
            settle_s: 10,
            again: BTreeMap::new(),
        };
        let desk = Desk::new(store.clone(), bus.clone(), clock.clone())
            .with_workshop(Workshop { library: library.clone(), settings: BTreeMap::new() })
            .with_people(people(&config));
        let assistant = Assistant::new(store.reader(), None, assist::Config::default());
        let console = Arc::new(Console::new(store.clone(), bus.clone(), clock.clone()));
        let clerk =
            Clerk::new(Counter::new(desk.clone()), assistant.clone(), vec![console.clone()]);
        let (attending, beside) = (clerk.clone(), tasks.clone());
        tasks.stage(&bus, move || Attend::new(attending.clone(), beside.clone()));
        let (kept, bells, time) = (store.clone(), bus.clone(), clock.clone());
        tasks.start("deliver", move |shutdown| {
            let (store, bus, clock) = (kept.clone(), bells.clone(), time.clone());
            Deliver::new(store, bus, clock, console.clone()).run(shutdown)
        });
        let state = State::new(Shared {
            keys: Keys::new(&config),
            config,
            intake: Intake::open(store.clone(), bus.clone()).await.expect("an intake"),
            desk,
            clerk,
            assistant,
            console: Console::new(store.clone(), bus.clone(), clock.clone()),
            chats: vec![
                Arc::new(Console::new(store.clone(), bus.clone(), clock.clone())),
                Arc::new(outbox::Unserved),
            ],
            tasks: tasks.clone(),
            library,
            events: EventLog::new(1),
            otlp: otlp::Receiver::new(otlp::Config::default()),
            remote_write: crate::telemetry::remote_write::Receiver::new(
                crate::telemetry::remote_write::Config::default(),
            ),
            changes: changes::Config::default(),
            seen: Seen::default(),
            shard: crate::detect::SharedShard::new(crate::detect::Config::default()),
            classifier: crate::learn::classify::Keeper::new(
                crate::learn::classify::Config::default(),
                store.clone(),
                clock.clone(),
            ),
            status: Box::new(|| serde_json::json!({ "sources": [], "n_series": 0 })),
            metrics: Box::new(|| "nightjar_up 1\n".to_owned()),
            store: store.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (mut listener, served) = (Some(listener), state.clone());
        tasks.start("web", move |shutdown| {
            let listener = listener.take().expect("the server does not end early");
            serve(listener, served.clone(), shutdown)
        });
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { url, http, store, bus, clock, state, tasks, offers, folder }
    }

    /// A request without any key.
    fn open(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request with the token of a role.
    fn as_role(&self, role: Role, method: Method, path: &str) -> RequestBuilder {
        self.open(method, path).bearer_auth(secret_of(role))
    }

    /// What an admin reads.
    async fn get(&self, path: &str) -> Value {
        let answer = self.as_role(Role::Admin, Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.expect("JSON")
    }

    /// What an admin gets for a body.
    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.as_role(Role::Admin, Method::POST, path).json(&body);
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    /// Ends the server; gives its folder.
    async fn end(self) -> tempfile::TempDir {
        assert!(self.tasks.drain(Duration::from_secs(10)).await, "the server ends");
        self.folder
    }
}

/// The cookie of a login with a link of a role.
async fn cookie_of(server: &Server, role: Role) -> String {
    let link = server.state.shared.keys.login_path("ada", role, wall_now());
    let answer = server.open(Method::GET, &link).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    cookie.split(';').next().expect("a pair").to_owned()
}

/// An error's status and words; the body must have the one shape of all errors.
async fn failure(answer: Response) -> (StatusCode, String, String) {
    let status = answer.status();
    let body: Value = answer.json().await.expect("errors are JSON");
    let words = |name: &str| body["error"][name].as_str().expect("a word").to_owned();
    assert!(!words("what_to_do").is_empty(), "{body}");
    (status, words("code"), words("message"))
}

#[test]
fn an_address_that_others_reach_needs_keys() {
    let mut config = Config::default();
    let open = "0.0.0.0:7878".parse().expect("an address");
    let own = "127.0.0.1:7878".parse().expect("an address");
    assert!(super::check_bind(own, &config).is_ok());
    assert!(super::check_bind("[::1]:1".parse().expect("an address"), &config).is_ok());
    let why = super::check_bind(open, &config).expect_err("nobody would be asked");
    assert!(why.contains("web.tokens") && why.contains("web.ingest_token"), "{why}");
    config.ingest_token = Some("not-a-real-ingest-token".to_owned().into());
    assert!(super::check_bind(open, &config).is_err(), "the API would be open to nobody's name");
    config.tokens =
        vec![Token { name: "a".into(), role: Role::Admin, secret: secret_of(Role::Admin).into() }];
    assert!(super::check_bind(open, &config).is_ok());
}
