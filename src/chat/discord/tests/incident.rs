//! All that is shown of any incident, within Discord's limits.

use proptest::prelude::*;

use super::super::render;
use super::wrong;

proptest! {
    // Each is large: 100 kB and 10,000 services are drawn often enough.
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn any_incident_is_within_the_limits_and_pings_nobody(
        all in crate::chat::tests::hostile::shown(),
    ) {
        for content in all {
            for key in [Some("INC-7/card"), None] {
                let message = render::message(key, &content);
                prop_assert_eq!(wrong(&message), Vec::<String>::new());
            }
        }
    }
}

/// A message as Discord takes it, and what is wrong with it by Discord's limits.
pub(crate) fn drawn(shown: &crate::chat::Content) -> (serde_json::Value, Vec<String>) {
    let message = render::message(Some("key"), shown);
    let faults = wrong(&message);
    (message, faults)
}

/// The same for a form.
pub(crate) fn drawn_form(shown: &crate::chat::Form) -> (serde_json::Value, Vec<String>) {
    let modal = super::super::modal::modal(shown);
    let faults = super::rules::modal(&modal).into_iter().map(|w| format!("{w:?}")).collect();
    (modal, faults)
}
