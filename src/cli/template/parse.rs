//! Text → nodes.

use serde_json::Value;

use super::Error;
use super::functions::Function;

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Show(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands, each of which gets what the one before gave as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// As it is written.
    pub text: String,
    /// The variables that get the value; `true`: there are new ones.
    pub sets: Option<(Vec<String>, bool)>,
    pub commands: Vec<Vec<Operand>>,
}

/// A word of a command.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub what: What,
    /// What of it, field by field.
    pub fields: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// `.`
    Dot,
    /// `$name`; the empty name is the whole value.
    Variable(String),
    Literal(Value),
    Function(Function),
    Group(Box<Pipeline>),
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let mut parser = Parser { pieces: pieces(text)?.into_iter().peekable() };
    let nodes = parser.nodes()?;
    match parser.pieces.next() {
        Some(Piece::Action(action)) => Err(Error::new(&action, "there is nothing to end here")),
        _ => Ok(nodes),
    }
}

/// Makes the spaces of the text tabs.
pub(super) fn part_columns(nodes: &mut [Node]) {
    for node in nodes {
        match node {
            Node::Text(text) => *text = text.replace(' ', "\t"),
            Node::Show(_) => {}
            Node::If(_, then, otherwise)
            | Node::With(_, then, otherwise)
            | Node::Range(_, then, otherwise) => {
                part_columns(then);
                part_columns(otherwise);
            }
        }
    }
}

/// The names of the fields that a row of a table shows, in capitals.
pub(super) fn heading(nodes: &[Node]) -> String {
    let word = |node: &Node| match node {
        Node::Text(text) => text.clone(),
        Node::Show(pipeline) => {
            let mut operands = pipeline.commands.iter().flatten();
            spaced(operands.find_map(|operand| operand.fields.last()).map_or("", String::as_str))
        }
        _ => String::new(),
    };
    nodes.iter().map(word).collect()
}

/// `ImageID` → `IMAGE ID`
fn spaced(name: &str) -> String {
    let mut words = String::new();
    let mut before = None;
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_some_and(char::is_lowercase) {
            words.push(' ');
        }
        words.extend(letter.to_uppercase());
        before = Some(letter);
    }
    words
}

enum Piece {
    Text(String),
    Action(String),
}

/// Cuts at the braces; `{{-` and `-}}` take the white space beside them along.
fn pieces(text: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some((before, action)) = rest.split_once("{{") {
        let Some(end) = end_of_action(action) else {
            return Err(Error::new(&rest[before.len()..], "no }} ends it"));
        };
        let (inside, after) = (&action[..end], &action[end + 2..]);
        let trimmed = inside.strip_prefix('-').filter(|inside| inside.starts_with(char::is_whitespace));
        let before = if trim { before.trim_start() } else { before };
        pieces.push(Piece::Text(if trimmed.is_some() { before.trim_end() } else { before }.to_owned()));
        let inside = trimmed.unwrap_or(inside);
        let ends = inside.strip_suffix('-').filter(|inside| inside.ends_with(char::is_whitespace));
        trim = ends.is_some();
        let inside = ends.unwrap_or(inside).trim();
        if !(inside.starts_with("/*") && inside.ends_with("*/")) {
            pieces.push(Piece::Action(inside.to_owned()));
        }
        rest = after;
    }
    pieces.push(Piece::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(pieces)
}

/// The first `}}` outside quotes.
fn end_of_action(action: &str) -> Option<usize> {
    let mut quote = None;
    let mut letters = action.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some('"'), '\\') => drop(letters.next()),
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '`') => quote = Some(letter),
            (None, '}') if letters.peek().is_some_and(|(_, next)| *next == '}') => return Some(at),
            _ => {}
        }
    }
    // A quote that is not closed is told of where it is read.
    quote.and_then(|_| action.find("}}"))
}

struct Parser {
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
}

impl Parser {
    /// Up to an `else` or `end` that belongs to whoever asks.
    fn nodes(&mut self) -> Result<Vec<Node>, Error> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next_if(|piece| !is_boundary(piece)) {
            match piece {
                Piece::Text(text) => nodes.push(Node::Text(text)),
                Piece::Action(action) => nodes.push(self.node(&action)?),
            }
        }
        Ok(nodes)
    }

    fn node(&mut self, action: &str) -> Result<Node, Error> {
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        let make: fn(Pipeline, Vec<Node>, Vec<Node>) -> Node = match word {
            "if" => Node::If,
            "with" => Node::With,
            "range" => Node::Range,
            _ => return Ok(Node::Show(pipeline(action)?)),
        };
        let pipeline = pipeline(rest)?;
        let then = self.nodes()?;
        let otherwise = match self.pieces.next() {
            Some(Piece::Action(boundary)) if boundary == "end" => {
                return Ok(make(pipeline, then, Vec::new()));
            }
            Some(Piece::Action(boundary)) if boundary == "else" => {
                let otherwise = self.nodes()?;
                match self.pieces.next() {
                    Some(Piece::Action(boundary)) if boundary == "end" => otherwise,
                    _ => return Err(Error::new(action, "no {{end}} ends it")),
                }
            }
            // `else if` has the `end` of the whole.
            Some(Piece::Action(boundary)) => vec![self.node(boundary["else".len()..].trim_start())?],
            _ => return Err(Error::new(action, "no {{end}} ends it")),
        };
        Ok(make(pipeline, then, otherwise))
    }
}

fn is_boundary(piece: &Piece) -> bool {
    matches!(piece, Piece::Action(action) if action == "end" || action.split_whitespace().next() == Some("else"))
}

fn pipeline(text: &str) -> Result<Pipeline, Error> {
    let mut words = Words { text, rest: text };
    let pipeline = words.pipeline()?;
    if words.rest.trim_start().is_empty() {
        Ok(pipeline)
    } else {
        Err(words.error("it should end before this"))
    }
}

/// What is left of an action.
struct Words<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn error(&self, why: impl Into<String>) -> Error {
        Error::new(self.text, why)
    }

    fn pipeline(&mut self) -> Result<Pipeline, Error> {
        let (start, sets) = (self.rest, self.assignment());
        let mut commands = vec![self.command()?];
        while let Some(rest) = self.rest.trim_start().strip_prefix('|') {
            self.rest = rest;
            commands.push(self.command().map_err(|_| self.error("nothing after the |"))?);
        }
        let text = start[..start.len() - self.rest.len()].trim().to_owned();
        Ok(Pipeline { text, sets, commands })
    }

    /// `$a :=`, `$a, $b :=` or `$a =`
    fn assignment(&mut self) -> Option<(Vec<String>, bool)> {
        let (names, rest) = self.rest.split_once('=')?;
        let (names, is_new) = names.strip_suffix(':').map_or((names, false), |names| (names, true));
        let names: Option<Vec<String>> = names
            .split(',')
            .map(|name| {
                name.trim().strip_prefix('$').filter(|name| !name.is_empty() && name.chars().all(is_word))
            })
            .map(|name| name.map(str::to_owned))
            .collect();
        self.rest = if names.is_some() { rest } else { return None };
        names.map(|names| (names, is_new))
    }

    fn command(&mut self) -> Result<Vec<Operand>, Error> {
        let mut operands = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
                break;
            }
            operands.push(self.operand()?);
        }
        if operands.is_empty() { Err(self.error("nothing is asked for")) } else { Ok(operands) }
    }

    fn operand(&mut self) -> Result<Operand, Error> {
        let first = self.rest.chars().next().unwrap_or_default();
        let what = match first {
            '.' => What::Dot,
            '$' => {
                self.rest = &self.rest[1..];
                What::Variable(self.word().to_owned())
            }
            '"' | '`' => What::Literal(Value::String(self.quoted(first)?)),
            '(' => {
                self.rest = &self.rest[1..];
                let inner = self.pipeline()?;
                let rest = self.rest.trim_start().strip_prefix(')');
                self.rest = rest.ok_or_else(|| self.error("a parenthesis is not closed"))?;
                What::Group(Box::new(inner))
            }
            _ => self.named()?,
        };
        let mut fields = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            match self.word() {
                "" if fields.is_empty() && matches!(what, What::Dot) => break,
                "" => return Err(self.error("a name is missing after the .")),
                name => fields.push(name.to_owned()),
            }
        }
        Ok(Operand { what, fields })
    }

    /// A number, a word of the language, or a function.
    fn named(&mut self) -> Result<What, Error> {
        let end = self.rest.find(|c: char| !(is_word(c) || "-+".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(match word {
            "true" | "false" => What::Literal(Value::Bool(word == "true")),
            "nil" => What::Literal(Value::Null),
            number if number.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                let number = number.parse::<i64>().map_err(|_| Error::new(number, "no whole number"))?;
                What::Literal(number.into())
            }
            "" => return Err(self.error("a word of the template language was expected")),
            name => What::Function(
                Function::named(name).ok_or_else(|| Error::new(name, "there is no function like this"))?,
            ),
        })
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                _ if letter == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' if quote == '"' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                _ => text.push(letter),
            }
        }
        Err(Error::new(self.rest, "a quote is not closed"))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
