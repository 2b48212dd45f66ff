//! Whose turn it is to answer: the crew's or the companions'.
//!
//! A request costs little to answer; what it costs is the wake-up of a thread on another CPU, and of the caller for the
//! answer. A process that asks one thing after the other (tar, dpkg, cp, find) pays both every time. So a session can be
//! served in two ways, and passes from one to the other as it sees how it is asked:
//!
//! - by the *crew*, threads that run like any other, one for each CPU: many callers are answered at the same time;
//! - by *companions*, which answer on the CPU of the caller and only run while nobody else wants to (`SCHED_IDLE`). A CPU
//!   on which only such a thread runs counts as idle, so the scheduler leaves the caller there when its answer has come:
//!   caller and companion take turns on one CPU, and no other is woken.
//!
//! Companions are given the turn when requests come briskly, small and one at a time. They give it back when requests come
//! in crowds or in bulk. Where others use up its CPU a companion would never run; so a waiting thread of the crew looks
//! every [`TICK`], takes the turn away, and leaves it there for a while, each time for longer.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pace::{Pace, Sight, Watch};

/// How often somebody looks whether the companion runs.
const TICK: Duration = Duration::from_millis(10);

/// For how long companions rest after one got no CPU, at first and at most.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(8);

/// For how long they rest after a crowd.
const CROWD_REST: Duration = Duration::from_millis(50);

/// A turn of this length was a good one: the next rest begins with [`REST`] again.
const GOOD_TURN: Duration = Duration::from_secs(1);

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Crew,
    Companions,
    /// Nobody: the file system is unmounted.
    Over,
}

/// Why the companions' turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Requests come in crowds or in bulk.
    Crowd,
    /// One of them got no CPU.
    Starved,
    /// Nobody asks.
    Quiet,
    /// One of them is gone.
    Gone,
}

/// The turns of one session.
#[derive(Debug)]
pub struct Turns {
    /// A copy of `state.turn` that is read before each request.
    turn: AtomicU8,
    state: Mutex<State>,
    changed: Condvar,
    /// Requests that the crew is answering.
    under_way: AtomicUsize,
    /// How the crew is asked.
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct State {
    turn: Turn,
    /// When the turn began.
    since: Instant,
    /// How many threads the crew has.
    crew: usize,
    companions: Vec<(Arc<Work>, Watch)>,
    /// How many requests were answered by companions that are gone.
    answered: u64,
    /// From when on companions may have the turn. `None`: there are none, or one is gone.
    companions_from: Option<Instant>,
    rest: Duration,
    /// A thread of the crew looks after the companions.
    watched: bool,
}

/// What a companion is doing.
struct Work {
    answered: AtomicU64,
    answering: AtomicBool,
    /// Whether a request waits for it.
    pending: Box<dyn Fn() -> bool + Send + Sync>,
}

/// A place in the crew. Its thread leaves when the file system is unmounted, or when it fails; with the last one all is
/// over, and whoever waits for a turn waits no more.
#[derive(Debug)]
pub struct Member(Arc<Turns>);

/// A companion's place. Dropped, no companion has the turn again.
#[derive(Debug)]
pub struct Seat {
    turns: Arc<Turns>,
    work: Arc<Work>,
    /// How this companion is asked.
    pace: Pace,
}

impl Turns {
    /// The crew begins, once it has enlisted.
    pub fn new() -> Self {
        let state = State {
            turn: Turn::Crew,
            since: Instant::now(),
            crew: 0,
            companions: Vec::new(),
            answered: 0,
            companions_from: None,
            rest: REST,
            watched: false,
        };
        Self {
            turn: AtomicU8::new(Turn::Crew as u8),
            state: Mutex::new(state),
            changed: Condvar::new(),
            under_way: AtomicUsize::new(0),
            pace: Mutex::new(Pace::new()),
        }
    }

    /// From now on the crew has one more.
    pub fn enlist(self: &Arc<Self>) -> Member {
        self.lock().crew += 1;
        Member(Arc::clone(self))
    }

    /// From now on there is a companion, or one more. `pending` tells whether a request waits for it.
    pub fn join(self: &Arc<Self>, pending: impl Fn() -> bool + Send + Sync + 'static) -> Seat {
        let work = Arc::new(Work {
            answered: AtomicU64::new(0),
            answering: AtomicBool::new(false),
            pending: Box::new(pending),
        });
        let mut state = self.lock();
        state.companions.push((Arc::clone(&work), Watch::default()));
        state.companions_from = Some(Instant::now());
        drop(state);
        Seat { turns: Arc::clone(self), work, pace: Pace::new() }
    }

    /// How many requests companions have answered.
    pub fn by_companions(&self) -> u64 {
        let state = self.lock();
        state.answered + state.companions.iter().map(|(work, _)| work.answered()).sum::<u64>()
    }

    fn pass_to_companions(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.turn == Turn::Crew && state.companions_from.is_some_and(|from| from <= now) {
            for (work, watch) in &mut state.companions {
                *watch = Watch::begin(work.answered());
            }
            self.pass(&mut state, Turn::Companions, now);
        }
    }

    fn pass_to_crew(&self, state: &mut State, end: End) {
        let now = Instant::now();
        if state.turn == Turn::Companions {
            if now.duration_since(state.since) >= GOOD_TURN {
                state.rest = REST;
            }
            self.pass(state, Turn::Crew, now);
        }
        let from = &mut state.companions_from;
        match end {
            End::Gone => *from = None,
            End::Quiet => {}
            End::Crowd => *from = from.map(|_| now + CROWD_REST),
            End::Starved => {
                *from = from.map(|_| now + state.rest);
                state.rest = (state.rest * 2).min(LONGEST_REST);
            }
        }
    }

    /// Looks whether the companions run.
    fn look(&self, state: &mut State) {
        if state.turn == Turn::Companions {
            let seen: Vec<_> =
                state.companions.iter_mut().map(|(work, watch)| watch.tick(work.sight())).collect();
            if seen.contains(&Some(End::Starved)) {
                self.pass_to_crew(state, End::Starved);
            } else if seen.iter().all(Option::is_some) {
                self.pass_to_crew(state, End::Quiet);
            }
        }
    }

    fn pass(&self, state: &mut State, turn: Turn, now: Instant) {
        if state.turn == Turn::Over {
            return;
        }
        (state.turn, state.since) = (turn, now);
        self.turn.store(turn as u8, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn is(&self, turn: Turn) -> bool {
        self.turn.load(Ordering::Relaxed) == turn as u8
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Whether it is the crew's turn.
    pub fn has_turn(&self) -> bool {
        self.0.is(Turn::Crew)
    }

    /// Waits for the crew's turn. `false`: it is over.
    pub fn await_turn(&self) -> bool {
        let Self(turns) = self;
        if turns.is(Turn::Crew) {
            return true;
        }
        let mut state = turns.lock();
        loop {
            match state.turn {
                Turn::Crew => return true,
                Turn::Over => return false,
                Turn::Companions if state.watched => state = turns.wait(state),
                Turn::Companions => {
                    state.watched = true;
                    let waited = turns.changed.wait_timeout(state, TICK);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    state.watched = false;
                    turns.look(&mut state);
                }
            }
        }
    }

    /// Somebody of the crew answers a request, and says how many bytes it and its answer had.
    pub fn answer<E>(&self, answer: impl FnOnce() -> Result<usize, E>) -> Result<(), E> {
        let Self(turns) = self;
        let others = turns.under_way.fetch_add(1, Ordering::Relaxed);
        let bytes = answer();
        turns.under_way.fetch_sub(1, Ordering::Relaxed);
        let bytes = bytes?;
        // Who finds the lock taken is in a crowd; one request less in the count says nothing else.
        if let Ok(mut pace) = turns.pace.try_lock()
            && pace.count(bytes, Some(others > 0)) == Some(Sight::OneByOne)
        {
            turns.pass_to_companions();
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.crew -= 1;
        if state.crew == 0 {
            self.0.pass(&mut state, Turn::Over, Instant::now());
        }
    }
}

impl Seat {
    /// Whether it is the companions' turn.
    pub fn has_turn(&self) -> bool {
        self.turns.is(Turn::Companions)
    }

    /// Waits for the companions' turn. `false`: it is over.
    pub fn await_turn(&self) -> bool {
        if self.has_turn() {
            return true;
        }
        let mut state = self.turns.lock();
        loop {
            match state.turn {
                Turn::Companions => return true,
                Turn::Over => return false,
                Turn::Crew => state = self.turns.wait(state),
            }
        }
    }

    /// This companion answers a request, and says how many bytes it and its answer had. `crowded`: whether another request
    /// was there at the same time, where that was looked at.
    pub fn answer<E>(
        &mut self,
        crowded: Option<bool>,
        answer: impl FnOnce() -> Result<usize, E>,
    ) -> Result<(), E> {
        self.work.answering.store(true, Ordering::Relaxed);
        let bytes = answer();
        self.work.answered.fetch_add(1, Ordering::Relaxed);
        self.work.answering.store(false, Ordering::Relaxed);
        if self.pace.count(bytes?, crowded) == Some(Sight::Crowd) {
            self.pass_to_crew(End::Crowd);
        }
        Ok(())
    }

    fn pass_to_crew(&self, end: End) {
        self.turns.pass_to_crew(&mut self.turns.lock(), end);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.companions.retain(|(work, _)| !Arc::ptr_eq(work, &self.work));
        state.answered += self.work.answered();
        self.turns.pass_to_crew(&mut state, End::Gone);
    }
}

impl Work {
    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// How many it has answered in all, and whether somebody waits for one more.
    fn sight(&self) -> (u64, bool) {
        (self.answered(), self.answering.load(Ordering::Relaxed) || (self.pending)())
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("answered", &self.answered).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    use super::{End, Member, Turns};
    use crate::fuse::pace::WINDOW;

    /// Turns with one thread of the crew.
    fn begin() -> (Arc<Turns>, Member) {
        let turns = Arc::new(Turns::new());
        let crew = turns.enlist();
        (turns, crew)
    }

    fn ask(crew: &Member) {
        for _ in 0..WINDOW {
            crew.answer(|| Ok::<_, ()>(100)).unwrap();
        }
    }

    #[test]
    fn companions_have_the_turn_after_a_brisk_window_and_give_it_back() {
        for end in [End::Crowd, End::Starved, End::Quiet, End::Gone] {
            let (turns, crew) = begin();
            ask(&crew);
            assert!(crew.has_turn(), "nobody else is there");
            let mut seat = turns.join(|| false);
            ask(&crew);
            assert!(seat.await_turn());
            seat.answer(None, || Ok::<_, ()>(100)).unwrap();
            assert_eq!(turns.by_companions(), 1);
            seat.pass_to_crew(end);
            assert!(crew.await_turn(), "{end:?}");
            ask(&crew);
            assert_eq!(seat.has_turn(), end == End::Quiet, "{end:?}: whether they rest");
        }
    }

    #[test]
    fn a_companion_that_gets_no_cpu_loses_the_turn() {
        let (turns, crew) = begin();
        let idle = turns.join(|| false);
        // A request waits for this one and is never read.
        let _starved = turns.join(|| true);
        ask(&crew);
        assert!(idle.has_turn());
        assert!(crew.await_turn(), "this thread finds out, and has the turn");
        assert!(turns.lock().companions_from.is_some_and(|from| from > Instant::now()), "and they rest");
    }

    #[test]
    fn a_crowd_ends_the_companions_turn() {
        for (crowded, bytes) in [(Some(true), 100), (None, 1 << 20)] {
            let (turns, crew) = begin();
            let mut seat = turns.join(|| false);
            ask(&crew);
            for asked in 0..WINDOW {
                assert!(seat.has_turn(), "{asked} requests");
                seat.answer(crowded, || Ok::<_, ()>(bytes)).unwrap();
            }
            assert!(crew.has_turn(), "{crowded:?}, {bytes} bytes");
        }
    }

    #[test]
    fn one_that_is_gone_leaves_the_turn_to_the_crew_for_ever() {
        let (turns, crew) = begin();
        let stays = turns.join(|| false);
        let goes = turns.join(|| false);
        ask(&crew);
        assert!(goes.has_turn());
        drop(goes);
        assert!(crew.await_turn());
        ask(&crew);
        assert!(crew.has_turn() && !stays.has_turn());
    }

    #[test]
    fn everybody_is_let_go_at_the_end() {
        let (turns, crew) = begin();
        let seat = turns.join(|| false);
        let companion = thread::spawn(move || seat.await_turn());
        let other = turns.enlist();
        ask(&other);
        assert!(!crew.has_turn());
        drop((crew, other));
        // It had the turn, or has come too late for it.
        companion.join().unwrap();
        turns.lock().companions_from = Some(Instant::now());
        turns.pass_to_companions();
        assert!(!turns.is(super::Turn::Companions), "the end is the end");
        assert!(!turns.enlist().await_turn());
    }
}
