//! Signals as STOPSIGNAL names them.

/// The word names no signal of Linux.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid signal: {0}")]
pub struct InvalidSignal(pub String);

/// The names of signal(7), without `SIG` and without the real-time ones.
const NAMES: &str = " ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP \
                     SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ ";

/// Checks an expanded STOPSIGNAL: a number from 1 to 64, or a name in any case, with or without `SIG`. The image config
/// keeps the word as it is.
pub fn check_signal(word: &str) -> Result<(), InvalidSignal> {
    let name = word.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let number = word.parse().is_ok_and(|number: u8| (1..=64).contains(&number));
    let named = name.bytes().all(|b| b.is_ascii_alphanumeric()) && NAMES.contains(&format!(" {name} "));
    if number || named || is_real_time(name) { Ok(()) } else { Err(InvalidSignal(word.to_owned())) }
}

/// `RTMIN`, `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX-1`, `RTMAX`.
fn is_real_time(name: &str) -> bool {
    let offset = |rest: &str, sign| rest.strip_prefix(sign).and_then(|digits| digits.parse::<u8>().ok());
    match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) | (_, Some("")) => true,
        (Some(rest), _) => offset(rest, '+').is_some_and(|n| (1..=15).contains(&n)),
        (_, Some(rest)) => offset(rest, '-').is_some_and(|n| (1..=14).contains(&n)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::check_signal;

    #[test]
    fn words_name_signals() {
        for (word, valid) in [
            ("SIGTERM", true),
            ("sigkill", true),
            ("QUIT", true),
            ("9", true),
            ("64", true),
            ("RTMIN+3", true),
            ("SIGRTMAX-14", true),
            ("SIGRTMIN", true),
            ("0", false),
            ("65", false),
            ("-1", false),
            ("", false),
            ("SIG", false),
            ("TERM KILL", false),
            ("SIGFOO", false),
            ("RTMIN+16", false),
            ("RTMAX+1", false),
        ] {
            assert_eq!(check_signal(word).is_ok(), valid, "{word:?}");
        }
    }
}
