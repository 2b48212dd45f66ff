//! Whose turn it is to answer: the crew's or the companion's.
//!
//! A request costs little to answer; what it costs is the wake-up of a thread on another CPU, and of the caller for the
//! answer. A process that asks one thing after the other (tar, dpkg, cp, find) pays both every time. So a session can be
//! served in two ways, and passes from one to the other as it sees how it is asked:
//!
//! - by the *crew*, a thread for each CPU, wherever the scheduler puts them: many callers are answered at the same time;
//! - by the *companion*, one thread that keeps to the CPU of its caller and only runs while nobody else wants to
//!   (`SCHED_IDLE`): caller and companion take turns on one CPU, and no other is woken.
//!
//! The companion is given the turn when requests come briskly, small and one at a time. It gives it back when they come in
//! crowds or in bulk. Where others use up its CPU it would never run; so a waiting thread of the crew looks every [`TICK`],
//! takes the turn away, and leaves it there for a while, each time for longer.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pace::{Pace, Sight, Watch};

/// How often somebody looks whether the companion runs.
const TICK: Duration = Duration::from_millis(10);

/// For how long the companion rests after it got no CPU, at first and at most.
const REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(8);

/// For how long it rests after a crowd.
const CROWD_REST: Duration = Duration::from_millis(50);

/// A turn of this length was a good one: the next rest begins with [`REST`] again.
const GOOD_TURN: Duration = Duration::from_secs(1);

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Crew,
    Companion,
    /// Nobody: the file system is unmounted.
    Over,
}

/// Why the companion's turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Requests come in crowds or in bulk.
    Crowd,
    /// It got no CPU.
    Starved,
    /// Nobody asks.
    Quiet,
    /// It is gone.
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
    /// Requests that the companion has answered, and whether it has one that it has not.
    answered: AtomicU64,
    answering: AtomicBool,
}

#[derive(Debug)]
struct State {
    turn: Turn,
    /// When the turn began.
    since: Instant,
    /// There is a companion, and it may have the turn from then on.
    companion_from: Option<Instant>,
    rest: Duration,
    /// A thread of the crew looks after the companion.
    watched: bool,
    watch: Watch,
}

impl Turns {
    /// The crew begins.
    pub fn new() -> Self {
        let state = State {
            turn: Turn::Crew,
            since: Instant::now(),
            companion_from: None,
            rest: REST,
            watched: false,
            watch: Watch::default(),
        };
        Self {
            turn: AtomicU8::new(Turn::Crew as u8),
            state: Mutex::new(state),
            changed: Condvar::new(),
            under_way: AtomicUsize::new(0),
            pace: Mutex::new(Pace::new()),
            answered: AtomicU64::new(0),
            answering: AtomicBool::new(false),
        }
    }

    /// From now on there is a companion.
    pub fn companion_joins(&self) {
        self.lock().companion_from = Some(Instant::now());
    }

    /// Waits for the crew's turn. `false`: it is over. `pending` tells whether a request waits to be read.
    pub fn await_crew(&self, pending: impl Fn() -> bool) -> bool {
        if self.is(Turn::Crew) {
            return true;
        }
        let mut state = self.lock();
        loop {
            match state.turn {
                Turn::Crew => return true,
                Turn::Over => return false,
                Turn::Companion if state.watched => state = self.wait(state),
                Turn::Companion => {
                    state.watched = true;
                    let (guard, _) =
                        self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
                    state = guard;
                    state.watched = false;
                    self.look(&mut state, &pending);
                }
            }
        }
    }

    /// Waits for the companion's turn. `false`: it is over.
    pub fn await_companion(&self) -> bool {
        if self.is(Turn::Companion) {
            return true;
        }
        let mut state = self.lock();
        loop {
            match state.turn {
                Turn::Companion => return true,
                Turn::Over => return false,
                Turn::Crew => state = self.wait(state),
            }
        }
    }

    /// Somebody of the crew answers a request, and says how many bytes it and its answer had.
    pub fn by_crew<E>(&self, answer: impl FnOnce() -> Result<usize, E>) -> Result<(), E> {
        let others = self.under_way.fetch_add(1, Ordering::Relaxed);
        let bytes = answer();
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let bytes = bytes?;
        // Who finds the lock taken is in a crowd; one request less in the count says nothing else.
        if let Ok(mut pace) = self.pace.try_lock()
            && pace.count(bytes, Some(others > 0)) == Some(Sight::OneByOne)
        {
            self.pass_to_companion();
        }
        Ok(())
    }

    /// The companion answers a request.
    pub fn by_companion<T>(&self, answer: impl FnOnce() -> T) -> T {
        self.answering.store(true, Ordering::Relaxed);
        let answer = answer();
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.answering.store(false, Ordering::Relaxed);
        answer
    }

    /// How many requests the companion has answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn pass_to_companion(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.turn == Turn::Crew && state.companion_from.is_some_and(|from| from <= now) {
            state.watch = Watch::begin(self.answered());
            self.pass(&mut state, Turn::Companion, now);
        }
    }

    /// The companion's turn ends, if it has it.
    pub fn pass_to_crew(&self, end: End) {
        self.give_back(&mut self.lock(), end);
    }

    fn give_back(&self, state: &mut State, end: End) {
        let now = Instant::now();
        if state.turn == Turn::Companion {
            if now.duration_since(state.since) >= GOOD_TURN {
                state.rest = REST;
            }
            self.pass(state, Turn::Crew, now);
        }
        match end {
            End::Gone => state.companion_from = None,
            End::Quiet => {}
            End::Crowd => state.companion_from = state.companion_from.map(|_| now + CROWD_REST),
            End::Starved => {
                state.companion_from = state.companion_from.map(|_| now + state.rest);
                state.rest = (state.rest * 2).min(LONGEST_REST);
            }
        }
    }

    /// The file system is unmounted: whoever waits for a turn waits no more.
    pub fn over(&self) {
        self.pass(&mut self.lock(), Turn::Over, Instant::now());
    }

    fn look(&self, state: &mut State, pending: impl Fn() -> bool) {
        if state.turn == Turn::Companion {
            let waiting = self.answering.load(Ordering::Relaxed) || pending();
            if let Some(end) = state.watch.tick(self.answered(), waiting) {
                self.give_back(state, end);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::{End, Turns};
    use crate::fuse::pace::WINDOW;

    fn ask(turns: &Turns, requests: u32) {
        for _ in 0..requests {
            turns.by_crew(|| Ok::<_, ()>(100)).unwrap();
        }
    }

    #[test]
    fn the_companion_has_the_turn_after_a_brisk_window_and_gives_it_back() {
        for end in [End::Crowd, End::Starved, End::Quiet, End::Gone] {
            let turns = Turns::new();
            ask(&turns, WINDOW);
            assert!(turns.await_crew(|| false), "nobody else is there");
            turns.companion_joins();
            ask(&turns, WINDOW);
            assert!(turns.await_companion());
            turns.pass_to_crew(end);
            assert!(turns.await_crew(|| panic!("the crew has the turn")), "{end:?}");
            ask(&turns, WINDOW);
            let at_once = turns.is(super::Turn::Companion);
            assert_eq!(at_once, end == End::Quiet, "{end:?}: whether it rests");
        }
    }

    #[test]
    fn a_companion_that_gets_no_cpu_loses_the_turn() {
        let turns = Turns::new();
        turns.companion_joins();
        ask(&turns, WINDOW);
        assert!(turns.is(super::Turn::Companion));
        // A request waits and is never read: this thread finds out, and has the turn.
        assert!(turns.await_crew(|| true));
        assert!(turns.lock().companion_from.is_some_and(|from| from > std::time::Instant::now()));
    }

    #[test]
    fn everybody_is_let_go_at_the_end() {
        let turns = Arc::new(Turns::new());
        turns.companion_joins();
        let companion = thread::spawn({
            let turns = Arc::clone(&turns);
            move || turns.await_companion()
        });
        ask(&turns, WINDOW);
        assert!(companion.join().unwrap(), "its turn");
        let crew: Vec<_> = (0..3)
            .map(|_| {
                let turns = Arc::clone(&turns);
                thread::spawn(move || turns.await_crew(|| false))
            })
            .collect();
        turns.over();
        // A thread that came before the end may have had the turn: nobody asks, so the companion loses it.
        crew.into_iter().for_each(|one| {
            one.join().unwrap();
        });
        assert!(!turns.await_crew(|| true) && !turns.await_companion());
        turns.pass_to_crew(End::Crowd);
        assert!(!turns.await_crew(|| true), "the end is the end");
    }
}
