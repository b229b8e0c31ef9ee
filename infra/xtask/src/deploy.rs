//! Deploys template.yaml as it is: only each `CodeUri: .` becomes the place of the uploaded zip, in a copy.
use crate::aws::{Aws, Stack};
use crate::fault::{Fault, OrFault as _, Result};
use crate::package::Package;
use crate::place::{Place, write_whole};
use crate::stop::Stop;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs;

/// The stack's name.
pub(crate) const STACK: &str = "tandem-local";
const BUCKET: &str = "tandem-local-code";
/// Three minutes; it takes some seconds.
const STEPS: u32 = 3_600;

/// What a deployment made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deployed {
    hash: String,
    pub(crate) api_id: String,
    pub(crate) app: String,
    pub(crate) outputs: Vec<(String, String)>,
}

/// What to deploy.
pub(crate) struct Deployment<'a> {
    pub(crate) packages: &'a [Package],
    pub(crate) parameters: &'a [(String, String)],
}

/// Deploys, unless exactly this is deployed there already. The second value says whether it did.
pub(crate) fn deploy(place: &Place, aws: &Aws, what: &Deployment<'_>, stop: &Stop) -> Result<(Deployed, bool)> {
    let path = place.root.join("template.yaml");
    let template = fs::read_to_string(path).or_fault(|| "template.yaml cannot be read".to_owned())?;
    let template = with_code(&template, what.packages)?;
    let hash = hex::encode(Sha256::digest(format!("{template}\0{:?}", what.parameters)));
    let note = place.file("deployed.json");
    let before: Option<Deployed> = fs::read_to_string(&note).ok().and_then(|text| serde_json::from_str(&text).ok());
    let stack = aws.stack(STACK)?;
    if let (Some(before), Some(stack)) = (before, &stack)
        && before.hash == hash
        && stack.status.ends_with("_COMPLETE")
        && !stack.status.contains("ROLLBACK")
    {
        return Ok((before, false));
    }
    for package in what.packages {
        stop.check()?;
        aws.put_object(BUCKET, &package.key, &package.bytes)?;
    }
    let action = if stack.is_some() { "UpdateStack" } else { "CreateStack" };
    let mut form = vec![
        ("StackName".to_owned(), STACK.to_owned()),
        ("TemplateBody".to_owned(), template),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_IAM".to_owned()),
        ("Capabilities.member.2".to_owned(), "CAPABILITY_AUTO_EXPAND".to_owned()),
    ];
    for (number, (name, value)) in what.parameters.iter().enumerate() {
        let member = format!("Parameters.member.{}", number + 1);
        form.push((format!("{member}.ParameterKey"), name.clone()));
        form.push((format!("{member}.ParameterValue"), value.clone()));
    }
    match aws.cloudformation(action, &form)? {
        Ok(_) => {}
        Err(said) if said.contains("No updates are to be performed") => {}
        Err(said) => return Err(Fault::new(format!("the deployment was refused: {said}"))),
    }
    let stack = settled(aws, stop)?;
    let output = |name: &str| stack.outputs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let missing = || Fault::new("the deployment lacks an output of template.yaml");
    let deployed = Deployed {
        hash,
        api_id: output("ApiId").ok_or_else(missing)?,
        app: output("AppFunction").ok_or_else(missing)?,
        outputs: stack.outputs.clone(),
    };
    write_whole(&note, &serde_json::to_string_pretty(&deployed).or_fault(|| "no JSON".to_owned())?)?;
    Ok((deployed, true))
}

fn settled(aws: &Aws, stop: &Stop) -> Result<Stack> {
    let stack = stop.poll(STEPS, || {
        let stack = aws.stack(STACK)?.unwrap_or_default();
        Ok((!stack.status.ends_with("_IN_PROGRESS")).then_some(stack))
    })?;
    let stack = stack.ok_or_else(|| Fault::new("the deployment does not end"))?;
    if matches!(stack.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE") {
        return Ok(stack);
    }
    let form = [("StackName".to_owned(), STACK.to_owned())];
    let events = aws.cloudformation("DescribeStackEvents", &form)?.unwrap_or_default();
    let reasons = crate::aws::tags(&events, "ResourceStatusReason").join("; ");
    Err(Fault::new(format!("the deployment failed ({}): {reasons}", stack.status)))
}

/// The template with the uploaded zips. Each function names its program (`Binary: x`) before its `CodeUri: .`.
fn with_code(template: &str, packages: &[Package]) -> Result<String> {
    let (mut text, mut binary) = (String::with_capacity(template.len() + 512), None);
    for line in template.lines() {
        if let Some(name) = line.trim().strip_prefix("Binary: ") {
            binary = packages.iter().find(|package| package.function == name);
        }
        if line.trim() == "CodeUri: ." {
            let package = binary.take().ok_or_else(|| Fault::new("template.yaml names a program that is not built"))?;
            let indent = &line[..line.len() - line.trim_start().len()];
            text.push_str(&format!("{indent}CodeUri: {{ Bucket: {BUCKET}, Key: {} }}\n", package.key));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(function: &'static str) -> Package {
        Package { function, key: format!("{function}-1.zip"), bytes: Vec::new() }
    }

    #[test]
    fn only_the_place_of_the_code_changes() {
        let template = "A:\n  Binary: app\n  CodeUri: .\nB:\n  Binary: fanout\n    CodeUri: .\n";
        let text = with_code(template, &[package("app"), package("fanout")]).unwrap();
        let expected = "A:\n  Binary: app\n  CodeUri: { Bucket: tandem-local-code, Key: app-1.zip }\n\
                        B:\n  Binary: fanout\n    CodeUri: { Bucket: tandem-local-code, Key: fanout-1.zip }\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_program_that_is_not_built_is_a_fault() {
        assert!(with_code("Binary: app\nCodeUri: .", &[package("fanout")]).is_err());
    }
}
