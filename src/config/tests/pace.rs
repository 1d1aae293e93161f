//! Limits of how much is told that would keep people from hearing of what matters.

use super::wrong;

#[test]
fn a_rate_that_lets_pages_wait_is_refused() {
    insta::assert_snapshot!(wrong("[pace]\nper_hour = 10", &[]), @r"
nightjar.toml:2:12: pace.per_hour: is set without pace.reserved_per_hour, so pages and critical incidents would wait too; say how many of them an hour may come beyond it, 1 or more
  |
2 | per_hour = 10
  |            ^^

1 mistake in the configuration.
");
    insta::assert_snapshot!(wrong("[pace]\nreserved_per_hour = 10", &[]), @r"
nightjar.toml:2:21: pace.reserved_per_hour: does nothing while pace.per_hour is 0, which is no limit
  |
2 | reserved_per_hour = 10
  |                     ^^

1 mistake in the configuration.
");
}
