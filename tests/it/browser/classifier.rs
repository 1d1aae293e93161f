//! The classifier on the page of detectors: trained by a button, promoted with a reason, rolled
//! back.

use nightjar::store::Store;

use super::{Browser, ENTER, PATIENCE, with_browser};
use crate::bot::{Bot, TOKEN};
use crate::sites;
use crate::support::{eventually, free_port, installed};

/// Presses a button, gives the reason that is asked for, and confirms.
async fn decide(b: &Browser, button: &str, words: &str) {
    b.press(button, ENTER).await;
    b.see("dialog[open]", words).await;
    b.write("dialog[open] #f-reason", "tried on a copy").await;
    b.press("dialog[open] #confirm", ENTER).await;
    b.holds("the dialog is closed", "!document.querySelector('dialog[open]')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_is_trained_promoted_and_rolled_back_by_buttons() {
    let (Some(driver), Some(chromium)) = (installed("chromedriver"), installed("chromium")) else {
        return;
    };
    let mut bot = Bot::on(free_port(), "[learn.classify]\ntrain = false\n").await;
    bot.kill();
    sites::past(&Store::open(&bot.data().join("nightjar.sqlite")).expect("opens")).await;
    bot.again().await;
    let live = async || {
        let models = bot.get("/api/v1/models").await;
        models["versions"][0]["state"] == "live"
    };
    let url = bot.url("/#/detectors");
    with_browser((&driver, &chromium), &url, async |b: &Browser| {
        b.write("#token", TOKEN).await;
        b.press("#token", ENTER).await;
        b.see("#classifier", "No version is live, and none is in shadow.").await;
        b.press("#classifier > .buttons button", ENTER).await;
        b.see("dialog[open]", "born in shadow").await;
        b.press("dialog[open] #confirm", ENTER).await;
        b.see("#classifier", "Version 1").await;
        b.see("#classifier", "By cross-validation over").await;
        decide(b, "#classifier li button.primary", "They decide nothing").await;
        b.see("#classifier", "tried on a copy").await;
        eventually("it to be live", PATIENCE, live).await;
        decide(b, "#classifier li button.quiet", "is shown again").await;
        eventually("it to be in shadow", PATIENCE, async || !live().await).await;
    })
    .await;
}
