// What there is to see of a sync: what a run would do, its runs, what a run changed, its records.
import { $, act, api, badge, button, el, humanise, profileOf, say, show, sides, when, world } from './kit.js';

let view = null;

const RECORD = { in_sync: ['in step', 'good'], excluded: ['left out', 'warn'], failing: ['failing', 'bad'], held: ['waiting for your word', 'bad'] };
const RUN = {
  queued: ['about to begin', 'good'], running: ['running', 'good'], waiting: ['waiting', 'warn'], done: ['done', 'good'],
  held: ['held', 'bad'], failed: ['failed', 'bad'],
};
const COUNTS = [['created', 'created'], ['updated', 'changed'], ['deleted', 'deleted'], ['paired', 'recognised'],
  ['conflicts', 'conflicts'], ['excluded', 'left out'], ['failing', 'failing']];
const WHY = {
  new_record: 'new on the other side', paired: 'recognised as the same', changed: 'changed on the other side',
  overwritten: 'changed here, where changes are not taken from', merged: 'both sides changed it', deleted: 'deleted on the other side',
  restored: 'deleted here, and put back', list_changed: 'left or came back to its list', undone: 'a run was undone',
};
const TRIGGER = { manual: 'by hand', schedule: 'by schedule', push: 'by a change' };
const ACTION = { create: 'created', update: 'changed', delete: 'deleted' };

/** `3 created, 1 left out`. */
export function counted(counts) {
  const said = COUNTS.filter(([key]) => counts[key] > 0).map(([key, word]) => `${counts[key]} ${word}`);
  return said.join(', ');
}

function open(next, heading, columns, empty) {
  view = { empty, shown: [], ...next };
  $('detail-title').textContent = heading;
  $('detail-head').replaceChildren(el('tr', {}, ...columns.map((column) => el('th', { scope: 'col' }, column))));
  $('detail-lead').replaceChildren(...(next.lead ?? []));
  $('record-filter').hidden = next.kind !== 'records';
  $('detail-rows').replaceChildren();
  show('detail');
  return more(true);
}

/** Reads the first page (`anew`) or the next one. */
async function more(anew) {
  const asked = view;
  const query = new URLSearchParams(asked.query?.() ?? {});
  if (!anew && asked.next) query.set('next', asked.next);
  const page = asked.path ? await api('GET', `${asked.path}?${query}`) : { items: asked.items, next: null };
  // Something else was opened meanwhile.
  if (view !== asked) return;
  asked.next = page.next;
  const rows = page.items.map(asked.row);
  if (anew) $('detail-rows').replaceChildren(...rows);
  else $('detail-rows').append(...rows);
  const empty = $('detail-rows').childElementCount === 0;
  $('detail-more').hidden = !page.next;
  $('detail-head').hidden = empty;
  $('detail-empty').hidden = !empty || !asked.empty;
  $('detail-empty').textContent = asked.empty ?? '';
}

/** Runs go on while they are looked at. */
export async function refreshDetail() {
  if (view?.kind === 'runs' && !$('detail').hidden && !$('detail').contains(document.activeElement)) await more(true);
}

export function closeDetail() {
  view = null;
  $('detail').hidden = true;
}

export const searchRecords = () => more(true);
export const showMore = () => more(false);

// ---- what a run would do

export async function showPreview(sync, start) {
  say('Looking at both sides …', 'soft');
  const preview = await api('POST', `/v1/syncs/${sync.id}/preview`);
  say('');
  const names = sides(sync);
  const rows = ['crm', 'remote'].map((side) => ({ name: names[side], ...preview[side] }));
  const excluded = preview.excluded.map((one) => el('li', {}, `${one.count} left out: ${one.reason}`));
  const nothing = rows.every((one) => one.create + one.update + one.delete + one.pair === 0);
  const lead = [
    preview.note ? el('p', { class: 'warn' }, preview.note) : el('p', {}, nothing ? 'Nothing: everything is in step.' : 'Nothing has been written yet. A run would do this:'),
    preview.conflicts ? el('p', { class: 'warn' }, `${preview.conflicts} changed on both sides.`) : null,
    excluded.length ? el('ul', { id: 'preview-excluded' }, ...excluded) : null,
    preview.would_be_held ? el('p', { class: 'bad' }, 'It deletes so many that it would wait for your word first.') : null,
    preview.complete ? null : el('p', { class: 'hint' }, 'There was no time to look at everything; the counts are those of the beginning.'),
    el('div', { class: 'row' }, start),
  ].filter(Boolean);
  const row = (side) => el('tr', {}, el('th', { scope: 'row' }, side.name),
    ...['create', 'update', 'delete', 'pair'].map((key) => el('td', {}, String(side[key]))));
  return open({ kind: 'preview', items: rows, row, lead }, 'What would happen', ['In', 'Create', 'Change', 'Delete', 'Recognise']);
}

// ---- runs

// What can be undone: a file's earlier bytes and a mail that was filed cannot be had back.
const UNDONE = ['contacts', 'calendar'];

export function showRuns(sync) {
  const names = sides(sync);
  const row = (run) => {
    const over = ['done', 'held', 'failed'].includes(run.state);
    const writes = ['crm', 'remote'].some((side) => run.counts[side].created + run.counts[side].updated + run.counts[side].deleted > 0);
    return el('tr', {}, el('td', {}, when(run.started_at)), el('td', {}, TRIGGER[run.trigger] ?? run.trigger),
      el('td', {}, badge(...(RUN[run.state] ?? [run.state, 'warn'])), run.error ? el('p', { class: 'hint' }, run.error.message) : null),
      el('td', {}, counted(run.counts.crm) || '—'), el('td', {}, counted(run.counts.remote) || '—'),
      el('td', {}, writes ? button('Changes', () => showChanges(sync, run)) : null,
        writes && over && UNDONE.includes(profileOf(sync)?.kind) ? button('Undo', () => undo(sync, run), 'danger') : null));
  };
  return open({ kind: 'runs', path: `/v1/syncs/${sync.id}/runs`, row }, 'Runs',
    ['Began', 'Started', 'State', names.crm, names.remote, ''], 'There was no run yet.');
}

async function undo(sync, run) {
  const text = 'Put back what this run changed? What somebody has edited since stays as it is.';
  if (!confirm(text)) return;
  say('Putting back …', 'soft');
  let [undone, answer] = [0, null];
  const left = [];
  // A large run takes several calls; each goes on where the one before ended.
  for (let calls = 0; calls < 100 && !answer?.complete; calls += 1) {
    const from = answer?.next ? `?next=${encodeURIComponent(answer.next)}` : '';
    answer = await api('POST', `/v1/runs/${run.id}/undo${from}`);
    undone += answer.undone;
    left.push(...answer.not_undone);
    if (!answer.complete) say(`Putting back … ${undone} so far`, 'soft');
  }
  const rest = answer.complete ? '' : ' There is more to put back: press Undo again.';
  say(`Put back: ${undone}. Left as they are: ${left.length}.${rest}`, left.length || rest ? 'warn' : 'good');
  if (!left.length) return showRuns(sync);
  const names = sides(sync);
  const row = (one) => el('tr', {}, el('td', {}, names[one.side] ?? one.side), el('td', {}, one.title || one.record),
    el('td', {}, one.field ? humanise(one.field) : 'the whole record'), el('td', {}, one.reason.message));
  return open({ kind: 'not-undone', items: left, row }, 'What was not put back', ['In', 'Record', 'Field', 'Why']);
}

// ---- what a run changed

/** A value for people: a text, or a list of labelled values. */
function shown(value) {
  if (value === null || value === undefined) return '—';
  if (!Array.isArray(value)) return String(value);
  const item = ({ label, parts }) => [Object.values(parts ?? {}).join(' '), label ? ` (${label})` : ''].join('');
  return value.map(item).join('; ');
}

export function showChanges(sync, run) {
  const names = sides(sync);
  const row = (change) => el('tr', {}, el('td', {}, names[change.side] ?? change.side), el('td', {}, change.title || change.record),
    el('td', {}, ACTION[change.action] ?? humanise(change.action), change.field ? `: ${humanise(change.field)}` : ''),
    el('td', {}, shown(change.before)), el('td', {}, '→'), el('td', {}, shown(change.after)),
    el('td', {}, WHY[change.why] ?? humanise(change.why ?? '')));
  const lead = [el('div', { class: 'row' }, button('All runs', () => showRuns(sync)), button('Undo this run', () => undo(sync, run), 'danger'))];
  return open({ kind: 'changes', path: `/v1/runs/${run.id}/changes`, row, lead }, `What the run of ${when(run.started_at)} changed`,
    ['In', 'Record', 'Field', 'Before', '', 'After', 'Why'], 'That run changed nothing, or its change log is no longer kept.');
}

// ---- records

export function showRecords(sync, state = '') {
  const names = sides(sync);
  const copy = (side) => (side ? side.title ?? side.id : '—');
  const convert = (record) => (record.reason?.code !== 'grey_block' ? [] : [' ',
    button('Make it a meeting', () => api('POST', `/v1/syncs/${sync.id}/convert`, { record: record.id }),
      'quiet', 'It becomes a meeting.')]);
  const row = (record) => el('tr', {}, el('td', {}, copy(record.crm)), el('td', {}, copy(record.remote)),
    el('td', {}, badge(...(RECORD[record.state] ?? [record.state, 'warn']))),
    el('td', {}, record.reason?.message ?? '', record.attempts > 1 ? ` (${record.attempts} tries)` : '', ...convert(record)),
    el('td', {}, record.last_synced_at ? when(record.last_synced_at) : ''));
  $('record-filter').reset();
  $('record-state').value = state;
  const query = () => {
    const asked = { state: $('record-state').value, q: $('record-q').value.trim() };
    return Object.fromEntries(Object.entries(asked).filter(([, value]) => value));
  };
  // Senders whom the CRM does not know: their mail waits until a person says that they belong there.
  const add = () => button('Add these senders as contacts', () => api('POST', `/v1/syncs/${sync.id}/confirm`), 'main', 'They are being added, with their mail.');
  const lead = profileOf(sync)?.kind === 'mail' && state === 'held' ? [add()] : [];
  return open({ kind: 'records', path: `/v1/syncs/${sync.id}/records`, row, query, lead }, 'Records',
    [names.crm, names.remote, 'State', 'Why', 'Last in step'], 'No such records.');
}

// ---- what came from the calendar and is no meeting of the CRM

export function showBlocks() {
  const convert = (block) => button('Make it a meeting', () => api('POST', `/crm/v1/blocks/${block.id}/convert`), '',
    'It is a meeting now, and is kept in step both ways.');
  const row = (block) => el('tr', {}, el('td', {}, block.title || '—'), el('td', {}, block.all_day ? block.start : when(block.start)),
    el('td', {}, block.calendar ?? ''), el('td', {}, convert(block)));
  return open({ kind: 'blocks', path: '/crm/v1/blocks', row }, 'Grey blocks', ['Title', 'When', 'Calendar', ''],
    'Nothing that is only in the calendar.');
}
