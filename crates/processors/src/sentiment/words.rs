//! The words that VADER knows, in one table: valence, booster, negation, and the part that a word plays in a rule.
//!
//! The lexicon is the data of the `vader_sentiment` crate. It folds keys that differ in case alone, so what that changed
//! is put right here; the other lists are those of the reference, vaderSentiment 3.3.2.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

/// Longer words are not in the table.
pub const WORD_BYTES_MAX: usize = 19;

const BOOST: f64 = 0.293;

#[derive(Clone, Copy, Debug, Default)]
pub struct Word {
    /// In the lexicon.
    pub valence: Option<f64>,
    /// Strengthens or weakens the words behind it.
    pub boost: f64,
    pub negates: bool,
    pub role: Role,
}

/// Words that rules and idioms name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[rustfmt::skip]
pub enum Role {
    #[default]
    Other,
    No, Or, Nor, Never, So, This, Without, Doubt, Least, At, Very, But, Kind, Of, Sort, Just, Enough,
    The, Shit, Bomb, Bad, Ass, Bus, Stop, Yeah, Right, Kiss, Death, To, Die, For, Beating, Heart,
}

#[rustfmt::skip]
const ROLES: [(&str, Role); 33] = {
    use Role::*;
    [
        ("no", No), ("or", Or), ("nor", Nor), ("never", Never), ("so", So), ("this", This), ("without", Without),
        ("doubt", Doubt), ("least", Least), ("at", At), ("very", Very), ("but", But), ("kind", Kind), ("of", Of),
        ("sort", Sort), ("just", Just), ("enough", Enough), ("the", The), ("shit", Shit), ("bomb", Bomb), ("bad", Bad),
        ("ass", Ass), ("bus", Bus), ("stop", Stop), ("yeah", Yeah), ("right", Right), ("kiss", Kiss),
        ("death", Death), ("to", To), ("die", Die), ("for", For), ("beating", Beating), ("heart", Heart),
    ]
};

/// Idioms of two and of three words that have a valence of their own.
pub const IDIOMS_OF_TWO: [([Role; 2], f64); 6] = {
    use Role::*;
    [
        ([The, Shit], 3.0),
        ([The, Bomb], 3.0),
        ([Bad, Ass], 1.5),
        ([Bus, Stop], 0.0),
        ([Yeah, Right], -2.0),
        ([Beating, Heart], 3.5),
    ]
};
pub const IDIOMS_OF_THREE: [([Role; 3], f64); 2] = {
    use Role::*;
    [([Kiss, Of, Death], -1.5), ([To, Die, For], 3.0)]
};
/// Pairs that weaken.
pub const BOOST_OF_TWO: [([Role; 2], f64); 3] = {
    use Role::*;
    [([Just, Enough], -BOOST), ([Kind, Of], -BOOST), ([Sort, Of], -BOOST)]
};

const STRENGTHEN: &str = "absolutely amazingly awfully completely considerable considerably decidedly deeply effing \
    enormous enormously entirely especially exceptional exceptionally extreme extremely fabulously flipping flippin \
    frackin fracking fricking frickin frigging friggin fully fuckin fucking fuggin fugging greatly hella highly hugely \
    incredible incredibly intensely major majorly more most particularly purely quite really remarkably so \
    substantially thoroughly total totally tremendous tremendously uber unbelievably unusually utter utterly very";

const WEAKEN: &str = "almost barely hardly kinda kindof kind-of less little marginal marginally occasional occasionally \
    partly scarce scarcely slight slightly somewhat sorta sortof sort-of";

const NEGATE: &str = "aint arent cannot cant couldnt darent didnt doesnt ain't aren't can't couldn't daren't didn't \
    doesn't dont hadnt hasnt havent isnt mightnt mustnt neither don't hadn't hasn't haven't isn't mightn't mustn't \
    neednt needn't never none nope nor not nothing nowhere oughtnt shant shouldnt uhuh wasnt werent oughtn't shan't \
    shouldn't uh-uh wasn't weren't without wont wouldnt won't wouldn't rarely seldom despite";

/// Lost when keys that differ in case alone became one, or not there at all.
const PATCHES: [(&str, f64); 3] = [(":p", 1.0), ("heart", 3.2), ("hearts", 3.3)];

type Quick = BuildHasherDefault<Mixer>;

static WORDS: LazyLock<HashMap<&'static str, Word, Quick>> = LazyLock::new(|| {
    let mut words: HashMap<&'static str, Word, Quick> = HashMap::default();
    for (word, valence) in vader_sentiment::LEXICON.iter() {
        words.entry(word).or_default().valence = Some(*valence);
    }
    for (word, valence) in PATCHES {
        words.entry(word).or_default().valence = Some(valence);
    }
    for word in STRENGTHEN.split(' ').filter(|w| !w.is_empty()) {
        words.entry(word).or_default().boost = BOOST;
    }
    for word in WEAKEN.split(' ').filter(|w| !w.is_empty()) {
        words.entry(word).or_default().boost = -BOOST;
    }
    for word in NEGATE.split(' ').filter(|w| !w.is_empty()) {
        words.entry(word).or_default().negates = true;
    }
    for (word, role) in ROLES {
        words.entry(word).or_default().role = role;
    }
    words
});

/// What a single character stands for, in words.
static EMOJIS: LazyLock<HashMap<char, &'static str, Quick>> = LazyLock::new(|| {
    let single = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|_| chars.next().is_none())
    };
    let all = vader_sentiment::EMOJI_LEXICON.iter();
    all.filter_map(|(emoji, meaning)| Some((single(emoji)?, meaning.trim()))).collect()
});

/// The table, looked up once per run rather than per word.
#[derive(Clone, Copy)]
pub struct Words {
    words: &'static HashMap<&'static str, Word, Quick>,
    emojis: &'static HashMap<char, &'static str, Quick>,
}

impl Words {
    pub fn load() -> Self {
        Words { words: &WORDS, emojis: &EMOJIS }
    }

    /// `word` is in lower case.
    #[inline]
    pub fn get(&self, word: &str) -> Word {
        self.words.get(word).copied().unwrap_or_default()
    }

    pub fn emoji(&self, emoji: char) -> Option<&'static str> {
        self.emojis.get(&emoji).copied()
    }

    #[cfg(test)]
    pub fn lexicon(&self) -> impl Iterator<Item = (&'static str, Word)> {
        self.words.iter().map(|(text, word)| (*text, *word))
    }
}

/// Quick on short keys. The table is fixed, so nobody can fill it with keys that collide.
#[derive(Default)]
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixer {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            self.mix(u64::from_le_bytes(*eight));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }

    #[inline]
    fn finish(&self) -> u64 {
        // the table takes its buckets from the low bits and its tags from the high ones
        self.0 ^ (self.0 >> 32)
    }
}
