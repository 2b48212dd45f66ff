//! From a line to an instruction: which parser is asked.

use super::ast::Instruction;
use super::line::{Fault, Faults, Request};
use super::suggest::did_you_mean;
use super::{copy, healthcheck, metadata, onbuild, run};

/// Every instruction of the language.
pub(super) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Parses any instruction but FROM, which is not a step but begins a stage.
pub(super) fn parse(request: Request) -> Result<Instruction, Faults> {
    Ok(match request.line.keyword.to_ascii_uppercase().as_str() {
        "ADD" => Instruction::Add(copy::parse_add(request)?),
        "ARG" => Instruction::Arg(metadata::arg(&request)?),
        "CMD" => Instruction::Cmd(metadata::command(&request)?),
        "COPY" => Instruction::Copy(copy::parse_copy(request)?),
        "ENTRYPOINT" => Instruction::Entrypoint(metadata::command(&request)?),
        "ENV" => Instruction::Env(metadata::pairs(&request, "ENV")?),
        "EXPOSE" => Instruction::Expose(metadata::expose(&request)?),
        "HEALTHCHECK" => Instruction::Healthcheck(healthcheck::parse(&request)?),
        "LABEL" => Instruction::Label(metadata::pairs(&request, "LABEL")?),
        "MAINTAINER" => Instruction::Maintainer(metadata::single(&request, "MAINTAINER")?),
        "ONBUILD" => Instruction::Onbuild(onbuild::parse(request)?),
        "RUN" => Instruction::Run(run::parse(request)?),
        "SHELL" => Instruction::Shell(metadata::shell(&request)?),
        "STOPSIGNAL" => Instruction::Stopsignal(metadata::stopsignal(&request)?),
        "USER" => Instruction::User(metadata::single(&request, "USER")?),
        "VOLUME" => Instruction::Volume(metadata::volume(&request)?),
        "WORKDIR" => Instruction::Workdir(metadata::single(&request, "WORKDIR")?),
        _ => return Err(unknown(&request).into()),
    })
}

fn unknown(request: &Request) -> Fault {
    let keyword = request.line.keyword;
    let message = format!("unknown instruction: {keyword}{}", did_you_mean(keyword, &KEYWORDS));
    Fault::new(request.line.keyword_at.clone(), message)
}
