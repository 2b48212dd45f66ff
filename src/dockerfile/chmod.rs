//! `--chmod`: a mode in digits, or changes to the mode that a file has (chmod(1), "Symbolic modes").
//!
//! The changes are POSIX's, with two words on what it leaves open. `X` looks at the mode as it was before the first
//! change. Where no class is named all are meant, but for the bits of the usual umask, 022; the builder's own umask
//! does not count, so that everybody gets the same image.

/// What a change without a class leaves alone.
const UMASK: u32 = 0o022;

/// A value of `--chmod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chmod(Change);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Octal(u32),
    Symbolic(Vec<Action>),
}

/// One operator and what stands around it: `u=rwX`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Action {
    /// The bits that may change; `None` where no class is named.
    classes: Option<u32>,
    operator: char,
    bits: u32,
    /// Where the mode is that of a directory, or lets somebody execute.
    search: bool,
    /// `u`, `g` and `o` on the right-hand side, as the shift of their three bits.
    copied: Vec<u32>,
}

/// Neither octal digits up to 7777 nor a symbolic mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777, or symbolic as u=rwX,go=rX"
)]
pub struct InvalidChmod(pub String);

impl Chmod {
    /// Parses a value after expansion.
    pub fn parse(text: &str) -> Result<Self, InvalidChmod> {
        let invalid = || InvalidChmod(text.to_owned());
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777);
            return bits.map(|bits| Self(Change::Octal(bits))).ok_or_else(invalid);
        }
        let mut actions = Vec::new();
        for clause in text.split(',') {
            actions.extend(Action::parse_clause(clause).ok_or_else(invalid)?);
        }
        Ok(Self(Change::Symbolic(actions)))
    }

    /// The mode of a file that had `mode`.
    pub fn file(&self, mode: u32) -> u32 {
        self.apply(mode, mode & 0o111 != 0)
    }

    /// The mode of a directory that had `mode`.
    pub fn directory(&self, mode: u32) -> u32 {
        self.apply(mode, true)
    }

    /// The mode of a directory that has to be made on the way.
    pub fn made_directory(&self) -> u32 {
        match self.0 {
            Change::Octal(bits) => bits,
            Change::Symbolic(_) => 0o755,
        }
    }

    fn apply(&self, mode: u32, searchable: bool) -> u32 {
        match &self.0 {
            Change::Octal(bits) => *bits,
            Change::Symbolic(actions) => {
                actions.iter().fold(mode, |mode, action| action.apply(mode, searchable))
            }
        }
    }
}

impl Action {
    /// `[ugoa]*([+-=][rwxXst]*|[+-=][ugo])+`
    fn parse_clause(clause: &str) -> Option<Vec<Self>> {
        let operators = clause.find(['+', '-', '='])?;
        let mut classes = None;
        for class in clause[..operators].chars() {
            let bits = match class {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o0007,
                'a' => 0o6777,
                _ => return None,
            };
            classes = Some(classes.unwrap_or(0) | bits);
        }
        let mut actions = Vec::new();
        let mut rest = &clause[operators..];
        while let Some(operator) = rest.chars().next() {
            rest = &rest[1..];
            let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
            actions.push(Self::parse(classes, operator, &rest[..end])?);
            rest = &rest[end..];
        }
        Some(actions)
    }

    fn parse(mut classes: Option<u32>, operator: char, permissions: &str) -> Option<Self> {
        let (mut bits, mut search, mut copied) = (0, false, Vec::new());
        // The others have neither set-id bits nor the sticky one.
        let only_others = classes == Some(0o0007);
        for permission in permissions.chars() {
            match permission {
                'r' => bits |= 0o444,
                'w' => bits |= 0o222,
                'x' => bits |= 0o111,
                'X' => search = true,
                's' | 't' if only_others => {}
                's' => bits |= 0o6000,
                't' => {
                    bits |= 0o1000;
                    classes = classes.map(|classes| classes | 0o1000);
                }
                'u' => copied.push(6),
                'g' => copied.push(3),
                'o' => copied.push(0),
                _ => return None,
            }
        }
        Some(Self { classes, operator, bits, search, copied })
    }

    /// `searchable`: whether `X` stands for `x`.
    fn apply(&self, mode: u32, searchable: bool) -> u32 {
        let search = if self.search && searchable { 0o111 } else { 0 };
        let copied = self.copied.iter().fold(0, |bits, shift| bits | (((mode >> shift) & 0o7) * 0o111));
        let value = (self.bits | search | copied) & self.classes.unwrap_or(0o7777 & !UMASK);
        match self.operator {
            '+' => mode | value,
            '-' => mode & !value,
            // What is copied from another class says nothing of set-id bits.
            _ if !self.copied.is_empty() => mode & !(self.classes.unwrap_or(0o777) & 0o777) | value,
            _ => mode & !self.classes.unwrap_or(0o6777 | self.bits) | value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chmod;

    #[test]
    fn modes_become_what_chmod_makes_of_them() {
        // The text, a mode, what a file and what a directory of that mode get.
        for (text, mode, file, directory) in [
            ("755", 0o600, 0o755, 0o755),
            ("0", 0o600, 0, 0),
            ("07777", 0o600, 0o7777, 0o7777),
            ("u=rwX,go=rX", 0o600, 0o644, 0o755),
            ("u=rwX,go=rX", 0o700, 0o755, 0o755),
            ("a=X", 0o010, 0o111, 0o111),
            ("+x", 0o600, 0o711, 0o711),
            ("+X", 0o600, 0o600, 0o711),
            ("+w", 0o444, 0o644, 0o644),
            ("-w", 0o666, 0o466, 0o466),
            ("=rw", 0o777, 0o644, 0o644),
            ("a+w", 0o444, 0o666, 0o666),
            ("a-w", 0o666, 0o444, 0o444),
            ("g=u", 0o640, 0o660, 0o660),
            ("go=u-w", 0o700, 0o755, 0o755),
            ("g=u", 0o2750, 0o2770, 0o2770),
            ("o=g", 0o654, 0o655, 0o655),
            ("u=", 0o4755, 0o055, 0o055),
            ("go=", 0o2755, 0o700, 0o700),
            ("u+s", 0o755, 0o4755, 0o4755),
            ("g+s,o+s", 0o755, 0o2755, 0o2755),
            ("+t", 0o755, 0o1755, 0o1755),
            ("a=rx", 0o1777, 0o1555, 0o1555),
            ("a=rxt", 0o777, 0o1555, 0o1555),
            ("o+t", 0o755, 0o755, 0o755),
            ("u+r-w+x", 0o200, 0o500, 0o500),
            ("ug+rw,o-rwx", 0o007, 0o660, 0o660),
            ("uo=g", 0o070, 0o777, 0o777),
            ("a-x,a+X", 0o755, 0o755, 0o755),
        ] {
            let chmod = Chmod::parse(text).unwrap_or_else(|error| panic!("{error}"));
            let made = (chmod.file(mode), chmod.directory(mode));
            assert_eq!(made, (file, directory), "{text} on {mode:o}: {:o} and {:o}", made.0, made.1);
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in [
            "",
            "888",
            "10000",
            "7555555555555",
            "rwx",
            "u",
            "u+",
            "z+x",
            "u+q",
            "u=r,",
            ",u=r",
            "u+x w",
            "0x1",
        ] {
            let good = text == "u+";
            assert_eq!(Chmod::parse(text).is_ok(), good, "{text:?}");
        }
    }
}
