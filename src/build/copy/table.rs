//! What a COPY or ADD reads, path by path, so that people can be told which of it is another than before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digests;
use super::landing::What;
use super::work::Work;
use crate::layer::EntryKind;

/// How many paths a table has at most: of more files, it tells directories.
const LONGEST: usize = 2000;
/// What [`Digests`] promises.
const EACH: &str = "there is a digest for each file";
/// Digits of a digest.
const DIGITS: usize = 16;

/// What there is at each path: its kind, mode and owner, and a digest of its bytes or where it points to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Table(pub BTreeMap<String, String>);

/// The table of `work`. A file of the context goes by its path there, all else by where it lands.
pub(super) fn of(work: &Work, digests: &Digests) -> Table {
    let mut files = digests.files.iter().map(|digest| short(&blake3::Hash::from(*digest)));
    let mut rows = BTreeMap::new();
    for (path, placed) in &work.placed {
        let (meta, lands) = (&placed.meta, format!("/{}", String::from_utf8_lossy(path)));
        let (path, kind) = match &placed.what {
            What::Directory => (lands, "directory".to_owned()),
            What::Text(body) => (lands, format!("file {}", short(&blake3::hash(body)))),
            What::Item(source, item) => {
                let path =
                    if source.tree == 0 { String::from_utf8_lossy(&item.path).into_owned() } else { lands };
                (path, kind(&item.kind, &mut files))
            }
        };
        let xattrs = match &meta.xattrs {
            xattrs if xattrs.is_empty() => String::new(),
            xattrs => format!(" xattrs {}", short(&blake3::hash(format!("{xattrs:?}").as_bytes()))),
        };
        let row = format!("{kind} {:04o} {}:{}{xattrs}", meta.mode, meta.uid, meta.gid);
        rows.insert(path, row);
    }
    for archive in &work.archives {
        let digest = files.next().expect(EACH);
        rows.insert(String::from_utf8_lossy(&archive.item.path).into_owned(), format!("archive {digest}"));
    }
    bounded(rows)
}

fn kind(kind: &EntryKind, files: &mut impl Iterator<Item = String>) -> String {
    match kind {
        EntryKind::File { .. } => format!("file {}", files.next().expect(EACH)),
        EntryKind::Symlink(target) => format!("symlink to {}", String::from_utf8_lossy(target)),
        other => format!("{other:?}"),
    }
}

/// The rows, or where they are too many those of directories, as deep ones as their number allows.
fn bounded(rows: BTreeMap<String, String>) -> Table {
    if rows.len() <= LONGEST {
        return Table(rows);
    }
    let deepest = rows.keys().map(|path| path.matches('/').count()).max().unwrap_or(0);
    let above = |path: &str, depth: usize| {
        let end = path.match_indices('/').nth(depth).map_or(path.len(), |(at, _)| at);
        path[..end].to_owned()
    };
    let grouped = |depth: usize| {
        let mut groups: BTreeMap<String, (usize, blake3::Hasher)> = BTreeMap::new();
        for (path, row) in &rows {
            let (count, hasher) = groups.entry(above(path, depth)).or_default();
            *count += 1;
            hasher.update(format!("{path}\0{row}\0").as_bytes());
        }
        groups
    };
    let groups = (0..=deepest).rev().map(grouped).find(|groups| groups.len() <= LONGEST).unwrap_or_default();
    let told = groups
        .into_iter()
        .map(|(path, (count, hasher))| (path, format!("{count} entries {}", short(&hasher.finalize()))));
    Table(told.collect())
}

fn short(hash: &blake3::Hash) -> String {
    hash.to_hex()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_are_told_by_their_directories() {
        let rows = |count: usize, odd: &str| -> BTreeMap<_, _> {
            (0..count)
                .map(|number| {
                    let path = format!("d{}/e{}/f{number}", number % 10, number % 1000);
                    (path, if number == 7 { odd.to_owned() } else { "file".to_owned() })
                })
                .collect()
        };
        assert_eq!(bounded(rows(LONGEST, "x")).0.len(), LONGEST);
        let (one, other) = (bounded(rows(9000, "x")).0, bounded(rows(9000, "y")).0);
        assert_eq!(one.len(), 1000);
        let changed: Vec<_> = one.keys().filter(|path| one[*path] != other[*path]).collect();
        assert_eq!(changed, ["d7/e7"]);
        let flat = (0..9000).map(|number| (format!("f{number}"), String::new())).collect();
        assert_eq!(bounded(flat).0.len(), 0, "nothing to tell them by");
    }
}
