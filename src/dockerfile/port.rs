//! Ports as EXPOSE names them.

use std::ops::RangeInclusive;

/// Why a word names no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not a number of 16 bits, or a range that ends before it begins.
    #[error("invalid containerPort: {0}")]
    Port(String),
    /// Neither tcp nor udp nor sctp.
    #[error("invalid proto: {0}")]
    Protocol(String),
}

/// The ports of one expanded word of EXPOSE, each as the image config writes it: `80-81/UDP` is `80/udp` and `81/udp`.
///
/// Of `[ip:][host:]port`, as `docker run -p` takes it, only the last part counts.
pub fn ports(word: &str) -> Result<Vec<String>, PortError> {
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(PortError::Protocol(protocol));
    }
    let container = ports.rsplit(':').next().unwrap_or(ports);
    let range = range(container).ok_or_else(|| PortError::Port(container.to_owned()))?;
    Ok(range.map(|port| format!("{port}/{protocol}")).collect())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = number(first)?..=number(last)?;
    (!range.is_empty()).then_some(range)
}

fn number(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::ports;

    #[test]
    fn words_name_ports() {
        for (word, expected) in [
            ("8080", Ok(vec!["8080/tcp"])),
            ("8080/udp", Ok(vec!["8080/udp"])),
            ("80/TCP", Ok(vec!["80/tcp"])),
            ("80-82/sctp", Ok(vec!["80/sctp", "81/sctp", "82/sctp"])),
            ("127.0.0.1:8080:80", Ok(vec!["80/tcp"])),
            ("[::1]:80:81/udp", Ok(vec!["81/udp"])),
            ("65535", Ok(vec!["65535/tcp"])),
            ("65536", Err("invalid containerPort: 65536")),
            ("x", Err("invalid containerPort: x")),
            ("", Err("invalid containerPort: ")),
            ("+80", Err("invalid containerPort: +80")),
            ("90-80", Err("invalid containerPort: 90-80")),
            ("80-", Err("invalid containerPort: 80-")),
            ("80/x", Err("invalid proto: x")),
            ("80/", Err("invalid proto: ")),
        ] {
            let expected = expected.map(|ports| ports.into_iter().map(str::to_owned).collect());
            assert_eq!(
                ports(word).map_err(|error| error.to_string()),
                expected.map_err(str::to_owned),
                "{word}"
            );
        }
        assert_eq!(ports("0-65535").map(|ports| ports.len()), Ok(65_536));
    }
}
