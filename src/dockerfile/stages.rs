//! What stages are called, and which of them a target needs.
//!
//! Stages are named by FROM … AS, by their index, or not at all; a later stage hides an earlier one of the same name. A
//! stage refers to earlier ones only.

use std::collections::BTreeMap;

use super::{Dockerfile, Instruction, MountSpec, Stage};

/// The index of the stage called `name` among the first `before` ones: the last of that name, or the one with that
/// number.
pub fn find_stage(dockerfile: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    named_stage(dockerfile, name, before).or_else(|| name.parse().ok().filter(|&index| index < before))
}

/// The last of the first `before` stages that has this name. FROM knows no numbers.
pub fn named_stage(dockerfile: &Dockerfile, name: &str, before: usize) -> Option<usize> {
    let has =
        |stage: &Stage| stage.from.value.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
    dockerfile.stages[..before].iter().rposition(has)
}

/// The stages that one refers to.
pub struct Needs {
    /// The one that it stands on.
    pub base: Option<usize>,
    /// Those that it reads.
    pub sources: Vec<usize>,
}

/// The stages that `target` reaches, itself included, each with the stage that it stands on. `needs` is asked for those
/// alone.
pub fn reachable_stages(target: usize, needs: &dyn Fn(usize) -> Needs) -> BTreeMap<usize, Option<usize>> {
    let mut reached = BTreeMap::new();
    let mut needed = vec![false; target + 1];
    needed[target] = true;
    // one pass from the end sees every need
    for index in (0..=target).rev() {
        if !needed[index] {
            continue;
        }
        let Needs { base, sources } = needs(index);
        for earlier in base.into_iter().chain(sources) {
            needed[earlier] = true;
        }
        reached.insert(index, base);
    }
    reached
}

impl Stage {
    /// The names after `from` of COPY and of mounts. What does not parse yet waits for its variables.
    pub fn sources(&self) -> Vec<String> {
        let of_step = |instruction: &Instruction| match instruction {
            Instruction::Copy(copy) | Instruction::Add(copy) => copy.from.iter().cloned().collect::<Vec<_>>(),
            Instruction::Run(run) => {
                let specs = run.mounts.iter().filter_map(|mount| MountSpec::parse(&mount.value).ok());
                specs.filter_map(|spec| spec.from().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        self.steps.iter().flat_map(|step| of_step(&step.instruction)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse;

    #[test]
    fn a_name_is_the_last_stage_that_has_it() {
        let file = parse("FROM a AS x\nFROM b AS X\nFROM c\nFROM d\n").unwrap();
        for (name, before, found) in [
            ("x", 4, Some(1)),
            ("X", 2, Some(1)),
            ("x", 1, Some(0)),
            ("x", 0, None),
            ("2", 4, Some(2)),
            ("2", 2, None),
            ("y", 4, None),
        ] {
            assert_eq!(find_stage(&file, name, before), found, "{name} before {before}");
        }
        assert_eq!(named_stage(&file, "2", 4), None, "FROM knows no numbers");
    }

    #[test]
    fn a_target_reaches_its_base_and_what_is_copied_and_mounted() {
        let text = "FROM a AS base\nFROM b AS unused\nFROM c AS mounted\nFROM d AS copied\nFROM base AS last\n\
            COPY --from=COPIED / /\nRUN --mount=type=bind,from=mounted,target=/m true\nRUN --mount=type=bind,from=$V,target=/m x\n";
        let file = parse(text).unwrap();
        let needs = |index: usize| {
            let stage = &file.stages[index];
            let sources = stage.sources();
            Needs {
                base: named_stage(&file, &stage.from.value.image, index),
                sources: sources.iter().filter_map(|name| find_stage(&file, name, index)).collect(),
            }
        };
        let reached: Vec<_> = reachable_stages(4, &needs).into_iter().collect();
        assert_eq!(reached, [(0, None), (2, None), (3, None), (4, Some(0))]);
        assert_eq!(reachable_stages(1, &needs).len(), 1);
    }
}
