//! Every crate that ships is under a licence of deny.toml's list, and none brings C cryptography along.
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use tidy::{read, root};

fn allowed() -> BTreeSet<String> {
    let text = read("deny.toml");
    let list = text.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list of licences");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn packages() -> Vec<Value> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// An SPDX expression, judged: `OR` binds weaker than `AND`; `WITH` belongs to its licence; `/` is an old `OR`.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "~WITH~");
    let mut words = spaced.split_whitespace().map(|word| word.replace("~WITH~", " WITH ")).peekable();
    any(&mut words, allowed)
}

type Words<'a> = std::iter::Peekable<Box<dyn Iterator<Item = String> + 'a>>;

fn any<I: Iterator<Item = String>>(words: &mut std::iter::Peekable<I>, allowed: &BTreeSet<String>) -> bool {
    let mut good = all(words, allowed);
    while words.next_if(|word| word == "OR").is_some() {
        good |= all(words, allowed);
    }
    good
}

fn all<I: Iterator<Item = String>>(words: &mut std::iter::Peekable<I>, allowed: &BTreeSet<String>) -> bool {
    let mut good = one(words, allowed);
    while words.next_if(|word| word == "AND").is_some() {
        good &= one(words, allowed);
    }
    good
}

fn one<I: Iterator<Item = String>>(words: &mut std::iter::Peekable<I>, allowed: &BTreeSet<String>) -> bool {
    match words.next() {
        Some(open) if open == "(" => {
            // The compiler must not see ever deeper types of iterators, hence the plain slice of words.
            let mut inner: Vec<String> = Vec::new();
            let mut depth = 1;
            for word in words.by_ref() {
                depth += i32::from(word == "(") - i32::from(word == ")");
                if depth == 0 {
                    break;
                }
                inner.push(word);
            }
            let boxed: Box<dyn Iterator<Item = String>> = Box::new(inner.into_iter());
            let mut inner: Words<'_> = boxed.peekable();
            any(&mut inner, allowed)
        }
        Some(licence) => allowed.contains(&licence),
        None => false,
    }
}

#[test]
fn expressions_are_judged_as_spdx_says() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for good in ["MIT", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND ISC", "GPL/MIT", "Apache-2.0 WITH LLVM-exception"] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in
        ["GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR MIT AND GPL-2.0", "(MIT OR ISC) AND GPL-3.0", "Apache-2.0", ""]
    {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_crate_is_under_a_permitted_licence() {
    let allowed = allowed();
    assert!(allowed.len() > 5);
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(permits(licence, &allowed), "{} is under `{licence}`", package["name"]);
    }
}

#[test]
fn no_crate_comes_from_elsewhere_than_the_registry_or_brings_c_cryptography() {
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        assert!(!["openssl-sys", "aws-lc-sys"].contains(&name), "{name} is not wanted");
        let source = package["source"].as_str();
        assert!(source.is_none_or(|source| source.starts_with("registry+")), "{name} comes from {source:?}");
    }
}
