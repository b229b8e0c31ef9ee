//! Waits for the demo syncs to come to rest, with visible progress, and says what each did.
use crate::api::Api;
use crate::fault::{Fault, Result};
use crate::seed::{DemoSync, begin};
use crate::stop::Stop;
use serde_json::{Value, json};
use std::cell::RefCell;

/// Twenty minutes.
const STEPS: u32 = 24_000;

/// Runs every sync to its rest and answers the runs, in the syncs' order.
pub(crate) fn rest(api: &Api, syncs: &[DemoSync], stop: &Stop, say: &dyn Fn(&str)) -> Result<Vec<Value>> {
    let started = begin(api, syncs, stop)?;
    if started.iter().any(Option::is_none) {
        say("waiting for the schedule to take up what has not run yet (at most a minute)");
    }
    let mut rested = Vec::new();
    for (sync, run) in syncs.iter().zip(started) {
        let (run, shown) = (RefCell::new(run), RefCell::new(String::new()));
        let mut looks = 0_u32;
        let ended = stop.poll(STEPS, || {
            // Looks twice a second: the waits in between are for signals.
            looks += 1;
            if looks % 10 != 1 {
                return Ok(None);
            }
            let Some(id) = known_run(api, sync, &run)? else { return Ok(None) };
            let now = api.get(&format!("/v1/runs/{id}"))?;
            let line = progress(sync, &now);
            if *shown.borrow() != line {
                say(&line);
                shown.replace(line);
            }
            Ok(at_rest(&now).then_some(now))
        })?;
        rested.push(ended.ok_or_else(|| Fault::new(format!("{} on {} did not come to rest", sync.profile, sync.crm)))?);
    }
    Ok(rested)
}

/// The run to wait for; where the schedule begins it, that is the sync's first one. What it writes at a provider may be
/// told to us and set off another, which is none of ours to wait for.
fn known_run(api: &Api, sync: &DemoSync, run: &RefCell<Option<String>>) -> Result<Option<String>> {
    if run.borrow().is_none() {
        let runs = api.get(&format!("/v1/syncs/{}/runs", sync.id))?;
        let first = runs["items"].as_array().and_then(|newest_first| newest_first.last());
        run.replace(first.and_then(|first| first["id"].as_str()).map(str::to_owned));
    }
    Ok(run.borrow().clone())
}

fn at_rest(run: &Value) -> bool {
    matches!(run["state"].as_str(), Some("done" | "held" | "failed"))
}

fn progress(sync: &DemoSync, run: &Value) -> String {
    let state = run["state"].as_str().unwrap_or("?");
    let progress = &run["progress"];
    let name = format!("{} on {}", sync.profile, sync.crm);
    match (progress["done"].as_u64(), progress["total"].as_u64()) {
        (Some(done), Some(total)) if total > 0 => format!("{name}: {state}, {done} of {total}"),
        (Some(done), _) if done > 0 => format!("{name}: {state}, {done}"),
        (_, _) => format!("{name}: {state}"),
    }
}

/// Whether every sync is in sync.
pub(crate) fn all_in_sync(runs: &[Value]) -> bool {
    let failing = |run: &Value, side: &str| run["counts"][side]["failing"].as_u64().unwrap_or(0);
    runs.iter().all(|run| run["state"] == "done" && failing(run, "crm") + failing(run, "remote") == 0)
}

/// The result for programs.
pub(crate) fn as_json(syncs: &[DemoSync], runs: &[Value]) -> Value {
    let both = syncs.iter().zip(runs);
    let rows: Vec<Value> =
        both.map(|(sync, run)| json!({"id": sync.id, "profile": sync.profile, "run": run})).collect();
    json!({ "syncs": rows })
}

/// The result for people.
pub(crate) fn as_table(syncs: &[DemoSync], runs: &[Value]) -> String {
    let columns = ["read", "created", "updated", "deleted", "paired", "conflicts", "excluded", "failing"];
    let mut text = format!("{:<28} {:<11} {:<8} {:<7}", "sync", "CRM", "state", "side");
    text.extend(columns.map(|column| format!("{column:>10}")));
    for (sync, run) in syncs.iter().zip(runs) {
        for side in ["crm", "remote"] {
            let state = run["state"].as_str().unwrap_or("?");
            text.push_str(&format!("\n{:<28} {:<11} {state:<8} {side:<7}", sync.profile, sync.crm));
            let count = |column| run["counts"][side][column].as_u64().unwrap_or(0);
            text.extend(columns.map(|column| format!("{:>10}", count(column))));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_or_partly_failing_run_is_not_in_sync() {
        assert!(all_in_sync(&[json!({"state": "done"})]));
        assert!(!all_in_sync(&[json!({"state": "done"}), json!({"state": "held"})]));
        assert!(!all_in_sync(&[json!({"state": "done", "counts": {"remote": {"failing": 1}}})]));
    }
}
