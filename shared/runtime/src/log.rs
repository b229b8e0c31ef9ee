//! JSON lines for CloudWatch. They carry ids, counts and error chains; never a token, a record or a body.
use std::error::Error;
use tracing_subscriber::EnvFilter;

/// Starts logging: JSON on standard output, one line an event. `filter` is an `EnvFilter` text; `info` when it is empty
/// or unreadable. A second call changes nothing.
///
/// The SDK's own spans stay at `warn`: at `debug` they would print requests.
pub fn init_logs(filter: &str) {
    let quiet = "info,aws_config=warn,aws_smithy_runtime=warn,hyper=warn,h2=warn";
    let filter = EnvFilter::try_new(if filter.is_empty() { quiet } else { filter });
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(quiet));
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // An error means that a test has set a subscriber before; its choice stands.
    let _set_before = lines.with_env_filter(filter).try_init();
}

/// An error with all its causes on one line, for the place that handles it.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        // Wrappers that repeat their cause would say everything twice.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn a_chain_names_every_cause_once() {
        assert_eq!(chain(&Outer(Inner)), "outer: inner");
    }
}
