//! Reading `WWW-Authenticate` (RFC 9110, section 11.6.1; distribution spec, "Token Authentication").
//!
//! One header may hold several challenges, several headers may come; quoted strings may hold commas. Unknown schemes are
//! skipped. Nothing is decided here about credentials.

/// One way the registry offers to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from the token service at `realm`.
    Bearer {
        /// Address of the token service.
        realm: String,
        /// Name the registry has there.
        service: Option<String>,
        /// What the token must allow.
        scope: Option<String>,
        /// Why the token sent was not accepted, as `invalid_token` or `insufficient_scope`.
        error: Option<String>,
    },
}

/// Returns the challenges of known schemes in `headers`, Bearer before Basic.
pub(crate) fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = headers.into_iter().flat_map(parse_one).collect();
    challenges.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
    challenges
}

fn parse_one(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header;
    let mut scheme: Option<(String, Vec<(String, String)>)> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let word = &rest[..end];
        if word.is_empty() {
            break;
        }
        let after = rest[end..].trim_start_matches([' ', '\t']);
        match after.strip_prefix('=') {
            // A parameter: name, equals sign, token or quoted string.
            Some(value) if scheme.is_some() => {
                let (value, remainder) = parse_value(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = &mut scheme {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = remainder;
            }
            Some(_) => break,
            None => {
                found.extend(scheme.take().and_then(finish));
                scheme = Some((word.to_ascii_lowercase(), Vec::new()));
                rest = &rest[end..];
            }
        }
    }
    found.extend(scheme.and_then(finish));
    found
}

fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[place + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

fn finish((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let take = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: take("realm")?,
            service: take("service"),
            scope: take("scope"),
            error: take("error"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
            error: None,
        }
    }

    fn check(headers: &[&str], expect: &[Challenge]) {
        assert_eq!(parse(headers.iter().copied()), expect, "{headers:?}");
    }

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        let url = "https://t.example/token";
        check(&["Basic realm=\"a\""], &[Challenge::Basic]);
        check(&["basic"], &[Challenge::Basic]);
        check(
            &[r#"Bearer realm="https://t.example/token",service="r",scope="repository:a/b:pull,push""#],
            &[bearer(url, Some("r"), Some("repository:a/b:pull,push"))],
        );
        check(&[r#"BEARER  realm = "https://t.example/token" , service=r"#], &[bearer(url, Some("r"), None)]);
        check(
            &[r#"Negotiate, Basic realm="a,b=\"c\"", Bearer realm="https://t.example/token""#],
            &[bearer(url, None, None), Challenge::Basic],
        );
        check(&["Basic realm=x", r#"Bearer realm="u""#], &[bearer("u", None, None), Challenge::Basic]);
    }

    #[test]
    fn nonsense_is_no_challenge() {
        for nonsense in
            ["", ",", "=", "=x", "Bearer", "Bearer service=x", "Digest realm=x", "Bearer realm", "\"", "é"]
        {
            check(&[nonsense], &[]);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in "\\PC{0,60}") {
            parse([header.as_str()]);
        }
    }
}
