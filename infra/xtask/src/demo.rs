//! The people of the demo world: 1,200 contacts as a CSV file with the headers of a Google export.
//!
//! Always the same bytes. Real-shaped: umlauts, missing fields, one address shared by two people, several companies.

/// How many.
pub(crate) const CONTACTS: usize = 1_200;

const HEADER: &str = "First Name,Last Name,Organization Name,Organization Title,Birthday,Notes,\
E-mail 1 - Label,E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value,\
Phone 2 - Label,Phone 2 - Value,Address 1 - Label,Address 1 - Street,Address 1 - City,Address 1 - Postal Code,\
Address 1 - Country,Website 1 - Label,Website 1 - Value";

pub(crate) const FIRST: [&str; 24] = [
    "Jürgen",
    "Zoë",
    "Søren",
    "Anaïs",
    "Łukasz",
    "Noémie",
    "Björn",
    "Chloé",
    "Müge",
    "François",
    "Žofie",
    "Ana",
    "Peter",
    "Marie",
    "Jan",
    "Eva",
    "Thomas",
    "Lena",
    "Pieter",
    "Saskia",
    "Daan",
    "Ömer",
    "Inês",
    "Šárka",
];
pub(crate) const LAST: [&str; 26] = [
    "Müller",
    "Größmann",
    "Van den Berg",
    "Çelik",
    "Nowak",
    "Dubois",
    "O'Brien",
    "Novák",
    "Sørensen",
    "García",
    "Peeters",
    "Janssens",
    "Köhler",
    "Weiß",
    "Le Gall",
    "D'Hondt",
    "Fernández-Ruiz",
    "Ångström",
    "Maes",
    "Schäfer",
    "Öztürk",
    "Claes",
    "Willems",
    "Łuczak",
    "Bauer",
    "Lefèvre",
];
pub(crate) const COMPANY: [&str; 14] = [
    "Bäckerei Sonntag",
    "Van Damme & Zonen",
    "Café Zürich",
    "Nordlicht GmbH",
    "Atelier Lumière",
    "De Groene Fiets",
    "Kovář s.r.o.",
    "Papier, Stift & Co.",
    "Studio Ørsted",
    "Houthandel Claes",
    "Optik Weiß",
    "Librairie du Marché",
    "Fahrrad \"Blitz\"",
    "Garten Köhler",
];
const CITY: [(&str, &str, &str); 8] = [
    ("Gent", "9000", "Belgium"),
    ("Köln", "50667", "Germany"),
    ("Zürich", "8001", "Switzerland"),
    ("Liège", "4000", "Belgium"),
    ("Malmö", "211 19", "Sweden"),
    ("Łódź", "90-001", "Poland"),
    ("Besançon", "25000", "France"),
    ("Utrecht", "3511 AA", "Netherlands"),
];
pub(crate) const TITLE: [&str; 6] =
    ["Geschäftsführerin", "Zaakvoerder", "Chargée de clientèle", "Inkoop", "CEO", "Buchhaltung"];

/// The same sequence everywhere and for ever (SplitMix64, Steele et al. 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound as u64).expect("less than a usize")
    }
    fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }
    /// True in so many of a hundred cases.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The whole file in parts of so many contacts, each with the header.
pub(crate) fn parts(size: usize) -> Vec<String> {
    let mut dice = Dice(1_200);
    let rows: Vec<String> = (0..CONTACTS).map(|number| row(number, &mut dice)).collect();
    rows.chunks(size).map(|rows| format!("{HEADER}\r\n{}", rows.concat())).collect()
}

fn row(number: usize, dice: &mut Dice) -> String {
    let (first, last) = (*dice.pick(&FIRST), *dice.pick(&LAST));
    // Only the last name is mandatory in the CRM; some have nothing else worth calling.
    let first = if dice.percent(4) { "" } else { first };
    let company = if dice.percent(70) { *dice.pick(&COMPANY) } else { "" };
    let title = if company.is_empty() || dice.percent(40) { "" } else { *dice.pick(&TITLE) };
    let birthday = if dice.percent(25) {
        format!("{}-{:02}-{:02}", 1950 + dice.below(50), 1 + dice.below(12), 1 + dice.below(28))
    } else {
        String::new()
    };
    // Every hundredth shares the address of the one before: a couple, or an office.
    let owner = if number % 100 == 99 { number - 1 } else { number };
    let email = if dice.percent(92) { format!("kontakt{owner:04}@example.com") } else { String::new() };
    let second = if dice.percent(15) { format!("privat{number:04}@example.org") } else { String::new() };
    let mobile = if dice.percent(80) {
        format!("+32 470 {:02} {:02} {:02}", number / 100, number % 100, dice.below(100))
    } else {
        String::new()
    };
    let work = if dice.percent(40) { format!("+49 221 {:06}", 100_000 + number) } else { String::new() };
    let (city, code, country) = if dice.percent(60) { *dice.pick(&CITY) } else { ("", "", "") };
    let street = if city.is_empty() { String::new() } else { format!("Straße {}", 1 + dice.below(200)) };
    let website = if company.is_empty() || dice.percent(70) {
        String::new()
    } else {
        format!("https://www.example.com/{number}")
    };
    let notes = if dice.percent(10) {
        "Trifft man am besten \"nach 14 Uhr\",\naußer freitags.".to_owned()
    } else {
        String::new()
    };
    let label = |value: &str, label: &str| if value.is_empty() { String::new() } else { label.to_owned() };
    let cells = [
        first.to_owned(),
        last.to_owned(),
        company.to_owned(),
        title.to_owned(),
        birthday,
        notes,
        label(&email, "Work"),
        email,
        label(&second, "Home"),
        second,
        label(&mobile, "Mobile"),
        mobile,
        label(&work, "Work"),
        work,
        label(city, "Work"),
        street,
        city.to_owned(),
        code.to_owned(),
        country.to_owned(),
        label(&website, "Work"),
        website,
    ];
    format!("{}\r\n", cells.map(|cell| quoted(&cell)).join(","))
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_people_are_always_the_same() {
        assert_eq!(parts(100), parts(100));
        assert_eq!(parts(300).len(), 4);
    }

    #[test]
    fn every_row_has_as_many_cells_as_the_header() {
        let columns = HEADER.split(',').count();
        let mut dice = Dice(1_200);
        for number in 0..CONTACTS {
            let row = row(number, &mut dice);
            let outside = row.split('"').step_by(2).map(|text| text.matches(',').count()).sum::<usize>();
            assert_eq!(outside + 1, columns, "{row}");
        }
    }

    #[test]
    fn they_have_the_shapes_that_make_trouble() {
        let all = parts(CONTACTS).remove(0);
        let mut addresses = BTreeMap::new();
        for address in all.split(',').filter(|cell| cell.starts_with("kontakt")) {
            *addresses.entry(address).or_insert(0) += 1;
        }
        assert!(addresses.values().any(|count| *count > 1), "an address that two people share");
        assert!(all.contains("\r\n,"), "somebody without a first name");
        assert!(all.contains("ß") && all.contains("Ł") && all.contains("\"\"Blitz\"\""));
    }
}
