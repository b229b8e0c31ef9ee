//! Metrics in CloudWatch's embedded metric format: one JSON line on standard output, no request and no agent.
use serde_json::{Map, Value, json};
use tandem_ports::infra::Clock;

/// The namespace that the alarms and the dashboard of `template.yaml` name.
const NAMESPACE: &str = "Tandem";

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Time.
    Milliseconds,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Milliseconds => "Milliseconds",
        }
    }
}

/// One number. The name is a constant: nothing that a user typed may become a metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// How many.
    pub value: u64,
}

/// Writes the metrics with their dimensions (few values each, as every combination is billed).
pub fn emit(clock: &dyn Clock, dimensions: &[(&'static str, &'static str)], metrics: &[Metric]) {
    println!("{}", line(clock.now().as_millisecond(), dimensions, metrics));
}

fn line(at: i64, dimensions: &[(&'static str, &'static str)], metrics: &[Metric]) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let described: Vec<Value> =
        metrics.iter().map(|metric| json!({"Name": metric.name, "Unit": metric.unit.word()})).collect();
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": described});
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({"Timestamp": at, "CloudWatchMetrics": [directive]}));
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), json!(metric.value))));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let metric = Metric { name: "JobsFailed", unit: Unit::Count, value: 2 };
        let expected = json!({
            "_aws": {"Timestamp": 5, "CloudWatchMetrics": [{"Namespace": "Tandem", "Dimensions": [["Kind"]],
                "Metrics": [{"Name": "JobsFailed", "Unit": "Count"}]}]},
            "Kind": "contacts", "JobsFailed": 2,
        });
        assert_eq!(line(5, &[("Kind", "contacts")], &[metric]), expected);
    }
}
