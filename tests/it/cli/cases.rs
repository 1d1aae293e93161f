//! `nightjar diagnose --case`, the real binary.

use serde_json::{Value, json};

use super::{nightjar, scratch};

#[test]
fn a_recorded_incident_is_diagnosed_from_its_folder() {
    let folder = scratch();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    let args = ["diagnose", "--case", "."];
    nightjar(&args, folder.path()).code(1).has("There is no case.json in .");
    write("case.json", r#"{"alert_time": 1000000, "services": ["web", "db", "mail"]}"#);
    nightjar(&args, folder.path()).code(1).has("There is no metrics.csv");
    let mut rows = "time,web|latency|avg,db|latency|avg,mail|latency|avg\n".to_owned();
    for i in -20_i32..4 {
        let wave = f64::from(i.rem_euclid(5)) / 1e3;
        let slow = if i >= 0 { 0.4 } else { 0.0 };
        let at = 1_000_000 + i * 60 + 10;
        rows += &format!("{at},{},{},{}\n", 0.2 + wave + slow, 0.05 + wave + slow, 0.1 + wave);
    }
    write("metrics.csv", &rows);
    write("topology.json", r#"[["web", "db"], ["web", "mail"]]"#);
    write("truth.json", "this is never read");
    let said = nightjar(&args, folder.path()).code(0);
    let told: Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert_eq!(told["ranked"][0]["service"], "db", "{}", said.out);
    assert_eq!(
        (told["ranked"].as_array().map(Vec::len), &told["conclusive"]),
        (Some(3), &json!(true))
    );
    let why = told["ranked"][0]["why"].as_str().expect("a text");
    assert!(why.starts_with("its latency (avg) rose from 0.05 to 0.45"), "{why}");
    assert_eq!(nightjar(&args, folder.path()).code(0).out, said.out, "the same again");
    write("metrics.csv", "time,web|latency\nsoon,1\n");
    nightjar(&args, folder.path()).code(1).has("metrics.csv, line 2: the first field is no time");
}
