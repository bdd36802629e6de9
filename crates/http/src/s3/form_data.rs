//! `multipart/form-data` as browsers and SDKs send it to POST Object: fields, then one file.
//!
//! Taken apart as it comes: the fields are known, and can be judged, before the file is read.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;
use s3s::{S3Error, S3Result, s3_error};
use std::collections::BTreeMap;

/// Everything before the file: a policy of S3's 20 KB, metadata, a handful of fields.
pub const FIELDS_BYTES_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 100;

/// The delimiter line's text, `--boundary`.
pub struct Boundary(Vec<u8>);

/// What stands before the file's first byte.
#[derive(Debug)]
pub struct FormHead {
    /// By lower-case name.
    pub fields: BTreeMap<String, String>,
    /// Without folders.
    pub file_name: String,
    /// Where the file begins.
    pub content_start: usize,
}

impl Boundary {
    pub fn of(headers: &HeaderMap) -> S3Result<Self> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = parameter(kind, "boundary").filter(|text| !text.is_empty() && text.len() <= 200);
        let boundary = boundary.ok_or_else(|| malformed("the boundary is missing"))?;
        Ok(Boundary(format!("--{boundary}").into_bytes()))
    }

    /// `None` until enough of the form has come.
    pub fn read_head(&self, form: &[u8]) -> S3Result<Option<FormHead>> {
        let mut fields = BTreeMap::new();
        let Some(first) = memmem::find(form, &self.0) else { return Ok(None) };
        let mut at = first + self.0.len();
        loop {
            if form[at..].starts_with(b"--") {
                return Err(s3_error!(InvalidArgument, "POST requires exactly one file upload per request."));
            }
            let Some(start) = memmem::find(&form[at..], b"\r\n\r\n") else { return Ok(None) };
            let part = Disposition::of(&form[at..at + start])?;
            let content_start = at + start + 4;
            if part.name == "file" {
                return Ok(Some(FormHead { fields, file_name: part.file_name.unwrap_or_default(), content_start }));
            }
            let Some(length) = self.find_end(&form[content_start..]) else { return Ok(None) };
            let value = std::str::from_utf8(&form[content_start..content_start + length]);
            let value = value.map_err(|_| malformed("a field is not valid UTF-8"))?;
            if fields.len() == FIELDS_MAX || fields.insert(part.name, value.to_owned()).is_some() {
                return Err(malformed("a field appears twice, or there are too many"));
            }
            at = content_start + length + 2 + self.0.len();
        }
    }

    /// The length of a content that starts here, if its end is here too.
    pub fn find_end(&self, from: &[u8]) -> Option<usize> {
        memmem::find_iter(from, &self.0).filter_map(|at| at.checked_sub(2)).find(|at| &from[*at..*at + 2] == b"\r\n")
    }
}

struct Disposition {
    name: String,
    file_name: Option<String>,
}

impl Disposition {
    fn of(head: &[u8]) -> S3Result<Self> {
        let head = std::str::from_utf8(head).map_err(|_| malformed("a part's head is not valid UTF-8"))?;
        let lines = head.split("\r\n");
        let mut named = lines.filter_map(|line| line.split_once(':'));
        let value =
            named.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition")).map(|(_, value)| value);
        let value = value.ok_or_else(|| malformed("a part has no Content-Disposition"))?;
        let name = parameter(value, "name").ok_or_else(|| malformed("a part has no name"))?;
        let file_name = parameter(value, "filename").map(|path| base_name(&path).to_owned());
        Ok(Disposition { name: name.to_ascii_lowercase(), file_name })
    }
}

/// Some browsers send the whole path of the user's file.
fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// `; name="value"` or `; name=value`. Browsers write a quote inside as `%22`, others as `\"`.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => read_quoted(quoted)?,
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        if name.trim().trim_start_matches(';').trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
}

fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if text[at + 1..].starts_with('"') => {
                chars.next();
                value.push('"');
            }
            c => value.push(c),
        }
    }
    None
}

fn malformed(why: &str) -> S3Error {
    s3_error!(MalformedPOSTRequest, "The body of your POST request is not well-formed multipart/form-data: {why}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\r\n\
        --B\r\nContent-Disposition: form-data; name=policy\r\nX: y\r\n\r\nline\r\n--not\r\n\
        --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a \\\"b\\\";.txt\"\r\nContent-Type: text/plain\r\n\r\nda\r\nta--B\r\n--B--\r\n";

    #[test]
    fn the_head_is_known_as_soon_as_the_file_begins() {
        let boundary = Boundary(b"--B".to_vec());
        let start = memmem::find(FORM, b"da\r\n").expect("the file");
        for cut in 0..start {
            assert!(boundary.read_head(&FORM[..cut]).expect("no error").is_none(), "cut at {cut}");
        }
        let head = boundary.read_head(&FORM[..start]).expect("no error").expect("the head");
        assert_eq!(head.fields["key"], "a/${filename}");
        assert_eq!(head.fields["policy"], "line\r\n--not");
        assert_eq!(head.file_name, "a \"b\";.txt");
        let end = boundary.find_end(&FORM[head.content_start..]).expect("an end");
        assert_eq!(&FORM[head.content_start..head.content_start + end], b"da\r\nta--B");
    }

    #[test]
    fn a_form_without_a_file_is_refused() {
        let boundary = Boundary(b"--B".to_vec());
        let form = b"--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--B--\r\n";
        assert!(boundary.read_head(form).is_err());
    }

    #[test]
    fn the_boundary_may_be_quoted() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/form-data; charset=utf-8; boundary=\"a b\"".parse().expect("a header"));
        assert_eq!(Boundary::of(&headers).expect("a boundary").0, b"--a b");
    }
}
