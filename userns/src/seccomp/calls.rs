//! System calls by name.

use std::collections::HashMap;

/// Whose numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    /// This program's own.
    Native,
    /// Those of 32-bit x86.
    X86,
}

/// The numbers, a line a name: see there.
const TABLE: &str = include_str!("calls.txt");

#[cfg(target_arch = "x86_64")]
const NATIVE: usize = 1;
#[cfg(not(target_arch = "x86_64"))]
const NATIVE: usize = 3;

/// The numbers of an architecture's calls.
pub(super) fn numbers(abi: Abi) -> HashMap<&'static str, i64> {
    let column = match abi {
        Abi::Native => NATIVE,
        Abi::X86 => 2,
    };
    let row = |line: &'static str| {
        let mut columns = line.split(' ');
        let name = columns.next()?;
        Some((name, columns.nth(column - 1)?.parse().ok()?))
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_three_columns() {
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let numbers: Vec<_> = line.split(' ').skip(1).collect();
            assert_eq!(numbers.len(), 3, "{line}");
            assert!(numbers.iter().all(|text| *text == "-" || text.parse::<u16>().is_ok()), "{line}");
        }
    }

    #[test]
    fn names_have_the_numbers_of_this_architecture() {
        let (native, x86) = (numbers(Abi::Native), numbers(Abi::X86));
        for (name, want) in [
            ("read", libc::SYS_read),
            ("clone3", libc::SYS_clone3),
            ("newfstatat", libc::SYS_newfstatat),
            ("renameat2", libc::SYS_renameat2),
            ("seccomp", libc::SYS_seccomp),
            ("memfd_secret", libc::SYS_memfd_secret),
            ("fchmodat2", libc::SYS_fchmodat2),
            ("mseal", libc::SYS_mseal),
        ] {
            assert_eq!(native.get(name), Some(&want), "{name}");
        }
        for (name, want) in
            [("read", Some(3)), ("socketcall", Some(102)), ("arch_prctl", Some(384)), ("", None)]
        {
            assert_eq!(x86.get(name).copied(), want, "{name}");
        }
        assert_eq!(native.get("pciconfig_read"), None);
    }
}
