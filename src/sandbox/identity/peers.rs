//! Who is at the other end of a socket (`SO_PEERCRED`, unix(7)).
//!
//! The kernel remembers who connected, and that this was root, as everybody is to it. So the number is the kernel's, and the
//! ids are those that the process has when it is asked for. Of one that is gone by then nothing is known but what the kernel
//! says.

use rbuild_userns::peer::{Credentials, borrow};
use rbuild_userns::seccomp::notify::Answer;
use rbuild_userns::seccomp::notify::call::{Address, Call, Sockets, Width};

use super::Errno;
use super::caller::Caller;
use super::clerk::Desk;
use super::view::field;

impl Desk<'_> {
    pub(super) fn peer(
        &self,
        caller: &Caller<'_>,
        socket: i32,
        into: Address,
        length: Address,
    ) -> Result<Answer, Errno> {
        let Some(credentials) = self.credentials(caller, socket) else { return Ok(Answer::Go) };
        let room = Width::Wide.decode(&caller.read(length, 4)?)[0];
        // a negative one is the kernel's to refuse
        let Some(room) = i32::try_from(room).ok().and_then(|room| usize::try_from(room).ok()) else {
            return Ok(Answer::Go);
        };
        let bytes: Vec<u8> = credentials.into_iter().flat_map(u32::to_ne_bytes).take(room).collect();
        caller.write(into, &bytes)?;
        caller.write(length, &u32::try_from(bytes.len()).map_err(|_| Errno::INVAL)?.to_ne_bytes())?;
        Ok(Answer::Value(0))
    }

    /// A call with its arguments in memory.
    pub(super) fn sockets(
        &mut self,
        caller: &Caller<'_>,
        asked: Sockets,
        arguments: Address,
    ) -> Result<Answer, Errno> {
        let arguments = Width::Wide.decode(&caller.read(arguments, 4 * asked.arguments())?);
        match asked.call(&arguments) {
            Some(Call::Peer { socket, into, length }) => self.peer(caller, socket, into, length),
            Some(Call::Bind { socket, address, size }) => self.bind(caller, socket, address, size),
            _ => Ok(Answer::Go),
        }
    }

    /// Process, user and group, as the caller shall see them. `None`: the kernel knows better.
    fn credentials(&self, caller: &Caller<'_>, socket: i32) -> Option<[u32; 3]> {
        let ours = borrow(caller.thread, self.view.process(caller.thread), socket).ok()?;
        let Credentials { process, .. } = Credentials::of_peer(&ours).ok()?;
        let process = process?;
        let identity = self.books.people.find(process)?;
        let numbers = |thread| Some(field(&self.view.text(thread, "status")?, "NSpid:")?.to_owned());
        let depth = numbers(caller.thread)?.split_whitespace().count();
        let shown = numbers(process)?.split_whitespace().nth(depth - 1)?.parse().ok()?;
        Some([shown, identity.user.effective, identity.group.effective])
    }
}
