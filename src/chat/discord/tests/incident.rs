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
