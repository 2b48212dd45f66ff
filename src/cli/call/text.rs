//! Answers for people.

use std::fmt::Write as _;

use super::Question;
use crate::dockerfile::lint::{Certainty, Checked, Finding};
use crate::dockerfile::outline::{Asked, Outline, Target};

/// Each finding: the rule and what it asks for, what is wrong, and the place.
pub(super) fn checked(checked: &Checked, question: &Question) -> String {
    let mut parts: Vec<String> =
        checked.unknown.iter().map(|name| format!("NOTE: the checks have no rule {name}\n")).collect();
    parts.extend(checked.findings.iter().map(|finding| one(finding, question)));
    if checked.findings.is_empty() {
        parts.push("Check complete, nothing found.\n".to_owned());
    }
    parts.join("\n").trim_end().to_owned()
}

fn one(finding: &Finding, question: &Question) -> String {
    let Finding { rule, message, span, certainty } = finding;
    let unless = match certainty {
        Certainty::Certain => "",
        Certainty::UnlessInBase => ", unless the base image sets it",
    };
    let excerpt = question.script.excerpt(span);
    format!("WARNING: {} - {}\n{message}{unless}\n{excerpt}", rule.name(), rule.description())
}

/// A table of the targets.
pub(super) fn targets(targets: &[Target]) -> String {
    let rows = targets.iter().enumerate().map(|(index, target)| {
        let name = target.name.clone().unwrap_or_else(|| index.to_string());
        let name = if target.is_default { format!("{name} (default)") } else { name };
        vec![name, target.base.clone(), target.description.clone().unwrap_or_default()]
    });
    table(&["TARGET", "BASE", "DESCRIPTION"], rows.collect())
}

/// What a target takes, a table for each kind.
pub(super) fn outline(outline: &Outline, index: usize) -> String {
    let mut text = format!("TARGET:      {}\n", outline.name.clone().unwrap_or_else(|| index.to_string()));
    if let Some(description) = &outline.description {
        let _ = writeln!(text, "DESCRIPTION: {description}"); // writing to a String cannot fail
    }
    let args = outline.args.iter().map(|arg| {
        let value = arg.value.clone().unwrap_or_default();
        vec![arg.name.clone(), value, arg.description.clone().unwrap_or_default()]
    });
    let args: Vec<_> = args.collect();
    if !args.is_empty() {
        let _ = write!(text, "\n{}\n", table(&["BUILD ARG", "VALUE", "DESCRIPTION"], args));
    }
    for (heading, all) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        let row =
            |asked: &Asked| vec![asked.id.clone(), if asked.required { "required" } else { "" }.to_owned()];
        if !all.is_empty() {
            let _ = write!(text, "\n{}\n", table(&[heading, "REQUIRED"], all.iter().map(row).collect()));
        }
    }
    if !outline.caches.is_empty() {
        let rows = outline.caches.iter().map(|cache| vec![cache.id.clone()]);
        let _ = write!(text, "\n{}\n", table(&["CACHE"], rows.collect()));
    }
    text.trim_end().to_owned()
}

/// Columns as wide as their widest cell.
fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>()];
    all.extend(rows);
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}
