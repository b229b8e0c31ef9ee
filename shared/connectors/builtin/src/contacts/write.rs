//! Writing: as many records as fit, one transaction at a time.
use super::{BuiltinContacts, version};
use crate::batch::{LOOK_AHEAD, Plan, by_id, keep_files, marked};
use crate::companies::Companies;
use crate::error::CrmError;
use crate::ledger::{Edit, Tries};
use crate::map;
use crate::record::{Body, Record};
use crate::schema::Kind;
use crate::validate;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use tandem_core::contact::field;
use tandem_core::normalise;
use tandem_core::record::{Field, Fields, Marker, RemoteId};
use tandem_ports::connector::{Deletion, Draft, Patch, Written};

/// Companies by name and by id, as far as one transaction needs them.
struct Context {
    names: Option<Companies>,
    records: HashMap<String, Record>,
}

impl BuiltinContacts {
    /// Reads what the companies named in these fields, and those of these records, are.
    async fn context<'a>(
        &self,
        before: impl Iterator<Item = &'a Record>,
        mut named: impl Iterator<Item = &'a Fields>,
    ) -> Result<Context, CrmError> {
        let names = if named.any(|fields| !fields.text(&field::COMPANY).is_empty()) {
            Some(Companies::load(&self.ledger).await?)
        } else {
            None
        };
        Ok(Context { names, records: self.companies_of(before).await? })
    }

    /// The company that these fields name: its id, and the edit that makes it where it is new.
    async fn company(
        &self,
        context: &mut Context,
        fields: &Fields,
    ) -> Result<(Option<String>, Option<Edit>), CrmError> {
        let name = fields.text(&field::COMPANY);
        let Some(names) = context.names.as_mut().filter(|_| !name.is_empty()) else { return Ok((None, None)) };
        let (id, made) = names.find_or_make(&self.ledger, &self.actor, name)?;
        if made.is_none() && !context.records.contains_key(&id) {
            let found = self.ledger.record(&id).await?;
            context.records.extend(found.map(|company| (id.clone(), company)));
        }
        Ok((Some(id), made))
    }

    fn written(&self, record: &Record, companies: &HashMap<String, Record>) -> Written {
        let company = record.company().and_then(|id| companies.get(id));
        let shown = map::contact(record, company, self.options.carry, self.options.region);
        Written {
            id: RemoteId::new(&record.id),
            version: version(record, company),
            shown: Some(shown.to_fields(self.options.region)),
        }
    }

    fn carried(&self, context: &Context, companies: [Option<&str>; 2]) -> Vec<String> {
        let found = companies.into_iter().flatten().filter_map(|id| context.records.get(id));
        found.filter_map(map::company_phone).collect()
    }

    /// Creates the first of these drafts, as many as fit one transaction.
    pub(super) async fn create_some(&self, drafts: &[Draft]) -> Result<Vec<Result<Written, CrmError>>, CrmError> {
        let drafts = &drafts[..drafts.len().min(LOOK_AHEAD)];
        let markers: Vec<&str> = drafts.iter().map(|draft| draft.marker.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let made_before =
                marked(&self.ledger, &markers, |record, marker| record.marker.as_deref() == Some(marker)).await?;
            let named = drafts.iter().map(|draft| &draft.fields);
            let mut context = self.context(made_before.values(), named).await?;
            let mut plan = Plan::new();
            let mut taken: HashSet<&str> = HashSet::new();
            for draft in drafts {
                if let Some(record) = made_before.get(draft.marker.as_str()) {
                    plan.done(Ok(self.written(record, &context.records)));
                    continue;
                }
                // The same marker twice: the second finds the first in the next transaction.
                if !taken.insert(draft.marker.as_str()) {
                    break;
                }
                match self.plan_create(&mut context, draft).await {
                    Ok((_, edits)) if !plan.fits(&edits) => break,
                    Ok((id, edits)) => plan.write(id, edits),
                    Err(error @ (CrmError::Unavailable(_) | CrmError::Busy)) => return Err(error),
                    Err(error) => plan.done(Err(error)),
                }
            }
            if let Some(records) = self.ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
                return Ok(self.outcomes(plan, records, context));
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    fn outcomes(&self, plan: Plan<Written>, records: Vec<Record>, context: Context) -> Vec<Result<Written, CrmError>> {
        let records = by_id(records);
        let mut companies = context.records;
        let made = records.values().filter(|record| record.kind == Kind::Company);
        companies.extend(made.map(|company| (company.id.clone(), company.clone())));
        plan.outcomes(&records, |record| self.written(record, &companies))
    }

    async fn plan_create(&self, context: &mut Context, draft: &Draft) -> Result<(String, Vec<Edit>), CrmError> {
        let all: Vec<Field> = draft.fields.iter().map(|(name, _)| name.clone()).collect();
        let (company, made) = self.company(context, &draft.fields).await?;
        let carried = self.carried(context, [company.as_deref(), None]);
        let mut input = map::input(None, &all, &draft.fields, &carried, self.options.region);
        input.extend(company.map(|id| ("company".to_owned(), json!(id))));
        let body = validate::new_body(Kind::Contact, &input).inspect_err(|_| unmake(context, made.as_ref()))?;
        let id = self.ledger.new_id();
        let marker = Some(draft.marker.as_str().to_owned());
        let contact = Edit::Create { id: id.clone(), kind: Kind::Contact, body, marker };
        Ok((id, made.into_iter().chain([contact]).collect()))
    }

    /// Changes the first of these records, as many as fit one transaction.
    pub(super) async fn update_some(&self, patches: &[Patch]) -> Result<Vec<Result<Written, CrmError>>, CrmError> {
        let patches = &patches[..patches.len().min(LOOK_AHEAD)];
        let ids: Vec<&str> = patches.iter().map(|patch| patch.id.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let records = self.ledger.records(&ids).await?;
            let named = patches.iter().filter(|patch| patch.changed.contains(&field::COMPANY));
            let mut context = self.context(records.iter().flatten(), named.map(|patch| &patch.fields)).await?;
            let mut plan = Plan::new();
            let mut taken: HashSet<&str> = HashSet::new();
            for (patch, record) in patches.iter().zip(records) {
                // The same record twice: the second is held against the first one's version.
                if !taken.insert(patch.id.as_str()) {
                    break;
                }
                let Some(record) = record.filter(|record| record.kind == Kind::Contact) else {
                    plan.done(Err(CrmError::NotFound));
                    continue;
                };
                match self.plan_update(&mut context, patch, record).await {
                    Ok(Change::Unchanged(written)) => plan.done(Ok(written)),
                    Ok(Change::Edits(edits)) if !plan.fits(&edits) => break,
                    Ok(Change::Edits(edits)) => plan.write(patch.id.as_str().to_owned(), edits),
                    Err(error @ (CrmError::Unavailable(_) | CrmError::Busy)) => return Err(error),
                    Err(error) => plan.done(Err(error)),
                }
            }
            if let Some(records) = self.ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
                return Ok(self.outcomes(plan, records, context));
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }

    async fn plan_update(&self, context: &mut Context, patch: &Patch, before: Record) -> Result<Change, CrmError> {
        let company_before = before.company().and_then(|id| context.records.get(id));
        if version(&before, company_before) != patch.expect {
            return Err(CrmError::Stale);
        }
        let shown = map::contact(&before, company_before, self.options.carry, self.options.region);
        let shown = shown.to_fields(self.options.region);
        let names_company = patch.changed.contains(&field::COMPANY)
            && shown.get(&field::COMPANY) != patch.fields.get(&field::COMPANY)
            && !same_name(shown.text(&field::COMPANY), patch.fields.text(&field::COMPANY));
        let (company, made) = if names_company { self.company(context, &patch.fields).await? } else { (None, None) };
        let carried = self.carried(context, [before.company(), company.as_deref()]);
        let known = Some((&before, &shown));
        let mut input = map::input(known, &patch.changed, &patch.fields, &carried, self.options.region);
        if names_company {
            input.insert("company".to_owned(), company.map_or(Value::Null, |id| json!(id)));
        }
        let body: Body = validate::changed_body(&before, &input).inspect_err(|_| unmake(context, made.as_ref()))?;
        let marker = patch.marker.as_ref().map(Marker::as_str).or(before.marker.as_deref()).map(str::to_owned);
        if body == before.body && marker == before.marker {
            return Ok(Change::Unchanged(self.written(&before, &context.records)));
        }
        let change = Edit::Change { before: Box::new(before), body, marker };
        Ok(Change::Edits(made.into_iter().chain([change]).collect()))
    }

    /// Deletes the first of these records, as many as fit one transaction.
    pub(super) async fn delete_some(&self, deletions: &[Deletion]) -> Result<Vec<Result<(), CrmError>>, CrmError> {
        let deletions = &deletions[..deletions.len().min(LOOK_AHEAD)];
        let ids: Vec<&str> = deletions.iter().map(|deletion| deletion.id.as_str()).collect();
        let mut tries = Tries::new();
        loop {
            let head = self.ledger.head().await?;
            let records = self.ledger.records(&ids).await?;
            let companies = self.companies_of(records.iter().flatten()).await?;
            let mut plan = Plan::new();
            let mut taken: HashSet<&str> = HashSet::new();
            for (deletion, record) in deletions.iter().zip(records) {
                if !taken.insert(deletion.id.as_str()) {
                    break;
                }
                let Some(record) = record.filter(|record| record.kind == Kind::Contact) else {
                    plan.done(Ok(()));
                    continue;
                };
                let company = record.company().and_then(|id| companies.get(id));
                if version(&record, company) != deletion.expect {
                    plan.done(Err(CrmError::Stale));
                    continue;
                }
                if let Err(refused) = keep_files(&self.ledger, &record).await {
                    plan.done(Err(refused));
                    continue;
                }
                let edits = vec![Edit::Remove { before: Box::new(record) }];
                if !plan.fits(&edits) {
                    break;
                }
                plan.write(deletion.id.as_str().to_owned(), edits);
            }
            if let Some(records) = self.ledger.commit(&head, std::mem::take(&mut plan.edits)).await? {
                return Ok(plan.outcomes(&by_id(records), |_| ()));
            }
            tries.again(self.ledger.clock.as_ref()).await?;
        }
    }
}

/// What a patch comes to.
enum Change {
    /// The record says all that already.
    Unchanged(Written),
    /// These edits.
    Edits(Vec<Edit>),
}

fn same_name(a: &str, b: &str) -> bool {
    !a.is_empty() && normalise::text(a).to_lowercase() == normalise::text(b).to_lowercase()
}

/// A company whose contact cannot be written is not made.
fn unmake(context: &mut Context, made: Option<&Edit>) {
    if let (Some(names), Some(Edit::Create { id, .. })) = (context.names.as_mut(), made) {
        names.forget(id);
    }
}
