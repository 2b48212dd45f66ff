//! The driver: reads instruction after instruction and puts them into stages.

use super::directive::{Directives, detect_syntax};
use super::heredoc::Marker;
use super::line::{Fault, Faults, Line, Request};
use super::source::{Logical, Reader, Text};
use super::{
    Diagnostic, Diagnostics, Dockerfile, Instruction, Spanned, Stage, Step, from, heredoc, instruction,
    onbuild,
};

/// Parses a Dockerfile and reports all its mistakes at once, in the order of the file.
pub fn parse(text: &str) -> Result<Dockerfile, Diagnostics> {
    let source = Text::new(text);
    let mut diagnostics = source.overlong_lines();
    let directives = Directives::parse(&source, &mut diagnostics);
    let mut parser = Parser {
        reader: Reader::new(&source, directives.escape),
        escape: directives.escape,
        diagnostics,
        warnings: Vec::new(),
    };
    let (global_args, stages) = parser.stages();

    let Parser { mut diagnostics, warnings, .. } = parser;
    if !diagnostics.is_empty() {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        return Err(Diagnostics(diagnostics));
    }
    let syntax = detect_syntax(text);
    Ok(Dockerfile {
        escape: directives.escape,
        syntax,
        check: directives.check,
        global_args,
        stages,
        warnings,
    })
}

/// Parses a trigger as ONBUILD stored it: one instruction, perhaps with heredocs.
///
/// `escape` is the escape character of the Dockerfile it came from, `\` if that is unknown. Spans point into
/// `trigger`. ONBUILD, FROM and MAINTAINER are refused.
pub fn parse_onbuild(trigger: &str, escape: char) -> Result<Step, Diagnostics> {
    let source = Text::new(trigger);
    let reader = Reader::new(&source, escape);
    let mut parser = Parser { reader, escape, diagnostics: source.overlong_lines(), warnings: Vec::new() };
    let mut steps: Vec<Step> = Vec::new();
    while let Some(logical) = parser.reader.instruction() {
        if !steps.is_empty() {
            parser.fault(
                &logical,
                Fault::new(0..0, "an ONBUILD trigger is one instruction, this is a second one"),
            );
        }
        let line = Line::split(&logical.text, 0, escape);
        match onbuild::check(&line) {
            Ok(()) => steps.extend(parser.step(&logical, line)),
            Err(fault) => parser.fault(&logical, fault),
        }
    }
    if steps.is_empty() && parser.diagnostics.is_empty() {
        parser.diagnostics.push(whole_file(&source, "empty ONBUILD trigger"));
    }
    match steps.pop() {
        Some(step) if parser.diagnostics.is_empty() => Ok(step),
        _ => Err(Diagnostics(parser.diagnostics)),
    }
}

fn whole_file(source: &Text, message: &str) -> Diagnostic {
    Diagnostic { span: source.line_span(0), message: message.to_owned(), hint: None }
}

struct Parser<'a> {
    reader: Reader<'a>,
    escape: char,
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Parser<'_> {
    /// Everything up to the end: the ARGs before the first FROM, and the stages.
    fn stages(&mut self) -> (Vec<Step>, Vec<Stage>) {
        let mut global_args = Vec::new();
        let mut stages: Vec<Stage> = Vec::new();
        while let Some(logical) = self.reader.instruction() {
            self.warn_of_empty_lines(&logical);
            let line = Line::split(&logical.text, 0, self.escape);
            if line.is("FROM") {
                stages.extend(self.stage(&logical, &line));
                continue;
            }
            let keyword_at = line.keyword_at.clone();
            let Some(step) = self.step(&logical, line) else { continue };
            match (stages.last_mut(), &step.instruction) {
                (Some(stage), _) => stage.steps.push(step),
                (None, Instruction::Arg(_)) => global_args.push(step),
                // a mistake before may have been the FROM that is missing: say it once, and only if sure
                (None, _) if self.diagnostics.is_empty() => self.fault(
                    &logical,
                    Fault::new(keyword_at, "no build stage in current context")
                        .hint("only ARG may stand before the first FROM"),
                ),
                (None, _) => {}
            }
        }
        if stages.is_empty() && self.diagnostics.is_empty() {
            let message = if global_args.is_empty() {
                "file with no instructions"
            } else {
                "dockerfile contains no stages to build"
            };
            self.diagnostics.push(whole_file(self.reader.text, message));
        }
        (global_args, stages)
    }

    fn stage(&mut self, logical: &Logical, line: &Line) -> Option<Stage> {
        match from::parse(line) {
            Ok(value) => {
                let span = self.reader.text.span(logical.bytes.clone());
                Some(Stage { from: Spanned { value, span }, text: logical.text.clone(), steps: Vec::new() })
            }
            Err(faults) => {
                self.faults(logical, faults);
                None
            }
        }
    }

    /// Any instruction but FROM; reads the heredocs that follow it.
    fn step(&mut self, logical: &Logical, line: Line) -> Option<Step> {
        let Ok((heredocs, end)) = self.heredocs(logical, &line) else { return None };
        let span = self.reader.text.span(logical.bytes.start..end);
        let request = Request { line, heredocs, escape: self.escape, logical, text: self.reader.text };
        match instruction::parse(request) {
            Ok(instruction) => Some(Step { text: one_line(&instruction, &logical.text), instruction, span }),
            Err(faults) => {
                self.faults(logical, faults);
                None
            }
        }
    }

    /// Reads the bodies of the heredocs that `line` begins, and where the last one ends. An unterminated one is
    /// reported here; it has swallowed the rest of the file.
    fn heredocs(
        &mut self,
        logical: &Logical,
        line: &Line,
    ) -> Result<(Vec<(Marker, String)>, usize), Reported> {
        let mut heredocs = Vec::new();
        let mut end = logical.bytes.end;
        for marker in line.markers(self.escape) {
            let Some((body, body_end)) = self.reader.heredoc_body(&marker) else {
                let name = &marker.name;
                let fault = Fault::new(line.args_at(), "unterminated heredoc")
                    .hint(format!("no line behind it consists of `{name}` alone"));
                self.fault(logical, fault);
                return Err(Reported);
            };
            heredocs.push((marker, body));
            end = body_end;
        }
        Ok((heredocs, end))
    }

    fn warn_of_empty_lines(&mut self, logical: &Logical) {
        let text = self.reader.text;
        self.warnings.extend(logical.empty_lines.iter().map(|&index| Diagnostic {
            span: text.line_span(index),
            message: "Empty continuation line".to_owned(),
            hint: Some("remove the line: the instruction goes on behind it".to_owned()),
        }));
    }

    fn fault(&mut self, logical: &Logical, fault: Fault) {
        self.diagnostics.push(fault.into_diagnostic(logical, self.reader.text));
    }

    fn faults(&mut self, logical: &Logical, faults: Faults) {
        for fault in faults.0 {
            self.fault(logical, fault);
        }
    }
}

/// The mistake is already among the diagnostics.
struct Reported;

/// How progress and history name the step.
fn one_line(instruction: &Instruction, text: &str) -> String {
    match instruction {
        Instruction::Run(run) if run.is_one_heredoc() => {
            format!("{text} ({})", heredoc::summary(&run.heredocs[0].body))
        }
        _ => text.to_owned(),
    }
}
