//! The agent protocol: requests and answers, each with its length before it (draft-ietf-sshm-ssh-agent, section 3).

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::{Backend, Key};

/// The longest message, in bytes: OpenSSH's own limit.
const LIMIT: usize = 256 << 10;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const EXTENSION: u8 = 27;

/// Tells an agent which host a connection leads to, so that it can hold keys to certain hosts.
const SESSION_BIND: &[u8] = b"session-bind@openssh.com";

/// Answers until the other side closes the connection, or says what nobody says.
pub(super) fn serve(connection: &UnixStream, backend: &Backend) {
    let mut upstream = match backend {
        // one that does not answer has no keys
        Backend::Socket(path) => UnixStream::connect(path).ok(),
        Backend::Keys(_) => None,
    };
    while let Ok(request) = receive(connection) {
        let answer = match (backend, &mut upstream) {
            (Backend::Keys(keys), _) => by_keys(keys, &request),
            (Backend::Socket(_), Some(agent)) if is_harmless(&request) => {
                send(agent, &request).and_then(|()| receive(agent)).unwrap_or_else(|_| vec![FAILURE])
            }
            (Backend::Socket(_), _) => vec![FAILURE],
        };
        if send(connection, &answer).is_err() {
            return;
        }
    }
}

/// Whether a request changes nothing of the agent's keys.
fn is_harmless(request: &[u8]) -> bool {
    match request.split_first() {
        Some((&(REQUEST_IDENTITIES | SIGN_REQUEST), _)) => true,
        Some((&EXTENSION, rest)) => take_string(rest).is_some_and(|(name, _)| name == SESSION_BIND),
        _ => false,
    }
}

fn by_keys(keys: &[Key], request: &[u8]) -> Vec<u8> {
    match request.split_first() {
        Some((&REQUEST_IDENTITIES, [])) => {
            let mut answer = vec![IDENTITIES_ANSWER];
            answer.extend(u32::try_from(keys.len()).unwrap_or(u32::MAX).to_be_bytes());
            for key in keys {
                put_string(&mut answer, key.public());
                put_string(&mut answer, key.comment().as_bytes());
            }
            answer
        }
        Some((&SIGN_REQUEST, rest)) => sign(keys, rest).unwrap_or_else(|| vec![FAILURE]),
        _ => vec![FAILURE],
    }
}

fn sign(keys: &[Key], request: &[u8]) -> Option<Vec<u8>> {
    let (public, rest) = take_string(request)?;
    let (data, rest) = take_string(rest)?;
    let flags = u32::from_be_bytes(rest.try_into().ok()?);
    let key = keys.iter().find(|key| key.public() == public)?;
    let (algorithm, signature) = key.sign(data, flags)?;
    let mut whole = Vec::new();
    put_string(&mut whole, algorithm.as_bytes());
    put_string(&mut whole, &signature);
    let mut answer = vec![SIGN_RESPONSE];
    put_string(&mut answer, &whole);
    Some(answer)
}

/// `string` of RFC 4251, section 5.
pub(super) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(u32::try_from(bytes.len()).expect("far below 4 GiB").to_be_bytes());
    to.extend(bytes);
}

/// A `string` and what follows it.
fn take_string(from: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn receive(mut from: &UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length == 0 || length > LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    from.read_exact(&mut message)?;
    Ok(message)
}

fn send(mut to: &UnixStream, message: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(message.len() + 4);
    put_string(&mut framed, message);
    to.write_all(&framed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_an_agent_is_not_let_through() {
        let extension = |name: &[u8]| {
            let mut request = vec![EXTENSION];
            put_string(&mut request, name);
            request
        };
        let rows = [
            (vec![REQUEST_IDENTITIES], true),
            (vec![SIGN_REQUEST, 1, 2], true),
            (extension(SESSION_BIND), true),
            (extension(b"anything@else"), false),
            (vec![EXTENSION, 0, 0, 0, 9], false),
            (vec![EXTENSION], false),
            // add, remove, remove all, by smart card, lock, unlock, constrained, and of the first version
            (vec![17], false),
            (vec![18], false),
            (vec![19], false),
            (vec![20], false),
            (vec![21], false),
            (vec![22], false),
            (vec![23], false),
            (vec![25], false),
            (vec![26], false),
            (vec![1], false),
        ];
        for (request, want) in rows {
            assert_eq!(is_harmless(&request), want, "{request:?}");
        }
    }

    #[test]
    fn requests_that_are_none_fail_and_nothing_else() {
        for request in
            [&[][..], &[REQUEST_IDENTITIES, 0], &[SIGN_REQUEST], &[SIGN_REQUEST, 255, 255, 255, 255], &[99]]
        {
            assert_eq!(by_keys(&[], request), [FAILURE], "{request:?}");
        }
        assert_eq!(by_keys(&[], &[REQUEST_IDENTITIES]), [IDENTITIES_ANSWER, 0, 0, 0, 0]);
        let (here, there) = UnixStream::pair().unwrap();
        for bad in [[0, 0, 0, 0], [255, 255, 255, 255], [0, 4, 0, 1]] {
            (&here).write_all(&bad).unwrap();
            assert!(receive(&there).is_err(), "{bad:?}");
        }
    }
}
