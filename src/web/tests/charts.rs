//! Charts over HTTP: current, safe against hostile names, in both formats and themes.

use reqwest::{Method, StatusCode, header};
use serde_json::json;

use super::{Server, failure};
use crate::approve::tests::sample::t0;
use crate::model::diagnosis::Finding;
use crate::model::time::MINUTE_MS;
use crate::model::{Evidence, EvidenceId, Point, Role, Series};

fn evidence(entity: &str) -> Evidence {
    let series: Series = serde_json::from_value(json!({
        "id": "00000000000000a1", "source": "shop", "entity": entity, "metric": "duration p95",
        "labels": {}, "indicator": "duration", "unit": "s", "direction": "high", "query": null,
        "limit": null, "step_ms": MINUTE_MS,
    }))
    .expect("a series");
    let at = |m: i64| t0().plus_ms(m * MINUTE_MS);
    let points = (0..30).map(|m| Point { at: at(m), value: if m < 20 { 0.1 } else { 2.0 } });
    Evidence {
        id: EvidenceId::derive(at(0), &[entity]),
        incident: None,
        at: at(30),
        summary: "it rose".into(),
        source: "shop".into(),
        query: "q".into(),
        since: at(0),
        until: at(30),
        finding: Finding::Metric {
            series,
            points: points.collect(),
            expected: None,
            bands: Vec::new(),
            before: 0.1,
            after: 2.0,
            onset: Some(at(20)),
        },
    }
}

#[tokio::test]
async fn a_chart_is_svg_or_png_in_light_or_dark_and_its_words_are_only_words() {
    let server = Server::start().await;
    let stored = evidence("service.name=<script>alert(1)</script>\" onload=\"x");
    let id = stored.id;
    server.store.write(move |tx| tx.put(&stored)).await.expect("stored");
    let get = async |path: &str| {
        let path = format!("/api/v1/evidence/{id}/{path}");
        server.as_role(Role::Viewer, Method::GET, &path).send().await.expect("an answer")
    };
    let light = get("chart.svg").await;
    assert_eq!(light.headers()[header::CONTENT_TYPE], "image/svg+xml; charset=utf-8");
    assert!(light.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    let light = light.text().await.expect("text");
    assert!(light.contains("&lt;script&gt;alert(1)") && !light.contains("<script"), "{light}");
    assert!(!light.contains("\" onload"), "{light}");
    assert!(light.contains("onset"), "{light}");
    let dark = get("chart.svg?theme=dark&v=3").await.text().await.expect("text");
    assert_ne!(light, dark);
    let picture = get("chart.png?theme=dark").await;
    assert_eq!(picture.headers()[header::CONTENT_TYPE], "image/png");
    let bytes = picture.bytes().await.expect("bytes");
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");

    let (status, code, _) = failure(get("chart.svg?theme=pink").await).await;
    assert_eq!((status, code.as_str()), (StatusCode::BAD_REQUEST, "bad_request"));
    let none = server.as_role(Role::Viewer, Method::GET, "/api/v1/evidence/EVD-x/chart.svg");
    assert_eq!(failure(none.send().await.expect("an answer")).await.0, StatusCode::NOT_FOUND);
    let open = server.open(Method::GET, &format!("/api/v1/evidence/{id}/chart.png"));
    assert_eq!(failure(open.send().await.expect("an answer")).await.0, StatusCode::UNAUTHORIZED);
    server.end().await;
}
