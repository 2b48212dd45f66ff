//! Nodes and a value → text.

use serde_json::Value;

use super::parse::{Node, Operand, Pipeline, What};
use super::{Error, print};

/// Fields that are named in an error, at most.
const NAMED: usize = 30;

pub(super) fn evaluate(nodes: &[Node], value: &Value) -> Result<String, Error> {
    let mut scope = Scope { variables: vec![(String::new(), value.clone())], text: String::new() };
    scope.nodes(nodes, value)?;
    Ok(scope.text)
}

struct Scope {
    /// The innermost last; the whole value is called by the empty name.
    variables: Vec<(String, Value)>,
    text: String,
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), Error> {
        nodes.iter().try_for_each(|node| self.node(node, dot))
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), Error> {
        match node {
            Node::Text(text) => self.text.push_str(text),
            Node::Show(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match (&pipeline.sets, value) {
                    (Some((names, is_new)), value) => self.set(pipeline, names, *is_new, value)?,
                    (None, Some(value)) => self.text.push_str(&print::plain(&value)),
                    (None, None) => {}
                }
            }
            Node::If(pipeline, then, otherwise) => {
                let value = self.condition(pipeline, dot)?;
                self.inside(if is_true(&value) { then } else { otherwise }, dot)?;
            }
            Node::With(pipeline, then, otherwise) => {
                let value = self.condition(pipeline, dot)?;
                if is_true(&value) { self.inside(then, &value)? } else { self.inside(otherwise, dot)? }
            }
            Node::Range(pipeline, body, otherwise) => self.range(pipeline, body, otherwise, dot)?,
        }
        Ok(())
    }

    /// With variables that end with it.
    fn inside(&mut self, nodes: &[Node], dot: &Value) -> Result<(), Error> {
        let outside = self.variables.len();
        self.nodes(nodes, dot)?;
        self.variables.truncate(outside);
        Ok(())
    }

    fn condition(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, Error> {
        let value = self.pipeline(pipeline, dot)?.unwrap_or_default();
        if let Some((names, is_new)) = &pipeline.sets {
            self.set(pipeline, names, *is_new, Some(value.clone()))?;
        }
        Ok(value)
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), Error> {
        let rows: Vec<(Value, Value)> = match self.pipeline(pipeline, dot)?.unwrap_or_default() {
            Value::Null => Vec::new(),
            Value::Array(values) => {
                values.into_iter().enumerate().map(|(at, value)| (at.into(), value)).collect()
            }
            Value::Object(fields) => {
                let mut rows: Vec<(String, Value)> = fields.into_iter().collect();
                rows.sort_by(|a, b| a.0.cmp(&b.0));
                rows.into_iter().map(|(key, value)| (key.into(), value)).collect()
            }
            other => {
                let why = format!("range goes over lists and maps, not over {}", print::plain(&other));
                return Err(Error::new(&pipeline.text, why));
            }
        };
        if rows.is_empty() {
            return self.inside(otherwise, dot);
        }
        let names = pipeline.sets.as_ref().map(|(names, _)| names.clone()).unwrap_or_default();
        for (key, value) in rows {
            let outside = self.variables.len();
            match &names[..] {
                [] => {}
                [one] => self.variables.push((one.clone(), value.clone())),
                [first, second, ..] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
            }
            self.nodes(body, &value)?;
            self.variables.truncate(outside);
        }
        Ok(())
    }

    fn set(
        &mut self,
        pipeline: &Pipeline,
        names: &[String],
        is_new: bool,
        value: Option<Value>,
    ) -> Result<(), Error> {
        let [name] = names else { return Err(Error::new(&pipeline.text, "two variables are range's alone")) };
        let value = value.unwrap_or_default();
        if is_new {
            self.variables.push((name.clone(), value));
            return Ok(());
        }
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        let known = known.ok_or_else(|| Error::new(&format!("${name}"), "there is no variable like this"))?;
        known.1 = value;
        Ok(())
    }

    /// `None`: the key of a map that has none like it, which shows as nothing.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Option<Value>, Error> {
        let mut value = None;
        for (at, command) in pipeline.commands.iter().enumerate() {
            let passed: Vec<Value> = if at == 0 { Vec::new() } else { vec![value.unwrap_or_default()] };
            value = self.command(pipeline, command, dot, &passed)?;
        }
        Ok(value)
    }

    fn command(
        &mut self,
        pipeline: &Pipeline,
        command: &[Operand],
        dot: &Value,
        passed: &[Value],
    ) -> Result<Option<Value>, Error> {
        let (first, rest) = command.split_first().expect("a command has a word");
        let What::Function(function) = &first.what else {
            return match (rest, passed) {
                ([], []) => self.operand(pipeline, first, dot),
                _ => Err(Error::new(&pipeline.text, "no function stands before its arguments")),
            };
        };
        let mut arguments = Vec::new();
        for operand in rest {
            arguments.push(self.operand(pipeline, operand, dot)?.unwrap_or_default());
        }
        arguments.extend_from_slice(passed);
        function.call(&arguments).map_err(|why| Error::new(&pipeline.text, why))
    }

    fn operand(
        &mut self,
        pipeline: &Pipeline,
        operand: &Operand,
        dot: &Value,
    ) -> Result<Option<Value>, Error> {
        let value = match &operand.what {
            What::Dot => dot.clone(),
            What::Literal(value) => value.clone(),
            What::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let none = || Error::new(&format!("${name}"), "there is no variable like this");
                known.ok_or_else(none)?.1.clone()
            }
            What::Group(inner) => match self.pipeline(inner, dot)? {
                Some(value) => value,
                None => return Ok(None),
            },
            What::Function(function) => {
                return function.call(&[]).map_err(|why| Error::new(&pipeline.text, why));
            }
        };
        fields(value, &operand.fields).map_err(|why| Error::new(&pipeline.text, why)).map(Some)
    }
}

fn fields(mut value: Value, names: &[String]) -> Result<Value, String> {
    for name in names {
        value = match value {
            Value::Object(mut map) => {
                let key = if map.contains_key(name) { Some(name.clone()) } else { alike(&map, name) };
                match key.and_then(|key| map.remove(&key)) {
                    Some(value) => value,
                    // The keys of a map are whoever's; fields begin with a capital.
                    None if !name.starts_with(char::is_uppercase) => Value::String("<no value>".to_owned()),
                    None => {
                        let mut known: Vec<&str> = map.keys().map(String::as_str).collect();
                        known.sort_unstable();
                        known.truncate(NAMED);
                        return Err(format!("no field {name}; there are {}", known.join(", ")));
                    }
                }
            }
            Value::Null => return Err(format!("no field {name} in <nil>")),
            other => return Err(format!("no field {name}: there are no fields in {}", print::plain(&other))),
        };
    }
    Ok(value)
}

/// The key that is the name of a Go field but for its case and what parts its words.
fn alike(map: &serde_json::Map<String, Value>, name: &str) -> Option<String> {
    let letters =
        |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let wanted = letters(name);
    map.keys().find(|key| letters(key) == wanted).cloned()
}

/// What Go takes for true: whatever is not the zero of its kind.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}
