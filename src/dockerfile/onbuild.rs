//! ONBUILD: an instruction kept for the builds that start from this image.

use super::instruction;
use super::line::{Fault, Faults, Line, Request};

/// The trigger as the image stores it: the instruction on one line, then its heredocs. It is parsed now, too, so that
/// a mistake is found by who made it and not by who builds upon the image.
pub(super) fn parse(request: Request) -> Result<String, Faults> {
    let line = &request.line;
    super::flags::Flags::parse(line, &[])?;
    if line.args.is_empty() {
        return Err(Fault::new(line.args_at(), "ONBUILD requires at least one argument").into());
    }
    let trigger = Line::split(line.args, line.at, request.escape);
    check(&trigger)?;

    let mut raw = line.args.to_owned();
    for (marker, body) in &request.heredocs {
        raw.extend(["\n", body, &marker.name]);
    }
    instruction::parse(Request { line: trigger, ..request })?;
    Ok(raw)
}

/// Refuses the instructions that cannot be triggers.
pub(super) fn check(trigger: &Line) -> Result<(), Fault> {
    let at = trigger.keyword_at.clone();
    if trigger.is("ONBUILD") {
        return Err(Fault::new(at, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"));
    }
    match ["FROM", "MAINTAINER"].iter().find(|keyword| trigger.is(keyword)) {
        Some(keyword) => Err(Fault::new(at, format!("{keyword} isn't allowed as an ONBUILD trigger"))),
        None => Ok(()),
    }
}
