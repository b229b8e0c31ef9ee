//! The rules that template.yaml keeps.
use std::collections::BTreeSet;
use tidy::{read, root};
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

fn template() -> Yaml {
    YamlLoader::load_from_str(&read("template.yaml")).expect("template.yaml is YAML").remove(0)
}

/// Resources of a type: name and properties.
fn resources(template: &Yaml, kind: &str) -> Vec<(String, Yaml)> {
    let all = template["Resources"].as_hash().expect("resources");
    let of_kind = all.iter().filter(|(_, resource)| resource["Type"].as_str() == Some(kind));
    of_kind.map(|(name, resource)| (text(name), resource["Properties"].clone())).collect()
}

fn text(yaml: &Yaml) -> String {
    yaml.as_str().expect("a text").to_owned()
}

/// `!GetAtt Queue.Arn` and `!Ref Queue` both name `Queue` (the loader leaves the tag out).
fn named(yaml: &Yaml) -> String {
    text(yaml).split('.').next().expect("split has a first part").to_owned()
}

fn property<'a>(of: &'a [(String, Yaml)], name: &str) -> &'a Yaml {
    &of.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("there is no {name}")).1
}

#[test]
fn every_queue_that_feeds_a_function_has_all_its_safety() {
    let template = template();
    let queues = resources(&template, "AWS::SQS::Queue");
    let functions = resources(&template, "AWS::Serverless::Function");
    let sources = resources(&template, "AWS::Lambda::EventSourceMapping");
    assert!(!sources.is_empty());
    for (name, source) in &sources {
        let responses = source["FunctionResponseTypes"].as_vec().expect("FunctionResponseTypes");
        assert!(responses.iter().any(|kind| kind.as_str() == Some("ReportBatchItemFailures")), "{name}");
        assert!(source["ScalingConfig"]["MaximumConcurrency"].as_i64().is_some_and(|most| most >= 2), "{name}");
        let queue = property(&queues, &named(&source["EventSourceArn"]));
        let timeout = property(&functions, &named(&source["FunctionName"]))["Timeout"].as_i64().expect("a time-out");
        let visibility = queue["VisibilityTimeout"].as_i64().expect("a visibility time-out");
        assert!(visibility >= 6 * timeout, "{name}: {visibility} s is less than 6 × {timeout} s");
        let redrive = &queue["RedrivePolicy"];
        property(&queues, &named(&redrive["deadLetterTargetArn"]));
        assert_eq!(redrive["maxReceiveCount"].as_i64(), Some(5), "{name}");
    }
}

#[test]
fn every_queue_is_used_and_encrypted_and_no_dead_letter_goes_unseen() {
    let template = template();
    let queues = resources(&template, "AWS::SQS::Queue");
    let alarms = read("template.yaml");
    let sources = resources(&template, "AWS::Lambda::EventSourceMapping");
    let fed: BTreeSet<String> = sources.iter().map(|(_, source)| named(&source["EventSourceArn"])).collect();
    let dead: BTreeSet<String> = queues
        .iter()
        .filter_map(|(_, queue)| {
            queue["RedrivePolicy"]["deadLetterTargetArn"]
                .as_str()
                .map(|_| named(&queue["RedrivePolicy"]["deadLetterTargetArn"]))
        })
        .collect();
    for (name, queue) in &queues {
        assert_eq!(queue["SqsManagedSseEnabled"].as_bool(), Some(true), "{name}");
        assert!(fed.contains(name) || dead.contains(name), "nothing uses {name}");
        if dead.contains(name) {
            assert!(alarms.contains(&format!("Value: !GetAtt {name}.QueueName")), "no alarm watches {name}");
        }
    }
}

#[test]
fn every_rule_has_a_target_that_lets_it_in() {
    let template = template();
    let functions = resources(&template, "AWS::Serverless::Function");
    let permissions = resources(&template, "AWS::Lambda::Permission");
    for (name, rule) in resources(&template, "AWS::Events::Rule") {
        for target in rule["Targets"].as_vec().expect("targets") {
            let function = named(&target["Arn"]);
            property(&functions, &function);
            let lets_in = |permission: &Yaml| {
                named(&permission["FunctionName"]) == function && named(&permission["SourceArn"]) == name
            };
            assert!(permissions.iter().any(|(_, permission)| lets_in(permission)), "{name} may not invoke {function}");
        }
    }
}

#[test]
fn no_policy_allows_everything() {
    let template = template();
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        let Some(policies) = function["Policies"].as_vec() else { continue };
        for statement in policies.iter().flat_map(|policy| policy["Statement"].as_vec().expect("statements")) {
            // `!If [condition, statement, nothing]` is a list; the statement is its second element.
            let statement = statement.as_vec().map_or(statement, |choice| &choice[1]);
            let both = |yaml: &Yaml| yaml.as_vec().cloned().unwrap_or_else(|| vec![yaml.clone()]);
            for word in both(&statement["Action"]).iter().chain(&both(&statement["Resource"])) {
                let word = word.as_str().unwrap_or_else(|| panic!("{name}: a policy that cannot be read: {word:?}"));
                // The objects of one of our own buckets cannot be named one by one.
                let word = word.strip_suffix("Bucket.Arn}/*").filter(|rest| rest.starts_with("${")).unwrap_or(word);
                assert!(!word.contains('*'), "{name}: `{word}` allows too much");
            }
        }
    }
}

#[test]
fn every_function_is_a_folder_that_something_invokes_and_an_alarm_watches() {
    let (template, source) = (template(), read("template.yaml"));
    let all = template["Resources"].as_hash().expect("resources");
    let mut binaries = BTreeSet::new();
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        let resource = &all[&Yaml::String(name.clone())];
        assert_eq!(resource["Metadata"]["BuildMethod"].as_str(), Some("rust-cargolambda"), "{name}");
        assert_eq!(function["CodeUri"].as_str(), Some("."), "{name}");
        let binary = text(&resource["Metadata"]["BuildProperties"]["Binary"]);
        assert!(root().join("functions").join(&binary).is_dir(), "{name}: functions/{binary} does not exist");
        assert_eq!(function["LoggingConfig"]["LogFormat"].as_str(), Some("JSON"), "{name}");
        assert!(
            source.contains(&format!("Dimensions: [{{ Name: FunctionName, Value: !Ref {name} }}]")),
            "{name}: no alarm"
        );
        binaries.insert(binary);
    }
    let folders = std::fs::read_dir(root().join("functions")).expect("the functions' folder");
    for folder in folders.flatten() {
        let folder = folder.file_name().to_string_lossy().into_owned();
        assert!(binaries.contains(&folder), "functions/{folder} is in no function of the template");
    }
}

#[test]
fn every_parameter_is_used_and_every_log_group_ends() {
    let (template, source) = (template(), read("template.yaml"));
    let parameters: &Hash = template["Parameters"].as_hash().expect("parameters");
    for name in parameters.keys().map(text) {
        assert!(source.contains(&format!("!Ref {name}")), "nothing uses the parameter {name}");
    }
    for (name, group) in resources(&template, "AWS::Logs::LogGroup") {
        assert!(group["RetentionInDays"].as_i64().is_some(), "{name} keeps logs for ever");
    }
}

#[test]
fn the_table_is_as_the_store_needs_it() {
    let template = template();
    let (_, table) = resources(&template, "AWS::DynamoDB::Table").remove(0);
    let index = &table["GlobalSecondaryIndexes"][0];
    assert_eq!(index["IndexName"].as_str(), Some("due"));
    assert_eq!(index["Projection"]["ProjectionType"].as_str(), Some("ALL"));
    assert_eq!(table["TimeToLiveSpecification"]["AttributeName"].as_str(), Some("expires_at"));
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"].as_bool(), Some(true));
}
