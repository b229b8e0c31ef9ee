// The page in a real browser, against a world of its own: `node run.mjs READY_JSON CHROMIUM FOLDER`. A person signs in,
// connects two accounts, sets up a sync, looks at what would happen, runs it, sees why somebody was left out, and undoes
// the run. Pictures of each step are left in FOLDER. Ends with `N passed, 0 failed`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [readyFile, program, folder] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(readyFile, 'utf8'));
const token = ready.users[0].token;
/** A run begins when a worker has taken it up, which takes seconds on a busy machine. */
const LONG = 60_000;

async function api(method, path, body) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(ready.api_url + path, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? null : answer.json();
}

for (const contact of [
  { first_name: 'Jan', last_name: 'Peeters', emails: [{ type: 'work', value: 'jan@acme.test' }] },
  { first_name: 'Zoë', last_name: 'Größmann', phones: [{ type: 'mobile', value: '+32 470 12 34 56' }], emails: [{ type: 'work', value: 'zoe@acme.test' }] },
  { last_name: 'Nobody <b>at</b> home' },
]) await api('POST', '/crm/v1/contacts', contact);

const browser = await chromium.launch({
  executablePath: program,
  // A container has no sandbox of its own to give, and the page must need nothing from elsewhere.
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});
const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, locale: 'en-GB', timezoneId: 'UTC' });
const page = await context.newPage();
page.setDefaultTimeout(20_000);
const troubles = [];
page.on('pageerror', (error) => troubles.push(`script: ${error.message}`));
page.on('console', (line) => {
  // What the API refuses is part of the story; what the browser itself refuses is not.
  if (line.type() === 'error' && !/status of 4\d\d/.test(line.text())) troubles.push(`console: ${line.text()}`);
});
page.on('dialog', (dialog) => dialog.accept());
const hosts = new Set();
page.on('request', (request) => hosts.add(new URL(request.url()).origin));

const button = (name, within = page) => within.getByRole('button', { name, exact: true });
const sync = page.locator('#sync-list > li');
const rows = page.locator('#detail-rows > tr');
const sees = (locator, text) => locator.filter({ hasText: text }).first().waitFor();

const STORY = [
  ['a wrong token is refused in words, a right one signs in', async () => {
    await page.goto(ready.web_url);
    await page.getByLabel('Your access token', { exact: true }).fill('tnd_wrong');
    await button('Sign in').click();
    await sees(page.locator('#message'), 'unknown');
    await page.getByLabel('Your access token', { exact: true }).fill(token);
    await button('Sign in').click();
    await page.locator('#connections').waitFor();
  }],
  ['the built-in CRM and Google are connected', async () => {
    await button('Connect Built-in CRM').click();
    await sees(page.locator('#connection-list'), 'Built-in CRM');
    await button('Connect Google').click();
    await sees(page.locator('#message'), 'The account is connected.');
    await sees(page.locator('#connection-list'), 'Google');
    assert.equal(await page.locator('#connection-list .badge.good').count(), 2);
  }],
  ['a sync is set up and nothing runs yet', async () => {
    await button('Keep something in step').click();
    await page.getByLabel('Keep in step', { exact: true }).selectOption('zoho-google-contacts');
    await button('Go on').click();
    await page.locator('#editor').getByText('Fields').waitFor();
    await sees(sync, 'not started');
    assert.equal((await api('GET', '/v1/syncs')).items[0].enabled, false);
  }],
  ['its settings come from the profile, and what is wrong is said at its field', async () => {
    const editor = page.locator('#editor');
    assert.deepEqual(await editor.getByLabel('Direction', { exact: true }).locator('option').allTextContents(),
      ['Built-in CRM ↔ Google', 'Built-in CRM → Google', 'Google → Built-in CRM']);
    await editor.getByLabel('Which contacts are taken', { exact: true }).selectOption('strict');
    await editor.getByLabel('Country of phone numbers without one', { exact: true }).fill('XX');
    await button('Save', editor).click();
    const wrong = editor.locator('.field', { hasText: 'Country of phone numbers' }).locator('.wrong');
    await sees(wrong, 'An ISO country code');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-invalid')), 'true');
  }],
  ['a field of its own is mapped, one mapped twice is named by its row, and it is saved', async () => {
    const editor = page.locator('#editor');
    await editor.getByLabel('Country of phone numbers without one', { exact: true }).fill('BE');
    const lines = editor.locator('tbody tr');
    const before = await lines.count();
    await button('Add a field', editor).click();
    const last = lines.nth(before);
    await last.getByLabel('Field in Built-in CRM', { exact: true }).selectOption('last_name');
    await last.getByLabel('Field in Google', { exact: true }).selectOption('');
    await last.getByLabel('Name of your own field in Google', { exact: true }).fill('family');
    await button('Save', editor).click();
    await sees(last.locator('.wrong'), 'mapped once');
    await page.screenshot({ path: join(folder, 'settings.png'), fullPage: true });
    await last.getByLabel('Field in Built-in CRM', { exact: true }).selectOption('');
    await last.getByLabel('Name of your own field in Built-in CRM', { exact: true }).fill('family');
    await button('Save', editor).click();
    await sees(page.locator('#message'), 'Saved.');
    const { settings } = (await api('GET', '/v1/syncs')).items[0];
    assert.equal(settings.eligibility, 'strict');
    assert.equal(settings.phone_region, 'BE');
    assert.deepEqual(settings.field_map.at(-1), { crm: 'custom.family', remote: 'custom.family', direction: 'both' });
  }],
  ['a look says what would happen and writes nothing', async () => {
    await button('What would happen?', sync).click();
    await sees(rows, 'Google');
    const google = await rows.filter({ has: page.getByRole('rowheader', { name: 'Google' }) }).locator('td').allTextContents();
    assert.equal(google[0], '2', 'two would be created');
    await sees(page.locator('#preview-excluded'), '1 left out: Not exported: it lacks a first name and a phone number');
    assert.equal((await api('GET', '/v1/syncs')).items[0].last_run, null);
    await page.screenshot({ path: join(folder, 'preview.png'), fullPage: true });
  }],
  ['it is started, and its counts are shown', async () => {
    await button('Start', page.locator('#detail')).click();
    await sync.filter({ hasText: 'Google: 2 created' }).waitFor({ timeout: LONG });
    await sees(sync, '1 left out');
    await page.screenshot({ path: join(folder, 'done.png'), fullPage: true });
  }],
  ['why somebody was left out is said, and a search finds one', async () => {
    await button('Why left out?', sync).click();
    await sees(rows, 'Nobody <b>at</b> home');
    await sees(rows, 'it lacks a first name');
    assert.equal(await rows.count(), 1);
    await page.screenshot({ path: join(folder, 'records.png'), fullPage: true });
    await page.getByLabel('Show', { exact: true }).selectOption('');
    await page.getByLabel('Name', { exact: true }).fill('größ');
    await button('Search').click();
    await rows.filter({ hasText: 'Nobody' }).waitFor({ state: 'detached' });
    await sees(rows, 'Zoë Größmann');
    assert.equal(await rows.count(), 1);
  }],
  ['a run tells what it changed, and is undone', async () => {
    await button('Runs', sync).click();
    const run = rows.filter({ hasText: '2 created' });
    await button('Changes', run).click();
    const mail = rows.filter({ hasText: 'Zoë Größmann' }).filter({ hasText: 'zoe@acme.test' });
    await sees(mail, 'new on the other side');
    await page.screenshot({ path: join(folder, 'changes.png'), fullPage: true });
    await button('Undo this run').click();
    await sees(page.locator('#message'), 'Put back: 2. Left as they are: 0.');
    await sees(rows, '2 deleted');
    await page.screenshot({ path: join(folder, 'undone.png'), fullPage: true });
  }],
  ['calendars are chosen, changes come at once, and a grey block becomes a meeting', async () => {
    const start = new Date(Date.now() + 86_400_000).toISOString();
    const event = { summary: 'Dentist <i>', start: { dateTime: start }, end: { dateTime: start } };
    await fetch(`${ready.simulators.google}/_sim/google/calendar/insert`, { method: 'POST',
      headers: { 'content-type': 'application/json' }, body: JSON.stringify({ account: 'demo@example.com', body: { event } }) });
    await button('Keep something in step').click();
    await page.getByLabel('Keep in step', { exact: true }).selectOption('teamleader-google-calendar');
    await button('Go on').click();
    const editor = page.locator('#editor');
    await editor.getByLabel('Default calendar', { exact: true }).selectOption('primary');
    assert.equal(await editor.getByRole('checkbox', { name: "demo@example.com (the account's own)" }).first().isChecked(), true);
    await button('Save', editor).click();
    await sees(page.locator('#message'), 'Saved.');
    const calendar = sync.filter({ hasText: 'Google Calendar' });
    await button('Start', calendar).click();
    await calendar.filter({ hasText: 'Built-in CRM: 1 created' }).waitFor({ timeout: LONG });
    await sees(calendar, 'Changes in Google come at once');
    await button('Grey blocks', calendar).click();
    await sees(rows, 'Dentist <i>');
    await button('Make it a meeting', rows).click();
    await sees(page.locator('#message'), 'It is a meeting now');
    assert.equal((await api('GET', '/crm/v1/meetings')).items[0].title, 'Dentist <i>');
    await page.screenshot({ path: join(folder, 'calendar.png'), fullPage: true });
  }],
  ['signing out leaves nothing on the page', async () => {
    await button('Sign out').click();
    await page.locator('#sign-in').waitFor();
    assert.equal(await page.locator('#syncs').isVisible(), false);
    assert.equal(await page.locator('#detail').isVisible(), false);
  }],
  ['nothing came from elsewhere, and no script failed', async () => {
    const known = [ready.web_url, ...Object.values(ready.simulators).flatMap((one) => (typeof one === 'string' ? [one] : Object.values(one)))];
    const origins = known.map((one) => new URL(one).origin);
    assert.deepEqual([...hosts].filter((one) => !origins.includes(one)), []);
    assert.deepEqual(troubles, []);
  }],
];

let [passed, failed] = [0, 0];
for (const [name, step] of STORY) {
  try {
    await step();
    passed += 1;
    console.log(`ok     ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}\n${error.stack}\n${troubles.join('\n')}`);
    await page.screenshot({ path: join(folder, 'failed.png'), fullPage: true }).catch(() => null);
    // Each step stands on the one before.
    break;
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
