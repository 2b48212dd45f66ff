//! Options of buildah that ask for nothing here, or for what is not done: each is answered by its name, and none is passed
//! over in silence.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::Context;
use super::failure::Failure;

/// Such options of a verb.
pub(super) trait Table {
    const ROWS: &'static [Row];
    /// Whether they may stand behind a verb that follows.
    const BEFORE_AND_AFTER: bool = false;
}

/// One of them.
pub(super) struct Row {
    name: &'static str,
    short: Option<char>,
    takes: Takes,
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A value, behind a space or `=`.
    Value,
    /// Nothing, or `=true` or `=false`.
    Switch,
}

#[derive(Clone, Copy)]
enum Answer {
    /// It asks for nothing, and why.
    Nothing(&'static str),
    /// This way it asks for nothing, and why; the other way is not done.
    OneWay(bool, &'static str),
    /// It is not done, and what to try.
    NotDone(&'static str),
}

impl Row {
    /// One with a value, which asks for nothing.
    pub(super) const fn nothing(name: &'static str, why: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Value, answer: Answer::Nothing(why) }
    }

    /// A switch that asks for nothing.
    pub(super) const fn idle(name: &'static str, why: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Switch, answer: Answer::Nothing(why) }
    }

    /// A switch that asks for nothing where it is `way`.
    pub(super) const fn one_way(name: &'static str, way: bool, why: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Switch, answer: Answer::OneWay(way, why) }
    }

    /// One with a value, which is not done.
    pub(super) const fn not_done(name: &'static str, instead: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Value, answer: Answer::NotDone(instead) }
    }

    /// A switch that is not done.
    pub(super) const fn off(name: &'static str, instead: &'static str) -> Self {
        Self { name, short: None, takes: Takes::Switch, answer: Answer::NotDone(instead) }
    }

    /// The same row, with a letter besides.
    pub(super) const fn or(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).long(self.name).hide(true);
        let arg = if let Some(short) = self.short { arg.short(short) } else { arg };
        match self.takes {
            Takes::Value => arg.action(ArgAction::Append),
            Takes::Switch => {
                let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
                arg.value_parser(switch).action(ArgAction::Set).overrides_with(self.name)
            }
        }
    }

    /// What is to be told of it; errors if it asks for what is not done.
    fn told(&self, says: bool) -> Result<String, Failure> {
        let hint = match self.answer {
            Answer::Nothing(why) => return Ok(format!("--{} asks for nothing here: {why}", self.name)),
            Answer::OneWay(way, why) if way == says => {
                return Ok(format!("--{}={says} asks for nothing here: {why}", self.name));
            }
            Answer::OneWay(_, why) => format!("leave it out: {why}"),
            Answer::NotDone(_) if !says => {
                return Ok(format!("--{}=false asks for nothing here: so it is", self.name));
            }
            Answer::NotDone(instead) => instead.to_owned(),
        };
        let name = self.name;
        Err(Failure::new(format!("--{name} is an option of buildah's that rbuild does not have")).hint(hint))
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// Which of the table were given.
pub(super) struct Given<T> {
    given: Vec<(&'static Row, bool)>,
    table: PhantomData<T>,
}

impl<T: Table> Given<T> {
    /// Tells what asks for nothing. Errors with the first that is not done.
    pub(super) fn answer(&self, context: &Context) -> Result<(), Failure> {
        self.each(|text| context.global.note(&text))
    }

    /// The same, told by `tell`.
    pub(super) fn each(&self, tell: impl Fn(String)) -> Result<(), Failure> {
        self.given.iter().try_for_each(|(row, says)| row.told(*says).map(&tell))
    }
}

impl<T: Table> clap::Args for Given<T> {
    fn augment_args(command: Command) -> Command {
        command.args(T::ROWS.iter().map(|row| row.arg().global(T::BEFORE_AND_AFTER)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Table> FromArgMatches for Given<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = T::ROWS.iter().filter_map(|row| match row.takes {
            Takes::Value => matches.contains_id(row.name).then_some((row, true)),
            Takes::Switch => Some((row, *matches.get_one::<bool>(row.name)?)),
        });
        Ok(Self { given: given.collect(), table: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
