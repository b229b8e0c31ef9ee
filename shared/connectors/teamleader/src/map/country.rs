//! Countries as people write them → ISO 3166, for those that Teamleader's customers have addresses in.

/// English name, the name there (each spelling apart), and the code.
const NAMES: &[(&str, &[&str])] = &[
    ("AT", &["austria", "österreich", "oostenrijk", "autriche"]),
    ("BE", &["belgium", "belgië", "belgie", "belgique", "belgien"]),
    ("BG", &["bulgaria"]),
    ("CA", &["canada"]),
    ("CH", &["switzerland", "schweiz", "suisse", "svizzera", "zwitserland"]),
    ("CY", &["cyprus"]),
    ("CZ", &["czechia", "czech republic", "česko"]),
    ("DE", &["germany", "deutschland", "duitsland", "allemagne"]),
    ("DK", &["denmark", "danmark", "denemarken", "danemark"]),
    ("EE", &["estonia", "eesti"]),
    ("ES", &["spain", "españa", "spanje", "espagne", "spanien"]),
    ("FI", &["finland", "suomi"]),
    ("FR", &["france", "frankrijk", "frankreich"]),
    ("GB", &["united kingdom", "great britain", "england", "verenigd koninkrijk", "royaume-uni", "uk"]),
    ("GR", &["greece", "griekenland", "ελλάδα"]),
    ("HR", &["croatia", "hrvatska"]),
    ("HU", &["hungary", "magyarország"]),
    ("IE", &["ireland", "ierland", "irlande"]),
    ("IS", &["iceland"]),
    ("IT", &["italy", "italia", "italië", "italie", "italien"]),
    ("LT", &["lithuania", "lietuva"]),
    ("LU", &["luxembourg", "luxemburg"]),
    ("LV", &["latvia", "latvija"]),
    ("MT", &["malta"]),
    ("NL", &["netherlands", "the netherlands", "nederland", "holland", "pays-bas", "niederlande"]),
    ("NO", &["norway", "norge", "noorwegen"]),
    ("PL", &["poland", "polska", "polen", "pologne"]),
    ("PT", &["portugal"]),
    ("RO", &["romania", "românia", "roemenië"]),
    ("SE", &["sweden", "sverige", "zweden", "suède"]),
    ("SI", &["slovenia", "slovenija"]),
    ("SK", &["slovakia", "slovensko"]),
    ("TR", &["turkey", "türkiye", "turkije"]),
    ("US", &["united states", "united states of america", "usa", "verenigde staten"]),
];

/// The code of a country given by code or name; `None` where it is unknown or empty.
pub(super) fn code(said: &str) -> Option<&str> {
    if said.len() == 2 && said.bytes().all(|b| b.is_ascii_uppercase()) {
        return Some(said);
    }
    let lower = said.to_lowercase();
    let named = |(code, names): &&(&str, &[&str])| *code == said.to_uppercase() || names.contains(&lower.as_str());
    NAMES.iter().find(named).map(|(code, _)| *code)
}
