// The page of Tandem. It uses the same API as everybody, with the session cookie. Texts from the API reach the page
// as text nodes only, so nothing in a contact's name can become markup.

const $ = (id) => document.getElementById(id);
const world = { profiles: [], providers: [], connections: [], syncs: [], detail: null, timer: null };

/** Makes an element: `el('p', { class: 'soft' }, 'text', child)`. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(key, value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

function say(text, kind = 'good') {
  const box = $('message');
  box.textContent = text;
  box.className = kind;
  box.hidden = !text;
}

async function api(method, path, body) {
  const options = { method, headers: { accept: 'application/json' } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers['content-type'] = 'application/json';
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error('Tandem does not answer. Check your network and try again.');
  }
  const json = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return json;
  const error = new Error(json?.error?.message ?? `Something went wrong (${answer.status}).`);
  error.status = answer.status;
  throw error;
}

async function all(path) {
  const items = [];
  let next = null;
  do {
    const page = await api('GET', path + (next ? `?next=${encodeURIComponent(next)}` : ''));
    items.push(...page.items);
    next = page.next;
  } while (next);
  return items;
}

/** Runs what a button does: once at a time, with its failure shown. */
function act(work, done) {
  return async (event) => {
    event.preventDefault();
    const button = event.submitter ?? event.currentTarget;
    button.disabled = true;
    try {
      await work(event);
      if (done) say(done);
      await refresh();
    } catch (error) {
      failed(error);
    } finally {
      button.disabled = false;
    }
  };
}

function failed(error) {
  if (error.status === 401) return signedOut();
  say(error.message, 'bad');
  clearTimeout(world.timer);
  world.timer = setTimeout(() => refresh().catch(failed), 15000);
}

const button = (text, work, kind = '', done = '') => el('button', { type: 'button', class: kind, click: act(work, done) }, text);
const when = (time) => (time ? new Date(time).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' }) : 'never');
const title = (provider) => world.providers.find((one) => one.id === provider)?.name ?? provider;
const badge = (text, kind) => el('span', { class: `badge ${kind}` }, text);

// ---- accounts

const CONNECTION = {
  connected: ['connected', 'good'],
  reconnect_needed: ['must be connected again', 'bad'],
};

async function connect(provider) {
  const made = await api('POST', '/v1/connections', { provider });
  if (made.authorize_url) location.assign(made.authorize_url);
}

const has = (provider, way) => world.providers.some((one) => one.id === provider && one.ways.includes(way));

/** A field for a personal access token. */
function tokenForm(provider) {
  const id = `token-${provider.id}`;
  const field = el('input', {
    id, type: 'password', required: true, autocomplete: 'off', spellcheck: 'false',
    minlength: provider.access_token_length, maxlength: provider.access_token_length,
  });
  const send = async () => {
    await api('POST', '/v1/connections', { provider: provider.id, access_token: field.value.trim() });
    field.value = '';
  };
  return el('form', { class: 'row', submit: act(send, `${provider.name} is connected.`) },
    el('label', { for: id }, `Personal access token of ${provider.name}`), field,
    el('button', { type: 'submit' }, `Connect ${provider.name}`));
}

/** What connects the accounts that are missing: a button, a field for a token, or both. */
function waysIn(begun) {
  const works = (provider) => begun.some((one) => one.provider === provider.id && one.state === 'connected');
  const there = (provider) => begun.some((one) => one.provider === provider.id);
  const by = (provider, way) => provider.ways.includes(way);
  const buttons = world.providers.filter((one) => !there(one) && (by(one, 'direct') || by(one, 'oauth')))
    .map((one) => button(`Connect ${one.name}`, () => connect(one.id), 'main'));
  const forms = world.providers.filter((one) => !works(one) && by(one, 'access_token')).map(tokenForm);
  return [...buttons, ...forms];
}

function connectionCard(connection) {
  const again = connection.state !== 'connected' && has(connection.provider, 'oauth');
  const remove = async () => {
    const text = 'Disconnect this account? Its syncs stop; every record stays where it is.';
    if (confirm(text)) await api('DELETE', `/v1/connections/${connection.id}`);
  };
  return el('li', {},
    el('div', { class: 'row' },
      el('h3', {}, title(connection.provider)),
      el('span', { class: 'soft' }, connection.account.email || connection.account.name),
      badge(...(CONNECTION[connection.state] ?? [connection.state, 'warn'])),
      again ? button('Connect again', () => connect(connection.provider), 'main') : null,
      button('Disconnect', remove, 'quiet')));
}

// ---- syncs

const SYNC = {
  idle: ['in step', 'good'],
  running: ['running', 'good'],
  waiting: ['waiting', 'warn'],
  held: ['waiting for your word', 'bad'],
  paused: ['paused', 'bad'],
};

const underWay = (run) => run && ['queued', 'running', 'waiting'].includes(run.state);

function counted(counts, name) {
  const words = [['created', 'created'], ['updated', 'changed'], ['deleted', 'deleted'], ['paired', 'recognised'],
    ['conflicts', 'conflicts'], ['excluded', 'left out'], ['failing', 'failing']];
  const said = words.filter(([key]) => counts[key] > 0).map(([key, word]) => `${counts[key]} ${word}`);
  return said.length ? `${name}: ${said.join(', ')}` : '';
}

function lastRun(run) {
  if (!run) return el('p', { class: 'soft' }, 'Has not run yet; its first run begins within a few minutes.');
  if (underWay(run)) {
    const { done, total } = run.progress;
    const known = total > 0;
    const words = run.state === 'queued' ? 'About to begin …' : known ? `${done} of ${total} records` : `${done} records`;
    return el('div', {},
      el('progress', { 'aria-label': 'Progress of the run', max: known ? total : null, value: known ? done : null }),
      el('p', { class: 'soft' }, words));
  }
  const counts = [counted(run.counts.crm, 'CRM'), counted(run.counts.remote, 'Google')].filter(Boolean).join(' · ');
  return el('p', { class: 'soft' }, `Last run ${when(run.ended_at ?? run.started_at)} — ${counts || 'nothing to do'}.`);
}

async function preview(sync) {
  say('Looking …', 'soft');
  const { crm, remote, excluded, complete } = await api('POST', `/v1/syncs/${sync.id}/preview`);
  const side = (counts, name) => {
    const words = [['create', 'create'], ['update', 'change'], ['delete', 'delete'], ['pair', 'recognise']];
    const said = words.filter(([key]) => counts[key] > 0).map(([key, word]) => `${word} ${counts[key]}`);
    return said.length ? `${name}: ${said.join(', ')}.` : '';
  };
  const left = excluded.map((row) => `${row.count} left out: ${row.reason}`);
  const text = [side(crm, 'CRM'), side(remote, 'Google'), ...left].filter(Boolean).join(' ');
  say(`A run would do this. ${text || 'Nothing: everything is in step.'}${complete ? '' : ' (There was no time to look at everything.)'}`);
}

function syncCard(sync) {
  const profile = world.profiles.find((one) => one.id === sync.profile);
  const name = profile?.name ?? sync.profile;
  const at = `/v1/syncs/${sync.id}`;
  const [word, kind] = sync.enabled ? SYNC[sync.state] ?? [sync.state, 'warn'] : ['switched off', 'warn'];
  const failing = (sync.last_run?.counts.crm.failing ?? 0) + (sync.last_run?.counts.remote.failing ?? 0);
  const problem = sync.reason ?? sync.last_run?.error?.message;
  const remove = async () => {
    if (confirm('Remove this sync? Every record stays on both sides.')) await api('DELETE', at);
  };
  const accept = async () => {
    if (confirm(`${problem ?? 'Many records would be deleted.'}\n\nCarry it out?`)) await api('POST', `${at}/confirm`);
  };
  return el('li', {},
    el('div', { class: 'row' }, el('h3', {}, name), badge(word, kind),
      sync.enabled && sync.next_due_at ? el('span', { class: 'soft' }, `next: ${when(sync.next_due_at)}`) : null),
    problem ? el('p', { class: kind === 'good' ? 'warn' : kind }, problem) : null,
    lastRun(sync.last_run),
    el('div', { class: 'row' },
      sync.state === 'held' ? button('Carry it out', accept, 'danger', 'Confirmed.') : null,
      sync.enabled ? button('Run now', () => api('POST', `${at}/runs`), 'main') : null,
      button('What would happen?', () => preview(sync)),
      button('Records', () => showRecords(sync)),
      sync.last_run ? button('Last changes', () => showChanges(sync)) : null,
      failing > 0 ? button('Try failing ones again', () => api('POST', `${at}/retry`)) : null,
      button(sync.enabled ? 'Switch off' : 'Switch on', () => api('PATCH', at, { enabled: !sync.enabled }), 'quiet'),
      button('Remove', remove, 'quiet')));
}

// ---- records and changes

const RECORD = { in_sync: ['in step', 'good'], excluded: ['left out', 'warn'], failing: ['failing', 'bad'], held: ['waiting', 'bad'] };

function openDetail(detail, heading, columns) {
  world.detail = detail;
  $('detail-title').textContent = heading;
  $('detail-head').replaceChildren(el('tr', {}, ...columns.map((column) => el('th', { scope: 'col' }, column))));
  $('record-filter').hidden = detail.kind !== 'records';
  $('detail').hidden = false;
  return moreDetail(true);
}

const showRecords = (sync) => {
  $('record-filter').reset();
  return openDetail({ kind: 'records', sync }, 'Records', ['CRM', 'Google', 'State', 'Why', 'Last in step'])
    .then(() => $('detail').scrollIntoView({ block: 'start' }));
};

const showChanges = (sync) =>
  openDetail({ kind: 'changes', sync }, 'What the last run changed', ['Side', 'Record', 'Field', 'Before', 'After'])
    .then(() => $('detail').scrollIntoView({ block: 'start' }));

function recordRow(record) {
  const copy = (side) => (side ? side.title ?? side.id : '—');
  return el('tr', {}, el('td', {}, copy(record.crm)), el('td', {}, copy(record.remote)),
    el('td', {}, badge(...(RECORD[record.state] ?? [record.state, 'warn']))),
    el('td', {}, record.reason?.message ?? ''), el('td', {}, record.last_synced_at ? when(record.last_synced_at) : ''));
}

function shown(value) {
  if (value === null || value === undefined) return '—';
  if (Array.isArray(value)) return value.map(shown).join('; ');
  if (typeof value === 'object') return Object.values(value).map(shown).join(' ');
  return String(value);
}

function changeRow(change) {
  const side = change.side === 'crm' ? 'CRM' : 'Google';
  return el('tr', {}, el('td', {}, side), el('td', {}, change.title || change.record), el('td', {}, change.field ?? change.action),
    el('td', {}, shown(change.before)), el('td', {}, shown(change.after)));
}

async function moreDetail(anew) {
  const { kind, sync } = world.detail;
  const query = new URLSearchParams();
  if (kind === 'records') {
    if ($('record-state').value) query.set('state', $('record-state').value);
    if ($('record-q').value.trim()) query.set('q', $('record-q').value.trim());
  }
  if (!anew && world.detail.next) query.set('next', world.detail.next);
  const path = kind === 'records' ? `/v1/syncs/${sync.id}/records` : `/v1/runs/${sync.last_run.id}/changes`;
  const page = await api('GET', `${path}?${query}`);
  world.detail.next = page.next;
  const rows = page.items.map(kind === 'records' ? recordRow : changeRow);
  if (anew) $('detail-rows').replaceChildren(...rows);
  else $('detail-rows').append(...rows);
  $('detail-more').hidden = !page.next;
  const empty = $('detail-rows').childElementCount === 0;
  $('detail-empty').hidden = !empty;
  $('detail-empty').textContent = kind === 'records' ? 'No such records.' : 'That run changed nothing.';
}

// ---- the whole page

function draw() {
  const { profiles, connections, syncs } = world;
  // One that is not finished is nothing to a person yet; it goes away by itself.
  const begun = connections.filter((one) => one.state !== 'pending');
  $('connection-list').replaceChildren(...begun.map(connectionCard));
  $('connect').replaceChildren(...waysIn(begun));
  $('sync-list').replaceChildren(...syncs.map(syncCard));
  const pairs = profiles.map((profile) => ({ profile, pair: freePair(profile) })).filter((one) => one.pair);
  $('new-sync').hidden = pairs.length === 0;
  $('new-sync-hint').hidden = pairs.length > 0 || syncs.length > 0;
  const chosen = $('profile').value;
  $('profile').replaceChildren(...pairs.map(({ profile }) => el('option', { value: profile.id, selected: profile.id === chosen }, profile.name)));
}

/** Connected accounts that this profile could keep in step and does not yet. */
function freePair(profile) {
  const usable = (providers) => world.connections.filter((one) => one.state === 'connected' && providers.includes(one.provider));
  for (const crm of usable(profile.crm)) {
    for (const remote of usable(profile.remote)) {
      const taken = world.syncs.some((sync) => sync.profile === profile.id && sync.crm === crm.id && sync.remote === remote.id);
      if (!taken) return { crm: crm.id, remote: remote.id };
    }
  }
  return null;
}

async function refresh() {
  clearTimeout(world.timer);
  const [connections, syncs] = await Promise.all([all('/v1/connections'), all('/v1/syncs')]);
  if (world.profiles.length === 0) {
    [world.profiles, world.providers] = await Promise.all([all('/v1/profiles'), all('/v1/providers')]);
  }
  // Redrawing takes the focus away from whoever works with the keyboard: only when something has changed.
  const state = JSON.stringify([connections, syncs]);
  if (state !== world.drawn) {
    Object.assign(world, { connections, syncs, drawn: state });
    draw();
  }
  for (const id of ['connections', 'syncs', 'sign-out']) $(id).hidden = false;
  $('sign-in').hidden = true;
  const soon = syncs.some((sync) => underWay(sync.last_run));
  world.timer = setTimeout(() => refresh().catch(failed), soon ? 1500 : 15000);
}

function signedOut() {
  clearTimeout(world.timer);
  Object.assign(world, { profiles: [], providers: [], connections: [], syncs: [], detail: null, drawn: null });
  for (const id of ['connections', 'syncs', 'detail', 'sign-out']) $(id).hidden = true;
  $('sign-in').hidden = false;
  $('token').focus();
}

function welcome() {
  const query = new URLSearchParams(location.search);
  if (query.has('connected')) say('The account is connected.');
  if (query.has('problem')) say('You did not agree at the provider, so nothing was connected.', 'warn');
  if (query.has('missing')) {
    say(`Tandem needs this permission to work, and it was not granted: ${query.get('missing')}. Please connect again and tick it.`, 'warn');
  }
  if (location.search) history.replaceState(null, '', '/');
}

$('sign-in-form').addEventListener('submit', act(async () => {
  try {
    await api('POST', '/session', { token: $('token').value.trim() });
  } catch (error) {
    // Not “signed out”, which the page would answer to a 401 elsewhere.
    throw Object.assign(error, { status: 0 });
  }
  $('sign-in-form').reset();
  say('');
}));
$('sign-out').addEventListener('click', async () => {
  await api('DELETE', '/session').catch(() => null);
  say('You are signed out.');
  signedOut();
});
$('new-sync').addEventListener('submit', act(async () => {
  const profile = world.profiles.find((one) => one.id === $('profile').value);
  await api('POST', '/v1/syncs', { profile: profile.id, ...freePair(profile) });
}, 'The sync is set up; its first run begins within a few minutes.'));
$('record-filter').addEventListener('submit', act(() => moreDetail(true)));
$('detail-more').addEventListener('click', act(() => moreDetail(false)));
$('detail-close').addEventListener('click', () => {
  $('detail').hidden = true;
});
welcome();
refresh().catch(failed);
