//! Text inside XML and HTML.

use std::fmt::{self, Display, Write};

/// Shows text with everything escaped that means something in XML or HTML, in element content and in quoted attributes.
/// Characters that XML does not allow become the replacement character.
pub struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(formatter), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            '\t' | '\n' | '\r' => self.0.write_char(character),
            '\u{fffe}' | '\u{ffff}' => self.0.write_char(char::REPLACEMENT_CHARACTER),
            _ if character.is_control() => self.0.write_char(char::REPLACEMENT_CHARACTER),
            _ => self.0.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_is_harmless() {
        let text = Escaped("<script>alert('x') && \"y\"</script>\u{0}").to_string();
        assert_eq!(text, "&lt;script&gt;alert(&#39;x&#39;) &amp;&amp; &quot;y&quot;&lt;/script&gt;\u{fffd}");
    }

    proptest! {
        #[test]
        fn a_parser_reads_the_text_back(text in any::<String>()) {
            let xml = format!("<a b=\"{0}\">{0}</a>", Escaped(&text));
            let document = roxmltree::Document::parse(&xml).unwrap();
            let allowed = |c: char| if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) { '\u{fffd}' } else { c };
            // The parser turns line ends and tabs into its own; what else there is must come back.
            let blank = |c: char| if matches!(c, '\t' | '\n' | '\r') { ' ' } else { allowed(c) };
            let expected: String = text.replace("\r\n", "\n").chars().map(blank).collect();
            let found = |text: &str| text.chars().map(blank).collect::<String>();
            prop_assert_eq!(found(document.root_element().text().unwrap_or("")), expected.clone());
            prop_assert_eq!(found(document.root_element().attribute("b").unwrap()), expected);
        }
    }
}
