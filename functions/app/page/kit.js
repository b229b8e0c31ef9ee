// What every part of the page uses: elements, the API, buttons, messages. Texts from the API reach the page as text nodes
// only, so nothing in a contact's name can become markup.

export const $ = (id) => document.getElementById(id);
export const world = {
  profiles: [], providers: [], connections: [], syncs: [], drawn: null, timer: null,
  refresh: async () => {}, signedOut: () => {},
};

/** Makes an element: `el('p', { class: 'soft' }, 'text', child)`. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return node;
}

export function say(text, kind = 'good') {
  const box = $('message');
  box.textContent = text;
  box.className = kind;
  box.hidden = !text;
}

export async function api(method, path, body) {
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
  return Promise.reject(Object.assign(error, { status: answer.status, code: json?.error?.code, field: json?.error?.field }));
}

export async function all(path) {
  const items = [];
  let next = null;
  do {
    const page = await api('GET', path + (next ? `?next=${encodeURIComponent(next)}` : ''));
    items.push(...page.items);
    next = page.next;
  } while (next);
  return items;
}

export function failed(error) {
  if (error.status === 401) return world.signedOut();
  say(error.message, 'bad');
  clearTimeout(world.timer);
  world.timer = setTimeout(() => world.refresh().catch(failed), 15000);
}

/** Runs what a button does: once at a time, with its failure shown. */
export function act(work, done) {
  return async (event) => {
    event.preventDefault();
    const pressed = event.submitter ?? event.currentTarget;
    pressed.disabled = true;
    try {
      await work(event);
      if (done) say(done);
      await world.refresh();
    } catch (error) {
      failed(error);
    } finally {
      pressed.disabled = false;
    }
  };
}

export const button = (text, work, kind = '', done = '') =>
  el('button', { type: 'button', class: kind, click: act(work, done) }, text);
export const when = (time) => (time ? new Date(time).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' }) : 'never');
export const badge = (text, kind) => el('span', { class: `badge ${kind}` }, text);
export const title = (provider) => world.providers.find((one) => one.id === provider)?.name ?? provider;
/** `mass_delete` → `Mass delete`. */
export const humanise = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll('_', ' ');

export const connectionOf = (id) => world.connections.find((one) => one.id === id);
export const profileOf = (sync) => world.profiles.find((one) => one.id === sync.profile);
/** What people call the two sides of a sync. */
export function sides(sync) {
  const name = (id, fallback) => {
    const connection = connectionOf(id);
    return connection ? title(connection.provider) : fallback;
  };
  return { crm: name(sync.crm, 'CRM'), remote: name(sync.remote, 'The other side') };
}
/** Brings a section into view, with the keyboard in it. */
export function show(id) {
  $(id).hidden = false;
  $(id).scrollIntoView({ block: 'start' });
  $(`${id}-title`).focus({ preventScroll: true });
}
