// How settings are called on the page, and in which order they come. A setting that is not here shows its own name, last.

export const LABELS = {
  direction: 'Direction',
  source_calendars: 'Calendars that come into {crm}', target_calendar: 'Calendar for what {crm} has',
  default_calendar: 'Default calendar', read_only_calendars: 'Calendars that are only read',
  imported_as: 'What is made in {remote} becomes', activities: 'What of {crm} is carried',
  track: 'Which mail is tracked', unknown_sender: 'Mail of somebody unknown', labels: 'Labels in Gmail', attachments: 'Attachments',
  modules: 'Files of', records: 'Of which records', remote_group: 'Group in {remote}', remote_list: 'Task list in {remote}',
  crm_list: 'List in {crm}', eligibility: 'Which contacts are taken', match_on: 'Recognise the same contact by',
  conflict: 'When both sides changed the same', on_crm_delete: 'When deleted in {crm}', on_remote_delete: 'When deleted in {remote}',
  on_remote_rename: 'When renamed in {remote}', google_native: 'Google documents', max_file_bytes: 'Largest file, in bytes',
  language: 'Language of the folders', window_past_days: 'Days back', window_future_days: 'Days ahead',
  task_due_days: 'A task is due in … days', block_list: 'Never from these addresses or domains', own_addresses: 'Further addresses of yours',
  plus_tags: 'What follows a + in an address', phone_region: 'Country of phone numbers without one',
  frequency_minutes: 'Every … minutes', max_delete_percent: 'Ask before deleting more than … percent', limits: 'Limits',
  field_map: 'Fields',
};

export const HINTS = {
  target_calendar: 'Without one, the account\'s own.', max_file_bytes: 'Empty: any size.', phone_region: 'Such as BE.',
  records: 'All, or those of a segment of {crm}.', window_past_days: 'How far back appointments or mail are taken.', window_future_days: 'How far ahead a series is taken.',
  imported_as: 'A grey block is shown here, under Records, and a click makes a meeting of it. The built-in CRM keeps blocks itself.',
  activities: 'Meetings always are (events, in Zoho); tasks are on the day they are due. The built-in CRM has meetings alone here.',
  default_calendar: 'With the CRM\'s own, nothing is written in {remote}.', max_delete_percent: 'Nothing of such a run is deleted before you say so.',
};

export const WORDS = {
  both: '{crm} ↔ {remote}', crm_to_remote: '{crm} → {remote}', remote_to_crm: '{remote} → {crm}',
  crm_wins: '{crm} wins', remote_wins: '{remote} wins', newest_wins: 'the newest wins',
  propagate: 'delete it on the other side too', unlink: 'leave the other copy alone', restore: 'put it back',
  none: 'none', vendor: 'as in the product the profile is named after', strict: 'only complete ones', relaxed: 'all that have a name or an address',
  email: 'e-mail address', work_email: 'e-mail address at work', phone: 'phone number', name: 'name',
  contacts: 'contacts', companies: 'companies', projects: 'projects', meetings: 'meetings', products: 'products',
  primary: 'the account\'s own', rename: 'rename it in the CRM too', copy: 'make a copy in the CRM', skip: 'leave them out', pdf: 'as PDF',
  labelled: 'what I label', all_known: 'all mail of people in the CRM', ask: 'ask me', create: 'add them', ignore: 'leave it out',
  calls: 'calls', tasks: 'tasks', events: 'entries of the older calendar',
  block: 'a grey block', meeting: 'a meeting in {crm}',
  left_out: 'only named', filed: 'filed with the contact', kept: 'is part of it', ignored: 'is ignored',
  en: 'English', de: 'Deutsch', nl: 'Nederlands', fr: 'Français',
};

export const NOTHING = {
  remote_group: 'one of its own', crm_list: 'all contacts', target_calendar: 'the account\'s own', remote_list: 'the account\'s own',
  default_calendar: 'the one for what the CRM has',
};

const ORDER = Object.keys(LABELS);
export const orderOf = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
