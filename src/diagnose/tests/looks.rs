//! What a thread is told of one look after another.

use crate::approve::tests::sample::diagnosis;
use crate::diagnose::stage::told;
use crate::model::Diagnosis;

fn thought(confidence: f64, conclusive: bool, first_look: bool) -> Diagnosis {
    let mut thought = diagnosis("unknown");
    thought.hypotheses[0].confidence = confidence;
    (thought.conclusive, thought.first_look) = (conclusive, first_look);
    thought
}

#[test]
fn after_a_first_look_only_another_verdict_is_told_and_later_what_moved() {
    let begins = |new: &Diagnosis, old: Option<&Diagnosis>, with: &str| {
        let said = told(new, old);
        assert!(said.as_ref().is_some_and(|s| s.starts_with(with)), "{said:?}");
    };
    let (faint, sure) = (thought(0.14, false, true), thought(0.9, true, true));
    begins(&faint, None, "Inconclusive at a first look; no cause stands out.");
    begins(&sure, None, "Likely cause at a first look:");
    let fair = thought(0.57, false, false);
    assert_eq!(told(&fair, Some(&faint)), None, "the chances of two curves");
    assert_eq!(told(&thought(0.75, true, false), Some(&sure)), None);
    begins(&thought(0.8, true, false), Some(&faint), "A likely cause stands out now:");
    begins(&fair, Some(&sure), "The hypothesis got weaker:");
    begins(&thought(0.7, false, false), Some(&fair), "The hypothesis got stronger:");
    assert_eq!(told(&thought(0.6, false, false), Some(&fair)), None);
}
