//! HTML from Markdown: what it looks like, what never gets into it, and what hostile documents do to it: nothing.

mod harmless;
mod spec;

use super::*;
use crate::suite;
use serde_json::json;

fn html_with(options: &Value, markdown: &str) -> String {
    let ran = suite::whole(&*suite::prepared(&MarkdownToHtml, options), markdown.as_bytes()).expect("a result");
    assert_eq!(ran.records, 0);
    assert_eq!(ran.report.filename, None);
    ran.text().to_owned()
}

fn html(markdown: &str) -> String {
    html_with(&json!({}), markdown)
}

#[test]
fn gfm_gives_tables_strikethrough_task_lists_and_links() {
    for (markdown, expected) in [
        (
            "| a | b | c |\n|:--|:-:|--:|\n| 1 | ~~2~~ | <3 |\n| x |\n",
            "<table><thead><tr><th align=\"left\">a</th><th align=\"center\">b</th><th align=\"right\">c</th></tr></thead>\
             <tbody>\n<tr><td align=\"left\">1</td><td align=\"center\"><del>2</del></td><td align=\"right\">&lt;3</td></tr>\n\
             <tr><td align=\"left\">x</td><td align=\"center\"></td><td align=\"right\"></td></tr>\n</tbody></table>\n",
        ),
        (
            "- [x] done\n- [ ] open\n",
            "<ul>\n<li><input disabled=\"\" type=\"checkbox\" checked=\"\">\ndone</li>\n\
             <li><input disabled=\"\" type=\"checkbox\">\nopen</li>\n</ul>\n",
        ),
        ("```rust ignore\na < b\n```\n", "<pre><code class=\"language-rust\">a &lt; b\n</code></pre>\n"),
        (
            "See www.a.b/x_y_z, `www.c.d` and [www.e.f](/g).",
            "<p>See <a href=\"http://www.a.b/x_y_z\" rel=\"noopener nofollow\">www.a.b/x_y_z</a>, <code>www.c.d</code> and \
             <a href=\"/g\" rel=\"noopener nofollow\">www.e.f</a>.</p>\n",
        ),
        (
            "**https://a.b?q=1&r=\"2\"** a_b@c.d",
            "<p><strong><a href=\"https://a.b?q=1&amp;r=%222\" rel=\"noopener nofollow\">https://a.b?q=1&amp;r=\"2</a>\"</strong> \
             <a href=\"mailto:a_b@c.d\" rel=\"noopener nofollow\">a_b@c.d</a></p>\n",
        ),
        (
            "<http://a.b> <c@d.e>",
            "<p><a href=\"http://a.b\" rel=\"noopener nofollow\">http://a.b</a> \
             <a href=\"mailto:c@d.e\" rel=\"noopener nofollow\">c@d.e</a></p>\n",
        ),
        ("![a *b* [c](d)](e.png \"t\\\"t\")", "<p><img src=\"e.png\" alt=\"a b c\" title=\"t&quot;t\"></p>\n"),
        (
            "    www.a.b\n\n---\n3. x\n",
            "<pre><code>www.a.b\n</code></pre>\n<hr>\n<ol start=\"3\">\n<li>x</li>\n</ol>\n",
        ),
        ("[x <http://a.b> y](c)", "<p><a href=\"c\" rel=\"noopener nofollow\">x http://a.b y</a></p>\n"),
        ("a\0b&#0;c&#13;d", "<p>a\u{fffd}b\u{fffd}c\nd</p>\n"),
        ("", ""),
    ] {
        assert_eq!(html(markdown), expected, "{markdown}");
    }
    assert_eq!(html_with(&json!({ "raw": true }), "a\0b"), "<p>a\u{fffd}b</p>\n");
    let plain = html_with(&json!({ "extensions": false }), "| a |\n|---|\n\n~~x~~ www.a.b\n\n- [ ] y\n");
    assert_eq!(plain, "<p>| a |\n|---|</p>\n<p>~~x~~ www.a.b</p>\n<ul>\n<li>[ ] y</li>\n</ul>\n");
    let raw = html_with(&json!({ "raw": true }), "www.a.b <b onclick=x>y</b>\n\n- [ ] z");
    assert!(
        raw.contains("<a href=\"http://www.a.b\">www.a.b</a> <b onclick=x>y</b>") && raw.contains("checkbox"),
        "{raw}"
    );
}

#[test]
fn allowed_raw_html_stays_and_keeps_its_place() {
    for (markdown, expected) in [
        ("a<br>b <kbd>x</kbd><sub>2", "<p>a<br>b <kbd>x</kbd><sub>2</sub></p>\n"),
        (
            "<details open>\n<summary>More</summary>\n\n*text*\n\n</details>\n\nafter",
            "<details open=\"\">\n<summary>More</summary>\n<p><em>text</em></p>\n</details>\n<p>after</p>\n",
        ),
        (
            "<p align=\"center\">\n<img src=\"a.png\" width=\"10\" onerror=\"x\">\n\n# Title\n",
            "<p align=\"center\">\n<img src=\"a.png\" width=\"10\">\n</p>\n<h1>Title</h1>\n",
        ),
        // what a tag does not open it does not close
        ("> a </blockquote></div> b\n\nc", "<blockquote>\n<p>a  b</p>\n</blockquote>\n<p>c</p>\n"),
        ("*a <b>b* c</b>", "<p><em>a <b>b</b></em> c</p>\n"),
        ("x <div>y</div>", "<p>x y</p>\n"),
        (
            "<input type=checkbox checked name=a><input type=text><input>",
            "<p><input disabled=\"\" type=\"checkbox\" checked=\"\"></p>\n",
        ),
        (
            "<code class=\"language-x\">a</code><code class=\"b language-x\">c</code>",
            "<p><code class=\"language-x\">a</code><code>c</code></p>\n",
        ),
        ("<a href=\"/x\" id=\"y\" name=\"z\">a</a>", "<p><a href=\"/x\" rel=\"noopener nofollow\">a</a></p>\n"),
        ("<div>\n<script>a</script>b<style>c</style><textarea>d</textarea>", "<div>\nb</div>"),
        ("a <!-- c --> b <? d ?> <![CDATA[e]]>", "<p>a  b  </p>\n"),
    ] {
        assert_eq!(html(markdown), expected, "{markdown}");
    }
}

#[test]
fn a_page_has_a_title_and_is_whole() {
    for (options, markdown, title) in [
        (json!({ "page": true }), "text\n\n## A *b* `<c>` & d\n\n# e", "A b &lt;c&gt; &amp; d"),
        (json!({ "page": true, "title": "</title><script>" }), "# a", "&lt;/title&gt;&lt;script&gt;"),
        (json!({ "page": true }), "no heading", "input"),
        (json!({ "page": true, "raw": true }), "#\n\nSetext\n===", "Setext"),
    ] {
        let page = html_with(&options, markdown);
        assert!(
            page.starts_with("<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\""),
            "{page}"
        );
        assert!(page.contains(&format!("<title>{title}</title>")), "{page}");
        assert!(page.ends_with("</main>\n</body>\n</html>\n"), "{page}");
        assert_eq!(page.matches("<script").count(), 0);
    }
    let transform = suite::prepared(&MarkdownToHtml, &json!({}));
    let facts = InputFacts { key: "a.md", size: 1, content_type: Some("text/markdown"), etag: None };
    assert_eq!(transform.content_type(facts).as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(transform.cut(facts), Cut::Whole);
}

#[test]
fn raw_results_carry_a_warning() {
    let summary =
        |options: Value| suite::whole(&*suite::prepared(&MarkdownToHtml, &options), b"a").expect("a result").summary;
    assert_eq!(Value::Object(summary(json!({ "raw": true }))), json!({ "warning": "raw HTML was not sanitised" }));
    assert!(summary(json!({})).is_empty());
}

#[test]
fn what_is_no_utf8_or_too_large_or_too_deep_is_refused_in_words() {
    let transform = suite::prepared(&MarkdownToHtml, &json!({}));
    let refused = |input: &[u8], size: u64| {
        let facts = InputFacts { key: "a", size, content_type: None, etag: None };
        let chunk = Chunk::whole(facts);
        match suite::run_chunk(&*transform, &chunk, input, &suite::Shelf::default(), &mut suite::Ran::default()) {
            Err(ProcessError::Failed(e)) => (e.code, e.message),
            other => panic!("{other:?}"),
        }
    };
    let (code, message) = refused(b"\xef\xbb\xbfab\xffc", 6);
    assert!(code == "input_encoding" && message.contains("offset 5 "), "{message}");
    let (code, message) = refused(b"a", MARKDOWN_BYTES_MAX + 1);
    assert!(code == "input_too_large" && message.contains("64 MiB"), "{message}");
    let deep = format!("\u{feff}a\n\n{}b", "> - 1. ".repeat(100));
    let (code, message) = refused(deep.as_bytes(), u64::MAX);
    assert!(code == "input_invalid" && message.contains("byte 6 "), "{message}");
    assert_eq!(html("\u{feff}# a"), "<h1>a</h1>\n");
}

#[test]
fn what_nests_too_deep_leaves_its_content_in_the_element_around() {
    let quotes = html(&format!("{}a", "> ".repeat(200)));
    assert_eq!((quotes.matches("<blockquote>").count(), quotes.matches("</blockquote>").count()), (100, 100));
    assert!(quotes.contains("<p>a</p>"));
    let lists: String = (0..150).map(|depth| format!("{}- a\n", "  ".repeat(depth))).collect();
    let lists = html(&lists);
    let count = |part: &str| lists.matches(part).count();
    assert_eq!((count("<ul>"), count("</ul>"), count("<li>"), count("</li>")), (100, 100, 100, 100));
    let raw = html(&format!("{}<b>x</b>", "<div>".repeat(300)));
    assert_eq!((raw.matches("<div>").count(), raw.matches("</div>").count()), (100, 100));
    for html in [quotes, lists, raw] {
        assert_eq!(allow::sanitise(&html), html);
    }
}

/// Each would take minutes, or all of the stack, somewhere in a chain like this one. The stack is a small one.
#[test]
fn hostile_documents_end_in_order() {
    let many = |unit: &str| unit.repeat((100 << 10) / unit.len());
    let mut documents: Vec<String> = [
        "[",
        "![",
        "*",
        "**a ",
        "*a_ ",
        "`",
        "]",
        "[](",
        "[a](b ",
        "<",
        "<a",
        "<!--",
        "<?",
        "&",
        "\\",
        "~~a ",
        "|",
        "|\n",
        "- a\n",
        "a\n=\n",
        "www.",
        "www._",
        "a@",
        "http://",
        "a@b.c ",
        "<div>",
        "<div>\n\n",
        "x <b>",
        "<p>",
        "</p>x",
        "<table><td>",
        "<svg>",
        "<script>",
        "<a href=x>",
        "<details>\n\n",
        "- [x] a\n",
        "```\n",
        "\r",
        "\0",
        "> a\n",
    ]
    .map(many)
    .into();
    let numbered = |unit: &dyn Fn(usize) -> String| (0..8_000).map(unit).collect::<String>();
    documents.extend([
        format!("{}a{}", "[".repeat(50_000), "](b)".repeat(50_000)),
        format!("{}{}", "*a ".repeat(50_000), "b*".repeat(50_000)),
        (1..500).map(|depth| format!("{}- a\n", " ".repeat(depth))).collect(),
        (1..250).map(|depth| format!("{}a\n", ">".repeat(depth))).collect(),
        format!("{}a\n{}", "> ".repeat(250), "b\n".repeat(50_000)),
        (1..600).map(|run| "`".repeat(run) + " ").collect(),
        format!("<div {}>", numbered(&|i| format!("a{i} "))),
        format!("<div>{}{}", numbered(&|i| format!("<b title={i}>")), "<p>x</p>".repeat(9_000)),
        format!("|{}\n|{}\n{}", "a|".repeat(5_000), "-|".repeat(5_000), "|\n".repeat(20_000)),
    ]);
    let run = move || {
        for document in documents {
            for options in [json!({}), json!({ "raw": true })] {
                let transform = suite::prepared(&MarkdownToHtml, &options);
                suite::whole(&*transform, document.as_bytes()).expect("a result");
            }
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).expect("a thread").join().expect("in order");
}

suite::processor_suite! {
    processor: MarkdownToHtml,
    options: [
        json!({}),
        json!({ "page": true, "title": "t" }),
        json!({ "raw": true }),
        json!({ "extensions": false, "page": true }),
    ],
    pieces: [
        "# ", "\n", "\n\n", "*", "**", "_", "`", "```", "[a](b)", "![", "](", ")", "> ", "- ", "1. ", "    ", "|", "|-|", "~~", "[x] ",
        "<b>", "</b>", "<div>", "</div>\n", "<script>", "&amp;", "&#0;", "\\", "www.a.b", "http://a.b/c", "a@b.c", "text ", "\u{a0}", "\r\n",
    ],
}
