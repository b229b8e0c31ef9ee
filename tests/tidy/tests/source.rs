//! Habits of the source that no lint knows.
use tidy::{files, read, root, short, without_tests};

#[test]
fn a_main_only_wires() {
    for path in files("functions", "main.rs") {
        let text = read(&path);
        assert!(text.lines().count() <= 30, "{} has over 30 lines", short(&path));
        if text.contains("service_fn") {
            assert!(!text.contains("match "), "{} decides something", short(&path));
        }
    }
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    // Put together here, so that this file does not find itself.
    let words = ["todo!", "unimplemented!", "#[ignore", "#![allow", "#[allow"].map(str::to_owned);
    for path in ["functions", "shared", "infra", "tests"].iter().flat_map(|folder| files(folder, ".rs")) {
        if path.ends_with("tests/tidy/tests/source.rs") {
            continue;
        }
        let text = read(&path);
        for word in &words {
            assert!(!text.contains(word.as_str()), "{} contains {word}", short(&path));
        }
    }
}

#[test]
fn only_the_tests_unwrap() {
    for path in ["functions", "shared", "infra"].iter().flat_map(|folder| files(folder, ".rs")) {
        let name = short(&path);
        if name.contains("/tests/") || name.ends_with("tests.rs") || name.starts_with("shared/testkit/") {
            continue;
        }
        let text = read(&path);
        for (number, line) in without_tests(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            assert!(!code.contains(".unwrap()"), "{name}:{} unwraps", number + 1);
        }
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents = files("", ".md");
    documents.retain(|path| path.exists());
    for path in documents {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split(['#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let folder = path.parent().expect("a file has a folder");
            assert!(folder.join(target).exists(), "{}: {target} does not exist", short(&path));
        }
    }
}

#[test]
fn the_environment_is_read_in_two_places_only() {
    for path in ["functions", "shared", "infra"].iter().flat_map(|folder| files(folder, ".rs")) {
        let name = short(&path);
        let allowed = ["shared/runtime/src/config.rs", "infra/xtask/src/place.rs"].contains(&name.as_str());
        let text = read(&path);
        assert!(allowed || !without_tests(&text).contains("env::var("), "{name} reads the environment");
    }
    assert!(root().join("clippy.toml").exists(), "clippy.toml forbids it, too");
}
