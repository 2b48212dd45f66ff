//! A watch over the clerks: whether all are busy with one call each for a while.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::clerk::locked;

/// Who is there and what they do.
#[derive(Default)]
pub(super) struct Watch {
    clerks: Mutex<Clerks>,
    /// Something began while nothing was watched, or a clerk has gone.
    news: Condvar,
}

#[derive(Default)]
struct Clerks {
    present: usize,
    busy: usize,
    /// How many calls they began.
    begun: u64,
    /// The one who watches sleeps until somebody is busy. Most of the time nobody is, and nothing has to tick.
    sleeps: bool,
}

/// What a look shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// There are no clerks.
    Gone,
    /// All of them were busy all the time, and none began anything.
    AllBusy,
    /// Somebody gets on, or has nothing to do.
    AllWell,
}

impl Watch {
    /// A clerk will be there.
    pub fn comes(&self) {
        locked(&self.clerks).present += 1;
    }

    /// Until this is dropped a clerk is there.
    pub fn going(&self) -> Going<'_> {
        Going(self)
    }

    /// A clerk begins to answer a call.
    pub fn begins(&self) {
        let mut clerks = locked(&self.clerks);
        clerks.busy += 1;
        clerks.begun += 1;
        if std::mem::take(&mut clerks.sleeps) {
            self.news.notify_one();
        }
    }

    /// It has answered.
    pub fn ends(&self) {
        locked(&self.clerks).busy -= 1;
    }

    /// Looks for so long, from the moment on when somebody is busy.
    pub fn look(&self, long: Duration) -> Seen {
        let mut clerks = locked(&self.clerks);
        if clerks.busy == 0 && clerks.present != 0 {
            clerks.sleeps = true;
            let waited = self.news.wait_while(clerks, |clerks| clerks.sleeps && clerks.present != 0);
            clerks = waited.unwrap_or_else(PoisonError::into_inner);
            clerks.sleeps = false;
        }
        let begun = clerks.begun;
        let waited = self.news.wait_timeout_while(clerks, long, |clerks| clerks.present != 0);
        let (clerks, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*clerks {
            Clerks { present: 0, .. } => Seen::Gone,
            Clerks { present, busy, begun: now, .. } if busy == present && *now == begun => Seen::AllBusy,
            _ => Seen::AllWell,
        }
    }
}

/// A clerk that is there.
pub(super) struct Going<'a>(&'a Watch);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        locked(&self.0.clerks).present -= 1;
        self.0.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_who_gets_on() {
        const MOMENT: Duration = Duration::from_millis(1);
        let watch = Watch::default();
        assert_eq!(watch.look(MOMENT), Seen::Gone);
        watch.comes();
        let going = watch.going();
        watch.begins();
        assert_eq!(watch.look(MOMENT), Seen::AllBusy);
        watch.comes();
        let second = watch.going();
        assert_eq!(watch.look(MOMENT), Seen::AllWell, "one has nothing to do");
        watch.begins();
        assert_eq!(watch.look(MOMENT), Seen::AllBusy);
        watch.ends();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                watch.ends();
                // wakes whoever watches
                watch.begins();
                watch.ends();
                drop((going, second));
            });
            while watch.look(MOMENT) != Seen::Gone {}
        });
    }
}
