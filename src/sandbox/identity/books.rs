//! What is noted of a step, for all its clerks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rbuild_userns::seccomp::notify::call::Call;

use super::clerk::locked;
use super::execute::Executing;
use super::people::{Identity, People};
use super::recorded::Recorded;
use crate::rootfs::{Files, Inode, Owner, Ownership};

/// No lock of these is held while the kernel is asked about files, but for `making` about a name in a directory of the root.
pub(super) struct Books {
    /// The step's own root, then those that its mounts show.
    roots: Vec<Arc<dyn Ownership>>,
    pub people: Arc<People>,
    /// Processes may differ in their roots and mounts.
    pub roots_differ: Arc<AtomicBool>,
    /// Held from the making of an inode until its owner is noted: who finds an inode of which nothing is noted waits for it
    /// and looks again.
    pub making: Mutex<()>,
    /// Until the command is executed, the step's own set-up passes unanswered.
    first: Mutex<Option<Identity>>,
    has_begun: AtomicBool,
    /// Owners of files of other mounts.
    elsewhere: Mutex<HashMap<Inode, Owner>>,
    /// Threads whose `execve` may yet fail.
    executing: Mutex<HashMap<i32, Executing>>,
    is_executing: AtomicBool,
}

impl Books {
    pub fn new(recorded: Recorded, people: Arc<People>, first: Identity) -> Self {
        Self {
            roots: recorded.roots,
            people,
            roots_differ: Arc::default(),
            making: Mutex::default(),
            first: Mutex::new(Some(first)),
            has_begun: AtomicBool::default(),
            elsewhere: Mutex::new(recorded.elsewhere),
            executing: Mutex::default(),
            is_executing: AtomicBool::default(),
        }
    }

    /// The root whose inodes have this `st_dev`, if it is one that records their owners.
    pub fn root(&self, device: u64) -> Option<&dyn Ownership> {
        self.roots.iter().find(|root| root.holds(device)).map(|root| &**root)
    }

    /// The root of an inode: directories of one file system cannot be told apart by that alone.
    pub fn root_of(&self, inode: &Inode) -> Option<&dyn Ownership> {
        let mut roots = self.roots.iter().filter(|root| root.holds(inode.device)).map(|root| &**root);
        roots.clone().find(|root| root.record(inode).is_some()).or_else(|| roots.next())
    }

    /// Who makes the files of the step's root, and of those beside it.
    pub fn files(&self) -> Files<'_> {
        self.roots[0].files()
    }

    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Whom the command begins as, if this call begins it.
    pub fn first(&self, call: Call) -> Option<Identity> {
        matches!(call, Call::Execute(_)).then_some(())?;
        let first = locked(&self.first).take();
        self.has_begun.store(true, Ordering::Release);
        first
    }

    pub fn elsewhere(&self) -> MutexGuard<'_, HashMap<Inode, Owner>> {
        locked(&self.elsewhere)
    }

    /// A thread is about to turn into a program.
    pub fn executes(&self, thread: i32, executing: Executing) {
        locked(&self.executing).insert(thread, executing);
        self.is_executing.store(true, Ordering::Release);
    }

    /// What was noted when a thread was about to turn into a program.
    pub fn executed(&self, thread: i32) -> Option<Executing> {
        if !self.is_executing.load(Ordering::Acquire) {
            return None;
        }
        let mut executing = locked(&self.executing);
        let noted = executing.remove(&thread);
        self.is_executing.store(!executing.is_empty(), Ordering::Release);
        noted
    }
}
