//! Broken files and exactly what is said of them.

use super::*;

/// A small file that is right; the cases break it.
const RIGHT: &str = r#"---
id: a
title: A
matchers:
  - log: "full"
actions:
  - id: set
    title: Set {{ params.to }}
    executor: http
    parameters:
      - name: to
        description: How many
        type: integer
        default: "4"
        min: 1
        max: 8
    http:
      method: POST
      url: "{{ settings.admin_url }}/x/{{ target.name | segment }}"
      body: '{"to":{{ params.to | tojson }}}'
      timeout: 10s
    observe:
      url: "{{ settings.admin_url }}/x/{{ target.name | segment }}"
      keys: [to]
    risk: low
    expected_effect: It is set.
    verify: { after: 60s, window: 2m }
    rollback: { action: set, parameters: { to: "{{ target.state.to }}" } }
preconditions: [It is on.]
verification: It is set.
rollback: Set it back.
owner: a team
reviewed: 2026-11-19
---
Steps.
"#;

#[test]
fn the_file_that_the_cases_break_is_right() {
    let runbook = parse("a.md", RIGHT).expect("right");
    assert_eq!(runbook.front.actions[0].parameters[0].max, Some(8));
}

/// What is said of a file in which each `from` is put as `to`.
fn said(changes: &[(&str, &str)]) -> String {
    let mut text = RIGHT.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let found = parse("a.md", &text).expect_err("broken");
    Mistakes(found).to_string()
}

#[test]
fn every_mistake_is_said_with_its_line() {
    let cases: &[&[(&str, &str)]] = &[
        // The file as a whole.
        &[("---\nid", "id")],
        &[("---\nSteps.\n", "")],
        &[("Steps.\n", "")],
        &[("title: A\n", "title: [A\n")],
        &[("title: A\n", "title: A\ntitle: B\n")],
        // Keys and kinds of values.
        &[("owner: a team\n", "")],
        &[("owner:", "ownr:")],
        &[("title: A\n", "title: 7\n")],
        &[("[It is on.]", "It is on.")],
        &[("executor: http", "executor: shell")],
        &[("risk: low", "risk: none")],
        &[("timeout: 10s", "timeout: 10")],
        &[("window: 2m", "window: 2 minutes")],
        &[("min: 1", "min: one")],
        &[("        max: 8\n", "        max: 8\n        step: 2\n")],
        &[("verify: { after: 60s, window: 2m }", "verify: 60s")],
        &[("- log: \"full\"", "- full")],
        &[("- log: \"full\"", "- message: \"full\"")],
        &[("- log: \"full\"", "- log: \"full\"\n    change: deploy")],
        &[("- log: \"full\"", "- change: deployment")],
        &[("- log: \"full\"", "- alert: a=~\"(\"")],
        &[("method: POST", "method: GET")],
        // What it says.
        &[("id: a\n", "id: A b\n")],
        &[("reviewed: 2026-11-19", "reviewed: 2026-13-01")],
        &[("title: A\n", "title: \" \"\n")],
        &[("matchers:\n  - log: \"full\"\n", "matchers: []\n")],
        &[("\"full\"", "\"(full\"")],
        &[("log: \"full\"", "hypothesis: full_disk")],
        &[("executor: http", "executor: command")],
        &[("executor: http", "executor: dry-run")],
        &[("{{ params.to }}", "{{ params.to }")],
        &[("{{ params.to }}", "{{ params.too }}")],
        &[("{{ params.to }}", "{{ incidnt.title }}")],
        &[("name: to", "name: To")],
        &[("        max: 8\n", "")],
        &[("min: 1", "min: 9")],
        &[("default: \"4\"", "default: \"12\"")],
        &[("default: \"4\"", "default: four")],
        &[("        max: 8\n", "        max: 8\n        choices: [\"1\"]\n")],
        &[("type: integer", "type: choice")],
        &[("type: integer", "type: string")],
        &[("action: set", "action: unset")],
        &[("{ to: \"{{ target.state.to }}\" }", "{ value: \"1\" }")],
        &[
            ("default: \"4\"\n        ", ""),
            (", parameters: { to: \"{{ target.state.to }}\" }", ""),
        ],
        &[("keys: [to]", "keys: []")],
        &[("{{ settings.admin_url }}", "{{ change.url }}")],
        &[("target.name | segment", "target.name")],
        &[("{{ settings.admin_url }}", "ftp://x")],
    ];
    assert!(cases.len() >= 40);
    let mut all = String::new();
    for case in cases {
        all.push_str(&said(case));
        all.push_str("\n\n");
    }
    insta::assert_snapshot!(all, @r##"
    a.md:1: no front matter; the first line must be `---`

    a.md:1: the front matter has no end; close it with a line `---`

    a.md:34: there is no text below the front matter; write the steps for people

    a.md:4: the front matter is not YAML: illegal placement of ':' indicator

    a.md:4: the front matter is not YAML: duplicate mapping key: title

    a.md:2: the front matter lacks `owner`

    a.md:2: the front matter lacks `owner`
    a.md:32: the front matter has an unknown key `ownr`; did you mean `owner`?

    a.md:3: `title` must be a text, and is a number

    a.md:29: `preconditions` must be a list, and is a text

    a.md:9: `executor` is `shell`; it must be one of http, command, dry-run

    a.md:25: `risk` is `none`; it must be one of low, medium, high

    a.md:21: `timeout` is a number; write a length of time, such as 90s

    a.md:27: `window`: `2 minutes` is not a length of time; write 45s, 2m or 1h (at most 168h)

    a.md:15: `min` must be a whole number, and is a text

    a.md:17: `parameters: to` has an unknown key `step`; it takes: name, description, type, default, pattern, choices, min, max

    a.md:27: `verify` must have keys, and is a text

    a.md:5: an entry of `matchers` must be `kind: value`, and is a text

    a.md:5: `matchers` has an unknown key `message`; it takes: alert, indicator, entity, log, change, hypothesis

    a.md:5: an entry of `matchers` must have one key; start each with `- `

    a.md:5: `change`: unknown variant `deployment`, expected one of `deploy`, `config`, `network_policy`, `scale`, `flag`, `migration`, `schema`, `provider`, `other`

    a.md:5: `alert`: `(` is not a regular expression: unclosed group

    a.md:18: `method` is `GET`; it must be one of POST, PUT, PATCH, DELETE

    a.md:2: `id` must be small letters, digits and dashes (at most 64)

    a.md:33: `reviewed` must be a date, YYYY-MM-DD

    a.md:3: `title` is empty; say it in words

    a.md:4: `matchers` is empty; say when this runbook applies

    a.md:5: `(full` is not a regular expression: unclosed group

    a.md:5: `full_disk` is no pattern of a cause; there are: deploy, change, network_policy, resource_leak, saturation, slow_queries, noisy_neighbour, dependency, traffic, unknown

    a.md:9: executor `command` needs `command:` and no `http:`

    a.md:9: executor `dry-run` takes neither `http:` nor `command:`

    a.md:8: the template `Set {{ params.to }` can't be read: syntax error: unexpected `}`, expected end of variable block

    a.md:8: the template names the parameter `too`, which `set` lacks

    a.md:8: the template names `incidnt.title`; it may name incident, hypothesis, change, service, target, params, settings

    a.md:8: the template names the parameter `to`, which `set` lacks
    a.md:11: parameter `To`: small letters, digits and _, first a letter
    a.md:20: the template names the parameter `to`, which `set` lacks
    a.md:28: the rollback sets `to`, which `set` does not take

    a.md:11: parameter `to`: an integer needs `min` and `max`: how far may it go?

    a.md:11: parameter `to`: `min` is greater than `max`

    a.md:14: the default: `12` is no value for `to`: it must be at most 8.

    a.md:14: the default: `four` is no value for `to`: it must be a whole number.

    a.md:11: parameter `to`: an integer takes `min` and `max`, not `choices` or `pattern`

    a.md:11: parameter `to`: a choice needs `choices`

    a.md:11: parameter `to`: a string takes `pattern`, not `choices`, `min` or `max`

    a.md:28: the rollback names `unset`, which this file lacks

    a.md:28: the rollback sets `value`, which `set` does not take

    a.md:27: the rollback leaves `to` of `set` open, which has no default; set it

    a.md:24: `keys` is empty; name the keys that a plan is bound to

    a.md:19: the address must begin with http://, https:// or a setting
    a.md:19: write {{ change.url | segment }} in an address

    a.md:19: write {{ target.name | segment }} in an address

    a.md:19: the address must begin with http://, https:// or a setting
    "##);
}

#[test]
fn all_mistakes_of_a_file_are_said_at_once_in_the_order_of_its_lines() {
    let shape = [("id: a\n", ""), ("owner:", "ownr:"), ("risk: low", "risk: none")];
    insta::assert_snapshot!(said(&shape), @r##"
    a.md:2: the front matter lacks `id`
    a.md:2: the front matter lacks `owner`
    a.md:24: `risk` is `none`; it must be one of low, medium, high
    a.md:31: the front matter has an unknown key `ownr`; did you mean `owner`?
    "##);
    let sense = [
        ("executor: http", "executor: command"),
        ("reviewed: 2026-11-19", "reviewed: soon"),
        ("default: \"4\"", "default: \"{{ change.previous\""),
        ("Steps.\n", ""),
    ];
    insta::assert_snapshot!(said(&sense), @r##"
    a.md:9: executor `command` needs `command:` and no `http:`
    a.md:14: the template `{{ change.previous` can't be read: syntax error: unexpected end of input, expected end of variable block
    a.md:33: `reviewed` must be a date, YYYY-MM-DD
    a.md:34: there is no text below the front matter; write the steps for people
    "##);
}

#[test]
fn a_program_is_a_whole_path_and_no_template() {
    let command = [
        ("executor: http", "executor: command"),
        (
            "    http:\n      method: POST\n      url: \"{{ settings.admin_url }}/x/{{ target.name | segment }}\"\n      body: '{\"to\":{{ params.to | tojson }}}'\n",
            "    command:\n      program: \"{{ target.name }}\"\n      args: [\"{{ nothing }}\"]\n",
        ),
    ];
    insta::assert_snapshot!(said(&command), @r##"
    a.md:18: `program` is no template; only arguments are filled in
    a.md:18: `program` must be a whole path, such as /usr/bin/kubectl
    a.md:19: the template names `nothing`; it may name incident, hypothesis, change, service, target, params, settings
    "##);
}
