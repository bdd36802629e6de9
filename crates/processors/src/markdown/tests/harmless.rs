//! Nothing that runs gets into sanitised HTML: a table of attacks, and documents of everything that Markdown has.
//!
//! Each result is read tag by tag; without raw HTML it is also what `ammonia` makes of the HTML of the parser's own writer.

use super::html;
use crate::markdown::{allow, syntax};
use proptest::prelude::*;

/// Each with what a browser could run in it.
const ATTACKS: [&str; 54] = [
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](<javascript:alert(1)>)",
    "[a](&#106;avascript:alert(1))",
    "[a](&#x6A;avascript&colon;alert(1))",
    "[a](java&Tab;script:alert(1))",
    "[a](java&NewLine;script:alert(1))",
    "[a](&#1;javascript:alert(1))",
    "[a](<java\tscript:alert(1)>)",
    "[a](\u{a0}javascript:alert(1))",
    "[a](javascript&#58;alert(1))",
    "[a](\\javascript:alert(1))",
    "[a](vbscript:msgbox(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](DATA:text/html,<script>alert(1)</script>)",
    "[a](file:///etc/passwd)",
    "[a](feed:javascript:alert(1))",
    "[a](view-source:javascript:alert(1))",
    "[a]: javascript:alert(1)\n\n[a]",
    "<javascript:alert(1)>",
    "![a](javascript:alert(1))",
    "![a](data:image/svg+xml,<svg onload=alert(1)>)",
    "![\" onerror=\"alert(1)](x)",
    "![a](x \"\\\" onerror=\\\"alert(1)\")",
    "[a](x \"\\\"onmouseover=alert(1)\")",
    "[a](\"onmouseover=alert(1)//)",
    "```\" onload=\"alert(1)\nx\n```",
    "```</code><script>alert(1)</script>\nx\n```",
    "`<script>alert(1)</script>`",
    "<script>alert(1)</script>",
    "a <script>alert(1)</script>",
    "<SCRIPT SRC=//x.y/z.js>",
    "<script\n>alert(1)</script\n>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "a <img src=x onerror=alert(1)>",
    "<img src=\"x\" onerror  =\"alert(1)\" >",
    "<img/src=\"x\"/onerror=alert(1)>",
    "<img src=javascript:alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href=javascript:alert(1)>x</a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<style>@import 'javascript:alert(1)';</style>",
    "<div style=\"background:url(javascript:alert(1))\">x</div>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc=\"<script>alert(1)</script>\">",
    "<object data=x></object><embed src=x><base href=//x.y><link rel=stylesheet href=x><meta http-equiv=refresh content=0>",
    "<form action=javascript:alert(1)><button formaction=javascript:alert(1)>x</button></form>",
    "<details open ontoggle=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<textarea><img title=\"</textarea><img src=x onerror=alert(1)>\">",
    "<div x=\"\n\n\"><img src=x onerror=alert(1)>",
];

/// Every tag is read as a serialiser writes it, and is nothing but what the list has. (That text and values have no `<`
/// and `>` of their own is a part of it.)
fn assert_harmless(html: &str, from: &str) {
    let mut rest = html;
    while let Some(start) = rest.find(['<', '>']) {
        assert!(rest[start..].starts_with('<'), "a bare > in {html:?} from {from:?}");
        let (tag, behind) = rest[start + 1..].split_once('>').expect("a tag ends");
        rest = behind;
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let element = allow::element_named(name.trim_start_matches('/'));
        let element = element.unwrap_or_else(|| panic!("<{tag}> in {html:?} from {from:?}"));
        let mut parts = attributes.split('"');
        while let (Some(name), Some(value)) = (parts.next().filter(|name| !name.is_empty()), parts.next()) {
            let name = name.trim().strip_suffix('=').expect("an attribute has a value");
            let value =
                value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&nbsp;", "\u{a0}");
            let value = value.replace("&amp;", "&");
            let is_allowed = (element.name, name, &*value) == ("a", "rel", allow::LINK_REL)
                || element.attribute(name, &value).is_some();
            assert!(is_allowed, "{name}={value:?} of <{tag}> from {from:?}");
            // what browsers see of a scheme, said without the list's own code
            let seen: String = value.chars().filter(|c| *c > ' ').collect::<String>().to_lowercase();
            let runs = ["javascript:", "vbscript:", "data:", "file:", "feed:", "view-source:"]
                .iter()
                .any(|bad| seen.starts_with(bad));
            assert!(!runs || !matches!(name, "href" | "src" | "cite"), "{name}={value:?} of <{tag}> from {from:?}");
        }
    }
}

#[test]
fn nothing_that_runs_gets_through() {
    for attack in ATTACKS {
        assert_harmless(&html(attack), attack);
        // inside of everything that holds text, and behind raw HTML
        for around in [
            "> {}",
            "- {}",
            "# {}",
            "*{}*",
            "| a |\n|---|\n| {} |",
            "<div>\n{}",
            "<b>x</b> {}",
            "[x]({})",
            "![{}](x)",
            "<p title=\"{}\">",
        ] {
            let document = around.replace("{}", attack);
            assert_harmless(&html(&document), &document);
        }
    }
}

/// Documents with everything in them that Markdown has.
fn documents(with_html: bool) -> impl Strategy<Value = String> {
    let plain: &[&str] = &[
        "text",
        " ",
        "\n",
        "\n\n",
        "# ",
        "## x\n",
        "*",
        "**",
        "_",
        "`",
        "```\n",
        "```rust\n",
        "~~",
        "> ",
        "- ",
        "* ",
        "1. ",
        "7. ",
        "    ",
        "[a](b)",
        "[a](http://b.c/d?e=f&g \"t\")",
        "[",
        "](x)",
        "![i](j.png)",
        "![",
        "\n|a|b|\n|-|-|\n|c|d|\n",
        "| ",
        "- [x] ",
        "---\n",
        "www.a.b/c_d",
        "https://a.b",
        "a@b.c",
        "<http://a.b>",
        "&amp;",
        "&lt;",
        "&nbsp;",
        "&quot;",
        "\"",
        "'",
        "\\*",
        "\\",
        "é",
        "😁",
        "\u{a0}",
        "\0",
        "\r\n",
        "  \n",
        "(",
        ")",
        ">",
        "&",
        ";",
        "~",
        "!",
        "[r]",
        "\n[r]: http://r.s 't'\n",
        "=\n",
        "\t",
        "\u{c}",
    ];
    let html: &[&str] = &[
        "<b>",
        "</b>",
        "<i title='a\"b'>",
        "</i>",
        "<p>",
        "</p>",
        "<div>",
        "</div>\n\n",
        "\n<div align=center>\n",
        "<a href=x>",
        "</a>",
        "<table>",
        "<tr>",
        "<td>",
        "</td>",
        "</table>",
        "<li>",
        "<ul>",
        "</ul>",
        "<br>",
        "<br/>",
        "<hr>",
        "<img src=x onerror=y>",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<style>",
        "</style>",
        "<svg>",
        "</svg>",
        "<math>",
        "<textarea>",
        "</textarea>",
        "<select>",
        "<option>",
        "<h1>",
        "</h1>",
        "<details>\n\n",
        "</details>\n\n",
        "<pre>\n",
        "</pre>\n",
        "<code class=language-x>",
        "</code>",
        "<ruby>",
        "<rt>",
        "<?",
        "?>",
        "<input type=checkbox>",
        "<div x=\"",
        "\">",
        "<dl>",
        "<dt>",
        "<dd>",
        "<caption>",
        "<col>",
        "<thead>",
        "<center>",
        "<nobr>",
        "<summary>",
    ];
    let pieces = if with_html { [plain, html].concat() } else { plain.to_vec() };
    proptest::collection::vec(prop::sample::select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

/// Of a link that may not be, `ammonia` leaves the element without its address; the renderer leaves its text alone.
fn without_dead_links(html: &str) -> String {
    let mut parts = html.split("<a rel=\"noopener nofollow\">");
    let first = parts.next().unwrap_or("").to_owned();
    parts.fold(first, |html, part| html + &part.replacen("</a>", "", 1))
}

/// Of a link in a link the renderer keeps the outer one, a parser of HTML the inner one. And a code block's language
/// ends for the renderer at any white space, for the writer at a space.
fn is_better_than_written(document: &str) -> bool {
    use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};
    let mut links = 0;
    syntax::events(document, true).any(|event| {
        match event {
            Event::Start(Tag::Link { .. }) => links += 1,
            Event::End(TagEnd::Link) => links -= 1,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                return info.split(' ').next().is_some_and(|language| language.contains(char::is_whitespace));
            }
            _ => {}
        }
        links > 1
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// The renderer's own output needs no sanitiser: it is what the parser's writer gives once `ammonia` went over it.
    #[test]
    fn without_raw_html_the_result_is_what_ammonia_makes_of_the_writers_html(document in documents(false)) {
        let found = html(&document);
        prop_assert_eq!(&allow::sanitise(&found), &found);
        prop_assume!(!is_better_than_written(&document));
        let mut written = String::new();
        pulldown_cmark::html::push_html(&mut written, syntax::events(&document.replace('\0', "\u{fffd}"), true));
        prop_assert_eq!(without_dead_links(&allow::sanitise(&written)), found);
    }

    #[test]
    fn with_raw_html_nothing_is_in_the_result_that_the_list_has_not(document in documents(true)) {
        let found = html(&document);
        assert_harmless(&found, &document);
    }

    #[test]
    fn any_text_gives_harmless_html(document in any::<String>()) {
        assert_harmless(&html(&document), &document);
    }

    #[test]
    fn a_url_is_kept_or_dropped_as_ammonia_does_it(
        url in "(https?|HTTP|ftp|mailto|tel):(//)?[a-z0-9.:@%\\[\\]xn-]{0,12}(/[a-z?#&:%]{0,6})?",
    ) {
        let written = format!("<p><a href=\"{}\" rel=\"noopener nofollow\">x</a></p>\n", url.replace('&', "&amp;"));
        let is_kept = allow::sanitise(&written) == written;
        prop_assert_eq!(allow::is_allowed_url(&url), is_kept, "{}", url);
    }
}
