// Making and changing a sync. Every field is drawn from the JSON Schema of the profile's settings and from the choices of
// the sync, so this knows no profile: a setting that it has no word for shows its own name.
import { $, act, api, connectionOf, el, humanise, say, show, sides, title, world } from './kit.js';
import { HINTS, LABELS, NOTHING, WORDS, orderOf } from './words.js';

let form = null;

const spoken = (text) => text.replace('{crm}', form.sides.crm).replace('{remote}', form.sides.remote);
const labelled = (name, rule) => spoken(rule.title ?? LABELS[name] ?? humanise(name));
const hinted = (name, rule) => spoken(HINTS[name] ?? rule.description ?? '');
const word = (value) => spoken(WORDS[value] ?? humanise(String(value)));
const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
const options = (pairs, chosen) => pairs.map(([value, text]) => el('option', { value, selected: value === chosen }, text));

/** A row of the form: label, control, what it means, and room for what is wrong with it. */
function row(field, text, control, hint) {
  const id = control.id || `set-${field.replace(/\W+/g, '-')}`;
  const many = control.tagName === 'FIELDSET';
  if (!many) control.id = id;
  control.setAttribute('data-field', field);
  control.setAttribute('aria-describedby', `${id}-wrong`);
  return el('div', { class: 'field' },
    many ? null : el('label', { for: id }, text), control,
    hint ? el('p', { class: 'hint' }, hint) : null,
    el('p', { class: 'wrong bad', id: `${id}-wrong`, role: 'alert', hidden: true }));
}

// ---- one control a kind of setting; each answers its element and how to read it

function choose(pairs, value) {
  const control = el('select', {}, ...options(pairs, value));
  return { control, read: () => control.value };
}

/** Something from a list of the provider's, or a name of one's own where the schema permits it. */
function pick(name, rule, value, choices) {
  const OTHER = '\u0000other';
  const known = choices.some((one) => one.id === value);
  const pairs = [['', NOTHING[name] ?? 'none'], ...choices.map((one) => [one.id, one.name])];
  if (value && !known && !rule['x-free-text']) pairs.push([value, value]);
  if (rule['x-free-text']) pairs.push([OTHER, 'another name …']);
  const list = el('select', {}, ...options(pairs, value && !known && rule['x-free-text'] ? OTHER : value ?? ''));
  const own = el('input', { 'aria-label': `${labelled(name, rule)}: name`, maxlength: rule.maxLength, value: known ? '' : value ?? '' });
  const toggle = () => { own.hidden = list.value !== OTHER; };
  list.addEventListener('change', toggle);
  toggle();
  return { control: list, beside: own, read: () => (list.value === OTHER ? own.value.trim() : list.value) || null };
}

function number(rule, value) {
  const required = ![rule.type].flat().includes('null');
  const control = el('input', { type: 'number', required, step: 1, min: rule.minimum, max: rule.maximum, value });
  return { control, read: () => (control.value === '' ? null : Number(control.value)) };
}

/** Any of some: `[[value, text]]`. What is chosen and not among them any more can be taken out. */
function several(name, rule, value, pairs) {
  const gone = value.filter((one) => !pairs.some(([known]) => known === one)).map((one) => [one, word(one)]);
  const boxes = [...pairs, ...gone].map(([one, text]) =>
    [el('input', { type: 'checkbox', value: one, checked: value.includes(one) }), text]);
  const lines = boxes.map(([box, text]) => el('label', { class: 'tick' }, box, text));
  const control = el('fieldset', { id: `set-${name}` }, el('legend', {}, labelled(name, rule)), ...lines);
  return {
    control,
    // In the order in which they were chosen before: where it matters, it is kept.
    read: () => {
      const chosen = boxes.map(([box]) => box).filter((box) => box.checked).map((box) => box.value);
      return [...value.filter((one) => chosen.includes(one)), ...chosen.filter((one) => !value.includes(one))];
    },
  };
}

/** Texts of one's own, one a line. */
function lines(value) {
  const control = el('textarea', { rows: 3, spellcheck: 'false', placeholder: 'one a line' });
  control.value = value.join('\n');
  return { control, read: () => control.value.split('\n').map((line) => line.trim()).filter(Boolean) };
}

/** A text for each of some names. */
function texts(name, rule, value) {
  const fields = Object.entries(rule.properties).map(([part, { maxLength }]) =>
    [part, el('input', { 'aria-label': word(part), maxlength: maxLength, value: value[part] ?? '' })]);
  const control = el('fieldset', { id: `set-${name}` }, el('legend', {}, labelled(name, rule)),
    ...fields.map(([part, field]) => el('label', { class: 'tick' }, word(part), field)));
  return { control, read: () => Object.fromEntries(fields.map(([part, field]) => [part, field.value.trim()])) };
}

/** Which records: all, those of a segment, or the ones that were named through the API, which stay as they are. */
function records(value, choices) {
  const pairs = [['all', 'all'], ...(choices ?? []).map((one) => [one.id, `segment: ${one.name}`])];
  const listed = Array.isArray(value);
  if (listed) pairs.push(['listed', value.length === 1 ? 'one chosen record' : `${value.length} chosen records`]);
  if (value?.segment && !pairs.some(([id]) => id === value.segment)) pairs.push([value.segment, `segment ${value.segment}`]);
  const control = el('select', {}, ...options(pairs, listed ? 'listed' : value?.segment ?? 'all'));
  const read = () => ({ all: 'all', listed: value })[control.value] ?? { segment: control.value };
  return { control, read };
}

function text(rule, value) {
  const control = el('input', { value: value ?? '', maxlength: rule.maxLength, spellcheck: 'false' });
  return { control, read: () => control.value.trim() || null };
}

// ---- the field map

/** What a field holds, in a few words. */
function nature(field) {
  const kinds = { text: '', list: 'list', date: 'date', date_time: 'time', number: 'number', boolean: 'yes or no', picklist: 'choice' };
  const said = [kinds[field.holds?.type] ?? field.holds?.type, field.mandatory ? 'mandatory' : '', field.read_only ? 'read only' : ''];
  const words = said.filter(Boolean).join(', ');
  return words ? `${field.name} (${words})` : field.name;
}

function fieldPicker(side, chosen) {
  const fields = form.choices[`${side}_fields`];
  const pairs = fields.map((field) => [field.id, nature(field)]);
  if (chosen && !fields.some((field) => field.id === chosen)) pairs.push([chosen, chosen]);
  if (form.choices[`${side}_custom_fields`]) pairs.push(['', 'a field of your own …']);
  const list = el('select', { 'aria-label': `Field in ${form.sides[side]}` }, ...options(pairs, chosen ?? pairs[0]?.[0]));
  const own = el('input', { 'aria-label': `Name of your own field in ${form.sides[side]}`, placeholder: 'name of the field', maxlength: 100 });
  const toggle = () => { own.hidden = list.value !== ''; };
  list.addEventListener('change', toggle);
  toggle();
  return { cell: el('td', {}, list, own), list, read: () => list.value || `custom.${own.value.trim()}` };
}

function mapRow(rule, given, lines, body) {
  const [crm, remote] = [fieldPicker('crm', given.crm), fieldPicker('remote', given.remote)];
  const ways = rule.items.properties.direction.enum;
  const way = el('select', { 'aria-label': 'Direction of this field' },
    ...options(ways.map((one) => [one, word(one)]), given.direction ?? ways.at(-1)));
  const wrong = el('p', { class: 'wrong bad', role: 'alert', hidden: true });
  const line = { crm, remote, way, wrong };
  const drop = el('button', { type: 'button', class: 'quiet', 'aria-label': 'Leave this field out', click: () => {
    lines.splice(lines.indexOf(line), 1);
    line.row.remove();
  } }, 'Leave out');
  line.row = el('tr', {}, crm.cell, el('td', {}, way), remote.cell, el('td', {}, drop, wrong));
  lines.push(line);
  body.append(line.row);
}

/** Rows of a field there, a field here, and the way between. */
function map(name, rule, value) {
  const there = (side, field) => form.choices[`${side}_fields`].some((one) => one.id === field)
    || (form.choices[`${side}_custom_fields`] && field.startsWith('custom.'));
  // What the default names and one of the two sides does not have carries nothing.
  const [shown, lacking] = [value.filter((one) => there('crm', one.crm) && there('remote', one.remote)), value.filter((one) => !there('crm', one.crm) || !there('remote', one.remote))];
  const lines = [];
  const body = el('tbody');
  const head = el('tr', {}, ...[form.sides.crm, 'Direction', form.sides.remote, ''].map((one) => el('th', { scope: 'col' }, one)));
  shown.forEach((given) => mapRow(rule, given, lines, body));
  const add = el('button', { type: 'button', click: () => mapRow(rule, {}, lines, body) }, 'Add a field');
  const left = lacking.length ? `Not on both sides, so left out: ${lacking.map((one) => one.crm).join(', ')}.` : '';
  const control = el('fieldset', { id: `set-${name}` }, el('legend', {}, labelled(name, rule)),
    el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, head), body)), add, left ? el('p', { class: 'hint' }, left) : null);
  const rows = () => lines.map(({ crm, remote, way }) => ({ crm: crm.read(), remote: remote.read(), direction: way.value }));
  const begun = JSON.stringify(rows());
  return {
    control,
    read: () => (JSON.stringify(rows()) === begun ? value : rows()),
    // `[3].remote`: the fourth row.
    at: (rest) => {
      const [, index, part] = rest.match(/^\[(\d+)\](?:\.(\w+))?/) ?? [];
      const line = lines[Number(index)];
      return line && { control: line[part]?.list ?? line.way, wrong: line.wrong };
    },
  };
}

/** The account's own calendar, which Google lists by the account's address. */
const asPrimary = (id) => (id && id === form.account ? 'primary' : id);
const named = (choices) => choices.map((one) => (asPrimary(one.id) === 'primary' ? ['primary', `${one.name} (the account's own)`] : [one.id, one.name]));

/** The control for one setting; null for one that this page cannot draw. */
function controlFor(name, rule, value) {
  const types = [rule.type].flat();
  const choices = form.choices?.[name];
  if (name === 'records') return records(value, choices);
  if (rule.enum) return choose(rule.enum.map((one) => [one, word(one)]), value);
  if (types.includes('integer') || types.includes('number')) return number(rule, value);
  if (types.includes('boolean')) {
    const control = el('input', { type: 'checkbox', checked: value === true });
    return { control, read: () => control.checked };
  }
  if (types.includes('array') && rule.items?.enum) {
    const allowed = Array.isArray(choices) ? choices.map((one) => one.id) : rule.items.enum;
    const first = (value ?? []).filter((one) => allowed.includes(one));
    const order = [...first, ...allowed.filter((one) => !first.includes(one))];
    return several(name, rule, value ?? [], order.map((one) => [one, word(one)]));
  }
  if (types.includes('array') && rule.items?.properties?.crm) return form.choices?.crm_fields ? map(name, rule, value ?? []) : null;
  if (types.includes('array') && rule.items?.type === 'string') {
    if (Array.isArray(choices)) return several(name, rule, (value ?? []).map(asPrimary), named(choices));
    return name.endsWith('_calendars') ? null : lines(value ?? []);
  }
  if (types.includes('object') && rule.properties) return texts(name, rule, value ?? {});
  if (types.includes('string')) {
    const calendars = () => named(choices).map(([id, text]) => ({ id, name: text }));
    return Array.isArray(choices) ? pick(name, rule, asPrimary(value), calendars()) : text(rule, value);
  }
  return null;
}

function settingsRows(schema, values) {
  form.controls = {};
  const rows = [];
  const inOrder = Object.entries(schema.properties).sort(([one], [other]) => orderOf(one) - orderOf(other));
  for (const [name, rule] of inOrder) {
    const made = controlFor(name, rule, values[name] === undefined ? rule.default : values[name]);
    if (!made) continue;
    form.controls[name] = made;
    const line = row(`settings.${name}`, labelled(name, rule), made.control, hinted(name, rule));
    if (made.beside) made.control.after(made.beside);
    // Long ones last, each over the whole width.
    if (made.at) line.classList.add('wide');
    rows.push(line);
  }
  return rows.sort((one, other) => one.classList.contains('wide') - other.classList.contains('wide'));
}

/** Only what a person has changed; back to the default is `null`. */
function changed(schema, values) {
  const given = {};
  for (const [name, { read }] of Object.entries(form.controls)) {
    const [now, rule] = [read(), schema.properties[name]];
    const before = values[name] === undefined ? rule.default : values[name];
    if (!same(now, before)) given[name] = same(now, rule.default) ? null : now;
  }
  return given;
}

// ---- errors

function clearErrors() {
  for (const wrong of $('editor-form').querySelectorAll('.wrong')) wrong.hidden = true;
  for (const control of $('editor-form').querySelectorAll('[aria-invalid]')) control.removeAttribute('aria-invalid');
}

/** Shows an error at the field that the API names; false where this form has no such field. */
function showError(error) {
  if (!error.field) return false;
  const [, setting, rest] = error.field.match(/^settings\.(\w+)(.*)$/) ?? [];
  let place = setting ? form.controls[setting]?.at?.(rest) : null;
  if (!place) {
    const field = setting ? `settings.${setting}` : error.field;
    const control = $('editor-form').querySelector(`[data-field="${CSS.escape(field)}"]`);
    place = control && { control, wrong: $(control.getAttribute('aria-describedby')) };
  }
  if (!place?.wrong) return false;
  place.wrong.textContent = error.message;
  place.wrong.hidden = false;
  place.control.setAttribute('aria-invalid', 'true');
  place.control.focus();
  return true;
}

const submit = (work) => act(async (event) => {
  clearErrors();
  say('');
  try {
    await work(event);
  } catch (error) {
    if (!showError(error)) throw error;
  }
});

function open(heading, lead, rows, press, work) {
  const draft = el('form', { id: 'editor-form', submit: submit(work) }, el('p', { class: 'hint' }, lead),
    el('div', { class: 'fields' }, ...rows),
    el('div', { class: 'row' }, el('button', { type: 'submit' }, press),
      el('button', { type: 'button', class: 'quiet', click: closeForm }, 'Cancel')));
  $('editor-title').textContent = heading;
  $('editor-form').replaceWith(draft);
  show('editor');
}

export function closeForm() {
  form = null;
  $('editor').hidden = true;
}

// ---- making one

const usable = (providers) => world.connections.filter((one) => one.state === 'connected' && providers.includes(one.provider));
const account = (one) => `${title(one.provider)} · ${one.account.email || one.account.name}`;

/** Connected accounts that this profile could keep in step and does not yet. */
export function freePair(profile) {
  for (const crm of usable(profile.crm)) {
    for (const remote of usable(profile.remote)) {
      const taken = world.syncs.some((sync) => sync.profile === profile.id && sync.crm === crm.id && sync.remote === remote.id);
      if (!taken) return { crm: crm.id, remote: remote.id };
    }
  }
  return null;
}

/** Profile and accounts. What can be chosen on either side is known as soon as the sync is there: then its settings. */
export function newSync(then) {
  const able = world.profiles.filter(freePair);
  form = { sides: { crm: 'the CRM', remote: 'the other side' }, controls: {} };
  const profile = el('select', { id: 'new-profile' }, ...options(able.map((one) => [one.id, one.name]), able[0].id));
  const [crm, remote] = [el('select', { id: 'new-crm' }), el('select', { id: 'new-remote' })];
  const chosen = () => world.profiles.find((one) => one.id === profile.value);
  const fill = () => {
    const pair = freePair(chosen());
    crm.replaceChildren(...options(usable(chosen().crm).map((one) => [one.id, account(one)]), pair.crm));
    remote.replaceChildren(...options(usable(chosen().remote).map((one) => [one.id, account(one)]), pair.remote));
  };
  profile.addEventListener('change', fill);
  fill();
  const rows = [row('profile', 'Keep in step', profile), row('crm', 'Between', crm), row('remote', 'and', remote)];
  open('A new sync', 'Nothing runs before you say so: you choose the settings, look at what would happen, and start it.', rows, 'Go on',
    async () => {
      const sync = await api('POST', '/v1/syncs', { profile: profile.value, crm: crm.value, remote: remote.value, enabled: false });
      await world.refresh();
      await then(sync);
    });
}

/** A sync's settings. Where a provider does not answer now, all but its lists can be changed. */
export async function changeSync(sync, then) {
  const profile = world.profiles.find((one) => one.id === sync.profile);
  form = { sides: sides(sync), account: connectionOf(sync.remote)?.account.email, choices: null, controls: {} };
  const reason = await api('GET', `/v1/syncs/${sync.id}/choices`)
    .then((choices) => { form.choices = choices; return ''; }, (error) => (error.status === 401 ? Promise.reject(error) : error.message));
  const rows = settingsRows(profile.settings, sync.settings);
  const lead = reason ? `${reason} So the lists and fields of both sides cannot be shown now; the rest can be changed.` : profile.name;
  open('Settings', lead, rows, 'Save', async () => {
    const settings = changed(profile.settings, sync.settings);
    if (Object.keys(settings).length) await api('PATCH', `/v1/syncs/${sync.id}`, { settings });
    closeForm();
    say('Saved.');
    await then?.();
  });
}
