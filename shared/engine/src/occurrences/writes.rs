//! An edit or deletion of one occurrence becomes an exception of its series, which is read anew for it: the occurrence must
//! still be in the version that the edit goes by, and the series must not change between that reading and the write. All
//! edits of one series in a batch are one write.
use super::Occurrences;
use super::view::{self, Kind, Series};
use std::collections::BTreeMap;
use tandem_core::event::{Deviation, Event, Moment, field};
use tandem_core::record::{Fields, RemoteId, Value, Version};
use tandem_core::recurrence;
use tandem_ports::connector::{Deletion, Fetched, Outcomes, Patch, Written};
use tandem_ports::error::{ErrorKind, Result};

/// What one occurrence is to become.
enum Edit<'a> {
    /// It takes these fields from the patch.
    Patch(&'a Patch),
    /// It does not take place.
    Cancel(&'a Version),
}

impl Edit<'_> {
    fn expect(&self) -> &Version {
        match self {
            Edit::Patch(patch) => &patch.expect,
            Edit::Cancel(expect) => expect,
        }
    }
}

/// An edit, its place in the batch, and the original start that it is about.
struct Job<'a> {
    place: usize,
    original: Moment,
    edit: Edit<'a>,
}

/// A series with its edits in, and the occurrences that go by them.
struct Ready {
    patch: Patch,
    series: Series,
    done: Vec<(usize, Moment)>,
}

/// What became of each edit: its occurrence after it; `None` = it does not take place.
type Answers = Vec<Option<Result<Option<Fetched>>>>;

impl Occurrences {
    pub(super) async fn update_all(&self, patches: &[Patch]) -> Result<Outcomes<Written>> {
        let mut outcomes: Vec<Option<Result<Written>>> = patches.iter().map(|_| None).collect();
        let mut jobs: BTreeMap<RemoteId, Vec<Job<'_>>> = BTreeMap::new();
        let mut singles = Vec::new();
        for (place, patch) in patches.iter().enumerate() {
            match view::split(&patch.id) {
                None => singles.push(place),
                Some(_) if patch.changed.is_empty() => {
                    // A mark alone: an occurrence keeps none.
                    let (id, version) = (patch.id.clone(), patch.expect.clone());
                    outcomes[place] = Some(Ok(Written { id, version, shown: None }));
                }
                Some((series, original)) => {
                    let edit = Edit::Patch(patch);
                    jobs.entry(series).or_default().push(Job { place, original, edit });
                }
            }
        }
        let (whole, count) = (singles.len() == patches.len(), patches.len());
        let some: Vec<Patch> = singles.iter().map(|place| patches[*place].clone()).collect();
        if whole {
            return self.writer().update(patches).await;
        }
        let answers = self.apply(jobs, count).await?;
        for (place, answer) in answers.into_iter().enumerate().filter_map(|(at, answer)| Some((at, answer?))) {
            let gone = || self.failed(ErrorKind::NotFound, "the occurrence does not take place any more");
            outcomes[place] = Some(answer.and_then(|now| {
                let now = now.ok_or_else(gone)?;
                Ok(Written { id: patches[place].id.clone(), version: now.version, shown: Some(now.fields) })
            }));
        }
        if !some.is_empty() {
            self.put(&mut outcomes, &singles, self.writer().update(&some).await);
        }
        Ok(self.all(outcomes))
    }

    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Result<Outcomes<()>> {
        let mut jobs: BTreeMap<RemoteId, Vec<Job<'_>>> = BTreeMap::new();
        let mut singles = Vec::new();
        for (place, deletion) in deletions.iter().enumerate() {
            match view::split(&deletion.id) {
                None => singles.push(place),
                Some((series, original)) => {
                    let edit = Edit::Cancel(&deletion.expect);
                    jobs.entry(series).or_default().push(Job { place, original, edit });
                }
            }
        }
        if singles.len() == deletions.len() {
            return self.writer().delete(deletions).await;
        }
        let mut outcomes: Vec<Option<Result<()>>> = deletions.iter().map(|_| None).collect();
        let answers = self.apply(jobs, deletions.len()).await?;
        for (place, answer) in answers.into_iter().enumerate().filter_map(|(at, answer)| Some((at, answer?))) {
            outcomes[place] = Some(match answer {
                // What is gone already is deleted.
                Err(gone) if gone.kind == ErrorKind::NotFound => Ok(()),
                other => other.map(|_| ()),
            });
        }
        let some: Vec<Deletion> = singles.iter().map(|place| deletions[*place].clone()).collect();
        if !some.is_empty() {
            self.put(&mut outcomes, &singles, self.writer().delete(&some).await);
        }
        Ok(self.all(outcomes))
    }

    fn put<T>(&self, outcomes: &mut [Option<Result<T>>], places: &[usize], answers: Result<Outcomes<T>>) {
        match answers {
            Ok(answers) => places.iter().zip(answers).for_each(|(at, answer)| outcomes[*at] = Some(answer)),
            Err(failed) => places.iter().for_each(|at| outcomes[*at] = Some(Err(failed.repeated()))),
        }
    }

    fn all<T>(&self, outcomes: Vec<Option<Result<T>>>) -> Outcomes<T> {
        let unanswered = || Err(self.failed(ErrorKind::Retryable, "no answer"));
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
    }

    /// Writes each series once, with all of its edits.
    async fn apply(&self, jobs: BTreeMap<RemoteId, Vec<Job<'_>>>, count: usize) -> Result<Answers> {
        let mut answers: Answers = (0..count).map(|_| None).collect();
        let mut found = self.wholes(jobs.keys().cloned()).await?;
        let mut ready = Vec::new();
        for (id, jobs) in jobs {
            match found.remove(&id).flatten().map(view::kind) {
                Some(Kind::Series(series)) => ready.extend(self.edited(*series, jobs, &mut answers)),
                Some(Kind::Single(_) | Kind::Unreadable(_)) | None => {
                    for job in jobs {
                        answers[job.place] = Some(Err(self.failed(ErrorKind::NotFound, "the series is gone")));
                    }
                }
            }
        }
        for some in ready.chunks_mut(self.inner.capabilities().update_batch.max(1)) {
            let patches: Vec<Patch> = some.iter().map(|one| one.patch.clone()).collect();
            match self.writer().update(&patches).await {
                Ok(outcomes) => {
                    for (one, outcome) in some.iter_mut().zip(outcomes) {
                        one.answer(outcome, &mut answers);
                    }
                }
                // A failure of all is one of the batch where there is nothing else in it.
                Err(failed) if answers.iter().all(Option::is_none) => return Err(failed),
                Err(failed) => {
                    some.iter()
                        .flat_map(|one| &one.done)
                        .for_each(|(at, _)| answers[*at] = Some(Err(failed.repeated())));
                }
            }
        }
        Ok(answers)
    }

    /// A series with the edits that hold; the others are answered.
    fn edited(&self, mut series: Series, jobs: Vec<Job<'_>>, answers: &mut Answers) -> Option<Ready> {
        let originals: Vec<Moment> = jobs.iter().map(|job| job.original).collect();
        let given = match recurrence::among(&series.event, &originals) {
            Ok(given) => given,
            Err(wrong) => {
                let refused = || Some(Err(self.failed(ErrorKind::Permanent, wrong.to_string())));
                jobs.iter().for_each(|job| answers[job.place] = refused());
                return None;
            }
        };
        let before = series.event.to_fields();
        let mut done = Vec::new();
        for job in jobs {
            let now = given.contains(&job.original).then(|| series.occurrence(&job.original)).flatten();
            match self.edit(&mut series, now, &job) {
                Ok(()) => done.push((job.place, job.original)),
                Err(failed) => answers[job.place] = Some(Err(failed)),
            }
        }
        let after = series.event.to_fields();
        let exceptions = after.get(&field::EXCEPTIONS).cloned();
        if done.is_empty() || exceptions == before.get(&field::EXCEPTIONS).cloned() {
            for (place, original) in done {
                answers[place] = Some(Ok(series.occurrence(&original)));
            }
            return None;
        }
        let mut fields = series.fetched.fields.clone();
        fields.set(field::EXCEPTIONS, exceptions.unwrap_or(Value::Items(Vec::new())));
        let (id, expect) = (series.fetched.id.clone(), series.fetched.version.clone());
        let raw = series.fetched.raw.clone();
        let patch = Patch { id, expect, changed: vec![field::EXCEPTIONS], fields, scope: None, marker: None, raw };
        Some(Ready { patch, series, done })
    }

    fn edit(&self, series: &mut Series, now: Option<Fetched>, job: &Job<'_>) -> Result<()> {
        let gone = || self.failed(ErrorKind::NotFound, "the occurrence does not take place any more");
        let now = now.ok_or_else(gone)?;
        if now.version != *job.edit.expect() {
            return Err(self.failed(ErrorKind::Conflict, "the occurrence was changed meanwhile"));
        }
        match &job.edit {
            Edit::Cancel(_) => {
                series.event.exceptions.insert(job.original, Deviation::Cancelled);
            }
            Edit::Patch(patch) => {
                let one = patched(&now.fields, patch)
                    .map_err(|wrong| self.failed(ErrorKind::Permanent, wrong.to_string()))?;
                series.set(&job.original, &one);
            }
        }
        Ok(())
    }
}

/// The occurrence after the patch. What an exception cannot say (a reminder, who may see it) stays the series'.
fn patched(now: &Fields, patch: &Patch) -> std::result::Result<Event, tandem_core::error::Invalid> {
    let mut fields = now.clone();
    for name in &patch.changed {
        fields.set(name.clone(), patch.fields.get(name).cloned().unwrap_or_else(|| Value::Text(String::new())));
    }
    Event::from_fields(&fields)
}

impl Ready {
    fn answer(&mut self, outcome: Result<Written>, answers: &mut Answers) {
        match outcome {
            Ok(written) => {
                let shown = written.shown.unwrap_or_else(|| self.patch.fields.clone());
                let uid = self.series.fetched.fields.get(&field::UID).cloned();
                self.series.fetched.fields = shown;
                if let Some(uid) = uid {
                    self.series.fetched.fields.set(field::UID, uid);
                }
                if let Ok(event) = Event::from_fields(&self.series.fetched.fields) {
                    self.series.event = event;
                }
                for (place, original) in &self.done {
                    answers[*place] = Some(Ok(self.series.occurrence(original)));
                }
            }
            Err(failed) => {
                self.done.iter().for_each(|(at, _)| answers[*at] = Some(Err(failed.repeated())));
            }
        }
    }
}
