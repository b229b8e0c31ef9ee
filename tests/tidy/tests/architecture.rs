//! The dependency table of the architecture, proved from what cargo itself knows.
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tidy::root;

/// Direct, non-development dependencies of the workspace's crates, by crate.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    packages
        .map(|package| {
            let all = package["dependencies"].as_array().expect("dependencies").iter();
            let real = all.filter(|dependency| dependency["kind"] != "dev");
            (name(package), real.map(name).collect())
        })
        .collect()
}

/// Ours among a crate's dependencies must be among these.
fn only_these_of_ours(package: &str, allowed: &[&str]) {
    let all = dependencies();
    let of = all.get(package).unwrap_or_else(|| panic!("there is no crate {package}"));
    let stray: Vec<&String> =
        of.iter().filter(|name| name.starts_with("tandem-") && !allowed.contains(&name.as_str())).collect();
    assert!(stray.is_empty(), "{package} must not depend on {stray:?}");
}

fn never(package: &str, forbidden: &[&str]) {
    let all = dependencies();
    let bad: Vec<&String> = all[package]
        .iter()
        .filter(|name| {
            forbidden.iter().any(|bad| bad.strip_suffix('*').map_or(*name == bad, |start| name.starts_with(start)))
        })
        .collect();
    assert!(bad.is_empty(), "{package} must not depend on {bad:?}");
}

fn connectors() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("shared/connectors")).expect("the connectors' folder");
    folders.flatten().map(|entry| format!("tandem-{}", entry.file_name().to_string_lossy())).collect()
}

fn functions() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("functions")).expect("the functions' folder");
    folders.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn the_core_is_pure() {
    only_these_of_ours("tandem-core", &[]);
    never("tandem-core", &["tokio", "async-trait", "futures", "tracing*", "reqwest", "ureq", "aws-*", "rand", "http"]);
}

#[test]
fn the_ports_know_the_core_only() {
    only_these_of_ours("tandem-ports", &["tandem-core"]);
    never("tandem-ports", &["reqwest", "aws-*", "tokio"]);
}

#[test]
fn reading_mail_is_as_pure_as_the_core() {
    only_these_of_ours("tandem-mail", &["tandem-core"]);
    never("tandem-mail", &["tokio", "async-trait", "futures", "tracing*", "reqwest", "ureq", "aws-*", "rand", "http"]);
}

#[test]
fn the_engine_knows_no_provider_and_no_aws() {
    only_these_of_ours("tandem-engine", &["tandem-core", "tandem-ports", "tandem-store", "tandem-mail"]);
    never("tandem-engine", &["aws-*", "aws_*", "reqwest", "lambda_*", "axum"]);
}

#[test]
fn a_connector_stands_alone_and_sends_only_through_the_transport() {
    for connector in connectors() {
        only_these_of_ours(&connector, &["tandem-core", "tandem-ports"]);
        never(&connector, &["aws-*", "reqwest", "ureq", "hyper*", "lambda_*", "oauth2"]);
    }
}

#[test]
fn only_http_has_the_network_and_only_aws_has_the_sdk() {
    for (package, dependencies) in dependencies() {
        let tool = ["xtask", "e2e"].contains(&package.as_str());
        for dependency in dependencies {
            let network = ["reqwest", "oauth2"].contains(&dependency.as_str());
            assert!(!network || package == "tandem-http", "{package} must not depend on {dependency}");
            let sdk = dependency.starts_with("aws-sdk-") || dependency == "aws-config";
            assert!(!sdk || package == "tandem-aws" || tool, "{package} must not depend on {dependency}");
        }
    }
    only_these_of_ours("tandem-aws", &["tandem-core", "tandem-ports"]);
    only_these_of_ours("tandem-http", &["tandem-core", "tandem-ports", "tandem-store"]);
}

#[test]
fn a_function_has_neither_the_sdk_nor_the_network_nor_a_provider() {
    for function in functions() {
        never(
            &function,
            &[
                "aws-*",
                "reqwest",
                "oauth2",
                "tandem-google",
                "tandem-teamleader",
                "tandem-zoho",
                "tandem-sell",
                "tandem-aws",
            ],
        );
    }
}
