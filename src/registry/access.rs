//! What a registry wants to see before it answers, and how it is obtained.
//!
//! The handshake is oci-client's: it asks for the API's root, reads the challenge, and fetches a token for the
//! repository if the challenge names a token server. The outcome is kept per repository and action until the
//! registry answers 401; then it is forgotten, and the next attempt shakes hands again.

use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use oci_client::{Reference as Address, RegistryOperation};
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;

use super::endpoint::Endpoint;
use super::error::{Error, printable};
use super::runtime::Runtime;

/// What one wants to do in a repository: the scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Pull,
    Push,
}

/// What goes along with each request.
#[derive(Clone)]
pub(super) enum Grant {
    Nothing,
    Basic { user: String, password: String },
    Token(String),
}

impl Grant {
    /// The request with the grant on it.
    pub(super) fn on(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nothing => request,
            Self::Basic { user, password } => request.basic_auth(user, Some(password)),
            Self::Token(token) => request.bearer_auth(token),
        }
    }
}

/// Shakes hands over `repository`, with the user's `login` if there is one.
pub(super) fn authorize(
    runtime: &Runtime,
    endpoint: &Endpoint,
    subject: &str,
    repository: &str,
    login: Option<(String, String)>,
    action: Action,
) -> Result<Grant, Error> {
    let address = address(endpoint, repository);
    let auth = match &login {
        Some((user, password)) => RegistryAuth::Basic(user.clone(), password.clone()),
        None => RegistryAuth::Anonymous,
    };
    let operation = match action {
        Action::Pull => RegistryOperation::Pull,
        Action::Push => RegistryOperation::Push,
    };
    let handshake = endpoint.handshake.clone();
    let asked = address.clone();
    let answer = runtime.run(async move { handshake.auth(&asked, &auth, operation).await });
    let grant = match (answer, login) {
        (Ok(Some(token)), _) => Grant::Token(sendable(subject, token)?),
        (Ok(None), Some((user, password))) => Grant::Basic { user, password },
        (Ok(None), None) => Grant::Nothing,
        (Err(OciDistributionError::AuthenticationFailure(text)), _) => {
            return Err(Error::Token { subject: subject.to_owned(), message: refusal_of(&text) });
        }
        (Err(OciDistributionError::RequestError(error)), _) => {
            return Err(Error::unanswered(subject, &endpoint.host, error));
        }
        (Err(error), _) => {
            return Err(Error::Protocol { subject: subject.to_owned(), what: printable(&error.to_string()) });
        }
    };
    if action == Action::Push {
        hand_over(runtime, endpoint, address, grant.clone());
    }
    Ok(grant)
}

/// `repository` in oci-client's words. The tag is of no account where this is used.
pub(super) fn address(endpoint: &Endpoint, repository: &str) -> Address {
    Address::with_tag(endpoint.host.clone(), repository.to_owned(), "latest".to_owned())
}

/// oci-client panics on a token that is no header value.
fn sendable(subject: &str, token: String) -> Result<String, Error> {
    match HeaderValue::from_str(&token) {
        Ok(_) => Ok(token),
        Err(_) => Err(Error::Protocol {
            subject: subject.to_owned(),
            what: "the token server's token is no text".to_owned(),
        }),
    }
}

fn refusal_of(text: &str) -> String {
    let refusal = super::Refusal::new(401, text.as_bytes());
    match refusal.code {
        Some(code) => format!("{code}: {}", refusal.message),
        None => refusal.message,
    }
}

/// Gives the grant to the uploading client, for both of its operations: a token to push allows to pull.
///
/// That client must not look for a token itself: it would take "no" for an answer without a word. The
/// credentials it is given are therefore the token once more; when the token expires it is sent
/// nevertheless, and the 401 comes to [`super::wire`], which renews it here.
fn hand_over(runtime: &Runtime, endpoint: &Endpoint, address: Address, grant: Grant) {
    let uploads = endpoint.uploads.clone();
    let (auth, kind) = match grant {
        Grant::Nothing => return,
        Grant::Basic { user, password } => {
            (RegistryAuth::Basic(user.clone(), password.clone()), RegistryTokenType::Basic(user, password))
        }
        Grant::Token(token) => {
            (RegistryAuth::Bearer(token.clone()), RegistryTokenType::Bearer(RegistryToken::Token { token }))
        }
    };
    runtime.run(async move {
        uploads.store_auth_if_needed(address.registry(), &auth).await;
        for operation in [RegistryOperation::Pull, RegistryOperation::Push] {
            uploads.tokens.insert(&address, operation, kind.clone()).await;
        }
    });
}
