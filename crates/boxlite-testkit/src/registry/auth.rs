//! Who may read: Basic, or Bearer tokens from a token server (distribution: "Token Authentication Specification").
//!
//! [`Tokens`] is the token server's book; the registry that checks tokens and the one that hands them out share it, and may
//! be two, so that a test sees which credentials go to which host.
//!
//! ```
//! # use boxlite_testkit::registry::{Auth, Registry, Tokens};
//! let (registry, token_server) = (Registry::start(), Registry::start());
//! let tokens = Tokens::new().user("ann", "secret").uses(2); // each token is good for two requests
//! token_server.serve_tokens(&tokens);
//! registry.require(Auth::bearer(&tokens).realm(token_server.url("/token")).only_at_resource());
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use serde_json::json;

use super::http::{Request, parameter};
use super::lock;

/// The book of a token server. Clones share it.
#[derive(Clone)]
pub struct Tokens(Arc<Mutex<Book>>);

struct Book {
    users: HashMap<String, String>,
    refresh_tokens: Vec<String>,
    anonymous: bool,
    uses: usize,
    fields: Vec<&'static str>,
    expires_in: Option<u64>,
    grants: HashMap<String, Grant>,
    issued: usize,
}

struct Grant {
    scopes: Vec<String>,
    uses_left: usize,
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens::new()
    }
}

impl Tokens {
    /// Makes an empty book: no user, nothing for the anonymous, tokens that never expire, in the field `token`.
    pub fn new() -> Self {
        Tokens(Arc::new(Mutex::new(Book {
            users: HashMap::new(),
            refresh_tokens: Vec::new(),
            anonymous: false,
            uses: usize::MAX,
            fields: vec!["token"],
            expires_in: None,
            grants: HashMap::new(),
            issued: 0,
        })))
    }

    /// Knows this user.
    #[must_use]
    pub fn user(self, name: &str, password: &str) -> Self {
        lock(&self.0).users.insert(name.into(), password.into());
        self
    }

    /// Takes this identity token, in the OAuth2 way (`POST` with `grant_type=refresh_token`).
    #[must_use]
    pub fn refresh_token(self, token: &str) -> Self {
        lock(&self.0).refresh_tokens.push(token.into());
        self
    }

    /// Hands tokens to those who send no credentials, too.
    #[must_use]
    pub fn anonymous(self) -> Self {
        lock(&self.0).anonymous = true;
        self
    }

    /// Makes each token expire after this many requests.
    #[must_use]
    pub fn uses(self, count: usize) -> Self {
        lock(&self.0).uses = count;
        self
    }

    /// Answers with the token in these fields: `token`, `access_token` or both.
    #[must_use]
    pub fn fields(self, fields: &[&'static str]) -> Self {
        lock(&self.0).fields = fields.to_vec();
        self
    }

    /// Says `expires_in` in the answers. Nothing expires by time.
    #[must_use]
    pub fn expires_in(self, seconds: u64) -> Self {
        lock(&self.0).expires_in = Some(seconds);
        self
    }

    /// Makes every token handed out so far worthless.
    pub fn revoke(&self) {
        lock(&self.0).grants.clear();
    }

    /// Returns how many tokens were handed out.
    pub fn issued(&self) -> usize {
        lock(&self.0).issued
    }

    /// Answers the token endpoint: a body, or `None` for wrong credentials.
    pub(super) fn answer(&self, request: &Request) -> Option<String> {
        let mut book = lock(&self.0);
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let query = if request.method == "POST" { &form } else { &request.query };
        let known = match (request.header("authorization"), parameter(query, "refresh_token")) {
            (_, Some(token)) => book.refresh_tokens.contains(&token),
            (Some(authorization), _) => {
                basic(authorization).is_some_and(|(name, password)| book.users.get(&name) == Some(&password))
            }
            (None, None) => book.anonymous,
        };
        if !known {
            return None;
        }
        book.issued += 1;
        let token = format!("test-token-{}", book.issued);
        let scopes = query
            .split('&')
            .filter_map(|pair| parameter(pair, "scope"))
            .flat_map(|scope| scope.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let grant = Grant { scopes, uses_left: book.uses };
        book.grants.insert(token.clone(), grant);
        let mut body = json!({});
        for field in &book.fields {
            body[*field] = token.as_str().into();
        }
        if let Some(seconds) = book.expires_in {
            body["expires_in"] = seconds.into();
        }
        Some(body.to_string())
    }

    /// Uses a token once. `Err` says why not, as a challenge's `error`.
    fn spend(&self, token: &str, scope: Option<&str>) -> Result<(), &'static str> {
        let mut book = lock(&self.0);
        let grant = book.grants.get_mut(token).filter(|grant| grant.uses_left > 0).ok_or("invalid_token")?;
        if scope.is_some_and(|wanted| !grant.scopes.iter().any(|held| covers(held, wanted))) {
            return Err("insufficient_scope");
        }
        grant.uses_left -= 1;
        Ok(())
    }
}

/// Whether a scope held, as `repository:a/b:pull,push`, covers the one wanted, with a single action.
fn covers(held: &str, wanted: &str) -> bool {
    match (held.rsplit_once(':'), wanted.rsplit_once(':')) {
        (Some((held, actions)), Some((wanted, action))) => {
            held == wanted && actions.split(',').any(|allowed| allowed == action)
        }
        _ => false,
    }
}

fn basic(authorization: &str) -> Option<(String, String)> {
    let encoded = authorization.strip_prefix("Basic ")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// What a registry asks of its clients.
#[derive(Clone)]
pub struct Auth {
    scheme: Scheme,
    only_at_resource: bool,
    challenge: Option<String>,
}

#[derive(Clone)]
enum Scheme {
    Basic { user: String, password: String },
    Bearer { tokens: Tokens, realm: Option<String> },
}

impl Auth {
    /// Asks for one user's name and password in each request.
    pub fn basic(user: &str, password: &str) -> Self {
        let scheme = Scheme::Basic { user: user.into(), password: password.into() };
        Auth { scheme, only_at_resource: false, challenge: None }
    }

    /// Asks for a token of `tokens`, which the registry itself hands out unless [`Auth::realm`] says who does.
    pub fn bearer(tokens: &Tokens) -> Self {
        let scheme = Scheme::Bearer { tokens: tokens.clone(), realm: None };
        Auth { scheme, only_at_resource: false, challenge: None }
    }

    /// Sends clients for their tokens to this URL.
    #[must_use]
    pub fn realm(mut self, url: impl Into<String>) -> Self {
        if let Scheme::Bearer { realm, .. } = &mut self.scheme {
            *realm = Some(url.into());
        }
        self
    }

    /// Lets `/v2/` through without credentials: the challenge comes only where they are needed.
    #[must_use]
    pub fn only_at_resource(mut self) -> Self {
        self.only_at_resource = true;
        self
    }

    /// Sends exactly this as `WWW-Authenticate`.
    #[must_use]
    pub fn challenge(mut self, text: impl Into<String>) -> Self {
        self.challenge = Some(text.into());
        self
    }

    pub(super) fn tokens(&self) -> Option<&Tokens> {
        match &self.scheme {
            Scheme::Bearer { tokens, .. } => Some(tokens),
            Scheme::Basic { .. } => None,
        }
    }

    /// Lets the request through, or returns the challenge. `repository` is `None` for `/v2/`.
    pub(super) fn check(
        &self,
        authorization: Option<&str>,
        repository: Option<&str>,
        origin: &str,
    ) -> Result<(), String> {
        if self.only_at_resource && repository.is_none() {
            return Ok(());
        }
        let honest = match &self.scheme {
            Scheme::Basic { user, password } => {
                if authorization.and_then(basic).is_some_and(|sent| sent == (user.clone(), password.clone()))
                {
                    return Ok(());
                }
                "Basic realm=\"test registry\"".to_owned()
            }
            Scheme::Bearer { tokens, realm } => {
                let scope = repository.map(|repository| format!("repository:{repository}:pull"));
                let token = authorization.and_then(|text| text.strip_prefix("Bearer "));
                let problem = match token.map(|token| tokens.spend(token, scope.as_deref())) {
                    Some(Ok(())) => return Ok(()),
                    Some(Err(problem)) => format!(",error=\"{problem}\""),
                    None => String::new(),
                };
                let realm = realm.clone().unwrap_or_else(|| format!("{origin}/token"));
                let scope = scope.map_or(String::new(), |scope| format!(",scope=\"{scope}\""));
                format!("Bearer realm=\"{realm}\",service=\"test registry\"{scope}{problem}")
            }
        };
        Err(self.challenge.clone().unwrap_or(honest))
    }
}
