//! `OpenSLO` files as people have them, and what is none.

use super::*;

const FILE: &str = r#"
apiVersion: openslo/v1
kind: Service
metadata: { name: payments }
spec: { description: Cards are charged. }
---
apiVersion: openslo/v1
kind: SLI
metadata: { name: charges }
spec:
  ratioMetric:
    counter: true
    good: { metricSource: { type: Prometheus, spec: { query: 'charges_total{state="ok"}' } } }
    total: { metricSource: { type: Prometheus, spec: { query: sum(charges_total) } } }
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: charges
  labels: { team: [cards, money], tier: "1" }
spec:
  service: payments
  indicatorRef: charges
  budgetingMethod: Occurrences
  timeWindow: [{ duration: 28d, isRolling: true }]
  objectives: [{ target: 0.995 }]
  alertPolicies: [fast-burn]
---
apiVersion: openslo/v1
kind: SLO
metadata: { name: quick }
spec:
  service: search
  indicator:
    metadata: { name: p95 }
    spec:
      thresholdMetric:
        metricSource: { type: Prometheus, spec: { query: 'histogram_quantile(0.95, sum by (le) (rate(d_bucket[1m])))' } }
  timeWindow: [{ duration: 1M, isRolling: false, calendar: { startTime: 2026-01-01 00:00:00, timeZone: Europe/Zurich } }]
  budgetingMethod: Timeslices
  objectives:
    - { op: lte, value: 0.5, target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 1m }
    - { op: gte, value: 2, target: 0.9 }
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: { name: fast-burn }
"#;

#[test]
fn an_openslo_file_becomes_settings_that_are_taken() {
    let out = import(&[("shop.yaml".to_owned(), FILE.to_owned())]);
    insta::assert_snapshot!(out.settings, @r##"
    [[slo]]
    name = "charges"
    service = "payments"
    description = "Cards are charged."
    objective = 99.5
    window = "28d"
    good = { metric = "slo.charges.good" }
    total = { metric = "slo.charges.total" }
    labels = { "team" = "cards", "tier" = "1" }

    # Under the [[prometheus]] that answers it:
    [[prometheus.queries]]
    promql = 'sum(rate(charges_total{state="ok"}[{window}]))'
    metric = "slo.charges.good"
    entity = "service.name=payments"
    [[prometheus.queries]]
    promql = "sum(rate(charges_total[{window}]))"
    metric = "slo.charges.total"
    entity = "service.name=payments"

    [[slo]]
    name = "quick-1"
    service = "search"
    description = ""
    objective = 99.0
    window = "month"
    latency = { metric = "slo.quick-1.latency" }
    threshold = 0.5

    # Under the [[prometheus]] that answers it:
    [[prometheus.queries]]
    promql = "histogram_quantile(0.95, sum by (le) (rate(d_bucket[1m])))"
    metric = "slo.quick-1.latency"
    entity = "service.name=search"
    "##);
    insta::assert_snapshot!(out.notes.join("\n"), @r#"
        shop.yaml, line 16: SLO charges: alertPolicies left out: the alerts of the SRE workbook apply
        shop.yaml, line 16: SLO charges: the counter `charges_total{state="ok"}` is read as its rate
        shop.yaml, line 16: SLO charges: the counter `sum(charges_total)` is read as its rate
        shop.yaml, line 29: SLO quick: the calendar of Europe/Zurich is read as UTC
        shop.yaml, line 29: SLO quick: op gte is not known; only values above a threshold can be bad; left out
        shop.yaml, line 45: AlertPolicy fast-burn left out: every objective has the alerts of the SRE workbook, and [notify] says where they are told
        "#);
    assert_eq!(out.n_objectives, 2);
    // The queries stand under a server; the objectives are the whole file's.
    let (slo, queries): (Vec<&str>, Vec<&str>) =
        out.settings.split("\n[[").partition(|part| !part.contains("prometheus.queries"));
    let queries: Vec<String> = queries.iter().map(|q| format!("[[{q}")).collect();
    let text =
        format!("{}\n[[prometheus]]\nname = \"main\"\n{}", slo.join("\n[["), queries.join("\n"));
    let config = crate::config::load(&text, &[])
        .unwrap_or_else(|w| panic!("{}\n{text}", w.render("imported", &text)));
    assert_eq!(config.slo.len(), 2);
    assert_eq!(config.slo[0].labels["team"], "cards");
    assert_eq!(config.prometheus[0].queries.len(), 3);
}

#[test]
fn what_is_no_openslo_is_said_and_breaks_nothing() {
    for (text, note) in [
        ("a: [", "f.yaml, line 1: not YAML"),
        ("apiVersion: v1\nkind: Pod\n", "is not openslo/v1"),
        ("apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: x}\n", "has no indicator"),
        ("apiVersion: openslo/v1\nkind: SLO\nspec: {indicatorRef: why}\n", "in none of the files"),
        ("- 1\n- 2\n", "is not openslo/v1"),
    ] {
        let out = import(&[("f.yaml".to_owned(), text.to_owned())]);
        assert_eq!((out.n_objectives, out.settings.as_str()), (0, ""));
        assert!(out.notes.iter().any(|n| n.contains(note)), "{text}: {:?}", out.notes);
    }
}

#[test]
fn documents_are_parted_as_yaml_says_and_errors_name_the_files_lines() {
    let slo = "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: x}\n";
    let text = format!(
        "%YAML 1.2\n# first\n--- # with a word\n{slo}spec: |\n  a\n  ---\n  b\n...\n\n---\n---\r\n{slo}\
             a: 1\na: 2\n--- {{kind: Pod}}\n---\tb: [\n---\n{slo}"
    );
    let notes = import(&[("f.yaml".to_owned(), text)]).notes;
    insta::assert_snapshot!(notes.join("\n"), @r"
        f.yaml, line 19: not YAML: duplicate mapping key: a
        f.yaml, line 21: not YAML: unclosed bracket '['
        f.yaml, line 4: SLO x: names no service; its own name is taken
        f.yaml, line 4: SLO x: has no indicator (composite objectives are not known); left out
        f.yaml, line 20: apiVersion `` is not openslo/v1; left out
        f.yaml, line 23: SLO x: names no service; its own name is taken
        f.yaml, line 23: SLO x: has no indicator (composite objectives are not known); left out
        ");
    let places = |text: &str| parts(text).iter().map(|p| p.line).collect::<Vec<_>>();
    assert_eq!(places("a: 1"), [1]);
    assert_eq!(places("\u{feff}---\na: 1\n----\n"), [2]);
    assert!(places("").is_empty() && places("---\n# a\n...\n---\n").is_empty());
}
