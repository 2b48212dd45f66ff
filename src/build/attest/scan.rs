//! The packages in an image, found through the indexes of its layers: nothing is unpacked or mounted, nothing of it runs.

use serde_json::Value;

use crate::build::{Error, Options};
use crate::oci::Digest;
use crate::packages::{self, Distribution, Document, Source};
use crate::progress::{Event, Sink};
use crate::rootfs::{Node, Stack};
use crate::store::{Image, Store};

/// The longest file that is read, in bytes. Debian's own database has some megabytes, a large rpm's a hundred.
const LIMIT: u64 = 256 << 20;
/// How much of an attestation, which may have 40 MiB, packages take, in bytes, and how much the names of unread files: the
/// rest is for the subjects, of which each tag is one.
const PACKAGES: usize = 36 << 20;
const UNREAD: usize = 1 << 20;

/// The SPDX document of `image`. What cannot be read is told to `sink`, and in the document.
pub(super) fn document(
    store: &Store,
    image: &Image,
    options: &Options,
    sink: &dyn Sink,
) -> Result<Value, Error> {
    let stack = Stack::new(store.stack(&image.config)?);
    let name = options.tags.first().map_or_else(|| image.id().to_string(), |tag| tag.local().to_string());
    let epoch = options.finish.times.epoch().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
    let created = epoch.unwrap_or_else(jiff::Timestamp::now).as_second();
    let created =
        jiff::Timestamp::from_second(created).map_or_else(|_| String::new(), |time| time.to_string());
    let document = Document {
        subject: packages::Subject { name, digest: image.descriptor.digest.hex() },
        distribution: distribution(&stack),
        packages: Vec::new(),
        unread: Vec::new(),
        created,
        tool: format!("rbuild-{}", env!("CARGO_PKG_VERSION")),
    };
    let mut scan = Scan { stack: &stack, document, packages: PACKAGES, unread: UNREAD, unnamed: 0 };
    scan.directory(&stack.root(), &mut Vec::new());
    let document = scan.end();
    for (file, why) in &document.unread {
        sink.event(Event::Warning(format!("sbom: /{file} is left out: {why}")));
    }
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
    document: Document,
    /// Bytes of the document that packages may still take, and the names of unread files.
    packages: usize,
    unread: usize,
    /// Unread files whose names it has no room for.
    unnamed: usize,
}

impl Scan<'_> {
    /// What was found, in order, each package once.
    fn end(self) -> Document {
        let Self { mut document, unnamed, .. } = self;
        document.packages.sort();
        document.packages.dedup_by(|one, other| one.0 == other.0);
        if unnamed > 0 {
            let why = format!("and {unnamed} more files, for whose names the document has no room");
            document.unread.push(("…".to_owned(), why));
        }
        document
    }

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
                self.leave_out(String::from_utf8_lossy(path).into_owned(), why);
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
            Err(error) => return self.leave_out(name, error.to_string()),
        };
        let found = match source.read(&bytes) {
            Ok(found) => found,
            Err(error) => return self.leave_out(name, error.to_string()),
        };
        let mut rooms = found.iter().map(|package| self.document.room(package, &name));
        let left = rooms.try_fold(self.packages, usize::checked_sub);
        let Some(left) = left else {
            let why = format!("the document has no room for its {} packages", found.len());
            return self.leave_out(name, why);
        };
        self.packages = left;
        self.document.packages.extend(found.into_iter().map(|package| (package, name.clone())));
    }

    fn leave_out(&mut self, file: String, why: String) {
        // as JSON writes them
        let room = serde_json::json!([file, why]).to_string().len();
        match self.unread.checked_sub(room) {
            Some(left) => {
                self.unread = left;
                self.document.unread.push((file, why));
            }
            None => self.unnamed += 1,
        }
    }
}
