//! Numbers as people read them.

/// `0.84312` -> `84.31 %`
pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// `252.4` -> `4 min 12 s`
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    whole_duration(seconds.round() as u64)
}

/// `5 s`, `2 min 3 s`, `1 h 15 min`: of a time that is known to the second.
pub(super) fn whole_duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `1 candidate`, `2 candidates`
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// An argument as a shell reads it back.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.84312), "84.31 %");
        assert_eq!(duration(3.12), "3.1 s");
        assert_eq!(duration(9.97), "10 s");
        assert_eq!(duration(59.7), "1 min 0 s");
        assert_eq!(duration(252.4), "4 min 12 s");
        assert_eq!(duration(7_300.0), "2 h 1 min");
        assert_eq!(counted(1, "candidate"), "1 candidate");
        assert_eq!(counted(0, "candidate"), "0 candidates");
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(shell_word("search.budget=9"), "search.budget=9");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
