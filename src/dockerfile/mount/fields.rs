//! The fields of a mount: `name` or `name=value`, divided as in a line of CSV.

use super::MountSpecError;

/// `name` or `name=value`.
pub(super) struct Field {
    /// In lower case.
    pub(super) name: String,
    pub(super) value: Option<String>,
}

impl Field {
    pub(super) fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    pub(super) fn needs(&self, expected: &'static str) -> MountSpecError {
        MountSpecError::Value { field: self.name.clone(), value: self.text().to_owned(), expected }
    }

    pub(super) fn unknown(&self, kind: &'static str) -> MountSpecError {
        MountSpecError::Field { kind, field: self.name.clone() }
    }

    pub(super) fn filled(&self, expected: &'static str) -> Result<String, MountSpecError> {
        if self.text().is_empty() { Err(self.needs(expected)) } else { Ok(self.text().to_owned()) }
    }

    pub(super) fn target(&self) -> Result<String, MountSpecError> {
        let target = self.filled("a path")?;
        // what climbs stops at the root
        let mut depth = 0_usize;
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => depth = depth.saturating_sub(1),
                _ => depth += 1,
            }
        }
        if target.starts_with('/') && depth == 0 { Err(MountSpecError::Root(target)) } else { Ok(target) }
    }

    pub(super) fn one_of(&self, words: &[&str], expected: &'static str) -> Result<(), MountSpecError> {
        if words.contains(&self.text()) { Ok(()) } else { Err(self.needs(expected)) }
    }

    /// A switch: alone, it is on.
    pub(super) fn switch(&self) -> Result<bool, MountSpecError> {
        match self.value.as_deref() {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(self.needs("true or false")),
        }
    }

    pub(super) fn number(&self) -> Result<u32, MountSpecError> {
        // the last number stands for "no id" to the kernel
        let number = self.text().parse().ok().filter(|number| *number != u32::MAX);
        number.ok_or_else(|| self.needs("a number, because a mount knows no names"))
    }

    /// Bytes, or `k`, `m`, `g` of them.
    pub(super) fn size(&self) -> Result<u64, MountSpecError> {
        let refused = || self.needs("a number of bytes above 0, or one with k, m or g");
        let text = self.text().to_ascii_lowercase();
        let digits = text.trim_end_matches(['b', 'k', 'm', 'g']);
        let unit: u64 = match &text[digits.len()..] {
            "" | "b" => 1,
            "k" | "kb" => 1 << 10,
            "m" | "mb" => 1 << 20,
            "g" | "gb" => 1 << 30,
            _ => return Err(refused()),
        };
        let number: u64 = digits.parse().map_err(|_| refused())?;
        number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(refused)
    }

    pub(super) fn mode(&self) -> Result<u32, MountSpecError> {
        let mode = u32::from_str_radix(self.text(), 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.needs("permission bits in octal, such as 1777"))
    }
}

/// The fields of a line of CSV.
pub(super) fn divide(text: &str) -> Result<Vec<Field>, MountSpecError> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is always one");
        match c {
            // two within quotes stand for one
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' if quoted => {
                quoted = false;
                if chars.peek().is_some_and(|next| *next != ',') {
                    return Err(MountSpecError::Quotes(text.to_owned()));
                }
            }
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if quoted {
        return Err(MountSpecError::Quotes(text.to_owned()));
    }
    let divide = |field: String| match field.split_once('=') {
        Some((name, value)) => {
            Field { name: name.trim().to_ascii_lowercase(), value: Some(value.to_owned()) }
        }
        None => Field { name: field.trim().to_ascii_lowercase(), value: None },
    };
    Ok(fields.into_iter().map(divide).collect())
}
