//! The few AWS calls that a deployment needs, to an endpoint that checks no signatures (an emulator).
use crate::fault::{Fault, OrFault as _, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Everything is in this region.
pub(crate) const REGION: &str = "us-east-1";

/// An AWS-compatible endpoint.
pub(crate) struct Aws {
    endpoint: String,
    agent: Agent,
}

/// A stack as it is.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    pub(crate) status: String,
    pub(crate) outputs: Vec<(String, String)>,
}

impl Aws {
    pub(crate) fn at(endpoint: &str) -> Self {
        let settings =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(90)));
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), agent: settings.build().into() }
    }

    /// Whether it answers.
    pub(crate) fn alive(&self) -> bool {
        let health = format!("{}/_localstack/health", self.endpoint);
        self.agent.get(health).call().is_ok_and(|answer| answer.status().is_success())
    }

    /// Stores an object, making the bucket first where it is missing.
    pub(crate) fn put_object(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<()> {
        let put = |path: &str, bytes: &[u8]| {
            let request = self.agent.put(format!("{}/{path}", self.endpoint)).header("authorization", sign("s3"));
            text(request.send(bytes), || format!("the upload of {path} failed"))
        };
        let (status, _) = put(bucket, &[])?;
        // 409: it is there already.
        if status != 200 && status != 409 {
            return Err(Fault::new(format!("the bucket for the functions cannot be made ({status})")));
        }
        match put(&format!("{bucket}/{key}"), bytes)? {
            (200, _) => Ok(()),
            (status, said) => Err(Fault::new(format!("the upload of {key} failed ({status}): {}", brief(&said)))),
        }
    }

    /// A call of CloudFormation. `Err` holds the service's own message.
    pub(crate) fn cloudformation(
        &self,
        action: &str,
        form: &[(String, String)],
    ) -> Result<std::result::Result<String, String>> {
        let fixed = [("Action".to_owned(), action.to_owned()), ("Version".to_owned(), "2010-05-15".to_owned())];
        let form: Vec<(&str, &str)> = fixed.iter().chain(form).map(|(name, value)| (&**name, &**value)).collect();
        let request = self.agent.post(format!("{}/", self.endpoint)).header("authorization", sign("cloudformation"));
        let (status, said) = text(request.send_form(form), || format!("CloudFormation's {action} failed"))?;
        if status == 200 {
            return Ok(Ok(said));
        }
        Ok(Err(tags(&said, "Message").into_iter().next().unwrap_or_else(|| brief(&said))))
    }

    /// The stack, or `None` where there is none.
    pub(crate) fn stack(&self, name: &str) -> Result<Option<Stack>> {
        let form = [("StackName".to_owned(), name.to_owned())];
        let Ok(said) = self.cloudformation("DescribeStacks", &form)? else { return Ok(None) };
        let status = tags(&said, "StackStatus").into_iter().next().unwrap_or_default();
        let outputs = tags(&said, "OutputKey").into_iter().zip(tags(&said, "OutputValue")).collect();
        Ok(if status == "DELETE_COMPLETE" || status.is_empty() { None } else { Some(Stack { status, outputs }) })
    }

    /// Invokes a function and answers what it answered.
    pub(crate) fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.endpoint);
        let answer = self.agent.post(url).header("authorization", sign("lambda")).send_json(event);
        let failed = |answer: &Response<Body>| answer.headers().contains_key("x-amz-function-error");
        let broke = answer.as_ref().is_ok_and(failed);
        let (status, said) = text(answer, || format!("{function} cannot be invoked"))?;
        if status != 200 || broke {
            return Err(Fault::new(format!("{function} failed when invoked ({status}): {}", brief(&said))));
        }
        serde_json::from_str(&said).or_fault(|| format!("{function} answered no JSON"))
    }

    /// A deployed function's environment (Lambda's GetFunctionConfiguration).
    pub(crate) fn environment(&self, function: &str) -> Result<BTreeMap<String, String>> {
        let url = format!("{}/2015-03-31/functions/{function}/configuration", self.endpoint);
        let answer = self.agent.get(url).header("authorization", sign("lambda")).call();
        let (status, said) = text(answer, || format!("{function} cannot be looked up"))?;
        if status != 200 {
            return Err(Fault::new(format!("{function} is not deployed ({status}): {}", brief(&said))));
        }
        let configuration: Value = serde_json::from_str(&said).or_fault(|| format!("{function} answered no JSON"))?;
        let variables = configuration["Environment"]["Variables"].as_object().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(variables.iter().map(|(name, value)| (name.clone(), text(value))).collect())
    }

    /// Creates or replaces a secret and answers its ARN.
    pub(crate) fn put_secret(&self, name: &str, secret: &Value) -> Result<String> {
        let call = |action: &str, body: Value| {
            let request =
                self.agent.post(format!("{}/", self.endpoint)).header("authorization", sign("secretsmanager"));
            let request = request.header("x-amz-target", format!("secretsmanager.{action}"));
            let request = request.header("content-type", "application/x-amz-json-1.1");
            text(request.send(body.to_string()), || format!("the secret's {action} failed"))
        };
        let token = "00000000-0000-4000-8000-000000000000";
        let created =
            serde_json::json!({"Name": name, "SecretString": secret.to_string(), "ClientRequestToken": token});
        let (mut status, mut said) = call("CreateSecret", created)?;
        if status != 200 {
            (status, said) =
                call("PutSecretValue", serde_json::json!({"SecretId": name, "SecretString": secret.to_string()}))?;
        }
        let answer: Value = serde_json::from_str(&said).unwrap_or_default();
        match answer["ARN"].as_str() {
            Some(arn) if status == 200 => Ok(arn.to_owned()),
            Some(_) | None => {
                Err(Fault::new(format!("the OAuth secret cannot be stored ({status}): {}", brief(&said))))
            }
        }
    }
}

/// The credential scope tells an emulator which service is meant; the signature itself is not checked.
fn sign(service: &str) -> String {
    let scope = format!("test/20260101/{REGION}/{service}/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0")
}

fn text(
    answer: std::result::Result<Response<Body>, ureq::Error>,
    attempted: impl Fn() -> String,
) -> Result<(u16, String)> {
    let mut answer = answer.or_fault(&attempted)?;
    let said = answer.body_mut().with_config().limit(64 << 20).read_to_string().or_fault(&attempted)?;
    Ok((answer.status().as_u16(), said))
}

fn brief(text: &str) -> String {
    text.chars().take(300).collect()
}

/// The texts of all elements of this name, in order. The answers of the query protocol are flat enough for that.
pub(crate) fn tags(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
    let unescape = |text: &str| {
        let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
        pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    parts.map(|(text, _)| unescape(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_order_and_unescaped() {
        let xml = "<a><K>1</K><V>x&amp;y</V></a><a><K>2</K><V></V></a>";
        assert_eq!(tags(xml, "K"), ["1", "2"]);
        assert_eq!(tags(xml, "V"), ["x&y", ""]);
    }
}
