// The page: what is connected, what is kept in step, what happened, and why something is not there.
"use strict";
const $ = (id) => document.getElementById(id);
const el = (tag, attrs = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

class Refused extends Error {
  constructor(status, error) { super(error?.message ?? `The service answered ${status}.`); this.status = status; }
}
async function ask(method, path, body) {
  const answer = await fetch(path, {
    method, credentials: "same-origin",
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  let json = null;
  try { json = text ? JSON.parse(text) : null; } catch { /* not ours */ }
  if (!answer.ok) throw new Refused(answer.status, json?.error);
  return json;
}
async function all(path) {
  const items = [];
  let next = null;
  do {
    const page = await ask("GET", path + (next ? `${path.includes("?") ? "&" : "?"}next=${encodeURIComponent(next)}` : ""));
    items.push(...page.items);
    next = page.next;
  } while (next && items.length < 1000);
  return items;
}
function say(text) { $("message").textContent = text ?? ""; $("message").hidden = !text; }
const guard = (work) => async (event) => {
  event?.preventDefault?.();
  say();
  try { await work(event); } catch (error) {
    if (error instanceof Refused && error.status === 401) return signedOut();
    say(error.message);
  }
};
const when = (time) => (time ? new Date(time).toLocaleString() : "never");
const WORDS = {
  idle: ["in step", "good"], running: ["running", "warn"], waiting: ["waiting", "warn"], held: ["needs your word", "bad"],
  paused: ["paused", "bad"], connected: ["connected", "good"], pending: ["not finished", "warn"],
  reconnect_needed: ["connect again", "bad"], queued: ["queued", "warn"], done: ["done", "good"], failed: ["failed", "bad"],
  in_sync: ["in sync", "good"], excluded: ["not carried across", "warn"], failing: ["failing", "bad"],
};
const state = (word) => el("span", { class: `state ${WORDS[word]?.[1] ?? ""}` }, WORDS[word]?.[0] ?? word);
const PROVIDERS = { google: "Google", builtin: "Built-in CRM", dropbox: "Dropbox", teamleader: "Teamleader Focus", zoho: "Zoho CRM", sell: "Zendesk Sell" };

let profiles = [];
let connections = [];
let current = null;
let timer = null;

function signedOut() {
  clearTimeout(timer);
  for (const id of ["home", "detail", "sign-out"]) $(id).hidden = true;
  $("who").textContent = "";
  $("sign-in").hidden = false;
  $("token").focus();
}
async function signedIn() {
  const me = await ask("GET", "/v1/me");
  $("who").textContent = me.name || me.email;
  $("sign-in").hidden = true;
  $("sign-out").hidden = false;
  profiles = (await ask("GET", "/v1/profiles")).items;
  const asked = new URLSearchParams(location.search);
  if (asked.get("message")) { say(asked.get("message")); history.replaceState(null, "", "/"); }
  await home();
}

function counts(run) {
  if (!run) return "It has not run yet.";
  const { crm, remote } = run.counts;
  const sum = (name) => crm[name] + remote[name];
  const parts = [["created", "created"], ["updated", "updated"], ["deleted", "deleted"], ["paired", "recognised"], ["excluded", "not carried across"], ["failing", "failing"]];
  const said = parts.filter(([name]) => sum(name)).map(([name, word]) => `${sum(name)} ${word}`);
  return said.length ? said.join(", ") : "nothing to do";
}
function bar(run) {
  if (!run || !["queued", "running", "waiting"].includes(run.state)) return null;
  const { done, total } = run.progress;
  const attrs = total ? { max: total, value: done } : {};
  return el("div", {}, el("progress", attrs), el("span", { class: "soft" }, total ? `${done} of ${total}` : "starting"));
}

async function home() {
  clearTimeout(timer);
  current = null;
  $("detail").hidden = true;
  $("home").hidden = false;
  connections = await all("/v1/connections");
  const syncs = await all("/v1/syncs");
  $("connections").replaceChildren(...connections.map(connectionCard));
  if (!connections.length) $("connections").append(el("li", { class: "soft" }, "Connect your CRM and your Google account to begin."));
  $("syncs").replaceChildren(...syncs.map(syncCard));
  if (!syncs.length) $("syncs").append(el("li", { class: "soft" }, "Nothing is kept in step yet."));
  $("profile").replaceChildren(...profiles.filter((p) => pair(p)).map((p) => el("option", { value: p.id }, p.name)));
  $("new-sync").hidden = !$("profile").options.length;
  const busy = syncs.some((sync) => ["running", "waiting"].includes(sync.state));
  timer = setTimeout(guard(async () => { if (!current) await home(); }), busy ? 2000 : 15000);
}
const pair = (profile) => {
  const of = (names) => connections.find((c) => names.includes(c.provider) && c.state === "connected");
  const crm = of([].concat(profile.crm)), remote = of([].concat(profile.remote));
  return crm && remote ? { crm: crm.id, remote: remote.id } : null;
};
function connectionCard(connection) {
  const again = connection.state === "connected" ? null
    : el("button", { onclick: guard(() => connect(connection.provider)) }, "Connect again");
  const remove = el("button", { onclick: guard(async () => {
    if (!confirm("Disconnect this account? Records stay where they are; its syncs stop.")) return;
    await ask("DELETE", `/v1/connections/${connection.id}`);
    await home();
  }) }, "Disconnect");
  const who = connection.account?.email || connection.account?.name || "";
  return el("li", {}, el("div", { class: "row" }, el("strong", {}, PROVIDERS[connection.provider] ?? connection.provider), el("span", { class: "soft" }, who), state(connection.state), again, remove));
}
async function connect(provider) {
  const made = await ask("POST", "/v1/connections", { provider });
  if (made.authorize_url) location.assign(made.authorize_url);
  else await home();
}
const nameOf = (sync) => profiles.find((p) => p.id === sync.profile)?.name ?? sync.profile;
function syncCard(sync) {
  const run = sync.last_run;
  const open = el("button", { onclick: guard(() => detail(sync.id)) }, "Open");
  return el("li", { "data-sync": sync.id },
    el("div", { class: "row" }, el("strong", {}, nameOf(sync)), state(sync.enabled ? sync.state : "off"), open),
    sync.reason ? el("div", {}, sync.reason) : null,
    bar(run),
    el("div", { class: "soft" }, run ? `Last run ${when(run.ended_at ?? run.started_at)}: ${counts(run)}.` : "It has not run yet.",
      sync.next_due_at && sync.enabled ? ` Next ${when(sync.next_due_at)}.` : ""));
}

async function detail(id) {
  clearTimeout(timer);
  const sync = await ask("GET", `/v1/syncs/${id}`);
  const fresh = current?.id !== id;
  current = sync;
  $("home").hidden = true;
  $("detail").hidden = false;
  $("detail-title").textContent = nameOf(sync);
  $("detail-state").replaceChildren(el("div", { class: "row" }, state(sync.enabled ? sync.state : "off"), sync.reason ? el("span", {}, sync.reason) : null), bar(sync.last_run) ?? "");
  const act = (text, work, main) => el("button", { class: main ? "main" : undefined, onclick: guard(async () => { await work(); await detail(id); }) }, text);
  $("detail-actions").replaceChildren(
    act("Run now", () => ask("POST", `/v1/syncs/${id}/runs`), true),
    sync.state === "held" ? act("Yes, delete them", () => ask("POST", `/v1/syncs/${id}/confirm`)) : "",
    act("Try failing ones again", () => ask("POST", `/v1/syncs/${id}/retry`)),
    act(sync.enabled ? "Switch off" : "Switch on", () => ask("PATCH", `/v1/syncs/${id}`, { enabled: !sync.enabled })),
    el("button", { onclick: guard(async () => {
      if (!confirm("Remove this sync? Every record stays on both sides.")) return;
      await ask("DELETE", `/v1/syncs/${id}`);
      await home();
    }) }, "Remove"));
  const runs = (await ask("GET", `/v1/syncs/${id}/runs`)).items;
  $("runs").tBodies[0].replaceChildren(...runs.map(runRow));
  if (fresh) {
    $("changes").replaceChildren();
    $("preview").replaceChildren(el("button", { id: "look", onclick: guard(look) }, "Look (nothing is written)"));
    await records();
  }
  const busy = runs.some((run) => ["queued", "running", "waiting"].includes(run.state));
  timer = setTimeout(guard(async () => { if (current?.id === id) await detail(id); }), busy ? 2000 : 20000);
}
function runRow(run) {
  const { crm, remote } = run.counts;
  const n = (name) => el("td", { class: "n" }, String(crm[name] + remote[name]));
  const show = el("button", { onclick: guard(() => changes(run)) }, "Changes");
  const said = el("td", {}, state(run.state), run.error ? el("div", { class: "soft" }, run.error.message) : null);
  return el("tr", {}, el("td", {}, when(run.started_at)), said, n("created"), n("updated"), n("deleted"), n("excluded"), el("td", {}, show));
}
const text = (value) => {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map((item) => Object.values(item.parts ?? { value: item }).join(", ")).join("; ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
};
async function changes(run) {
  const page = await ask("GET", `/v1/runs/${run.id}/changes`);
  const rows = page.items.slice(0, 200).map((c) => el("tr", {}, el("td", {}, c.title ?? ""), el("td", {}, c.field ?? ""), el("td", {}, text(c.before)), el("td", {}, text(c.after)), el("td", {}, (c.why ?? "").replaceAll("_", " "))));
  const head = el("thead", {}, el("tr", {}, ...["Contact", "Field", "Before", "After", "Why"].map((word) => el("th", {}, word))));
  $("changes").replaceChildren(el("h3", {}, `Changes of the run of ${when(run.started_at)}`),
    rows.length ? el("div", { class: "scroll" }, el("table", {}, head, el("tbody", {}, ...rows))) : el("p", { class: "soft" }, "Nothing was written."));
}
async function look() {
  $("preview").replaceChildren(el("p", { class: "soft" }, "Looking at both sides …"));
  const p = await ask("POST", `/v1/syncs/${current.id}/preview`);
  const line = (name, side) => `${name}: ${side.create} new, ${side.update} changed, ${side.delete} deleted, ${side.pair} recognised.`;
  $("preview").replaceChildren(
    el("p", {}, line("At the remote", p.remote)), el("p", {}, line("In the CRM", p.crm)),
    el("ul", {}, ...p.excluded.map((e) => el("li", {}, `${e.count} × ${e.reason}`))),
    p.complete ? "" : el("p", { class: "soft" }, "There is more than one look can take in; these are the counts of the beginning."),
    el("button", { onclick: guard(look) }, "Look again"));
}
let next = null;
async function records(more) {
  const asked = new URLSearchParams();
  if ($("state").value) asked.set("state", $("state").value);
  if ($("q").value) asked.set("q", $("q").value);
  if (more && next) asked.set("next", next);
  const page = await ask("GET", `/v1/syncs/${current.id}/records?${asked}`);
  next = page.next;
  const side = (copy) => el("td", {}, copy ? copy.title ?? copy.id : "–");
  const reason = (r) => (r.reason?.message ?? r.reason ?? "");
  const rows = page.items.map((r) => el("tr", {}, side(r.crm), side(r.remote), el("td", {}, state(r.state)), el("td", {}, reason(r))));
  const body = $("records").tBodies[0];
  if (!more) body.replaceChildren();
  body.append(...rows);
  if (!body.rows.length) body.append(el("tr", {}, el("td", { colspan: 4, class: "soft" }, "None.")));
  $("more").hidden = !next;
}

document.addEventListener("DOMContentLoaded", () => {
  $("sign-in").addEventListener("submit", guard(async () => {
    await ask("POST", "/session", { token: $("token").value.trim() });
    $("token").value = "";
    await signedIn();
  }));
  $("sign-out").addEventListener("click", guard(async () => { await ask("DELETE", "/session"); signedOut(); }));
  for (const button of document.querySelectorAll("[data-connect]")) button.addEventListener("click", guard(() => connect(button.dataset.connect)));
  $("new-sync").addEventListener("submit", guard(async () => {
    const profile = profiles.find((p) => p.id === $("profile").value);
    await ask("POST", "/v1/syncs", { profile: profile.id, ...pair(profile), settings: {}, enabled: true });
    await home();
  }));
  $("back").addEventListener("click", guard(home));
  $("search").addEventListener("submit", guard(() => records()));
  $("more").addEventListener("click", guard(() => records(true)));
  guard(signedIn)();
});
