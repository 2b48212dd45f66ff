//! The list of packages as an SPDX document (SPDX 2.3, JSON).

use serde_json::{Value, json};

use super::{Distribution, PACKAGE_LIMIT, Package};

/// What the document is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What the image is called.
    pub name: String,
    /// The hex digits of its manifest's SHA-256.
    pub digest: String,
}

/// An SPDX document in the making.
pub struct Document {
    /// What it is about.
    pub subject: Subject,
    /// Whose packages those of dpkg, apk and rpm are.
    pub distribution: Distribution,
    /// The packages, each with the file that tells of it.
    pub packages: Vec<(Package, String)>,
    /// Files that could not be read, and why.
    pub unread: Vec<(String, String)>,
    /// When the document was made, RFC 3339, in whole seconds.
    pub created: String,
    /// The program that made it, as `name-version`.
    pub tool: String,
}

impl Document {
    /// The document. Its namespace follows from what is in it, so that the same image has the same one.
    pub fn to_json(&self, namespace: &str) -> Value {
        let mut packages = vec![self.image()];
        let mut relationships = vec![json!({
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": "SPDXRef-image",
        })];
        for (number, (package, file)) in self.packages.iter().enumerate() {
            let id = id(number);
            packages.push(self.package(&id, package, file));
            relationships.push(contains(&id));
        }
        let mut document = json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": self.subject.name,
            "documentNamespace": namespace,
            "creationInfo": { "created": self.created, "creators": [format!("Tool: {}", self.tool)] },
            "packages": packages,
            "relationships": relationships,
        });
        if !self.unread.is_empty() {
            let files: Vec<String> = self.unread.iter().map(|(file, why)| format!("{file}: {why}")).collect();
            document["comment"] = format!("not read: {}", files.join("; ")).into();
        }
        document
    }

    /// The most bytes that `package`, found in `file`, adds to the document.
    pub fn room(&self, package: &Package, file: &str) -> usize {
        let id = id(PACKAGE_LIMIT);
        let commas = 2;
        self.package(&id, package, file).to_string().len() + contains(&id).to_string().len() + commas
    }

    fn image(&self) -> Value {
        json!({
            "SPDXID": "SPDXRef-image",
            "name": self.subject.name,
            "versionInfo": format!("sha256:{}", self.subject.digest),
            "primaryPackagePurpose": "CONTAINER",
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "checksums": [{ "algorithm": "SHA256", "checksumValue": self.subject.digest }],
        })
    }

    fn package(&self, id: &str, package: &Package, file: &str) -> Value {
        let mut value = json!({
            "SPDXID": id,
            "name": package.name,
            "versionInfo": package.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            // What databases say is no SPDX expression everywhere, so it is told as a comment.
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "sourceInfo": format!("found in /{file}"),
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package.purl(&self.distribution),
            }],
        });
        if let Some(license) = &package.license {
            value["licenseComments"] = format!("the package says: {license}").into();
        }
        value
    }
}

fn id(number: usize) -> String {
    format!("SPDXRef-package-{}", number + 1)
}

fn contains(id: &str) -> Value {
    json!({
        "spdxElementId": "SPDXRef-image",
        "relationshipType": "CONTAINS",
        "relatedSpdxElement": id,
    })
}
