//! "Did you mean …?"

/// The candidate that `word` is probably a slip of: one slip for every three letters, two at most.
pub(crate) fn nearest<'n>(
    word: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    let slips = (word.chars().count() / 3).min(2);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(candidate, word), candidate))
        .min()
        .filter(|(distance, _)| *distance <= slips)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn short_words_are_not_guessed() {
        let keys = ["name", "to", "when", "max_connections"];
        let near = |word| nearest(word, keys.into_iter());
        assert_eq!(near("naem"), Some("name"));
        assert_eq!(near("max-conections"), Some("max_connections"));
        assert_eq!(near("as"), None);
        assert_eq!(near("went"), None);
        assert_eq!(near(""), None);
    }
}
