//! Databases in stanzas: dpkg's (deb822, as deb822(5) has it) and apk's (apk-v2, "installed").

use super::{Error, Found, Kind, Package, told};

/// The packages of dpkg that are installed.
pub(super) fn dpkg(text: &str) -> Result<Vec<Package>, Error> {
    let mut found = Found::default();
    for stanza in stanzas(text) {
        let field = |name: &str| {
            stanza.iter().find_map(|line| {
                let (own, value) = line.split_once(':')?;
                own.eq_ignore_ascii_case(name).then_some(value.trim())
            })
        };
        // Images without dpkg itself (status.d) say nothing of a status: what is there is installed.
        let is_installed = field("Status").is_none_or(|status| status.ends_with(" installed"));
        if let (true, Some(name), Some(version)) = (is_installed, field("Package"), field("Version"))
            && let Some(package) = found.push(Kind::Deb, name, version)?
        {
            package.architecture = told(field("Architecture"));
        }
    }
    Ok(found.0)
}

/// The packages of apk.
pub(super) fn apk(text: &str) -> Result<Vec<Package>, Error> {
    let mut found = Found::default();
    for stanza in stanzas(text) {
        let field =
            |letter: char| stanza.iter().find_map(|line| line.strip_prefix(letter)?.strip_prefix(':'));
        if let (Some(name), Some(version)) = (field('P'), field('V'))
            && let Some(package) = found.push(Kind::Apk, name, version)?
        {
            package.architecture = told(field('A'));
            package.license = told(field('L'));
        }
    }
    Ok(found.0)
}

/// Runs of lines between empty ones; lines that continue a field are left out.
fn stanzas(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut stanza = Vec::new();
        let mut ended = true;
        for line in lines.by_ref() {
            ended = false;
            if line.trim().is_empty() {
                break;
            }
            if !line.starts_with([' ', '\t']) {
                stanza.push(line);
            }
        }
        (!ended || !stanza.is_empty()).then_some(stanza)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_wrote_is_read() {
        // As dpkg of Debian 12 writes it: one installed, one whose files are gone, one half-way.
        let status = "Package: acl\nStatus: install ok installed\nPriority: optional\nMaintainer: G <g@debian.org>\n\
            Architecture: amd64\nVersion: 2.3.1-3\nDepends: libc6 (>= 2.34)\nDescription: access control lists\n\
            \x20This package contains\n\x20Version: not this\nHomepage: https://x\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
            Package: half\nStatus: install reinstreq half-installed\nVersion: 2\n\n\
            Package: libstdc++6\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12\nVersion: 1:12.2.0-14\n";
        let found: Vec<_> =
            dpkg(status).unwrap().into_iter().map(|p| (p.name, p.version, p.architecture)).collect();
        let amd64 = || Some("amd64".to_owned());
        assert_eq!(
            found,
            [
                ("acl".to_owned(), "2.3.1-3".to_owned(), amd64()),
                ("libstdc++6".to_owned(), "1:12.2.0-14".to_owned(), amd64())
            ]
        );
        assert_eq!(dpkg("Package: tzdata\nVersion: 2024a\n").unwrap().len(), 1, "no status");
    }

    #[test]
    fn what_apk_wrote_is_read() {
        let installed = "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\nS:383459\nI:622592\nT:the musl c library\nU:https://musl.libc.org/\n\
            L:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1x=\n\nC:Q1y=\nP:busybox\nV:1.36.1-r5\nA:x86_64\nL:GPL-2.0-only\n\n";
        let found: Vec<_> =
            apk(installed).unwrap().into_iter().map(|p| (p.name, p.version, p.license)).collect();
        assert_eq!(
            found,
            [
                ("musl".to_owned(), "1.2.4-r2".to_owned(), Some("MIT".to_owned())),
                ("busybox".to_owned(), "1.36.1-r5".to_owned(), Some("GPL-2.0-only".to_owned()))
            ]
        );
    }
}
