//! The nasty corpus: whatever comes in, there is an answer that is safe to keep and to show.
use std::collections::BTreeSet;
use std::path::Path;
use tandem_core::mail::track::{Owner, Screened, screen};
use tandem_core::mail::{Address, Authentic, Body, Envelope, LeftOut, MailRules, TrackMode, identity};
use tandem_mail::{Head, head, read};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn raw(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.eml"))).expect("a fixture")
}

/// Headers as a mailbox lists them: unfolded lines, otherwise as they were received.
fn headers(raw: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(raw).replace("\r\n ", " ").replace("\r\n\t", " ");
    let lines = text.split("\r\n\r\n").next().unwrap_or_default().split("\r\n");
    lines.filter_map(|line| line.split_once(':')).map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect()
}

fn opened(name: &str) -> (Envelope, Body) {
    let raw = raw(name);
    let known = Head { trusted: "mx.google.com", ..Head::default() };
    (head(&headers(&raw), known), read(&raw))
}

fn addresses(list: &[tandem_core::mail::Mailbox]) -> Vec<&str> {
    list.iter().map(|mailbox| mailbox.address.as_str()).collect()
}

#[test]
fn encoded_words_and_foreign_letters_are_read() {
    let (head, body) = opened("encoded-words");
    assert_eq!((head.from[0].name.as_str(), head.subject.as_str()), ("Jürgen Müller", "Offre n° 42€"));
    assert_eq!(head.to.iter().map(|to| to.name.as_str()).collect::<Vec<_>>(), ["Renée", "École"]);
    assert_eq!(body.text, "Prière de répondre €.");
    assert_eq!(head.message_id.as_deref(), Some("1@example.com"));
    assert_eq!(head.sent_at.unwrap().to_string(), "2024-01-01T09:00:00Z");
}

#[test]
fn folded_headers_are_one_line() {
    let (head, _) = opened("folded");
    assert_eq!((head.from[0].name.as_str(), head.subject.as_str()), ("Peeters, Jan", "A subject that goes on and on"));
    assert_eq!(addresses(&head.to), ["a@example.org", "b@example.org", "c@example.org"]);
    assert_eq!(head.message_id.as_deref(), Some("folded@example.com"));
}

#[test]
fn nested_parts_give_one_text_one_html_and_the_attachments_under_harmless_names() {
    let (_, body) = opened("nested");
    assert_eq!(body.text, "The plain text.");
    assert_eq!(body.html.as_deref().map(str::trim), Some("<p>The <b>HTML</b> text.</p>"));
    let names: Vec<&str> = body.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["logo.png", "offer.pdf"]);
    assert_eq!(
        (body.attachments[1].media_type.as_str(), &body.attachments[1].bytes[..4]),
        ("application/pdf", &b"%PDF"[..])
    );
    assert!(body.left_out.contains(&LeftOut::Quotes));
}

#[test]
fn a_path_before_a_name_goes_and_what_only_some_systems_refuse_in_a_name_stays() {
    for (sent, kept) in [
        ("a:b?.pdf", "a:b?.pdf"),
        ("12:30 <call> *.txt", "12:30 <call> *.txt"),
        ("C:\\\\Users\\\\an\\\\offer.pdf", "offer.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\\\..\\\\evil.exe", "evil.exe"),
    ] {
        let message = format!(
            "From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
             Content-Disposition: attachment; filename=\"{sent}\"\r\n\r\nx\r\n--b--\r\n"
        );
        assert_eq!(read(message.as_bytes()).attachments[0].name, kept, "{sent}");
    }
}

#[test]
fn long_names_keep_their_ending_and_attachments_beyond_the_most_are_said_to_be_left_out() {
    let part = |name: &str| format!("--b\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\nx\r\n");
    let message = |parts: String| {
        format!(
            "From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n"
        )
    };
    let long = format!("{}.pdf", "\u{e9}".repeat(300));
    let body = read(message(part(&long)).as_bytes());
    let name = &body.attachments[0].name;
    assert!(name.ends_with("\u{e9}.pdf") && name.len() <= 255, "{name}");
    assert!(!body.left_out.contains(&LeftOut::Attachments));
    let many = read(message((0..60).map(|n| part(&format!("{n}.txt"))).collect()).as_bytes());
    assert_eq!(many.attachments.len(), 50);
    assert!(many.left_out.contains(&LeftOut::Attachments));
}

#[test]
fn a_wrong_character_set_costs_letters_and_not_the_message() {
    let (_, body) = opened("wrong-charset");
    assert!(body.text.starts_with("caf"), "{}", body.text);
    let (head, body) = opened("windows-1252");
    assert_eq!((head.subject.as_str(), body.text.as_str()), ("€ 5", "€ 5 café"));
}

#[test]
fn scripts_styles_and_pixels_are_gone_and_that_is_said() {
    let (head, body) = opened("script-and-style");
    assert_eq!(head.subject, "<script>alert(1)</script>", "a subject is text, and is shown as text");
    let html = body.html.unwrap();
    assert!(html.contains("<p>Hello</p>") && !html.contains("alert") && !html.contains("url("), "{html}");
    assert!(!body.text.contains("alert"), "{}", body.text);
    assert!(body.left_out.contains(&LeftOut::Active) && body.left_out.contains(&LeftOut::Pictures));
    let (_, body) = opened("tracking-pixel");
    assert_eq!(body.html.as_deref().map(str::trim), Some("<p>News</p>"));
    assert_eq!(body.left_out, BTreeSet::from([LeftOut::Pictures]));
}

#[test]
fn a_forged_sender_is_known_by_the_mailboxs_own_server_alone() {
    assert_eq!(opened("forged-from").0.authentic, Authentic::No);
    assert_eq!(opened("forged-results").0.authentic, Authentic::No);
    assert_eq!(opened("folded").0.authentic, Authentic::Unknown);
    let stranger = Head { trusted: "mx.other.example", ..Head::default() };
    assert_eq!(head(&headers(&raw("forged-from")), stranger).authentic, Authentic::Unknown);
}

#[test]
fn groups_give_their_members_and_empty_ones_nobody() {
    let (head, _) = opened("groups");
    assert!(head.to.is_empty());
    assert_eq!(addresses(&head.cc), ["a@example.org", "bc@example.org", "d@example.org"]);
}

#[test]
fn without_an_id_a_message_is_still_the_same_in_two_mailboxes() {
    let (one, _) = opened("no-message-id");
    assert_eq!(one.message_id, None);
    assert_eq!(identity(&one), identity(&opened("no-message-id").0));
    assert_ne!(identity(&one), identity(&opened("folded").0));
}

#[test]
fn a_header_cannot_end_itself() {
    let (head, _) = opened("header-injection");
    for text in [&head.subject, &head.from[0].name] {
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
    }
    assert_eq!((head.from.len(), head.to.len()), (1, 1));
    let forged = vec![("Subject".to_owned(), "x\r\nFrom: evil@evil.example".to_owned())];
    assert!(tandem_mail::head(&forged, Head::default()).from.is_empty());
}

#[test]
fn a_date_that_cannot_be_is_not_believed() {
    let got = "2024-06-01T00:00:00Z".parse().unwrap();
    let dated = |date: &str| {
        let known = Head { received_at: Some(got), ..Head::default() };
        head(&[("Date".to_owned(), date.to_owned())], known).sent_at.unwrap()
    };
    assert_eq!(dated("Fri, 31 May 2024 10:00:00 +0000").to_string(), "2024-05-31T10:00:00Z");
    for date in ["Fri, 31 May 2044 10:00:00 +0000", "Thu, 1 Jan 1970 00:00:00 +0000", "tomorrow", ""] {
        assert_eq!(dated(date), got, "{date}");
    }
}

/// Whatever may be in it, what is kept must be safe and small enough for a record.
fn is_safe(head: &Envelope, body: &Body) {
    let control = |text: &str| text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    assert!(!control(&head.subject) && !control(&body.text));
    assert!(body.text.len() <= 30_000 && body.html.as_ref().is_none_or(|html| html.len() <= 60_000));
    let html = body.html.clone().unwrap_or_default().to_lowercase();
    for bad in ["<script", "<img", "<iframe", "javascript:", " onload", " onclick", "style="] {
        assert!(!html.contains(bad), "{bad}");
    }
    for file in &body.attachments {
        assert!(!file.name.is_empty() && !file.name.contains(['/', '\\']) && !file.name.starts_with('.'));
    }
}

#[test]
fn the_whole_corpus_is_safe_whole_and_cut_off_anywhere() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let raw = std::fs::read(entry.unwrap().path()).unwrap();
        seen += 1;
        for end in (0..=raw.len()).step_by(17).chain([raw.len()]) {
            is_safe(&head(&headers(&raw[..end]), Head::default()), &read(&raw[..end]));
        }
    }
    assert!(seen >= 17, "{seen}");
}

#[test]
fn every_message_of_the_corpus_is_looked_up_or_left_out_for_a_reason() {
    let rules = MailRules { track: TrackMode::AllKnown, ..MailRules::default() };
    let owner = Owner::new(&Address::read("me@acme.example").unwrap(), &rules);
    for (name, code) in [
        ("encoded-words", None),
        ("nested", None),
        ("groups", None),
        ("no-message-id", None),
        ("forged-from", Some("forged_sender")),
        ("forged-results", Some("forged_sender")),
        ("no-headers", Some("no_sender")),
        ("empty", Some("no_sender")),
    ] {
        match (screen(&rules, &owner, &opened(name).0), code) {
            (Screened::Look(_), None) => {}
            (Screened::Exclude(reason), Some(code)) => {
                assert_eq!(reason.code, code, "{name}");
                assert!(reason.message.ends_with('.') && reason.message.len() > 10);
            }
            (other @ (Screened::NotAsked | Screened::Look(_) | Screened::Exclude(_)), code) => {
                panic!("{name}: {other:?} instead of {code:?}")
            }
        }
    }
}

#[test]
fn twenty_megabytes_are_read_within_bounds_and_more_is_left_where_it_is() {
    let head = "From: jan@example.com\r\nTo: a@example.org\r\nSubject: Big\r\nContent-Type: text/html\r\n\r\n";
    let mut big = format!("{head}<p>Start</p>").into_bytes();
    big.extend(b"<p>all work and no play</p>\r\n".repeat(20 * 1024 * 1024 / 28));
    let body = read(&big);
    is_safe(&tandem_mail::head(&headers(head.as_bytes()), Head::default()), &body);
    assert!(body.text.starts_with("Start") && body.html.is_none());
    assert!(body.left_out.contains(&LeftOut::TheRest));
    big.resize(26 * 1024 * 1024, b' ');
    assert_eq!(read(&big).left_out, BTreeSet::from([LeftOut::Everything]));
}

#[test]
fn a_thousand_parts_inside_each_other_are_no_deeper_than_a_loop() {
    let mut nested = String::from("From: jan@example.com\r\n");
    for n in 0..1_000 {
        nested += &format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
    }
    nested += "Content-Type: text/plain\r\n\r\nAt the bottom.\r\n";
    read(nested.as_bytes());
    let message = "Content-Type: message/rfc822\r\n\r\n".repeat(5_000);
    read(message.as_bytes());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2_000)) {
        let mut raw = b"From: a@b.example\r\nContent-Type: text/html\r\n\r\n".to_vec();
        raw.extend(&bytes);
        is_safe(&head(&headers(&bytes), Head::default()), &read(&raw));
    }
}
