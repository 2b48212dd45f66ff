//! Headers on their way out: ustar (POSIX.1-2017, pax, "ustar Interchange Format"), and a PAX header in front of it
//! where ustar cannot say something. The same entry always gives the same bytes.

use super::members::BLOCK;
use super::{Fault, Metadata, Name, path, pax};

/// An entry as its header states it.
pub(super) struct Fields<'a> {
    /// Directories end in a slash.
    pub(super) path: &'a [u8],
    pub(super) meta: &'a Metadata,
    pub(super) kind: u8,
    pub(super) size: u64,
    pub(super) link: &'a [u8],
    pub(super) device: [u32; 2],
}

/// Places and lengths of ustar's fields.
const NAME: usize = 100;
const PREFIX: usize = 155;
const PREFIX_AT: usize = 345;
const LINK_AT: usize = 157;

/// Appends all headers of one entry to `out`.
pub(super) fn write(fields: &Fields<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut records = Vec::new();
    let header = ustar(fields, &mut records)?;
    if !records.is_empty() {
        let size = records.len() as u64;
        let meta = Metadata { mode: 0o644, ..Metadata::default() };
        let name = extension_name(fields.path);
        let extension = Fields { path: &name, meta: &meta, kind: b'x', size, link: b"", device: [0, 0] };
        // Its name is short and its numbers are small.
        out.extend_from_slice(&ustar(&extension, &mut Vec::new())?);
        out.extend_from_slice(&records);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.extend_from_slice(&header);
    Ok(())
}

/// The ustar header; what does not fit goes into `records`, in this fixed order.
fn ustar(fields: &Fields<'_>, records: &mut Vec<u8>) -> Result<[u8; BLOCK], Fault> {
    let mut block = [0; BLOCK];
    let (name, prefix) = split_name(fields.path).unwrap_or_else(|| {
        declare_charset(fields.path, records);
        pax::push_record(records, b"path", fields.path);
        (&fields.path[..NAME], b"")
    });
    block[..name.len()].copy_from_slice(name);
    block[PREFIX_AT..PREFIX_AT + prefix.len()].copy_from_slice(prefix);
    if fields.link.len() > NAME {
        declare_charset(fields.link, records);
        pax::push_record(records, b"linkpath", fields.link);
    }
    let link = &fields.link[..fields.link.len().min(NAME)];
    block[LINK_AT..LINK_AT + link.len()].copy_from_slice(link);
    let meta = fields.meta;
    octal(&mut block[100..108], u64::from(meta.mode & 0o7777));
    number(&mut block[124..136], b"size", fields.size, records);
    number(&mut block[108..116], b"uid", u64::from(meta.uid), records);
    number(&mut block[116..124], b"gid", u64::from(meta.gid), records);
    let secs = u64::try_from(meta.mtime.secs).ok();
    if !secs.is_some_and(|secs| octal(&mut block[136..148], secs)) || meta.mtime.nanos != 0 {
        pax::push_record(records, b"mtime", &pax::format_time(meta.mtime));
        if secs.is_none() {
            octal(&mut block[136..148], 0);
        }
    }
    xattrs(meta, records)?;
    block[156] = fields.kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    let [major, minor] = fields.device;
    if !octal(&mut block[329..337], u64::from(major)) || !octal(&mut block[337..345], u64::from(minor)) {
        return Err(Fault::Device { major, minor });
    }
    // The checksum counts itself as spaces; it ends in NUL, space.
    block[148..156].fill(b' ');
    let sum = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
    Ok(block)
}

fn xattrs(meta: &Metadata, records: &mut Vec<u8>) -> Result<(), Fault> {
    for (name, value) in &meta.xattrs {
        // The first equals sign ends the key.
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            return Err(Fault::XattrName(Name(name.clone())));
        }
        pax::push_record(records, &[pax::XATTR, name].concat(), value);
    }
    Ok(())
}

/// POSIX wants this in front of names that are not UTF-8; readers that do not know it take the bytes all the same.
fn declare_charset(name: &[u8], records: &mut Vec<u8>) {
    if records.is_empty() && std::str::from_utf8(name).is_err() {
        pax::push_record(records, b"hdrcharset", b"BINARY");
    }
}

/// `prefix/name`, split at a slash so that both fit.
fn split_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME {
        return Some((path, b""));
    }
    // The leftmost slash that leaves a short enough name; not the one at the end of a directory.
    let from = path.len() - NAME - 1;
    let slash = from + path[from..path.len() - 1].iter().position(|&b| b == b'/')?;
    (1..=PREFIX).contains(&slash).then_some((&path[slash + 1..], &path[..slash]))
}

/// What a reader that knows no PAX makes a file of.
fn extension_name(path: &[u8]) -> Vec<u8> {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let base = path::split(trimmed).map_or(trimmed, |(_, name)| name);
    let shown = &base[..base.len().min(NAME - b"PaxHeaders/".len())];
    [b"PaxHeaders/", shown].concat()
}

/// A number in a header field, or in a record with zero in the field.
fn number(field: &mut [u8], key: &[u8], value: u64, records: &mut Vec<u8>) {
    if !octal(field, value) {
        pax::push_record(records, key, value.to_string().as_bytes());
        octal(field, 0);
    }
}

/// Leading zeros, and a NUL at the end. Returns whether the value fits.
fn octal(field: &mut [u8], mut value: u64) -> bool {
    let Some((end, digits)) = field.split_last_mut() else { return false };
    *end = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_both_halves_fit() {
        let row = |dirs: usize, len: usize| [vec![b'd'; dirs], vec![b'f'; len]].join(&b'/');
        for (path, fits) in [
            (row(1, 98), true),
            (row(1, 100), true),
            (row(1, 101), false),
            (row(155, 100), true),
            (row(156, 100), false),
            (row(155, 1), true),
            (vec![b'x'; 101], false),
            ([row(1, 99), b"/".to_vec()].concat(), true),
            ([row(1, 100), b"/".to_vec()].concat(), false),
            ([vec![b'x'; 100], b"/".to_vec()].concat(), false),
            ([b"/".to_vec(), vec![b'x'; 100]].concat(), false),
        ] {
            let split = split_name(&path);
            assert_eq!(split.is_some(), fits, "{}", path.escape_ascii());
            if let Some((name, prefix)) = split {
                assert!(name.len() <= NAME && prefix.len() <= PREFIX, "{}", path.escape_ascii());
                let joined = path::join(prefix, name);
                assert_eq!(joined, path);
            }
        }
    }

    #[test]
    fn pax_only_where_ustar_cannot_say_it() {
        let plain = Metadata {
            mode: 0o755,
            uid: 2_097_151,
            mtime: super::super::Timestamp { secs: 1, nanos: 0 },
            ..Default::default()
        };
        let blocks = |meta: &Metadata, size, link: &[u8]| {
            let mut out = Vec::new();
            let fields = Fields { path: b"a", meta, kind: b'0', size, link, device: [0, 0] };
            write(&fields, &mut out).unwrap();
            out.len() / BLOCK
        };
        let with = |change: &dyn Fn(&mut Metadata)| {
            let mut meta = plain.clone();
            change(&mut meta);
            meta
        };
        assert_eq!(blocks(&plain, 8_589_934_591, &[b'l'; 100]), 1);
        assert_eq!(blocks(&plain, 8_589_934_592, b""), 3, "size");
        assert_eq!(blocks(&plain, 0, &[b'l'; 101]), 3, "link");
        assert_eq!(blocks(&with(&|meta| meta.uid += 1), 0, b""), 3, "uid");
        assert_eq!(blocks(&with(&|meta| meta.mtime.nanos = 1), 0, b""), 3, "nanoseconds");
        assert_eq!(blocks(&with(&|meta| meta.mtime.secs = -1), 0, b""), 3, "before 1970");
    }
}
