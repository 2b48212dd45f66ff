//! "did you mean": the known name that is closest to a mistyped one.

/// The most edits at which a name still counts as mistyped; a name of three letters allows only one.
const MAX_EDITS: usize = 2;

/// ` (did you mean NAME?)` for the name closest to `word`, or nothing if none is close. Ignores case.
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    closest(word, known).map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let allowed = match word.len() {
        0 | 1 | 33.. => return None, // too short or too long to be a mistyped keyword
        2 | 3 => 1,
        _ => MAX_EDITS,
    };
    known
        .iter()
        .map(|name| (edits(&word, &name.to_lowercase().chars().collect::<Vec<_>>()), *name))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Edits between two words: characters inserted, removed, replaced, or swapped with their neighbour.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(from != to);
            let mut fewest = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                fewest = fewest.min(before[j - 1] + 1);
            }
            row.push(fewest);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn the_closest_name_is_proposed() {
        for (word, expected) in [
            ("FORM", " (did you mean FROM?)"),
            ("form", " (did you mean FROM?)"),
            ("COPPY", " (did you mean COPY?)"),
            ("ENTRYPONIT", " (did you mean ENTRYPOINT?)"),
            ("RNU", " (did you mean RUN?)"),
            ("CPOY", " (did you mean COPY?)"),
            ("FROMM", " (did you mean FROM?)"),
            ("RUB", " (did you mean RUN?)"),
            ("SET", ""),
            ("X", ""),
            ("APT-GET", ""),
        ] {
            assert_eq!(did_you_mean(word, &["ENV", "FROM", "COPY", "ENTRYPOINT", "RUN"]), expected, "{word}");
        }
    }
}
