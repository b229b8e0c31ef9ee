//! Reads one series a line and prints its occurrences a line, for `tests/clients/recurrence`:
//! `{"start","end","zone","rules":[…],"from","until"}` → `["2026-03-29T07:00:00Z", …]`, or `{"error":"…"}`.
use std::io::{BufRead, Write};
use tandem_core::error::Invalid;
use tandem_core::event::{Event, Moment, Span, zone};
use tandem_core::recurrence::{Window, expand};

#[derive(serde::Deserialize)]
struct Case {
    start: String,
    end: String,
    zone: String,
    rules: Vec<String>,
    from: jiff::Timestamp,
    until: jiff::Timestamp,
}

fn starts(case: &Case) -> Result<Vec<String>, Invalid> {
    let tz = zone(&case.zone)?;
    let time = |text: &str| Moment::parse(text, &tz).ok_or_else(|| Invalid::new("start", "must be a time."));
    let mut event = Event::at(Span::new(time(&case.start)?, time(&case.end)?)?);
    event.time_zone.clone_from(&case.zone);
    event.repeat(&case.rules)?;
    let found = expand(&event, Window { from: case.from, until: case.until }, 100_000)?;
    Ok(found.iter().map(|one| one.span.start().to_string()).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        match starts(&case) {
            Ok(starts) => writeln!(out, "{}", serde_json::to_string(&starts)?)?,
            Err(wrong) => writeln!(out, "{}", serde_json::json!({"error": wrong.to_string()}))?,
        }
    }
    Ok(())
}
