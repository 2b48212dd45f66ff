//! The functions of templates: those of the language, and those that the containers tools add.

use std::cmp::Ordering;

use serde_json::Value;

use super::evaluate::is_true;
use super::print::plain;

/// A function; `None` is no value, which shows as nothing.
type Call = fn(&[Value]) -> Result<Option<Value>, String>;

#[derive(Clone, Copy)]
pub(super) struct Function {
    name: &'static str,
    call: Call,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const FUNCTIONS: [(&str, Call); 23] = [
    ("and", |values| Ok(values.iter().find(|value| !is_true(value)).or(values.last()).cloned())),
    ("or", |values| Ok(values.iter().find(|value| is_true(value)).or(values.last()).cloned())),
    ("not", |values| Ok(Some((!is_true(one(values)?)).into()))),
    ("eq", |values| {
        let (first, others) =
            values.split_first().filter(|(_, others)| !others.is_empty()).ok_or("two values are compared")?;
        Ok(Some(others.iter().any(|other| first == other).into()))
    }),
    ("ne", |values| two(values).map(|(one, other)| Some((one != other).into()))),
    ("lt", |values| ordered(values, Ordering::is_lt)),
    ("le", |values| ordered(values, Ordering::is_le)),
    ("gt", |values| ordered(values, Ordering::is_gt)),
    ("ge", |values| ordered(values, Ordering::is_ge)),
    ("index", index),
    ("len", |values| {
        let length = match one(values)? {
            Value::String(text) => text.len(),
            Value::Array(values) => values.len(),
            Value::Object(fields) => fields.len(),
            Value::Null => 0,
            other => return Err(format!("{} has no length", plain(other))),
        };
        Ok(Some(length.into()))
    }),
    ("json", |values| {
        serde_json::to_string(one(values)?).map(|text| Some(text.into())).map_err(|why| why.to_string())
    }),
    ("print", |values| Ok(Some(spaced(values).into()))),
    ("println", |values| {
        let words: Vec<String> = values.iter().map(plain).collect();
        Ok(Some(format!("{}\n", words.join(" ")).into()))
    }),
    ("printf", |values| {
        let (format, values) = values.split_first().ok_or("a format is missing")?;
        Ok(Some(formatted(text(format)?, values)?.into()))
    }),
    ("join", |values| match two(values)? {
        (Value::Array(values), between) => {
            Ok(Some(values.iter().map(plain).collect::<Vec<_>>().join(text(between)?).into()))
        }
        (Value::Null, _) => Ok(Some("".into())),
        (other, _) => Err(format!("{} is no list", plain(other))),
    }),
    ("split", |values| {
        let (whole, between) = two(values)?;
        Ok(Some(text(whole)?.split(text(between)?).collect::<Vec<_>>().into()))
    }),
    ("upper", |values| Ok(Some(text(one(values)?)?.to_uppercase().into()))),
    ("lower", |values| Ok(Some(text(one(values)?)?.to_lowercase().into()))),
    ("title", |values| {
        let mut letters = text(one(values)?)?.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        Ok(Some((first + letters.as_str()).into()))
    }),
    ("truncate", |values| {
        let (whole, length) = two(values)?;
        let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or("a length is a whole number")?;
        Ok(Some(text(whole)?.chars().take(length).collect::<String>().into()))
    }),
    ("pad", |values| {
        let [whole, before, after] = values else { return Err("pad has a text and two widths".to_owned()) };
        let spaces = |width: &Value| {
            " ".repeat(width.as_u64().and_then(|width| usize::try_from(width).ok()).unwrap_or(0))
        };
        Ok(Some((spaces(before) + text(whole)? + &spaces(after)).into()))
    }),
    ("html", |values| {
        Ok(Some(plain(one(values)?).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").into()))
    }),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|(known, _)| *known == name).map(|&(name, call)| Self { name, call })
    }

    pub(super) fn call(self, values: &[Value]) -> Result<Option<Value>, String> {
        (self.call)(values)
    }
}

fn one(values: &[Value]) -> Result<&Value, String> {
    if let [one] = values {
        Ok(one)
    } else {
        Err(format!("one value was expected, there are {}", values.len()))
    }
}

fn two(values: &[Value]) -> Result<(&Value, &Value), String> {
    if let [one, other] = values {
        Ok((one, other))
    } else {
        Err(format!("two values were expected, there are {}", values.len()))
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{} is no text", plain(value)))
}

fn ordered(values: &[Value], holds: fn(Ordering) -> bool) -> Result<Option<Value>, String> {
    let (one, other) = two(values)?;
    let order = match (one, other) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let order = order.ok_or_else(|| format!("{} and {} cannot be compared", plain(one), plain(other)))?;
    Ok(Some(holds(order).into()))
}

/// Of a list by number, of a map by key, and so on inside.
fn index(values: &[Value]) -> Result<Option<Value>, String> {
    let (whole, keys) = values
        .split_first()
        .filter(|(_, keys)| !keys.is_empty())
        .ok_or("index has one more: a number or a key")?;
    let mut value = whole.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Array(values), Value::Number(at)) => {
                let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
                let found = at.and_then(|at| values.get(at)).cloned();
                found.ok_or_else(|| format!("{} is out of range: there are {}", plain(key), values.len()))?
            }
            (Value::Object(fields), Value::String(key)) => match fields.get(key) {
                Some(value) => value.clone(),
                None => return Ok(None),
            },
            (Value::Null, _) => return Ok(None),
            _ => return Err(format!("{} cannot be a key of {}", plain(key), plain(&value))),
        };
    }
    Ok(Some(value))
}

/// As Go's `Sprint`: a space between two that are no texts.
fn spaced(values: &[Value]) -> String {
    let mut line = String::new();
    let mut before: Option<&Value> = None;
    for value in values {
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            line.push(' ');
        }
        line += &plain(value);
        before = Some(value);
    }
    line
}

/// `%s`, `%v`, `%d`, `%q`, `%t` and `%%`, with a width.
fn formatted(format: &str, values: &[Value]) -> Result<String, String> {
    let mut values = values.iter();
    let mut line = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        line += before;
        let end = after.find(|c: char| c.is_ascii_alphabetic() || c == '%').ok_or("a % stands at the end")?;
        let (width, verb) = (&after[..end], &after[end..=end]);
        rest = &after[end + 1..];
        if verb == "%" {
            line.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| format!("no value is left for %{verb}"))?;
        let word = match verb {
            "s" | "v" | "d" | "t" => plain(value),
            "q" => format!("{:?}", plain(value)),
            _ => return Err(format!("%{verb} is not known: %s, %v, %d, %q and %t are")),
        };
        let left = width.starts_with('-');
        let width = width.trim_start_matches('-').parse::<usize>().unwrap_or(0);
        let padded = if left { format!("{word:<width$}") } else { format!("{word:>width$}") };
        line += &padded;
    }
    Ok(line + rest)
}
