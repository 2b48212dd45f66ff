//! Node ids: how the kernel names what we serve. They carry their whole meaning, so that nothing needs counting or
//! forgetting, and so that a layer's file has one id in every stack: its pages stay cached from step to step.
//!
//! ```text
//!   1                                          the superblock's root
//!   2                                          every whiteout
//!   (layer + 1) << 32 | ino                    a file of a layer           layer: its number in the server
//!   1 << 60 | view << 45 | part << 32 | ino    a directory of a view       part: the topmost layer that has it
//! ```
//!
//! All ids stay below 2^61: overlayfs (`xino=on`) needs the three bits above to tell three file systems apart.

use crate::layer::Ino;

/// What a node id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeId {
    Root,
    Whiteout,
    File { layer: u32, ino: Ino },
    Dir { view: u16, part: u16, ino: Ino },
}

/// How many layers a stack can have: what `part` counts.
pub(super) const MAX_PARTS: u16 = 1 << PART_BITS;
/// How many views a server can have.
pub(super) const MAX_VIEWS: u16 = 1 << 15;
/// How many layers a server can know.
pub(super) const MAX_LAYERS: u32 = (1 << 28) - 1;

const PART_BITS: u32 = 13;
const VIEW_SHIFT: u32 = 32 + PART_BITS;
const DIR: u64 = 1 << 60;

impl NodeId {
    pub(super) fn to_u64(self) -> u64 {
        match self {
            Self::Root => 1,
            Self::Whiteout => 2,
            Self::File { layer, ino } => (u64::from(layer) + 1) << 32 | u64::from(ino.0),
            Self::Dir { view, part, ino } => {
                DIR | u64::from(view) << VIEW_SHIFT | u64::from(part) << 32 | u64::from(ino.0)
            }
        }
    }

    /// `None` for a number that [`NodeId::to_u64`] never gives.
    pub(super) fn from_u64(id: u64) -> Option<Self> {
        let ino = Ino(low(id));
        match id {
            1 => Some(Self::Root),
            2 => Some(Self::Whiteout),
            _ if id >> 60 == 1 => {
                let view = lowest(id >> VIEW_SHIFT) & (MAX_VIEWS - 1);
                let part = lowest(id >> 32) & (MAX_PARTS - 1);
                Some(Self::Dir { view, part, ino })
            }
            _ if id >> 60 > 1 => None,
            _ => Some(Self::File { layer: low(id >> 32).checked_sub(1)?, ino }),
        }
    }
}

/// The lowest 32 bits.
fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The lowest 16 bits.
fn lowest(number: u64) -> u16 {
    let [a, b, ..] = number.to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_comes_back_and_leaves_three_bits_to_overlayfs() {
        let last = Ino(u32::MAX);
        for id in [
            NodeId::Root,
            NodeId::Whiteout,
            NodeId::File { layer: 0, ino: Ino(0) },
            NodeId::File { layer: MAX_LAYERS - 1, ino: last },
            NodeId::Dir { view: 0, part: 0, ino: Ino(0) },
            NodeId::Dir { view: MAX_VIEWS - 1, part: MAX_PARTS - 1, ino: last },
            NodeId::Dir { view: 7, part: 3, ino: Ino(9) },
        ] {
            let number = id.to_u64();
            assert!(number < 1 << 61, "{id:?} is {number:#x}");
            assert_eq!(NodeId::from_u64(number), Some(id), "{number:#x}");
        }
        for number in [0, 3, u64::from(u32::MAX), 1 << 61, u64::MAX] {
            assert_eq!(NodeId::from_u64(number), None, "{number:#x}");
        }
    }
}
