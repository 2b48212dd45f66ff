//! Packets between two processes of one program: bytes, and descriptors that come along.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::error::{Error, refused};

/// The most descriptors one packet carries.
pub const MAX_DESCRIPTORS: usize = 8;

/// One end of a pair of `SOCK_SEQPACKET` sockets. What one end sends, the other receives whole and in order.
#[derive(Debug)]
pub struct Packets(OwnedFd);

/// What arrived.
#[derive(Debug)]
pub struct Packet {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The descriptors, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

impl Packets {
    /// Two ends.
    pub fn pair() -> Result<(Self, Self), Error> {
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map(|(one, other)| (Self(one), Self(other)))
            .map_err(refused("socketpair(SEQPACKET)"))
    }

    /// Takes a descriptor that should be one end. `None`: it is something else.
    pub fn from_descriptor(descriptor: OwnedFd) -> Option<Self> {
        let kind = rustix::net::sockopt::socket_type(&descriptor).ok()?;
        let domain = rustix::net::sockopt::socket_domain(&descriptor).ok()?;
        (kind == SocketType::SEQPACKET && domain == AddressFamily::UNIX).then_some(Self(descriptor))
    }

    /// Sends one packet. Waits while the other end is behind.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(refused(format!("send {} descriptors at once", descriptors.len()))(
                Errno::TOOMANYREFS,
            ));
        }
        loop {
            match rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(refused(format!("send {} bytes", bytes.len()))(errno)),
            }
        }
    }

    /// Receives one packet of at most `limit` bytes. `None`: the other end is gone.
    pub fn receive(&self, limit: usize) -> Result<Option<Packet>, Error> {
        let mut bytes = vec![0; limit];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Err(Errno::INTR) => {}
                // the other end closed with our packets unread
                Err(Errno::CONNRESET) => return Ok(None),
                other => break other.map_err(refused("receive a packet"))?,
            }
        };
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(refused(format!("receive a packet of at most {limit} bytes"))(Errno::MSGSIZE));
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        bytes.truncate(received.bytes);
        Ok(Some(Packet { bytes, descriptors }))
    }

    /// Tells the other end that nothing more will come, and takes nothing more from it.
    pub fn shut_down(&self) -> Result<(), Error> {
        match rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both) {
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(errno) => Err(refused("shut a socket down")(errno)),
        }
    }
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn packets_arrive_whole_in_order_with_their_descriptors() {
        let (here, there) = Packets::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"inside").unwrap();
        here.send(b"one", &[file.as_fd()]).unwrap();
        here.send(b"two", &[]).unwrap();
        drop(here);
        let one = there.receive(16).unwrap().unwrap();
        assert_eq!(one.bytes, b"one");
        let mut came = std::fs::File::from(one.descriptors.into_iter().next().unwrap());
        came.rewind().unwrap();
        let mut text = String::new();
        came.read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        assert_eq!(there.receive(16).unwrap().unwrap().bytes, b"two");
        assert!(there.receive(16).unwrap().is_none());
    }

    #[test]
    fn a_packet_above_the_limit_is_refused() {
        let (here, there) = Packets::pair().unwrap();
        here.send(&[7; 17], &[]).unwrap();
        assert_eq!(there.receive(16).unwrap_err().errno(), Some(libc::EMSGSIZE));
    }

    #[test]
    fn only_a_seqpacket_socket_is_taken() {
        let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Packets::from_descriptor(stream.into()).is_none());
        assert!(Packets::from_descriptor(tempfile::tempfile().unwrap().into()).is_none());
    }
}
