//! Text, attribute values and URLs as HTML, in the very form that an HTML5 serialiser gives them.
//!
//! CR and NUL do not come through a parser of HTML as they are, so they are written as what becomes of them.

/// Between tags.
pub fn push_text(html: &mut String, text: &str) {
    push_escaped(html, text, &IN_TEXT);
}

/// Between double quotes.
pub fn push_value(html: &mut String, text: &str) {
    push_escaped(html, text, &IN_VALUES);
}

/// Bytes that are not written as they are, or begin a character that is not.
static IN_TEXT: [bool; 256] = marked(b"<>&\r\0\xc2");
static IN_VALUES: [bool; 256] = marked(b"<>&\r\0\xc2\"");

const fn marked(bytes: &[u8]) -> [bool; 256] {
    let mut marked = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        marked[bytes[at] as usize] = true;
        at += 1;
    }
    marked
}

#[inline]
fn push_escaped(html: &mut String, text: &str, marked: &[bool; 256]) {
    let bytes = text.as_bytes();
    let (mut done, mut at) = (0, 0);
    while let Some(step) = bytes[at..].iter().position(|byte| marked[usize::from(*byte)]) {
        at += step;
        let (escaped, length) = match bytes[at] {
            b'<' => ("&lt;", 1),
            b'>' => ("&gt;", 1),
            b'&' => ("&amp;", 1),
            b'"' => ("&quot;", 1),
            b'\r' => ("\n", 1),
            0 => ("\u{fffd}", 1),
            _ if bytes.get(at + 1) == Some(&0xa0) => ("&nbsp;", 2),
            _ => {
                at += 1;
                continue;
            }
        };
        html.push_str(&text[done..at]);
        html.push_str(escaped);
        at += length;
        done = at;
    }
    html.push_str(&text[done..]);
}

/// A URL between double quotes: what may not stand in one is percent-encoded; what is already, stays.
pub fn push_href(html: &mut String, url: &str) {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%()*+,-./:;=?@^_~'".contains(&byte);
    let mut done = 0;
    for (at, byte) in url.bytes().enumerate() {
        if is_safe(byte) {
            continue;
        }
        if done < at {
            html.push_str(&url[done..at]);
        }
        if byte == b'&' {
            html.push_str("&amp;");
        } else {
            let digit = |n: u8| char::from(b"0123456789ABCDEF"[usize::from(n)]);
            html.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
        done = at + 1;
    }
    if done < url.len() {
        html.push_str(&url[done..]);
    }
}
