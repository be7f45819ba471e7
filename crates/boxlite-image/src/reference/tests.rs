use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Checks how `input` is read: host, path, tag, and whether it has a digest.
fn check(input: &str, host: Option<&str>, path: &str, tag: Option<&str>, digest: bool) {
    let reference: Reference = input.parse().unwrap();
    assert_eq!(
        (reference.host(), reference.path(), reference.tag(), reference.digest().is_some()),
        (host, path, tag, digest),
        "{input}"
    );
    assert_eq!(reference.to_string(), input, "{input} does not survive");
}

#[test]
fn well_formed_references_are_taken_apart() {
    check("a", None, "a", None, false);
    check("a:b", None, "a", Some("b"), false);
    check("a/b/c:1.0-x_Y", None, "a/b/c", Some("1.0-x_Y"), false);
    check("localhost/a", Some("localhost"), "a", None, false);
    check("h:5000/a", Some("h:5000"), "a", None, false);
    check("h:5000/a/b:5000", Some("h:5000"), "a/b", Some("5000"), false);
    check("registry.example/a", Some("registry.example"), "a", None, false);
    check("EXAMPLE/a", Some("EXAMPLE"), "a", None, false);
    check("127.0.0.1:5000/a", Some("127.0.0.1:5000"), "a", None, false);
    check("[::1]:5000/a", Some("[::1]:5000"), "a", None, false);
    check("[::1]/a", Some("[::1]"), "a", None, false);
    check("x/a__b.c-d---e/f", None, "x/a__b.c-d---e/f", None, false);
    check(&format!("h.x/a@sha256:{HEX}"), Some("h.x"), "a", None, true);
    check(&format!("h.x/a:t@sha256:{HEX}"), Some("h.x"), "a", Some("t"), true);
    check(&format!("h.x/{HEX}"), Some("h.x"), HEX, None, false);
    check(&"a".repeat(255), None, &"a".repeat(255), None, false);
    check(&format!("a:{}", "t".repeat(128)), None, "a", Some(&"t".repeat(128)), false);
}

#[test]
fn malformed_references_are_refused() {
    let long_path = "a".repeat(256);
    let long_tag = format!("a:{}", "t".repeat(129));
    let digests = [
        format!("h.x/a@sha256:{}", &HEX[1..]),
        format!("h.x/a@sha512:{HEX}{HEX}"),
        format!("h.x/a@sha256:{}", HEX.to_uppercase()),
        format!("h.x/a@sha256:{HEX}@sha256:{HEX}"),
        format!("@sha256:{HEX}"),
    ];
    let fixed = [
        "",
        " ",
        "a ",
        " a",
        ":",
        "a:",
        ":a",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a/B",
        "a:-b",
        "a:.b",
        "a:b:c",
        "a:b/c:d",
        "a@",
        "a@b",
        "-a",
        "a-",
        "_a",
        "a___b",
        "a..b",
        "a._b",
        "a/../b",
        "../a",
        "h.x/",
        "h.x:port/a",
        "h.x:99999/a",
        "h.x:/a",
        "-h.x/a",
        "h..x/a",
        "[::1/a",
        "[::g]/a",
        "[::1]x/a",
        "http://h.x/a",
        "a\n",
        "a\0",
        "é",
        "h.x/a:é",
        HEX,
    ];
    for input in fixed.into_iter().chain([&*long_path, &*long_tag]).chain(digests.iter().map(|text| &**text))
    {
        let refused = input.parse::<Reference>();
        assert_eq!(refused.as_ref().map_err(Error::code), Err(ErrorCode::InvalidArgument), "{input:?}");
    }
}

#[test]
fn a_name_is_completed_by_host_and_latest_and_a_digest_wins_over_a_tag() {
    let complete = |text: &str| text.parse::<Reference>().unwrap().at("h.x").to_string();
    assert_eq!(complete("a"), "h.x/a:latest");
    assert_eq!(complete("other.x/a:b"), "other.x/a:b");
    assert_eq!(complete(&format!("a:b@sha256:{HEX}")), format!("h.x/a@sha256:{HEX}"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_takes_it_prints_back(text in "[a-zA-Z0-9:/@._\\[\\]-]{0,40}") {
        if let Ok(reference) = text.parse::<Reference>() {
            let again: Reference = reference.to_string().parse().unwrap();
            proptest::prop_assert_eq!(reference, again);
        }
    }
}
