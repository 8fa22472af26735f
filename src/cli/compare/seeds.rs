//! Lists of seeds: `21..30`, both ends included, `1,2,5` or both.

use std::str::FromStr;

/// Most seeds of a comparison.
const MOST: usize = 100_000;

/// Distinct seeds, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Seeds(pub Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut seeds = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once("..").unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
            if first > last || last - first >= MOST as u64 || seeds.len() + (last - first) as usize >= MOST {
                return Err(format!("{part:?}: must be FIRST..LAST with FIRST at most LAST, and {MOST} seeds in all"));
            }
            seeds.extend(first..=last);
        }
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("seed {} is given twice", pair[0])),
            None => Ok(Seeds(seeds)),
        }
    }
}

/// A seed, as `run.seed` takes it.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.trim();
    let number = digits.parse::<u64>().ok().filter(|&number| i64::try_from(number).is_ok());
    number.ok_or_else(|| format!("{text:?} is no seed; write for instance 21..30 or 1,2,5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lists_are_read() {
        let read = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(read("21..30"), Ok((21..=30).collect()));
        assert_eq!(read("1,2,5"), Ok(vec![1, 2, 5]));
        assert_eq!(read("9, 1..3"), Ok(vec![9, 1, 2, 3]));
        assert_eq!(read("4..=4"), Ok(vec![4]));
        for (text, part) in [
            ("", "is no seed"),
            ("1..", "is no seed"),
            ("3..1", "FIRST at most LAST"),
            ("1..3,2", "seed 2 is given twice"),
            ("-1", "is no seed"),
            ("1..200000", "100000 seeds"),
            ("0..18446744073709551615", "is no seed"),
            ("0..9223372036854775807", "100000 seeds"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
