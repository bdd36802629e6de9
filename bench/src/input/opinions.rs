//! Sentences with an opinion, about 80 bytes each: what lexicons of sentiment know, their boosters, negations, capitals,
//! and plain words between. Each is one sentence, with nothing inside that would end it.

use super::Chance;

const SUBJECTS: [&str; 5] =
    ["The new release", "Our support team", "This tiny camera", "The hotel near the station", "Her last talk"];
const VERBS: [&str; 4] = ["was", "is", "seems", "has always been"];
const WEIGHTS: [&str; 7] = ["", "very ", "really ", "not ", "hardly ", "EXTREMELY ", "kind of "];
const WORDS: [&str; 8] = ["good", "terrible", "GREAT", "boring", "helpful", "disappointing", "lovely", "fine"];
const TAILS: [&str; 6] = [
    "but the delivery took two weeks",
    "and I would buy it again",
    "although nobody told us about the broken window",
    "which made the whole afternoon a disaster",
    "and the manual explains where each cable goes",
    "so we love coming back",
];
const ENDS: [&str; 3] = [".", "!", "!!!"];

pub fn sentence(seed: u64) -> String {
    let mut chance = Chance(seed);
    let mut pick = |from: &[&'static str]| chance.one_of(from);
    let (subject, verb, weight, word) = (pick(&SUBJECTS), pick(&VERBS), pick(&WEIGHTS), pick(&WORDS));
    format!("{subject} {verb} {weight}{word}, {}{}", pick(&TAILS), pick(&ENDS))
}
