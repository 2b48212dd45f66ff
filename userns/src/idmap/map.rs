//! Identity maps: which host id stands behind each id inside the user namespace.
//!
//! The kernel answers a map it does not like with a bare EINVAL: a range that runs past the last id,
//! two that overlap, one line too many. We refuse each of them first, so that the message can name
//! the line. `user_namespaces(7)`, "Defining user and group ID mappings".

use std::fmt;

use super::Error;

/// An id as a process inside the user namespace sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InsideId(pub u32);

/// The same id as the namespace around it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

/// `len` ids from `inside` on stand for as many host ids from `host` on; one line of `uid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside of it.
    pub host: u32,
    /// How many ids; never 0 in an [`IdMap`].
    pub len: u32,
}

/// Extents that overlap on neither side, in the order they were given.
///
/// The empty map is the one of a user namespace nobody has mapped yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    extents: Vec<Extent>,
}

/// What is wrong with one line of a map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not three decimal numbers of 32 bits.
    #[error("{0:?} is not \"INSIDE HOST COUNT\"")]
    Malformed(String),
    /// A range of no ids.
    #[error("the count is 0")]
    Empty,
    /// Id 4294967295 is `(uid_t)-1`, "no id": a range must end before it.
    #[error("{len} ids from {first} on run past the last id, 4294967294")]
    Overflow {
        /// First id of the range.
        first: u32,
        /// Its length.
        len: u32,
    },
    /// One id would have two meanings.
    #[error("overlaps extent {0}")]
    Overlap(usize),
    /// The kernel takes no more lines than [`IdMap::MAX_EXTENTS`].
    #[error("a map has at most {} lines", IdMap::MAX_EXTENTS)]
    TooMany,
}

impl IdMap {
    /// The kernel's limit of lines in one map, since Linux 4.15.
    pub const MAX_EXTENTS: usize = 340;

    /// Builds a map from its extents; errors with [`Error::Map`] naming the extent, counted from 1.
    pub fn new(extents: impl IntoIterator<Item = Extent>) -> Result<Self, Error> {
        let mut map = Self::default();
        for (index, extent) in extents.into_iter().enumerate() {
            map.push(extent).map_err(|fault| Error::Map { line: index + 1, fault })?;
        }
        Ok(map)
    }

    /// Parses the format of `/proc/PID/uid_map`: `INSIDE HOST COUNT` a line, blank lines skipped.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut map = Self::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            Extent::parse(line)
                .and_then(|extent| map.push(extent))
                .map_err(|fault| Error::Map { line: index + 1, fault })?;
        }
        Ok(map)
    }

    /// The map of one id: `inside` is `host`, and there is nobody else.
    pub fn single(inside: InsideId, host: HostId) -> Self {
        Self { extents: vec![Extent { inside: inside.0, host: host.0, len: 1 }] }
    }

    /// The extents in their order.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// How many ids are mapped.
    pub fn len(&self) -> u32 {
        self.extents.iter().map(|extent| extent.len).sum() // cannot wrap: disjoint ranges below u32::MAX
    }

    /// Whether no id is mapped.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Returns the host id behind `id`, or `None` if no extent covers it.
    pub fn to_host(&self, id: InsideId) -> Option<HostId> {
        self.extents.iter().find_map(|extent| {
            let offset = id.0.checked_sub(extent.inside)?;
            (offset < extent.len).then(|| HostId(extent.host + offset)) // cannot wrap: see `Extent::check`
        })
    }

    /// Returns the id inside that stands for host id `id`, or `None` if it is not mapped.
    pub fn to_inside(&self, id: HostId) -> Option<InsideId> {
        self.extents.iter().find_map(|extent| {
            let offset = id.0.checked_sub(extent.host)?;
            (offset < extent.len).then(|| InsideId(extent.inside + offset))
        })
    }

    /// The first of `len` inside ids from `first` on that is not mapped, or `None` if all are.
    pub fn first_unmapped(&self, first: InsideId, len: u32) -> Option<InsideId> {
        let end = first.0.checked_add(len)?;
        let mut next = first.0;
        while next < end {
            let extent = self
                .extents
                .iter()
                .find(|extent| (extent.inside..extent.inside + extent.len).contains(&next));
            match extent {
                Some(extent) => next = extent.inside + extent.len,
                None => return Some(InsideId(next)),
            }
        }
        None
    }

    fn push(&mut self, extent: Extent) -> Result<(), Fault> {
        extent.check()?;
        if self.extents.len() == Self::MAX_EXTENTS {
            return Err(Fault::TooMany);
        }
        if let Some(index) = self.extents.iter().position(|other| extent.overlaps(other)) {
            return Err(Fault::Overlap(index + 1));
        }
        self.extents.push(extent);
        Ok(())
    }
}

/// As the kernel reads it: one `INSIDE HOST COUNT` line for each extent.
impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.extents
            .iter()
            .try_for_each(|extent| writeln!(f, "{} {} {}", extent.inside, extent.host, extent.len))
    }
}

impl Extent {
    fn parse(line: &str) -> Result<Self, Fault> {
        let malformed = || Fault::Malformed(line.trim().to_owned());
        let mut fields = line.split_ascii_whitespace().map(number);
        match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(Some(inside)), Some(Some(host)), Some(Some(len)), None) => Ok(Self { inside, host, len }),
            _ => Err(malformed()),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        if self.len == 0 {
            return Err(Fault::Empty);
        }
        match [self.inside, self.host].into_iter().find(|first| first.checked_add(self.len).is_none()) {
            Some(first) => Err(Fault::Overflow { first, len: self.len }),
            None => Ok(()),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        ranges_overlap((self.inside, self.len), (other.inside, other.len))
            || ranges_overlap((self.host, self.len), (other.host, other.len))
    }
}

/// Whether two `(first, length)` ranges share an id; neither may wrap.
pub(crate) fn ranges_overlap(a: (u32, u32), b: (u32, u32)) -> bool {
    a.0 < b.0 + b.1 && b.0 < a.0 + a.1
}

/// Digits only: `u32::from_str` would take a sign.
fn number(field: &str) -> Option<u32> {
    field.bytes().all(|byte| byte.is_ascii_digit()).then(|| field.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_host_and_to_inside_cover_exactly_the_extents() {
        let map = IdMap::parse("0 1000 1\n1 100000 65536\n").unwrap();
        let rows =
            [(0, Some(1000)), (1, Some(100_000)), (65_536, Some(165_535)), (65_537, None), (u32::MAX, None)];
        for (inside, host) in rows {
            assert_eq!(map.to_host(InsideId(inside)), host.map(HostId), "inside id {inside}");
            if let Some(host) = host {
                assert_eq!(map.to_inside(HostId(host)), Some(InsideId(inside)), "host id {host}");
            }
        }
        for host in [0, 999, 1001, 99_999, 165_536, u32::MAX] {
            assert_eq!(map.to_inside(HostId(host)), None, "host id {host}");
        }
        assert_eq!(map.len(), 65_537);
    }

    #[test]
    fn the_kernels_own_format_is_read_and_written() {
        for (text, written) in [
            ("         0          0 4294967295\n", "0 0 4294967295\n"),
            ("0 1000 1\n\n1 100000 65536", "0 1000 1\n1 100000 65536\n"),
            ("", ""),
        ] {
            assert_eq!(IdMap::parse(text).unwrap().to_string(), written, "{text:?}");
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line, fault) in [
            ("0 1000", 1, Fault::Malformed("0 1000".into())),
            ("0 1000 1 1", 1, Fault::Malformed("0 1000 1 1".into())),
            ("0 +1 1", 1, Fault::Malformed("0 +1 1".into())),
            ("0 -1 1", 1, Fault::Malformed("0 -1 1".into())),
            ("0 4294967296 1", 1, Fault::Malformed("0 4294967296 1".into())),
            ("0 1 0", 1, Fault::Empty),
            ("0 1 1\n1 4294967295 1", 2, Fault::Overflow { first: u32::MAX, len: 1 }),
            ("4294967290 1 6", 1, Fault::Overflow { first: 4_294_967_290, len: 6 }),
            ("0 1000 1\n\n0 2000 1", 3, Fault::Overlap(1)),
            ("0 1000 1\n1 900 101", 2, Fault::Overlap(1)),
        ] {
            let Err(Error::Map { line: found, fault: why }) = IdMap::parse(text) else {
                panic!("{text:?} was taken")
            };
            assert_eq!((found, why), (line, fault), "{text:?}");
        }
        let many = (0..=340).map(|id| Extent { inside: id, host: id, len: 1 });
        assert!(matches!(IdMap::new(many), Err(Error::Map { line: 341, fault: Fault::TooMany })));
    }

    #[test]
    fn first_unmapped_walks_from_extent_to_extent() {
        let map = IdMap::parse("0 1000 1\n1 100000 65536\n").unwrap();
        for ((first, len), unmapped) in
            [((0, 1), None), ((0, 65_537), None), ((0, 65_538), Some(65_537)), ((100_000, 1), Some(100_000))]
        {
            assert_eq!(
                map.first_unmapped(InsideId(first), len),
                unmapped.map(InsideId),
                "{len} from {first}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn to_inside_undoes_to_host(rows in proptest::collection::vec((0..50u32, 0..50u32, 0..9u32), 0..6), id in 0..70u32) {
            let extents = rows.into_iter().map(|(inside, host, len)| Extent { inside, host, len });
            if let Ok(map) = IdMap::new(extents) {
                if let Some(host) = map.to_host(InsideId(id)) {
                    proptest::prop_assert_eq!(map.to_inside(host), Some(InsideId(id)));
                }
                proptest::prop_assert_eq!(IdMap::parse(&map.to_string()).unwrap(), map);
            }
        }
    }
}
