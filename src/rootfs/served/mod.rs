//! What the sandbox's FUSE superblocks show: a directory per view, named by number.
//!
//! There are two. overlayfs asks every regular file of a lower layer for `user.overlay.metacopy`, each time anew, with
//! each mount, even where its options forbid that feature; and the kernel keeps no answer to GETXATTR but one, ENOSYS:
//! never ask again. So nearly everything is shown in the *bare* superblock, which gives that answer. What has extended
//! attributes (a file capability, mostly), and layers with opaque directories, which are marked by one, are shown
//! once more in the *marked* superblock, as lowers of their own above the bare ones.
//!
//! Everything here is immutable once it has been told to the kernel: layers never change and views are only added.
//! So every answer may be kept (names, attributes, absences, link targets, listings, pages), no descriptor is kept
//! per file, and nothing is ever forgotten by count.
//!
//! Lock order: [`Tree::tables`], then a view's directories, then [`Tree::listings`]; none is held while another file
//! system is asked for anything.

mod fuse;
mod node_id;
mod requests;
mod tree;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::trace::Trace;
use super::{Error, Stack, is_carried};
use crate::layer::{Index, Ino, Layer};
use crate::oci::DiffId;
use node_id::{MAX_LAYERS, MAX_PARTS, MAX_VIEWS};
use view::{Form, View};

pub(super) use fuse::Fuse;
pub use requests::Requests;

/// Which superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Without extended attributes.
    Bare,
    /// With them.
    Marked,
}

/// A view, and the superblock in which overlayfs is to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lower {
    pub(super) side: Side,
    /// Its name there.
    pub(super) view: u16,
}

/// What a layer has that only extended attributes can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traits {
    xattrs: bool,
    opaque: bool,
}

impl Traits {
    const NONE: Self = Self { xattrs: false, opaque: false };

    fn of(layer: &Layer) -> Self {
        let inodes = || (0..layer.index.inodes()).map(Ino);
        Self {
            xattrs: inodes().any(|ino| layer.index.xattrs(ino).any(|(name, _)| is_carried(name))),
            opaque: inodes().any(|ino| layer.index.inode(ino).opaque),
        }
    }
}

/// How many layers overlayfs gets one by one above a merged view. Every name that is looked up in a directory common to
/// all of them costs a request in each, once; a new merged view costs all names anew, once.
const MAX_SINGLES: usize = 8;

/// The served tree. Shared by the threads that answer and the one that prepares roots.
#[derive(Default)]
pub(super) struct Tree {
    tables: RwLock<Tables>,
    /// Listings that the kernel is in the middle of, by directory.
    listings: Mutex<HashMap<u64, Arc<tree::Listing>>>,
    counters: requests::Counters,
    /// What is told of the one stack that is served, where somebody wants to know.
    trace: Option<Arc<Trace>>,
}

#[derive(Default)]
struct Tables {
    layers: Vec<Arc<Layer>>,
    /// Of each layer.
    traits: Vec<Traits>,
    numbers: HashMap<DiffId, u32>,
    views: Vec<Arc<View>>,
    /// Views by what they are of.
    by_stack: HashMap<(Form, Vec<u32>), u16>,
}

impl Tree {
    /// A tree for one step alone.
    pub(super) fn traced(trace: Arc<Trace>) -> Self {
        Self { trace: Some(trace), ..Self::default() }
    }

    /// The views whose overlay is `stack`, topmost first. Made where missing.
    ///
    /// The lowest is a merged view, if possible one that an earlier root used, so that what the kernel knows of it
    /// holds on; the layers above it follow one by one.
    pub(super) fn lowers(&self, stack: &Stack) -> Result<Vec<Lower>, Error> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let layers = tables.number(stack)?;
        let base = (layers.len().saturating_sub(MAX_SINGLES)..=layers.len())
            .rev()
            .find(|&count| tables.by_stack.contains_key(&(Form::Merged, layers[..count].to_vec())))
            .unwrap_or(layers.len());
        let mut lowers = Vec::new();
        for count in (base + 1..=layers.len()).rev() {
            let view = tables.view(stack, &layers[..count], Form::Top)?;
            let traits = tables.traits[layers[count - 1] as usize];
            lowers.push(Lower { side: if traits == Traits::NONE { Side::Bare } else { Side::Marked }, view });
            if stack.layers()[count - 1].index.inode(Index::ROOT).opaque {
                return Ok(lowers);
            }
        }
        if layers[..base].iter().any(|&layer| tables.traits[layer as usize].xattrs) {
            lowers
                .push(Lower { side: Side::Marked, view: tables.view(stack, &layers[..base], Form::Marked)? });
        }
        lowers.push(Lower { side: Side::Bare, view: tables.view(stack, &layers[..base], Form::Merged)? });
        Ok(lowers)
    }

    pub(super) fn requests(&self) -> Requests {
        self.counters.read_all()
    }
}

impl Tables {
    /// The numbers of a stack's layers, given where a layer is new.
    fn number(&mut self, stack: &Stack) -> Result<Vec<u32>, Error> {
        if stack.layers().len() >= usize::from(MAX_PARTS) {
            return Err(Error::TooMany { what: "layers of one root", limit: MAX_PARTS.into() });
        }
        stack.layers().iter().map(|layer| self.number_of(layer)).collect()
    }

    fn number_of(&mut self, layer: &Arc<Layer>) -> Result<u32, Error> {
        if let Some(&number) = self.numbers.get(&layer.diff_id) {
            return Ok(number);
        }
        let number = fit(self.layers.len(), MAX_LAYERS, "layers of one sandbox")?;
        self.layers.push(Arc::clone(layer));
        self.traits.push(Traits::of(layer));
        self.numbers.insert(layer.diff_id, number);
        Ok(number)
    }

    /// The view of the lowest layers of `stack`, those that `layers` numbers.
    fn view(&mut self, stack: &Stack, layers: &[u32], form: Form) -> Result<u16, Error> {
        let key = (form, layers.to_vec());
        if let Some(&view) = self.by_stack.get(&key) {
            return Ok(view);
        }
        let number = fit(self.views.len(), MAX_VIEWS, "views of one sandbox")?;
        let part = Stack::new(stack.layers()[..layers.len()].to_vec());
        self.views.push(Arc::new(View::new(part, layers.to_vec(), form)));
        self.by_stack.insert(key, number);
        Ok(number)
    }
}

/// The next number of something of which `count` exist.
fn fit<T>(count: usize, limit: T, what: &'static str) -> Result<T, Error>
where
    T: TryFrom<usize> + PartialOrd + Into<u32> + Copy,
{
    let next = T::try_from(count).ok().filter(|next| *next < limit);
    next.ok_or(Error::TooMany { what, limit: limit.into() })
}
