// The page of Tandem: accounts and syncs. It uses the same API as everybody, with the session cookie.
import { $, act, all, api, badge, button, connectionOf, el, failed, profileOf, say, show, sides, title, when, world } from './kit.js';
import { changeSync, closeForm, freePair, newSync } from './form.js';
import { closeDetail, counted, refreshDetail, searchRecords, showBlocks, showChanges, showMore, showPreview, showRecords, showRuns } from './detail.js';

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

function lastRun(sync) {
  const run = sync.last_run;
  if (!run) {
    const text = sync.enabled ? 'Has not run yet; its first run begins within a few minutes.' : 'Has not run yet. Look at what would happen, then start it.';
    return el('p', { class: 'soft' }, text);
  }
  if (underWay(run)) {
    const { done, total } = run.progress;
    const known = total > 0;
    const words = run.state === 'queued' ? 'About to begin …' : known ? `${done} of ${total} records` : `${done} records`;
    return el('div', {},
      el('progress', { 'aria-label': 'Progress of the run', max: known ? total : null, value: known ? done : null }),
      el('p', { class: 'soft' }, words));
  }
  const names = sides(sync);
  const said = ['crm', 'remote'].map((side) => [names[side], counted(run.counts[side])]).filter(([, words]) => words);
  const counts = said.map(([name, words]) => `${name}: ${words}`).join(' · ');
  return el('p', { class: 'soft' }, `Last run ${when(run.ended_at ?? run.started_at)} — ${counts || 'nothing to do'}.`);
}

/** Whether a person may start a run; with the product's own limits some run by the clock alone. */
function byHand(sync) {
  return sync.settings.limits !== 'vendor' || profileOf(sync)?.vendor_limits.manual_start !== false;
}

/** Switches it on where it is off, and begins. */
async function start(sync) {
  const at = `/v1/syncs/${sync.id}`;
  if (!sync.enabled) await api('PATCH', at, { enabled: true });
  if (byHand(sync)) await api('POST', `${at}/runs`);
  closeDetail();
  say(byHand(sync) ? 'The run has begun.' : 'Switched on; the schedule begins within a few minutes.');
}

function startButton(sync) {
  if (sync.enabled) return byHand(sync) ? button('Run now', () => start(sync), 'main') : null;
  return button(sync.last_run ? 'Switch on and run now' : 'Start', () => start(sync), 'main');
}

/** Whether changes are told at once; without it the schedule looks for them. */
function told(sync) {
  if (!sync.push || !sync.enabled) return null;
  if (sync.push.state === 'on') {
    const [one, other] = sync.push.sides;
    const only = other ? null : sides(sync)[one];
    return el('p', { class: 'soft' }, only ? `Changes in ${only} come at once, others with the schedule.` : 'Changes come at once.');
  }
  return el('p', { class: sync.push.state === 'lapsed' ? 'warn' : 'soft' },
    `Changes do not come at once, but with the schedule${sync.push.reason ? `: ${sync.push.reason}` : '.'}`);
}

/** Why a sync or one of its directions rests, and what mends it. */
function trouble(sync, kind) {
  const problem = sync.reason ?? sync.last_run?.error?.message;
  const broken = [sync.crm, sync.remote].map(connectionOf).filter((one) => one?.state === 'reconnect_needed' && has(one.provider, 'oauth'));
  return [problem ? el('p', { class: kind === 'good' ? 'warn' : kind }, problem) : null,
    sync.caution ? el('p', { class: 'warn' }, sync.caution) : null,
    ...broken.map((one) => button(`Connect ${title(one.provider)} again`, () => connect(one.provider), 'main'))];
}

/** The built-in CRM has a page of its own for what came from Google and is nobody else's business. */
const keepsBlocks = (sync) => profileOf(sync)?.kind === 'calendar' && connectionOf(sync.crm)?.provider === 'builtin' && sync.last_run;

/** How a sync stands, in a word: in step it is only where nothing failed. */
function standing(sync, fresh, failing) {
  if (!sync.enabled) return [fresh ? 'not started' : 'switched off', 'warn'];
  if (sync.state === 'idle' && failing > 0) return [`${failing} need${failing === 1 ? 's' : ''} attention`, 'bad'];
  if (sync.state === 'idle' && sync.last_run?.error?.code === 'nothing_to_carry') return ['nothing to carry yet', 'warn'];
  if (sync.state === 'idle' && sync.last_run?.error?.code === 'calendar_gone') return ['needs attention', 'warn'];
  return SYNC[sync.state] ?? [sync.state, 'warn'];
}

function syncCard(sync) {
  const at = `/v1/syncs/${sync.id}`;
  const fresh = !sync.enabled && !sync.last_run;
  const failing = (sync.last_run?.counts.crm.failing ?? 0) + (sync.last_run?.counts.remote.failing ?? 0);
  const [word, kind] = standing(sync, fresh, failing);
  const left = (sync.last_run?.counts.crm.excluded ?? 0) + (sync.last_run?.counts.remote.excluded ?? 0);
  const remove = async () => {
    if (!confirm('Remove this sync? Every record stays on both sides.')) return;
    await api('DELETE', at);
    closeDetail();
    closeForm();
  };
  const accept = async () => {
    if (confirm(`${sync.reason ?? 'Many records would be deleted.'}\n\nCarry it out?`)) await api('POST', `${at}/confirm`);
  };
  const names = sides(sync);
  return el('li', {},
    el('div', { class: 'row' }, el('h3', {}, profileOf(sync)?.name ?? sync.profile), badge(word, kind),
      el('span', { class: 'soft' }, `${names.crm} and ${names.remote}`),
      sync.enabled && sync.next_due_at ? el('span', { class: 'soft' }, `next: ${when(sync.next_due_at)}`) : null),
    ...trouble(sync, kind),
    lastRun(sync),
    told(sync),
    el('div', { class: 'row' },
      sync.state === 'held' ? button('Carry it out', accept, 'danger', 'Confirmed.') : null,
      startButton(sync),
      profileOf(sync)?.kind === 'mail' ? null : button('What would happen?', () => showPreview(sync, startButton(sync))),
      button('Settings', () => changeSync(sync)),
      button('Records', () => showRecords(sync)),
      profileOf(sync)?.kind === 'mail' && sync.last_run ? button('Unknown senders', () => showRecords(sync, 'held')) : null,
      keepsBlocks(sync) ? button('Grey blocks', () => showBlocks()) : null,
      left > 0 ? button('Why left out?', () => showRecords(sync, 'excluded')) : null,
      sync.last_run ? button('Runs', () => showRuns(sync)) : null,
      sync.last_run && !underWay(sync.last_run) ? button('Last changes', () => showChanges(sync, sync.last_run)) : null,
      failing > 0 ? button('Try failing ones again', () => api('POST', `${at}/retry`)) : null,
      failing > 0 ? button('Why failing?', () => showRecords(sync, 'failing')) : null,
      sync.enabled ? button('Switch off', () => api('PATCH', at, { enabled: false }), 'quiet') : null,
      button('Remove', remove, 'quiet')));
}

// ---- the whole page

function draw() {
  const { profiles, connections, syncs } = world;
  // One that is not finished is nothing to a person yet; it goes away by itself.
  const begun = connections.filter((one) => one.state !== 'pending');
  $('connection-list').replaceChildren(...begun.map(connectionCard));
  $('connect').replaceChildren(...waysIn(begun));
  $('sync-list').replaceChildren(...syncs.map(syncCard));
  const more = profiles.some(freePair);
  $('new-sync').hidden = !more;
  $('new-sync-hint').hidden = more || syncs.length > 0;
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
    await refreshDetail();
  }
  for (const id of ['connections', 'syncs', 'sign-out']) $(id).hidden = false;
  $('sign-in').hidden = true;
  const soon = syncs.some((sync) => underWay(sync.last_run));
  clearTimeout(world.timer);
  world.timer = setTimeout(() => refresh().catch(failed), soon ? 1500 : 15000);
}

function signedOut() {
  clearTimeout(world.timer);
  Object.assign(world, { profiles: [], providers: [], connections: [], syncs: [], drawn: null });
  closeDetail();
  closeForm();
  for (const id of ['connections', 'syncs', 'sign-out']) $(id).hidden = true;
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
$('new-sync').addEventListener('click', () => newSync(async (sync) => {
  await changeSync(sync, () => show('syncs'));
  say('The sync is set up and has not started. Choose its settings, then look at what would happen.');
}));
$('editor-close').addEventListener('click', closeForm);
$('record-filter').addEventListener('submit', act(searchRecords));
$('detail-more').addEventListener('click', act(showMore));
$('detail-close').addEventListener('click', closeDetail);
Object.assign(world, { refresh, signedOut });
welcome();
refresh().catch(failed);
