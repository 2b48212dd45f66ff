//! Go modules: `go.mod`, which since Go 1.17 lists every module that is needed, and `go.sum` where it is alone.

use super::{Error, Found, Kind, Package};

/// The modules that `go.mod` requires, with what it replaces them by.
pub(super) fn module(text: &str) -> Result<Vec<Package>, Error> {
    let mut required: Vec<(&str, &str)> = Vec::new();
    let mut replaced: Vec<(&str, Option<&str>, &str, &str)> = Vec::new();
    let mut block = "";
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '`'])).collect();
        match (&words[..], block) {
            ([verb, "("], _) => block = verb,
            ([")"], _) => block = "",
            (["require", name, version], "") | ([name, version], "require") => required.push((name, version)),
            (["replace", rule @ ..], "") | (rule, "replace") => match rule {
                [old, "=>", new, version] => replaced.push((old, None, new, version)),
                [old, of, "=>", new, version] => replaced.push((old, Some(of), new, version)),
                // A directory of the project has no version.
                _ => {}
            },
            _ => {}
        }
    }
    let mut found = Found::default();
    for (name, version) in required {
        let rule = replaced.iter().find(|(old, of, ..)| *old == name && of.is_none_or(|of| of == version));
        let (name, version) = rule.map_or((name, version), |&(_, _, new, version)| (new, version));
        found.push(Kind::Golang, name, version)?;
    }
    Ok(found.0)
}

/// The modules whose content `go.sum` names; those of which only `go.mod` was read are not built in.
pub(super) fn sum(text: &str) -> Result<Vec<Package>, Error> {
    let mut found = Found::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, version, hash] = words[..]
            && hash.starts_with("h1:")
            && !version.ends_with("/go.mod")
        {
            found.push(Kind::Golang, name, version)?;
        }
    }
    Ok(found.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(found: Vec<Package>) -> Vec<String> {
        found.into_iter().map(|package| format!("{} {}", package.name, package.version)).collect()
    }

    #[test]
    fn modules_are_those_required() {
        let text = "module example.com/m\n\ngo 1.21\n\nrequire golang.org/x/text v0.14.0 // indirect\n\nrequire (\n\
            \tgithub.com/a/b v1.2.3\n\trsc.io/quote v1.5.2\n\trsc.io/local v1.0.0\n)\n\nexclude rsc.io/x v1.0.0\n\n\
            replace rsc.io/quote => rsc.io/fork v1.5.3\nreplace rsc.io/local v1.0.0 => ../local\n";
        assert_eq!(
            rows(module(text).unwrap()),
            [
                "golang.org/x/text v0.14.0",
                "github.com/a/b v1.2.3",
                "rsc.io/fork v1.5.3",
                "rsc.io/local v1.0.0"
            ]
        );
        let text = "rsc.io/quote v1.5.2 h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=\nrsc.io/quote v1.5.2/go.mod h1:x=\n\
            rsc.io/old v1.0.0/go.mod h1:y=\n";
        assert_eq!(rows(sum(text).unwrap()), ["rsc.io/quote v1.5.2"]);
    }
}
