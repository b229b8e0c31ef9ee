// Teamleader's own client (@teamleader/api) against a running simulator: node run.mjs http://127.0.0.1:PORT
// Each check starts with an empty provider. The last line counts them.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import teamleader from "@teamleader/api";

const API = teamleader.default ?? teamleader;
const origin = process.argv[2]?.replace(/\/$/, "");
const ACCOUNT = "jan@example.com";
const checks = [];
const check = (name, run) => checks.push([name, run]);

async function control(method, path, body) {
  const init = { method, headers: { "content-type": "application/json" } };
  if (body !== undefined) init.body = JSON.stringify(body);
  const answer = await fetch(`${origin}/_sim/teamleader/${path}`, init);
  assert.equal(answer.status, 200, `${method} ${path}: ${await answer.clone().text()}`);
  return answer.json();
}

async function world() {
  await control("POST", "reset", {});
  const { token, account_id, user_id } = await control("POST", "accounts", { account: ACCOUNT });
  const api = client(token);
  return { api, token, account_id, user_id };
}

function client(token) {
  return API({ getAccessToken: () => token, baseUrl: origin, version: "2023-09-26" });
}

async function refused(call, status) {
  try {
    await call;
  } catch (error) {
    assert.equal(error.status, status);
    return error;
  }
  return assert.fail(`expected ${status}`);
}

const form = (fields) => ({
  method: "POST",
  headers: { "content-type": "application/x-www-form-urlencoded" },
  body: new URLSearchParams(fields),
});
const secrets = { client_id: "app", client_secret: "s3cret" };
const back = "http://127.0.0.1:9/back";

async function consent(extra = {}) {
  const query = new URLSearchParams({ client_id: "app", response_type: "code", redirect_uri: back, state: "xyz", ...extra });
  const answer = await fetch(`${origin}/oauth2/authorize?${query}`, { redirect: "manual" });
  assert.equal(answer.status, 302);
  return new URL(answer.headers.get("location"));
}

const token = (fields) => fetch(`${origin}/oauth2/access_token`, form({ ...secrets, ...fields }));

check("users.me says which account and which user", async () => {
  const { api, account_id, user_id } = await world();
  const { data } = await api.users.me();
  assert.equal(data.id, user_id);
  assert.deepEqual(data.account, { type: "account", id: account_id });
  assert.equal(data.email, ACCOUNT);
});

check("an unknown token is refused", async () => {
  await world();
  await refused(client("nobody").users.me(), 401);
});

check("a contact is made, shown, changed and deleted", async () => {
  const { api } = await world();
  const { data } = await api.contacts.add({
    first_name: "Jan",
    last_name: "Peeters",
    emails: [{ type: "primary", email: "jan@x.be" }],
    telephones: [{ type: "mobile", number: "0470123456" }],
    addresses: [{ type: "primary", address: { line_1: "Dok 1", postal_code: "9000", city: "Gent", country: "BE" } }],
    tags: ["klant"],
  });
  assert.equal(data.type, "contact");
  let shown = (await api.contacts.info({ id: data.id })).data;
  assert.equal(shown.last_name, "Peeters");
  assert.equal(shown.status, "active");
  assert.deepEqual(shown.emails, [{ type: "primary", email: "jan@x.be" }]);
  assert.equal(shown.addresses[0].address.city, "Gent");
  assert.match(shown.updated_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
  await api.contacts.update({ id: data.id, first_name: null, telephones: [] });
  shown = (await api.contacts.info({ id: data.id })).data;
  assert.equal(shown.first_name, null);
  assert.deepEqual(shown.telephones, []);
  assert.deepEqual(shown.tags, ["klant"]);
  await api.contacts.delete({ id: data.id });
  await refused(api.contacts.info({ id: data.id }), 404);
  await refused(api.contacts.delete({ id: data.id }), 404);
});

check("a contact needs a last name, and refusals come as a list of titles", async () => {
  const { api } = await world();
  const error = await refused(api.contacts.add({ first_name: "Jan" }), 400);
  assert.ok(JSON.stringify(error.body).includes("title"));
});

check("what is no e-mail type, country or id is refused", async () => {
  const { api } = await world();
  const add = (more) => api.contacts.add({ last_name: "P", ...more });
  await refused(add({ emails: [{ type: "work", email: "a@x.be" }] }), 400);
  const address = { line_1: null, postal_code: null, city: "Gent", country: "Belgium" };
  await refused(add({ addresses: [{ type: "primary", address }] }), 400);
  await refused(add({ telephones: [{ type: "home", number: "1" }] }), 400);
  await refused(api.contacts.info({ id: "17" }), 400);
});

check("a list shows less than the record", async () => {
  const { api } = await world();
  const address = { line_1: "Dok 1", postal_code: "9000", city: "Gent", country: "BE" };
  await api.contacts.add({ last_name: "P", remarks: "*hi*", addresses: [{ type: "primary", address }] });
  const { data } = await api.contacts.list();
  assert.equal(data[0].primary_address.city, "Gent");
  for (const hidden of ["remarks", "addresses", "companies", "custom_fields"]) assert.ok(!(hidden in data[0]), hidden);
});

check("lists are paged by number, sorted by name unless told otherwise, and say no count", async () => {
  const { api } = await world();
  for (const last_name of ["C", "A", "B"]) await api.contacts.add({ last_name });
  const names = async (body) => (await api.contacts.list(body)).data.map((contact) => contact.last_name);
  assert.deepEqual(await names({}), ["A", "B", "C"]);
  assert.deepEqual(await names({ page: { size: 2, number: 2 } }), ["C"]);
  assert.deepEqual(await names({ sort: [{ field: "name", order: "desc" }] }), ["C", "B", "A"]);
  assert.equal((await api.contacts.list()).meta, undefined);
});

check("the client reads every page where counts are given", async () => {
  const { api } = await world();
  await control("POST", "settings", { meta: "yes" });
  const contacts = Array.from({ length: 45 }, (_, n) => ({ fields: { last_name: `P${n}` } }));
  await control("POST", "contacts", { account: ACCOUNT, contacts });
  const { data } = await api.contacts.list(undefined, { fetchAll: true });
  assert.equal(data.length, 45);
});

check("filters by e-mail, tags, term, ids and company find what they should", async () => {
  const { api } = await world();
  const one = (await api.contacts.add({ last_name: "One", emails: [{ type: "primary", email: "one@x.be" }], tags: ["a", "b"] })).data.id;
  const two = (await api.contacts.add({ last_name: "Two", tags: ["a"] })).data.id;
  const company = (await api.companies.add({ name: "Bakkerij" })).data.id;
  await api.contacts.linkToCompany({ id: two, company_id: company, position: "Baker" });
  const ids = async (filter) => (await api.contacts.list({ filter })).data.map((contact) => contact.id);
  assert.deepEqual(await ids({ email: { type: "primary", email: "one@x.be" } }), [one]);
  assert.deepEqual(await ids({ tags: ["a", "b"] }), [one]);
  assert.deepEqual(await ids({ term: "tw" }), [two]);
  assert.deepEqual(await ids({ ids: [two] }), [two]);
  assert.deepEqual(await ids({ company_id: company }), [two]);
});

check("updated_since and the order of changes serve a delta", async () => {
  const { api } = await world();
  const first = (await api.contacts.add({ last_name: "First" })).data.id;
  await control("POST", "advance-clock", { seconds: 60 });
  const second = (await api.contacts.add({ last_name: "Second" })).data.id;
  const since = (await api.contacts.info({ id: second })).data.updated_at;
  await control("POST", "advance-clock", { seconds: 60 });
  await api.contacts.update({ id: first, first_name: "A" });
  const sort = [{ field: "updated_at", order: "asc" }];
  const { data } = await api.contacts.list({ filter: { updated_since: since }, sort });
  assert.deepEqual(data.map((contact) => contact.id), [second, first]);
});

check("deactivated contacts are listed when asked for", async () => {
  const { api } = await world();
  const contacts = [{ fields: { last_name: "P" }, status: "deactivated" }];
  await control("POST", "contacts", { account: ACCOUNT, contacts });
  assert.equal((await api.contacts.list({ filter: { status: "active" } })).data.length, 0);
  assert.equal((await api.contacts.list({ filter: { status: "deactivated" } })).data.length, 1);
});

check("companies are linked, retitled and unlinked", async () => {
  const { api } = await world();
  const id = (await api.contacts.add({ last_name: "P" })).data.id;
  const company_id = (await api.companies.add({ name: "Bakkerij", telephones: [{ type: "phone", number: "09" }] })).data.id;
  await api.contacts.linkToCompany({ id, company_id, position: "Baker" });
  let links = (await api.contacts.info({ id })).data.companies;
  assert.deepEqual([links[0].position, links[0].company], ["Baker", { type: "company", id: company_id }]);
  await api.contacts.updateCompanyLink({ id, company_id, position: "Boss" });
  links = (await api.contacts.info({ id })).data.companies;
  assert.equal(links[0].position, "Boss");
  await api.contacts.unlinkFromCompany({ id, company_id });
  assert.deepEqual((await api.contacts.info({ id })).data.companies, []);
  await refused(api.contacts.unlinkFromCompany({ id, company_id }), 400);
});

check("tags are put on, taken off and listed", async () => {
  const { api } = await world();
  const id = (await api.contacts.add({ last_name: "P", tags: ["Expo"] })).data.id;
  await api.contacts.tag({ id, tags: ["klant"] });
  assert.deepEqual((await api.tags.list()).data, [{ tag: "Expo" }, { tag: "klant" }]);
  await api.contacts.untag({ id, tags: ["Expo"] });
  assert.deepEqual((await api.contacts.info({ id })).data.tags, ["klant"]);
});

check("custom fields are replaced whole, or in part where that is said", async () => {
  const { api } = await world();
  const define = async (type, label) => (await control("POST", "definitions", { account: ACCOUNT, definition: { type, label } })).id;
  const [text, number] = [await define("single_line", "VIP"), await define("integer", "Rate")];
  const listed = (await api.customFieldDefinitions.list({ filter: { context: "contact" } })).data;
  assert.deepEqual(listed.map((definition) => definition.label), ["Rate", "VIP"]);
  const both = [{ id: text, value: "yes" }, { id: number, value: 7 }];
  const id = (await api.contacts.add({ last_name: "P", custom_fields: both })).data.id;
  const values = async () => (await api.contacts.info({ id })).data.custom_fields.map((field) => field.value);
  await api.contacts.update({ id, custom_fields: [{ id: text, value: "no" }], custom_fields_update_strategy: "partial" });
  assert.deepEqual((await values()).sort(), [7, "no"]);
  await api.contacts.update({ id, custom_fields: [{ id: text, value: "alone" }] });
  assert.deepEqual(await values(), ["alone"]);
  await refused(api.contacts.update({ id, custom_fields: [{ id: number, value: "seven" }] }), 400);
});

check("unknown filters are ignored in silence, and refused where a test wants that", async () => {
  const { api } = await world();
  await api.contacts.add({ last_name: "P" });
  assert.equal((await api.contacts.list({ filter: { segment: "x" } })).data.length, 1);
  await control("POST", "settings", { strictness: "refuse" });
  await refused(api.contacts.list({ filter: { segment: "x" } }), 400);
});

check("each answer tells the quota, and the call too many is refused until the oldest expires", async () => {
  const { api, token: access } = await world();
  await control("POST", "settings", { calls_per_minute: 2 });
  const headers = { authorization: `Bearer ${access}` };
  const answer = await fetch(`${origin}/users.me`, { method: "POST", headers });
  assert.equal(answer.headers.get("x-api-version"), "2023-09-26");
  assert.equal(answer.headers.get("x-ratelimit-remaining"), "1");
  assert.match(answer.headers.get("x-ratelimit-reset"), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0100$/);
  await api.users.me();
  await refused(api.users.me(), 429);
  await control("POST", "advance-clock", { seconds: 61 });
  await api.users.me();
});

check("a user without the right to export may not list", async () => {
  const { api } = await world();
  const id = (await api.contacts.add({ last_name: "P" })).data.id;
  await control("POST", "accounts", { account: ACCOUNT, right: "no_export" });
  await refused(api.contacts.list(), 403);
  await api.contacts.info({ id });
});

check("a fault meets one call", async () => {
  const { api } = await world();
  await control("POST", "faults", { faults: [{ kind: "server_error" }] });
  await refused(api.users.me(), 500);
  await api.users.me();
});

check("consent gives a code for one exchange", async () => {
  await world();
  const landed = await consent();
  assert.equal(landed.searchParams.get("state"), "xyz");
  const exchange = { grant_type: "authorization_code", code: landed.searchParams.get("code"), redirect_uri: back };
  const first = await token(exchange);
  assert.equal(first.status, 200);
  const grant = await first.json();
  assert.deepEqual([grant.token_type, grant.expires_in], ["Bearer", 3600]);
  assert.equal((await client(grant.access_token).users.me()).data.email, ACCOUNT);
  assert.equal((await (await token(exchange)).json()).error, "invalid_grant");
});

check("a refresh token is good for one refresh", async () => {
  await world();
  const code = (await consent()).searchParams.get("code");
  const grant = await (await token({ grant_type: "authorization_code", code, redirect_uri: back })).json();
  const refresh = { grant_type: "refresh_token", refresh_token: grant.refresh_token };
  const fresh = await (await token(refresh)).json();
  assert.notEqual(fresh.refresh_token, grant.refresh_token);
  const again = await token(refresh);
  assert.equal(again.status, 400);
  assert.equal((await again.json()).error, "invalid_grant");
  await client(fresh.access_token).users.me();
});

check("who declines comes back with access_denied, and a late code is refused", async () => {
  await world();
  assert.equal((await consent({ sim_deny: "1" })).searchParams.get("error"), "access_denied");
  const code = (await consent()).searchParams.get("code");
  await control("POST", "advance-clock", { seconds: 601 });
  assert.equal((await token({ grant_type: "authorization_code", code, redirect_uri: back })).status, 400);
});

async function company(api) {
  return { type: "company", id: (await api.companies.add({ name: "Acme" })).data.id };
}

async function uploaded(api, subject, name, text, folder) {
  const { data } = await api.files.upload({ name, subject, ...(folder && { folder }) });
  assert.ok(new Date(data.expires_at) > new Date(0));
  const answer = await fetch(data.location, { method: "POST", body: text });
  assert.ok(answer.ok, `${answer.status}`);
  return data.location;
}

check("a file is uploaded to its location, listed, shown, downloaded whole and in part, and deleted", async () => {
  const { api, user_id } = await world();
  const subject = await company(api);
  await uploaded(api, subject, "report.pdf", "a report");
  await uploaded(api, subject, "plan.txt", "a plan", "Plans");
  const { data } = await api.files.list({ filter: { subject }, sort: [{ field: "updated_at", order: "desc" }] });
  assert.deepEqual(data.map((file) => file.name).sort(), ["plan.txt", "report.pdf"]);
  const report = data.find((file) => file.name === "report.pdf");
  assert.deepEqual([report.size, report.mime_type, report.folder], [8, "application/pdf", "General"]);
  assert.deepEqual([report.subject, report.uploaded_by], [subject, { type: "user", id: user_id }]);
  assert.match(report.updated_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
  assert.deepEqual((await api.files.info({ id: report.id })).data, report);
  const { location } = (await api.files.download({ id: report.id })).data;
  assert.equal(await (await fetch(location)).text(), "a report");
  const part = await fetch(location, { headers: { range: "bytes=2-4" } });
  assert.deepEqual([part.status, await part.text()], [206, "rep"]);
  await api.files.delete({ id: report.id });
  await refused(api.files.info({ id: report.id }), 404);
  assert.equal((await api.files.list({ filter: { subject } })).data.length, 1);
});

check("a location takes one upload of the bytes themselves, without a token, and in time", async () => {
  const { api, token } = await world();
  const subject = await company(api);
  const location = await uploaded(api, subject, "a.txt", "a");
  assert.equal((await fetch(location, { method: "POST", body: "b" })).status, 404);
  const fresh = async () => (await api.files.upload({ name: "b.txt", subject })).data.location;
  const post = async (init) => (await fetch(await fresh(), { method: "POST", body: "b", ...init })).status;
  assert.equal(await post({ method: "PUT" }), 405);
  const form = new FormData();
  form.set("file", "b");
  assert.equal(await post({ body: form }), 400);
  assert.equal(await post({ headers: { authorization: `Bearer ${token}` } }), 400);
  const late = await fresh();
  await control("POST", "advance-clock", { seconds: 901 });
  assert.equal((await fetch(late, { method: "POST", body: "b" })).status, 404);
  assert.equal((await api.files.list({ filter: { subject } })).data.length, 1);
});

check("files of meetings and products are shown, and none can be uploaded there", async () => {
  const { api } = await world();
  const { id } = await control("POST", "records", { account: ACCOUNT, kind: "product", record: { name: "Crane" } });
  const subject = { type: "product", id };
  const file = { kind: "product", record: id, name: "crane.txt", text: "crane" };
  await control("POST", "files", { account: ACCOUNT, file });
  assert.equal((await api.files.list({ filter: { subject } })).data[0].name, "crane.txt");
  assert.equal((await api.products.list({ filter: { ids: [id] } })).data[0].name, "Crane");
  for (const type of ["product", "project", "meeting"]) {
    await refused(api.files.upload({ name: "a.txt", subject: { type, id } }), 400);
  }
  await refused(api.files.list({}), 400);
});

check("an account has the projects of today or the old ones, and a project's rights count", async () => {
  const { api } = await world();
  const status = async () => (await api.accounts["projects-v2-status"]()).data.status;
  assert.equal(await status(), "projects-v2");
  await refused(api.projects.list(), 403);
  const record = { title: "Bridge", owners: [] };
  const { id } = await control("POST", "records", { account: ACCOUNT, kind: "nextgenProject", record });
  await refused(api.files.upload({ name: "a.txt", subject: { type: "nextgenProject", id } }), 403);
  await control("POST", "settings", { projects: "legacy" });
  assert.equal(await status(), "legacy");
  assert.deepEqual((await api.projects.list()).data, []);
});

check("a meeting is scheduled, shown, moved, completed and deleted", async () => {
  const { api, user_id } = await world();
  const me = { type: "user", id: user_id };
  const { data } = await api.meetings.schedule({
    title: "Visit",
    starts_at: "2026-12-01T09:00:00+01:00",
    ends_at: "2026-12-01T10:30:00+01:00",
    attendees: [me],
  });
  assert.equal(data.type, "meeting");
  let shown = (await api.meetings.info({ id: data.id })).data;
  assert.equal(shown.scheduled_at, "2026-12-01T08:00:00+00:00");
  assert.deepEqual(shown.duration, { unit: "min", value: 90 });
  assert.deepEqual(shown.attendees, [me]);
  assert.equal(shown.location, null);
  await api.meetings.update({
    id: data.id,
    ends_at: "2026-12-01T09:00:00Z",
    description: "Bring bread",
    location: { type: "address", address: { line_1: "Dok 1", postal_code: "9000", city: "Gent", country: "BE" } },
  });
  await api.meetings.complete({ id: data.id });
  shown = (await api.meetings.info({ id: data.id })).data;
  assert.deepEqual([shown.duration.value, shown.description, shown.status], [60, "Bring bread", "done"]);
  assert.equal(shown.location.address.city, "Gent");
  const row = (await api.meetings.list()).data[0];
  assert.equal(row.title, "Visit");
  assert.ok(!("location" in row), "a list shows no place");
  await api.meetings.delete({ id: data.id });
  await refused(api.meetings.info({ id: data.id }), 404);
});

check("a meeting needs a title, times and a user", async () => {
  const { api, user_id } = await world();
  const whole = {
    title: "Visit",
    starts_at: "2026-12-01T09:00:00Z",
    ends_at: "2026-12-01T10:00:00Z",
    attendees: [{ type: "user", id: user_id }],
  };
  for (const missing of Object.keys(whole)) {
    await refused(api.meetings.schedule({ ...whole, [missing]: undefined }), 400);
  }
  const contact = (await api.contacts.add({ last_name: "An" })).data.id;
  await refused(api.meetings.schedule({ ...whole, attendees: [{ type: "contact", id: contact }] }), 400);
  await refused(api.meetings.schedule({ ...whole, ends_at: "2026-12-01T08:00:00Z" }), 400);
});

check("meetings are listed by user and day, the earliest first, and users by address", async () => {
  const { api, user_id } = await world();
  const other = await control("POST", "users", { account: ACCOUNT, email: "bo@example.com" });
  const at = (day, id) => ({
    title: `On ${day}`,
    starts_at: `2026-12-${day}T09:00:00Z`,
    ends_at: `2026-12-${day}T10:00:00Z`,
    attendees: [{ type: "user", id }],
  });
  for (const [day, id] of [["20", user_id], ["10", user_id], ["12", other.id]]) await api.meetings.schedule(at(day, id));
  const titles = async (filter) => (await api.meetings.list({ filter })).data.map((one) => one.title);
  assert.deepEqual(await titles({}), ["On 10", "On 12", "On 20"]);
  assert.deepEqual(await titles({ employee_id: user_id, start_date: "2026-12-11", end_date: "2026-12-20" }), ["On 20"]);
  assert.deepEqual(await titles({ term: "on 1" }), ["On 10", "On 12"]);
  const { data } = await api.users.list({ filter: { term: "bo@" } });
  assert.deepEqual(data.map((one) => one.id), [other.id]);
  assert.equal((await client(other.token).users.me()).data.id, other.id);
});

check("a webhook is registered, listed by address, told of its types alone, and taken back by type", async () => {
  const { api, account_id } = await world();
  const told = [];
  const server = createServer((request, answer) => {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      told.push([request.method, request.url, JSON.parse(body)]);
      answer.writeHead(204).end();
    });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    const url = `http://127.0.0.1:${server.address().port}/hook`;
    await api.webhooks.register({ url, types: ["contact.added", "contact.deleted"] });
    await api.webhooks.register({ url: "http://127.0.0.1:1/", types: ["meeting.created"] });
    const all = (await api.webhooks.list()).data;
    assert.deepEqual(all.map((one) => one.url), ["http://127.0.0.1:1/", url]);
    assert.deepEqual(all[1].types, ["contact.added", "contact.deleted"]);
    const { data } = await api.contacts.add({ last_name: "An" });
    await api.contacts.update({ id: data.id, last_name: "Ann" });
    await api.webhooks.unregister({ url, types: ["contact.deleted"] });
    await api.contacts.delete({ id: data.id });
    for (let look = 0; look < 100 && !told.length; look += 1) await new Promise((wake) => setTimeout(wake, 20));
    await new Promise((wake) => setTimeout(wake, 200));
    const body = { type: "contact.added", subject: { type: "contact", id: data.id }, account: { type: "account", id: account_id } };
    assert.deepEqual(told, [["POST", "/hook", body]]);
    await api.webhooks.unregister({ url, types: ["contact.added"] });
    assert.deepEqual((await api.webhooks.list()).data.map((one) => one.url), ["http://127.0.0.1:1/"]);
    await refused(api.webhooks.register({ url, types: ["contact.eaten"] }), 400);
    await refused(api.webhooks.register({ url: "no address", types: ["contact.added"] }), 400);
  } finally {
    server.close();
  }
});

check("a call is added, shown, moved, completed and deleted", async () => {
  const { api, user_id } = await world();
  const contact = (await api.contacts.add({ last_name: "An" })).data.id;
  const whole = {
    participant: { customer: { type: "contact", id: contact } },
    due_at: "2026-12-01T10:00:00+01:00",
    assignee: { type: "user", id: user_id },
  };
  for (const missing of Object.keys(whole)) await refused(api.calls.add({ ...whole, [missing]: undefined }), 400);
  const { data } = await api.calls.add({ ...whole, description: "Ask" });
  assert.equal(data.type, "call");
  let shown = (await api.calls.info({ id: data.id })).data;
  assert.equal(shown.scheduled_at, "2026-12-01T09:00:00+00:00");
  assert.deepEqual(shown.participant.contact, { type: "contact", id: contact });
  assert.deepEqual([shown.description, shown.status, shown.assignee.id], ["Ask", "open", user_id]);
  await api.calls.update({ id: data.id, due_at: "2026-12-02T10:00:00Z", description: "Ask again" });
  await api.calls.complete({ id: data.id, outcome_summary: "Not in" });
  shown = (await api.calls.info({ id: data.id })).data;
  assert.deepEqual([shown.status, shown.outcome_summary, shown.description], ["completed", "Not in", "Ask again"]);
  const days = async (after, before) =>
    (await api.calls.list({ filter: { scheduled_after: after, scheduled_before: before } })).data.length;
  assert.deepEqual([await days("2026-12-01", "2026-12-02"), await days("2026-12-03", "2026-12-09")], [1, 0]);
  const other = { assignee: { type: "user", id: (await control("POST", "users", { account: ACCOUNT, email: "bo@example.com" })).id } };
  await api.calls.add({ ...whole, ...other });
  assert.equal((await api.calls.list({ filter: { user_id } })).data.length, 2, "no list of calls is limited to a user");
  await api.calls.delete({ id: data.id });
  await refused(api.calls.info({ id: data.id }), 404);
  await control("POST", "settings", { lacks: ["calls.delete"] });
  await refused(api.calls.delete({ id: data.id }), 404);
});

check("a task is created, changed, planned, completed, reopened and deleted", async () => {
  const { api, user_id } = await world();
  const work_type_id = (await api.workTypes.list()).data[0].id;
  const whole = { title: "Offer", due_on: "2026-12-01", work_type_id };
  for (const missing of Object.keys(whole)) await refused(api.tasks.create({ ...whole, [missing]: undefined }), 400);
  const assignee = { type: "user", id: user_id };
  const { data } = await api.tasks.create({ ...whole, assignee });
  await api.tasks.create({ ...whole, title: "Nobody's" });
  await api.tasks.create({ ...whole, title: "A team's", assignee: { type: "team", id: "t1" } });
  await api.tasks.update({ id: data.id, due_on: "2026-12-05", title: "New offer", description: "By mail" });
  const shown = async () => (await api.tasks.info({ id: data.id })).data;
  assert.deepEqual([(await shown()).title, (await shown()).due_on, (await shown()).completed], ["New offer", "2026-12-05", false]);
  await api.tasks.complete({ id: data.id });
  assert.ok((await shown()).completed);
  await api.tasks.reopen({ id: data.id });
  assert.equal((await shown()).completed_at, null);
  const titles = async (filter) => (await api.tasks.list({ filter })).data.map((one) => one.title);
  assert.deepEqual(await titles({ user_id }), ["A team's", "New offer"]);
  assert.deepEqual(await titles({ user_id: null }), ["Nobody's"]);
  assert.deepEqual(await titles({ due_from: "2026-12-02", due_by: "2026-12-09" }), ["New offer"]);
  const times = { starts_at: "2026-12-05T09:00:00Z", ends_at: "2026-12-05T10:00:00Z" };
  const planned = (await api.tasks.schedule({ id: data.id, ...times })).data;
  assert.equal(planned.type, "event");
  assert.deepEqual((await api.events.info({ id: planned.id })).data.task, { type: "task", id: data.id });
  await api.tasks.delete({ id: data.id });
  await refused(api.tasks.info({ id: data.id }), 404);
});

check("an event is created, shown, changed and cancelled, and loses links to deals that are not sent again", async () => {
  const { api, user_id } = await world();
  const kinds = (await api.activityTypes.list()).data;
  assert.equal(kinds.length, 3);
  const faces = [];
  for (const type of ["meeting", "call", "task"]) faces.push((await api.migrate.activityType({ type })).data.id);
  assert.deepEqual(kinds.map((one) => one.id), faces);
  const fair = (await control("POST", "activity-types", { account: ACCOUNT, name: "Fair" })).id;
  const company = (await api.companies.add({ name: "Acme" })).data.id;
  const whole = { title: "Fair", activity_type_id: fair, starts_at: "2026-12-01T09:00:00Z", ends_at: "2026-12-01T17:00:00Z" };
  for (const missing of Object.keys(whole)) await refused(api.events.create({ ...whole, [missing]: undefined }), 400);
  const links = [{ type: "company", id: company }, { type: "deal", id: "d1" }];
  const attendees = [{ type: "user", id: user_id }];
  const { data } = await api.events.create({ ...whole, attendees, links, location: "Hall 5" });
  assert.equal(data.type, "event");
  await api.events.update({ id: data.id, title: "Big fair" });
  const shown = (await api.events.info({ id: data.id })).data;
  assert.deepEqual([shown.title, shown.location, shown.creator.id], ["Big fair", "Hall 5", user_id]);
  assert.deepEqual(shown.links, links.slice(0, 1));
  await api.meetings.schedule({ title: "Visit", starts_at: whole.starts_at, ends_at: whole.ends_at, attendees });
  const types = async (filter) => (await api.events.list({ filter })).data.map((one) => one.activity_type.id);
  assert.deepEqual((await types({ user_id })).sort(), [fair, faces[0]].sort(), "a meeting is an event too");
  assert.deepEqual(await types({ activity_type_id: fair }), [fair]);
  assert.deepEqual(await types({ ends_after: "2026-12-02T00:00:00Z" }), []);
  await api.events.cancel({ id: data.id });
  await refused(api.events.info({ id: data.id }), 404);
});

let failed = 0;
for (const [name, run] of checks) {
  try {
    await run();
    console.log("ok    ", name);
  } catch (error) {
    failed += 1;
    console.log("FAILED", name, error);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exitCode = failed || !checks.length ? 1 : 0;
