use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn descriptor(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":3}}"#)
}

fn image(top: &str, layers: &str) -> String {
    let config = descriptor("application/vnd.oci.image.config.v1+json");
    format!(r#"{{"schemaVersion":2{top},"config":{config},"layers":[{layers}]}}"#)
}

fn layer() -> String {
    descriptor("application/vnd.oci.image.layer.v1.tar+gzip")
}

fn check_refused(document: &str, types: &[&str], says: &str) {
    let error = parse(document.as_bytes(), types, 100).expect_err(document);
    assert_eq!(error.code(), ErrorCode::Image, "{document}");
    assert!(error.message().contains(says), "`{}` does not say `{says}`", error.message());
}

#[test]
fn an_image_is_read() {
    let document = image("", &layer());
    for types in
        [&[][..], &[media::OCI_MANIFEST], &["text/plain", media::OCI_MANIFEST], &["application/json"]]
    {
        let Parsed::Image(manifest) = parse(document.as_bytes(), types, 100).unwrap() else {
            panic!("no image")
        };
        assert_eq!((manifest.layers.len(), manifest.media_type.as_str()), (1, media::OCI_MANIFEST));
        assert_eq!(manifest.layers[0].compression, Compression::Gzip);
    }
}

#[test]
fn an_index_is_read() {
    let entry = format!(
        r#"{{"mediaType":"{}","digest":"sha256:{HEX}","size":3,"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}}"#,
        media::OCI_MANIFEST
    );
    let document = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
    let Parsed::Index(entries) = parse(document.as_bytes(), &[media::OCI_INDEX], 100).unwrap() else {
        panic!()
    };
    assert_eq!(entries[0].platform, Some(("linux".into(), "arm64".into(), Some("v8".into()))));
}

#[test]
fn contradictions_are_refused() {
    let both = format!(r#"{{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}}"#, layer());
    check_refused(&both, &[], "both an index and an image");
    let docker = format!(r#","mediaType":"{}""#, media::DOCKER_MANIFEST);
    check_refused(&image(&docker, ""), &[media::OCI_MANIFEST], "in another");
    check_refused(&image("", ""), &[media::OCI_INDEX], "no list of manifests");
    check_refused(r#"{"schemaVersion":2,"manifests":[]}"#, &[media::OCI_MANIFEST], "no configuration");
    check_refused(&image("", ""), &[media::OCI_MANIFEST, media::DOCKER_MANIFEST], "in another");
}

#[test]
fn the_obsolete_and_the_unknown_are_refused() {
    check_refused(r#"{"schemaVersion":1,"fsLayers":[]}"#, &[], "schema 1");
    check_refused(r#"{"schemaVersion":2}"#, &[], "no manifest");
    check_refused("{}", &[], "schema version");
    check_refused("", &[], "malformed");
    check_refused("[]", &[], "malformed");
    check_refused(&image("", &descriptor("application/x-thing")), &[], "unknown media type");
    check_refused(&image("", &layer()), &["application/x-thing"], "unknown media type");
    let artifact = image("", "").replace("image.config.v1", "empty.v1");
    check_refused(&artifact, &[], "artifact");
}

#[test]
fn absurd_numbers_are_refused() {
    check_refused(&image("", &layer().replace(":3", ":-1")), &[], "absurd size");
    check_refused(&image("", &layer().replace(":3", ":9223372036854775807")), &[], "absurd size");
    check_refused(&image("", &layer().replace(":3", ":3.5")), &[], "malformed");
    check_refused(&image("", &vec![layer(); 101].join(",")), &[], "101 layers");
    check_refused(&image("", &layer().replace("sha256:", "sha512:")), &[], "sha256");
    check_refused(&image("", &layer().replace(HEX, "../../etc/passwd")), &[], "malformed digest");
}

proptest::proptest! {
    #[test]
    fn no_document_makes_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = parse(&bytes, &[], 100);
    }
}
