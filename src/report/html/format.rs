//! Numbers as people read them.

/// `0.8431` -> `84.31 %`, the space a narrow one that does not break.
pub fn percent(share: f64) -> String {
    format!("{:.2}\u{202f}%", 100.0 * share)
}

/// `0.0084` -> `+0.84`: a difference of accuracies, in percentage points.
pub fn points(difference: f64) -> String {
    let text = format!("{:+.2}", 100.0 * difference);
    text.replace('-', "\u{2212}")
}

/// `-123.4` with a true minus sign and one decimal.
pub fn real(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}").replace('-', "\u{2212}")
}

/// `1234567` -> `1,234,567`
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `583_000_000` -> `583 M`: three digits and a thousand's letter.
pub fn short(number: f64) -> String {
    let mut value = number;
    for unit in ["", "\u{202f}k", "\u{202f}M", "\u{202f}G", "\u{202f}T"] {
        // 999.5 would be written as 1000.
        if value < 999.5 {
            let decimals = if unit.is_empty() || value >= 99.95 {
                0
            } else if value >= 9.995 {
                1
            } else {
                2
            };
            return format!("{value:.decimals$}{unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.0}\u{202f}P")
}

/// `252.4` -> `4 min 12 s`
pub fn duration(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1}\u{202f}s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}\u{202f}h {minutes}\u{202f}min")
    } else {
        format!("{minutes}\u{202f}min {seconds}\u{202f}s")
    }
}

/// `1 network`, `2 networks`
pub fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number as u64), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.84312), "84.31\u{202f}%");
        assert_eq!(points(-0.00841), "\u{2212}0.84");
        assert_eq!(points(0.5), "+50.00");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(short(7.0), "7");
        assert_eq!(short(999.6), "1.00\u{202f}k");
        assert_eq!(short(5_612_345.0), "5.61\u{202f}M");
        assert_eq!(short(583e6), "583\u{202f}M");
        assert_eq!(short(99.96e6), "100\u{202f}M");
        assert_eq!(duration(3.24), "3.2\u{202f}s");
        assert_eq!(duration(59.97), "1\u{202f}min 0\u{202f}s");
        assert_eq!(duration(252.4), "4\u{202f}min 12\u{202f}s");
        assert_eq!(duration(7_300.0), "2\u{202f}h 1\u{202f}min");
        assert_eq!(counted(1, "network"), "1 network");
        assert_eq!(counted(1_000, "network"), "1,000 networks");
    }
}
