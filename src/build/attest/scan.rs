//! The packages in an image, found through the indexes of its layers: nothing is unpacked or mounted, nothing of it runs.

use serde_json::Value;

use crate::build::{Error, Options};
use crate::oci::Digest;
use crate::packages::{self, Distribution, Document, Package, Source};
use crate::progress::{Event, Sink};
use crate::rootfs::{Node, Stack};
use crate::store::{Image, Store};

/// The longest file that is read, in bytes. Debian's own database has some megabytes, a large rpm's a hundred.
const LIMIT: u64 = 256 << 20;
/// More packages are not listed: the document would be longer than an attestation may be.
const PACKAGES: usize = 400_000;

/// The SPDX document of `image`. What cannot be read is told to `sink`, and in the document.
pub(super) fn document(
    store: &Store,
    image: &Image,
    options: &Options,
    sink: &dyn Sink,
) -> Result<Value, Error> {
    let stack = Stack::new(store.stack(&image.config)?);
    let mut scan = Scan { stack: &stack, packages: Vec::new(), unread: Vec::new() };
    scan.directory(&stack.root(), &mut Vec::new());
    let Scan { mut packages, unread, .. } = scan;
    packages.sort();
    packages.dedup_by(|one, other| one.0 == other.0);
    for (file, why) in &unread {
        sink.event(Event::Warning(format!("sbom: /{file} is left out: {why}")));
    }
    let name = options.tags.first().map_or_else(|| image.id().to_string(), |tag| tag.local().to_string());
    let epoch = options.finish.times.epoch().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
    let created = epoch.unwrap_or_else(jiff::Timestamp::now).as_second();
    let created =
        jiff::Timestamp::from_second(created).map_or_else(|_| String::new(), |time| time.to_string());
    let document = Document {
        subject: packages::Subject { name, digest: image.descriptor.digest.hex() },
        distribution: distribution(&stack),
        packages,
        unread,
        created,
        tool: format!("rbuild-{}", env!("CARGO_PKG_VERSION")),
    };
    // Of what is in it, so that no two documents share one.
    let content = Digest::of(document.to_json("").to_string().as_bytes()).hex();
    Ok(document.to_json(&format!("urn:sha256:{content}")))
}

/// Whose image it is. One without the file is nobody's.
fn distribution(stack: &Stack) -> Distribution {
    let read = |path: &str| stack.read(path.as_bytes(), 64 << 10).ok().flatten();
    let text = read("etc/os-release").or_else(|| read("usr/lib/os-release")).unwrap_or_default();
    Distribution::parse(&String::from_utf8_lossy(&text))
}

struct Scan<'a> {
    stack: &'a Stack,
    packages: Vec<(Package, String)>,
    unread: Vec<(String, String)>,
}

impl Scan<'_> {
    fn directory(&mut self, node: &Node, path: &mut Vec<u8>) {
        let entries = self.stack.read_dir(node);
        let has_go_mod = entries.iter().any(|(name, _)| name == b"go.mod");
        for (name, child) in entries {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            if name == b"rpmdb.sqlite-wal" && self.stack.inode(&child).size > 0 {
                let why = "what rpm has not yet moved from it into its database is not read".to_owned();
                self.unread.push((String::from_utf8_lossy(path).into_owned(), why));
            }
            if self.stack.is_dir(&child) {
                self.directory(&child, path);
            } else if let Some(source) = Source::of(path)
                && !(source == Source::GoSum && has_go_mod)
            {
                self.file(source, path);
            }
            path.truncate(length);
        }
    }

    fn file(&mut self, source: Source, path: &[u8]) {
        let name = String::from_utf8_lossy(path).into_owned();
        let bytes = match self.stack.read(path, LIMIT) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(error) => return self.unread.push((name, error.to_string())),
        };
        match source.read(&bytes) {
            Ok(found) if self.packages.len() + found.len() > PACKAGES => {
                self.unread.push((name, format!("more than {PACKAGES} packages in all")));
            }
            Ok(found) => self.packages.extend(found.into_iter().map(|package| (package, name.clone()))),
            Err(error) => self.unread.push((name, error.to_string())),
        }
    }
}
