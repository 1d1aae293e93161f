//! The adapter against a socket that answers once: shapes that servers really send.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::llm::Message;

fn model(port: u16, stall_s: u32) -> OpenAi {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base_url = format!("http://127.0.0.1:{port}/v1/");
    let config = Config { base_url, model: "small".into(), stall_s, ..Config::default() };
    OpenAi::new(&config).expect("builds")
}

fn request() -> Request {
    let messages = vec![Message::User { text: "status".into() }];
    Request { messages, tools: Vec::new(), may_call: true, max_tokens: 10 }
}

/// One exchange with a server that answers once with these words.
async fn exchange(head: &str, answer: &str) -> Result<Reply, Fault> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let model = model(listener.local_addr().expect("is bound").port(), 20);
    let serve = async {
        let (mut socket, _) = listener.accept().await.expect("accepts");
        let mut heard = [0_u8; 8_192];
        let n = socket.read(&mut heard).await.expect("reads");
        assert!(heard[..n].starts_with(b"POST /v1/chat/completions"));
        let length = answer.len();
        let text = format!(
            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
        );
        socket.write_all(text.as_bytes()).await.expect("writes");
    };
    let (heard, _) = mpsc::channel(1);
    tokio::join!(model.complete(request(), heard), serve).0
}

#[tokio::test]
async fn answers_are_read_tolerantly() {
    let whole = r#"{"choices":[{"finish_reason":"odd","message":{"content":null,"tool_calls":
        [{"function":{"name":"changes","arguments":{"service":"orders"}}}]}}]}"#;
    let reply = exchange("200 OK\r\ncontent-type: application/json", whole).await.expect("reads");
    assert_eq!(reply.calls[0].arguments, r#"{"service":"orders"}"#);
    assert!(!reply.calls[0].id.is_empty());
    assert!(reply.usage.tokens_in > 0, "estimated where it is not told");

    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"It is \"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"slow.\"},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n\
        data: [DONE]\n\n";
    let reply = exchange("200 OK\r\ncontent-type: text/event-stream", stream).await.expect("reads");
    assert_eq!((reply.text.as_str(), reply.usage.tokens_in), ("It is slow.", 7));
}

#[tokio::test]
async fn failures_say_what_to_check() {
    let json = "content-type: application/json";
    for (head, answer, said) in [
        (
            format!("200 OK\r\n{json}"),
            r#"{"error":"model not found"}"#,
            "answered: model not found",
        ),
        (format!("200 OK\r\n{json}"), r#"{"choices":[{"mess"#, "JSON that is cut short"),
        ("429 Too Many Requests".into(), "slow down", "busy (429: slow down)"),
        (
            format!("401 Unauthorized\r\n{json}"),
            r#"{"error":{"message":"bad key"}}"#,
            "check llm.api_key",
        ),
        (format!("404 Not Found\r\n{json}"), "{}", "check llm.model"),
        ("200 OK\r\ncontent-type: text/html".into(), "<html>", "text/html; check llm.base_url"),
        ("500 Internal Server Error".into(), "", "answered 500: no reason given"),
        ("200 OK\r\ncontent-type: text/event-stream".into(), "", "broke off"),
        (
            "200 OK\r\ncontent-type: text/event-stream".into(),
            "data: {\"choices\":[{\"delta\":{\"content\":\"It \"}}]}\n\n",
            "broke off",
        ),
        (
            "200 OK\r\ncontent-type: text/event-stream".into(),
            "data: {\"choices\":[{\"del\n\n",
            "cut short or wrong",
        ),
        (
            "200 OK\r\ncontent-type: text/event-stream".into(),
            "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
            "the model failed: overloaded",
        ),
    ] {
        let fault = exchange(&head, answer).await.expect_err(&head);
        assert!(fault.to_string().contains(said), "{head} {answer}: {fault}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let (heard, _) = mpsc::channel(1);
    let fault = model(1, 20).complete(request(), heard).await.expect_err("port 1 is closed");
    assert_eq!(fault.to_string(), "the model's endpoint can't be reached");
}
