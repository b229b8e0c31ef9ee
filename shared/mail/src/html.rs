//! HTML of strangers: what is kept can neither run nor load nor look like ours.
use ammonia::{Builder, UrlRelative};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;
use tandem_core::mail::LeftOut;

/// Marks of the elements in which the mailers put what was quoted: `class` or `id`, whole word.
const QUOTES: [&str; 9] = [
    "gmail_quote",
    "gmail_extra",
    "gmail_attr",
    "yahoo_quoted",
    "moz-cite-prefix",
    "protonmail_quote",
    "divrplyfwdmsg",
    "appendonsend",
    "zmail_extra",
];
/// Elements that are gone with all that is in them.
const ACTIVE: [&str; 14] = [
    "script", "style", "head", "title", "iframe", "object", "embed", "form", "svg", "math", "template", "noscript",
    "audio", "video",
];

/// Well-formed HTML in which quotations can still be told by class and id. It never leaves this module.
static MARKED: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = plain();
    builder.add_generic_attributes(["class", "id"]).add_tag_attributes("blockquote", ["type"]);
    builder
});
/// What is handed out.
static PLAIN: LazyLock<Builder<'static>> = LazyLock::new(plain);

fn plain() -> Builder<'static> {
    let tags = [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "code",
        "dd",
        "del",
        "div",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "ins",
        "li",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
    ];
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(tags))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href"])),
            ("td", HashSet::from(["colspan", "rowspan"])),
            ("th", HashSet::from(["colspan", "rowspan"])),
        ]))
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .clean_content_tags(HashSet::from(ACTIVE))
        .strip_comments(true);
    builder
}

/// Sanitises. Pictures are dropped, all of them: each one that loads from elsewhere tells its sender who reads when.
pub(crate) fn clean(html: &str, left_out: &mut BTreeSet<LeftOut>) -> String {
    if is_too_deep(html) {
        left_out.insert(LeftOut::Everything);
        return String::new();
    }
    let lower = html.to_ascii_lowercase();
    if lower.contains("<img") || lower.contains("background=") || lower.contains("url(") {
        left_out.insert(LeftOut::Pictures);
    }
    if ACTIVE.iter().any(|tag| *tag != "head" && *tag != "title" && lower.contains(&format!("<{tag}"))) {
        left_out.insert(LeftOut::Active);
    }
    let marked = MARKED.clean(html).to_string();
    let own = without_quotes(&marked);
    if own.len() < marked.len() {
        left_out.insert(LeftOut::Quotes);
    }
    // Last, and on whatever the cutting has left: only this pass vouches for what goes out.
    PLAIN.clean(&own).to_string()
}

/// The deepest nesting that is parsed. A page of people's has some thirty; at a hundred thousand a parser that keeps to
/// the standard needs hours, as every element is looked for among all that are open.
const DEEPEST: usize = 500;

/// Whether HTML is too deep to be parsed. An upper bound, found in one pass: elements that were opened and not closed.
fn is_too_deep(html: &str) -> bool {
    // These close each other, or have no end.
    const LOOSE: [&str; 16] =
        ["p", "li", "td", "th", "tr", "dd", "dt", "br", "hr", "img", "input", "meta", "link", "option", "col", "wbr"];
    let mut open: HashMap<&str, usize> = HashMap::new();
    let mut depth = 0_usize;
    for tag in html.split('<').skip(1) {
        let (closing, tag) = tag.strip_prefix('/').map_or((false, tag), |rest| (true, rest));
        let end = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
        let name = &tag[..end.min(20)];
        if name.is_empty() || LOOSE.contains(&name) {
            continue;
        }
        let count = open.entry(name).or_default();
        if !closing {
            (*count, depth) = (*count + 1, depth + 1);
        } else if *count > 0 {
            (*count, depth) = (*count - 1, depth - 1);
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

/// Sanitised HTML as plain text.
pub(crate) fn to_text(html: &str) -> String {
    mail_parser::decoders::html::html_to_text(html)
}

/// Cuts out the elements that hold earlier messages. The input is ammonia's own output: every tag is closed, every
/// attribute is in double quotes, `<` and `>` are nowhere else. What would leave nothing leaves all.
fn without_quotes(html: &str) -> String {
    let mut kept = String::with_capacity(html.len());
    let (mut rest, mut depth) = (html, 0_usize);
    while let Some(open) = rest.find('<') {
        let (text, tag) = rest.split_at(open);
        let Some(close) = tag.find('>') else { break };
        let (tag, after) = tag.split_at(close + 1);
        if depth == 0 {
            kept.push_str(text);
        }
        let inside = depth > 0;
        depth = step(depth, tag);
        if !inside && depth == 0 {
            kept.push_str(tag);
        }
        rest = after;
    }
    if depth == 0 {
        kept.push_str(rest);
    }
    if to_text(&kept).trim().is_empty() { html.to_owned() } else { kept }
}

/// How deep inside a quotation we are after this tag.
fn step(depth: usize, tag: &str) -> usize {
    const VOID: [&str; 3] = ["br", "hr", "img"];
    let inner = tag.trim_matches(['<', '>']);
    let name = inner.trim_start_matches('/').split_whitespace().next().unwrap_or_default();
    match (inner.starts_with('/'), VOID.contains(&name)) {
        (_, true) => depth,
        (true, false) => depth.saturating_sub(1),
        (false, false) if depth > 0 || is_quote(name, inner) => depth + 1,
        (false, false) => 0,
    }
}

fn is_quote(name: &str, tag: &str) -> bool {
    let value = |attribute: &str| {
        let begin = tag.split(&format!(" {attribute}=\"")).nth(1);
        begin.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_lowercase()
    };
    let marks = format!("{} {}", value("class"), value("id"));
    let cited = name == "blockquote" && value("type") == "cite";
    cited || marks.split_whitespace().any(|mark| QUOTES.contains(&mark.trim_start_matches("x_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(html: &str) -> String {
        clean(html, &mut BTreeSet::new())
    }

    #[test]
    fn nothing_that_runs_or_loads_is_left() {
        let evil = [
            "<script>alert(1)</script>",
            "<SCRIPT SRC=//evil.example></SCRIPT>",
            "<img src=x onerror=alert(1)>",
            "<svg><style><img src=x onerror=alert(1)></style></svg>",
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"java\nscript:alert(1)\">x</a>",
            "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
            "<div style=\"background:url(https://evil.example/pixel)\">x</div>",
            "<body onload=alert(1)><iframe src=https://evil.example></iframe>",
            "<form action=https://evil.example><input name=password></form>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "<base href=https://evil.example/><link rel=stylesheet href=x><meta http-equiv=refresh content=0>",
            "<div class=\"gmail_quote\"><div class=\"<script>\">x</div></div><b>y</b>",
        ];
        for html in evil {
            let kept = cleaned(&format!("{html}<p>Hello</p>")).to_lowercase();
            for bad in [
                "<script",
                "onerror",
                "onload",
                "<img",
                "style=",
                "<iframe",
                "javascript:",
                "data:",
                "<form",
                "<link",
                "<meta",
                "<base",
                "<input",
                "<svg",
                "class=",
            ] {
                assert!(!kept.contains(bad), "{bad} is left of {html}: {kept}");
            }
        }
    }

    #[test]
    fn links_stay_and_tell_nobody_where_they_were_clicked() {
        let kept = cleaned("<p><a href=\"https://example.com/?a=1&b=2\" target=_blank>here</a> <a href=/x>no</a></p>");
        assert_eq!(
            kept,
            "<p><a href=\"https://example.com/?a=1&amp;b=2\" rel=\"noopener noreferrer nofollow\">here</a> \
             <a rel=\"noopener noreferrer nofollow\">no</a></p>"
        );
    }

    #[test]
    fn quoted_history_is_cut_out_and_ones_own_quotation_stays() {
        for (html, kept) in [
            (
                "<div>Yes.</div><div class=\"gmail_quote\"><div class=gmail_attr>On Monday<br>wrote:</div>\
                 <blockquote class=gmail_quote><div>Coming?</div></blockquote></div>",
                "<div>Yes.</div>",
            ),
            ("<p>Ja.</p><blockquote type=\"cite\"><p>Kom<br>je?</p></blockquote><p>J.</p>", "<p>Ja.</p><p>J.</p>"),
            ("<p>Ok.</p><div id=\"x_divRplyFwdMsg\"><b>From:</b> Jan</div>", "<p>Ok.</p>"),
            ("<p>He said</p><blockquote>To be</blockquote>", "<p>He said</p><blockquote>To be</blockquote>"),
            ("<div class=gmail_quote>All there is</div>", "<div>All there is</div>"),
        ] {
            assert_eq!(cleaned(html), kept, "{html}");
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        let mut left_out = BTreeSet::new();
        clean("<p>a</p><img width=1 height=1 src=https://t.example/p><script>x</script>", &mut left_out);
        assert_eq!(left_out, BTreeSet::from([LeftOut::Pictures, LeftOut::Active]));
    }

    #[test]
    fn html_too_deep_for_a_page_of_peoples_is_not_parsed() {
        for deep in ["<div>", "<div></span>", "<b a=1>", "<p><i>"] {
            let mut left_out = BTreeSet::new();
            assert_eq!(clean(&format!("{}deep", deep.repeat(100_000)), &mut left_out), "");
            assert_eq!(left_out, BTreeSet::from([LeftOut::Everything]));
        }
        let rows = "<tr><td>a<td>b".repeat(10_000);
        assert!(cleaned(&format!("<table>{rows}</table>")).contains("<td>b</td>"), "many are not deep");
    }

    proptest::proptest! {
        #[test]
        fn cleaning_what_is_clean_changes_nothing(html in "(?s)[<>/a-z \"=!-]{0,120}") {
            let once = cleaned(&html);
            proptest::prop_assert_eq!(PLAIN.clean(&once).to_string(), once);
        }
    }
}
