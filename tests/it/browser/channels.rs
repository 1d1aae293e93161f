//! Channels, files, words for one person, and a bot that dies before its reader.

use nightjar::chat::console::message_id;
use nightjar::chat::{Content, Form, FormField, FormKind, Message, StoredFile};
use nightjar::model::{Actor, IncidentId, Time, wall_now};
use nightjar::store::Store;
use serde_json::{Value, json};

use super::{Browser, ENTER, PATIENCE, with_browser};
use crate::bot::{Bot, TOKEN};
use crate::support::{eventually, free_port, installed};

const SETTINGS: &str = "[correlate]\ngroup_wait_s = 1\n\
    [[notify.routes]]\nservices = [\"payments\"]\nchannel = \"payments-on-call\"\n";

/// A PNG of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0,
    0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 12, b'I', b'D', b'A', b'T',
    8, 0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, b'I',
    b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

/// Has a critical alert of a service fire.
async fn alert(bot: &Bot, service: &str) {
    let labels = json!({ "alertname": format!("{service} is down"), "service": service,
        "severity": "critical" });
    let body = json!({ "version": "4", "groupKey": service, "status": "firing",
        "receiver": "nightjar", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "", "alerts": [{ "status": "firing", "labels": labels,
            "startsAt": wall_now().to_string(), "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "", "fingerprint": service,
            "annotations": { "summary": format!("{service} answers nobody") } }] });
    let status = bot.door().send("/ingest/alertmanager", &body).await.expect("the bot answers");
    assert!((200..300).contains(&status), "{status}");
    let said = async || {
        let all = bot.list("incidents").await;
        all.iter().any(|i| i["title"].as_str().is_some_and(|t| t.contains(service)))
    };
    eventually(&format!("an incident of {service}"), PATIENCE, said).await;
}

/// Sends JSON with the token.
async fn send(bot: &Bot, path: &str, body: &Value) -> (u16, String) {
    let token = format!("Bearer {TOKEN}");
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    bot.post(path, &headers, body.to_string()).await
}

/// What the bot would have written into a thread: its files and what only some see.
fn replies(incident: IncidentId, me: &str, at: Time) -> Vec<Message> {
    let form = Form {
        code: format!("v1:silence:{incident}"),
        title: "Silence alerts".into(),
        fields: vec![
            FormField::fixed("Incident", "payments answers nobody"),
            FormField::input("matchers", "Matchers", FormKind::Lines)
                .required()
                .with("service=\"payments\""),
            FormField::input("duration", "For how long", FormKind::Duration).required().with("1 h"),
            FormField::input("reason", "Reason", FormKind::Text).required(),
        ],
        submit: "Silence".into(),
        danger: false,
    };
    let file = |name: &str, media_type: &str| Content::File {
        name: name.into(),
        media_type: media_type.into(),
        alt: format!("{name}, as words"),
        file: format!("{incident}/{name}"),
    };
    let of = |name: &str| (format!("{incident}/{name}"), None);
    let own = |key: &str| (key.to_owned(), Some(me.to_owned()));
    let all = [
        (of("p99.png"), file("p99.png", "image/png")),
        (of("lines.html"), file("lines.html", "text/html")),
        (own("own"), Content::text("Words for you.")),
        (("other".to_owned(), Some("token:else".to_owned())), Content::text("Words for others.")),
        (own("form"), Content::Form { form }),
    ];
    let reply = |(place, ((key, ephemeral_to), content)): (i64, ((String, _), _))| Message {
        id: message_id(&key),
        channel: "payments-on-call".into(),
        thread: Some(message_id(&format!("{incident}/card"))),
        content,
        author: Actor::nightjar(),
        at: at.plus_ms(place),
        edited_at: None,
        ephemeral_to,
        incident: Some(incident),
    };
    (0..).zip(all).map(reply).collect()
}

/// Puts them into the store of a bot that is dead.
async fn write(bot: &Bot, incident: IncidentId, me: &str) {
    let store = Store::open(&bot.data().join("nightjar.sqlite")).expect("opens");
    let at = wall_now();
    let messages = replies(incident, me, at);
    let files = [("p99.png", "image/png", PIXEL), ("lines.html", "text/html", b"<b>x</b>")].map(
        |(n, media_type, bytes)| StoredFile::new(&format!("{incident}/{n}"), media_type, bytes, at),
    );
    let write = move |tx: &nightjar::store::Tx<'_>| {
        files.iter().try_for_each(|file| tx.put(file))?;
        messages.iter().try_for_each(|message| tx.put(message))
    };
    store.write(write).await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_files_and_private_words_over_a_restart_without_a_mouse() {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let mut bot = Bot::on(free_port(), SETTINGS).await;
    alert(&bot, "payments").await;
    // A second fault at the same time would be grouped with the first: a person tells of it.
    let values = json!({ "title": "search finds nothing", "severity": "warning" });
    let told = json!({ "code": "v1:declare:none", "values": values });
    let (status, words) = send(&bot, "/api/v1/submit", &told).await;
    assert_eq!(status, 200, "{words}");
    let url = bot.url("/");
    with_browser((&driver, &chromium), &url, async |b: &Browser| {
        b.write("#token", TOKEN).await;
        b.press("#token", ENTER).await;
        b.see(".channels", "# payments-on-call").await;
        let items = "document.querySelectorAll('.side .item').length";
        b.holds("all incidents are listed", &format!("{items} === 2")).await;

        // A channel is chosen without a mouse, and whoever goes through the list stays in it.
        b.press(".channels a[href='#/channels/payments-on-call']", ENTER).await;
        b.holds("only its incidents are listed", &format!("{items} === 1")).await;
        b.see(".topic", "payments").await;
        b.see("#card", "payments").await;
        let here = "document.activeElement.hash === '#/channels/payments-on-call'";
        b.holds("the focus stays", here).await;
        b.press(".side .item", ENTER).await;
        b.holds("the address says both", "/^#.channels.payments-on-call.INC-/.test(location.hash)")
            .await;
        b.press(".tabs a[href$='/story']", ENTER).await;
        b.see(".part .panel:not(#kind) h1", "Timeline").await;
        b.press(".tabs a", ENTER).await;
        b.see("#card", "payments").await;
        let id = b.client.execute("return location.hash.split('/')[3]", Vec::new()).await;
        let id = id.expect("an address").as_str().expect("an id").to_owned();
        let incident: IncidentId = id.parse().expect("an incident's id");

        // The bot dies: what was read stays, and the page says so and comes back by itself.
        let me = bot.get("/api/v1/me").await;
        let me = format!(
            "{}:{}",
            me["via"].as_str().expect("a word"),
            me["id"].as_str().expect("an id")
        );
        bot.kill();
        b.see("#away", "can't be reached").await;
        b.see("#card", "payments").await;
        write(&bot, incident, &me).await;
        bot.again().await;
        b.holds("it is back", "document.getElementById('away').hidden").await;

        b.holds("the picture is shown", "document.querySelector('.file img').naturalWidth === 1")
            .await;
        b.holds("in words too", "document.querySelector('.file img').alt === 'p99.png, as words'")
            .await;
        let saved = "document.querySelector('.message a[download=\"lines.html\"]')";
        b.holds("anything else is to be saved", saved).await;
        b.see(".message.ephemeral", "Words for you.").await;
        b.see(".message.ephemeral", "only you see this").await;
        let all = b.text(".thread").await;
        assert!(!all.contains("Words for others."), "{all}");

        // What is put away stays away; what is typed into a form outlives a redraw.
        b.press(".message.ephemeral button", ENTER).await;
        b.holds(
            "it is put away",
            "!document.querySelector('.thread').innerText.includes('Words for you.')",
        )
        .await;
        b.see(".inline h3", "Silence alerts").await;
        b.write(".inline input[name=reason]", "known").await;
        let note =
            json!({ "code": format!("v1:note:{incident}"), "values": { "text": "looked at it" } });
        let (status, words) = send(&bot, "/api/v1/submit", &note).await;
        assert_eq!(status, 200, "{words}");
        b.see(".thread", "looked at it").await;
        let typed = "document.querySelector('.inline input[name=reason]').value === 'known'";
        b.holds("the words are still there", typed).await;
    })
    .await;
}
