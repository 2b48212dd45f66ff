//! Go's text/template, as far as `--format` needs it: what is between `{{` and `}}` is worked out, the rest stays.
//!
//! ```text
//! parse      text → nodes: text, pipelines, if, range, with
//! evaluate   nodes + a JSON value → text
//! functions  index, len, json, printf, join, eq, …
//! print      a value as Go's %v has it
//! ```
//!
//! Where a Go program has fields, a JSON value has keys: `.OCIv1.Config.Env` finds `config` and `Env`, `.RootFS.DiffIDs`
//! finds `rootfs` and `diff_ids`. A key as it is written comes first. Source: pkg.go.dev/text/template.

mod evaluate;
mod functions;
mod parse;
mod print;

use serde_json::Value;

/// A template, read.
#[derive(Clone, Debug)]
pub(super) struct Template {
    nodes: Vec<parse::Node>,
}

/// The template of a line for each of several values. As the peers have it, a space between two fields parts columns.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    row: Template,
    /// That of a `table`.
    heading: Option<String>,
}

/// Why a template cannot be read or worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: at {place:?}: {why}")]
pub(super) struct Error {
    /// The part of it that is to blame.
    place: String,
    why: String,
}

impl Error {
    fn new(place: &str, why: impl Into<String>) -> Self {
        Self { place: place.to_owned(), why: why.into() }
    }
}

/// Reads one, for clap.
impl std::str::FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // What a shell leaves as two characters.
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        Ok(Self { nodes: parse::parse(&text)? })
    }
}

impl std::str::FromStr for Rows {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let row = text.strip_prefix("table ");
        let mut template: Template = row.unwrap_or(text).parse()?;
        parse::part_columns(&mut template.nodes);
        Ok(Self { heading: row.map(|_| parse::heading(&template.nodes)), row: template })
    }
}

impl Template {
    /// The text for one value.
    pub(super) fn render(&self, value: &Value) -> Result<String, Error> {
        evaluate::evaluate(&self.nodes, value)
    }
}

impl Rows {
    /// A line for each value, in columns; that of a `table` below their heading.
    pub(super) fn lines(&self, values: &[Value]) -> Result<Vec<String>, Error> {
        let mut lines: Vec<String> = self.heading.iter().cloned().collect();
        for value in values {
            lines.push(self.row.render(value)?);
        }
        Ok(print::columns(&lines))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image() -> Value {
        json!({
            "Name": "a", "Size": 5, "None": null, "Yes": true, "Tags": ["x", "y"], "Empty": [],
            "OCIv1": { "created": "c", "config": { "Env": ["A=1", "B=2"], "Labels": { "k": "v", "a b": "w" } },
                       "rootfs": { "diff_ids": ["sha256:1"] } },
        })
    }

    #[test]
    fn values_are_found_and_shown_as_go_shows_them() {
        for (text, want) in [
            ("plain", "plain"),
            ("{{.Name}} {{.Size}} {{.Yes}} {{.None}}", "a 5 true <nil>"),
            ("{{.Tags}} {{.Empty}} {{.OCIv1.Config.Labels}}", "[x y] [] map[a b:w k:v]"),
            ("{{.OCIv1.Config.Env}}{{.OCIv1.RootFS.DiffIDs}}", "[A=1 B=2][sha256:1]"),
            (
                "{{index .OCIv1.Config.Labels \"a b\"}}{{index .Tags 1}}{{index .OCIv1.Config.Labels `none`}}",
                "wy",
            ),
            ("{{.OCIv1.Config.Labels.k}}", "v"),
            ("{{len .Tags}} {{.Tags | len}} {{len .Name}} {{len .OCIv1.Config.Labels}}", "2 2 1 2"),
            (
                "{{json .Tags}} {{.Name | json}} {{json .OCIv1.Config.Labels}}",
                "[\"x\",\"y\"] \"a\" {\"a b\":\"w\",\"k\":\"v\"}",
            ),
            ("{{range .Tags}}<{{.}}>{{end}}", "<x><y>"),
            ("{{range $i, $tag := .Tags}}{{if $i}},{{end}}{{$tag}}{{$.Name}}{{end}}", "xa,ya"),
            ("{{range .Empty}}no{{else}}none{{end}}", "none"),
            ("{{range $k, $v := .OCIv1.Config.Labels}}{{$k}}={{$v}};{{end}}", "a b=w;k=v;"),
            ("{{if .Empty}}a{{else if .Yes}}b{{else}}c{{end}}", "b"),
            ("{{with .OCIv1}}{{.Created}}{{end}}{{with .None}}x{{else}}none{{end}}", "cnone"),
            ("a  {{- .Name -}}  b {{/* not said */}}c", "aab c"),
            ("{{$x := .Name}}{{$x}}{{$x = \"b\"}}{{$x}}", "ab"),
            ("{{printf \"%s-%d-%v-%q\" .Name .Size .Tags .Name}}", "a-5-[x y]-\"a\""),
            (
                "{{join .Tags \",\"}} {{split \"a,b\" \",\"}} {{upper .Name}} {{lower \"A\"}} {{title \"abc\"}}",
                "x,y [a b] A a Abc",
            ),
            (
                "{{eq .Name \"a\"}} {{ne .Size 5}} {{lt .Size 6}} {{ge .Size 6}} {{eq .Name \"x\" \"a\"}}",
                "true false true false true",
            ),
            ("{{and .Yes .Name}} {{or .None \"d\"}} {{not .Yes}}", "a d false"),
            ("{{(index .Tags 0) | upper}}{{(.OCIv1).Created}}", "Xc"),
            ("{{\"a\\\"b\"}}{{`c\"d`}}{{1}}{{true}}", "a\"bc\"d1true"),
            ("{{println .Name}}{{print 1 2}}", "a\n1 2"),
            ("a\\tb", "a\tb"),
        ] {
            let made = text.parse::<Template>().and_then(|template| template.render(&image()));
            assert_eq!(made.as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, place, why) in [
            ("{{.Name", "{{.Name", "no }} ends it"),
            ("{{if .Name}}a", "if .Name", "no {{end}}"),
            ("a{{end}}", "end", "nothing to end"),
            ("{{else}}", "else", "nothing"),
            ("{{nosuch .Name}}", "nosuch", "no function"),
            ("{{.Nosuch}}", ".Nosuch", "no field Nosuch; there are Empty, Name"),
            ("{{.Name.X}}", ".Name.X", "no fields in a"),
            ("{{$x}}", "$x", "no variable"),
            ("{{index .Tags 7}}", "index .Tags 7", "7 is out of range"),
            ("{{index .Tags}}", "index .Tags", "one more"),
            ("{{len 5}}", "len 5", "has no length"),
            ("{{\"a}}", "\"a", "quote"),
            ("{{.Name | }}", ".Name |", "nothing after"),
            ("{{.Name .Size}}", ".Name .Size", "no function"),
            ("{{(.Name}}", "(.Name", "parenthesis"),
            ("{{lt .Name 5}}", "lt .Name 5", "cannot be compared"),
            ("{{}}", "", "nothing is asked"),
        ] {
            let made = text.parse::<Template>().and_then(|template| template.render(&image()));
            let error = made.expect_err(text);
            assert!(error.place.contains(place) && error.why.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_table_stands_in_columns() {
        let table: Rows = "table {{.ContainerName}}\\t{{.ImageID}}".parse().unwrap();
        let rows = [
            json!({ "ContainerName": "long-name", "ImageID": "1" }),
            json!({ "ContainerName": "b", "ImageID": "2" }),
        ];
        assert_eq!(
            table.lines(&rows).unwrap(),
            ["CONTAINER NAME   IMAGE ID", "long-name        1", "b                2"]
        );
        let plain: Rows = "{{.ContainerName}} {{.ImageID}}".parse().unwrap();
        assert_eq!(plain.lines(&rows).unwrap(), ["long-name   1", "b           2"]);
    }
}
