//! The C header: what cbindgen makes of `boxlite-ffi`, and a blocking twin for every function that begins an operation.
//!
//! The twins are made from the header itself. A function whose last outputs are an operation and an error gets one; the
//! word `boxlite_operation_take_<noun>` in its comment says what there is to take. So whoever adds a function to the
//! library cannot forget its twin, and cannot describe it wrongly.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Generated;

/// Path of the header below the root.
const HEADER: &str = "crates/boxlite-ffi/include/boxlite.h";

/// End of the parameters of a function that begins an operation.
const BEGINS: &str = "boxlite_operation **operation, boxlite_error **error)";

/// Makes the header.
pub fn generate(root: &Path) -> Result<Generated> {
    let directory = root.join("crates/boxlite-ffi");
    let mut config =
        cbindgen::Config::from_file(directory.join("cbindgen.toml")).map_err(anyhow::Error::msg)?;
    let version = version(root)?;
    config.after_includes = config.after_includes.map(|text| text.replace("@VERSION@", &version));
    let bindings = cbindgen::Builder::new()
        .with_crate(&directory)
        .with_config(config)
        .generate()
        .context("cbindgen cannot read boxlite-ffi")?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let text = with_twins(&String::from_utf8(bytes)?)?;
    let build_id = format!("{version}+{:016x}", fingerprint(text.as_bytes()));
    let text = text.replace("@BUILD_ID@", &build_id);
    Ok(Generated { path: HEADER, text })
}

/// FNV-1a, 64 bits (draft-eastlake-fnv, section 2).
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn version(root: &Path) -> Result<String> {
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let version =
        manifest["workspace"]["package"]["version"].as_str().context("the workspace has a version")?;
    Ok(version.to_owned())
}

/// A function as it stands in the header.
struct Prototype<'a> {
    comment: &'a str,
    name: &'a str,
    parameters: Vec<&'a str>,
}

/// Adds the twins behind the last prototype.
fn with_twins(header: &str) -> Result<String> {
    let end = header.rfind("#ifdef __cplusplus").context("the header has an end")?;
    let (body, tail) = header.split_at(end);
    let mut text = body.trim_end().to_owned();
    text.push_str("\n\n/*\n * The twins: each begins an operation, waits for its end, and takes what it gives.\n */\n\n");
    for prototype in prototypes(body) {
        text.push_str(&twin(&prototype)?);
        text.push('\n');
    }
    Ok(text + tail)
}

/// Finds the functions that begin an operation.
fn prototypes(header: &str) -> Vec<Prototype<'_>> {
    let starts = header.match_indices("\nboxlite_status ").map(|(start, _)| start + 1);
    let found = starts.filter_map(|start| {
        let text = &header[start..start + header[start..].find(';')?];
        let (head, parameters) = text.split_once('(')?;
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        one_line.ends_with(BEGINS).then(|| {
            let comment = header[..start].rfind("/**").map_or("", |comment| &header[comment..start]);
            let parameters = parameters.trim_end_matches(')').split(',').map(str::trim).collect();
            Prototype { comment, name: head.trim_start_matches("boxlite_status "), parameters }
        })
    });
    found.collect()
}

fn twin(prototype: &Prototype<'_>) -> Result<String> {
    let Prototype { comment, name, parameters } = prototype;
    let inputs = &parameters[..parameters.len() - 2];
    let names = inputs.iter().map(|input| {
        let name = input.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
        name.filter(|name| !name.is_empty()).with_context(|| format!("`{input}` has no name"))
    });
    let names = names.collect::<Result<Vec<_>>>()?.join(", ");
    let mut takes = comment.match_indices("boxlite_operation_take_").map(|(start, word)| {
        let rest = &comment[start + word.len()..];
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    });
    let (taken, taken_as) = match takes.next() {
        None => (String::new(), None),
        Some(noun) => {
            let typed = format!("boxlite_{noun} **{noun}");
            let parameter_names: Vec<&str> = names.split(", ").collect();
            if parameter_names.contains(&noun) {
                bail!("`{name}_sync` would have two parameters `{noun}`");
            }
            let take = format!("boxlite_operation_take_{noun}(operation, {noun}, error)");
            (format!("    if (status == BOXLITE_OK) status = {take};\n"), Some(typed))
        }
    };
    if takes.next().is_some() {
        bail!("the comment of `{name}` names two functions that take");
    }
    let head = format!("static inline boxlite_status {name}_sync(");
    let all = inputs
        .iter()
        .map(|input| (*input).to_owned())
        .chain(taken_as)
        .chain(["boxlite_error **error".into()]);
    Ok(format!(
        "/** `{name}`, waited for. */\n\
         {head}{})\n{{\n    \
             boxlite_operation *operation = NULL;\n    \
             boxlite_status status = {name}({names}, &operation, error);\n    \
             if (status == BOXLITE_OK) status = boxlite_operation_wait(operation, -1, error);\n\
         {taken}    \
             boxlite_operation_free(operation);\n    \
             return status;\n}}\n",
        // One to a line, as cbindgen writes them.
        all.collect::<Vec<_>>().join(&format!(",\n{}", " ".repeat(head.len()))),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\n/**\n * Pulls. Gives it with `boxlite_operation_take_result`.\n */\n\
        boxlite_status boxlite_pull(boxlite_images *images,\n    const char *reference,\n    \
        boxlite_operation **operation,\n    boxlite_error **error);\n\n\
        /**\n * No operation.\n */\nboxlite_status boxlite_free(boxlite_images *images);\n\
        #ifdef __cplusplus\n}\n#endif\n";

    #[test]
    fn a_function_that_begins_an_operation_gets_a_twin_and_no_other_does() {
        let text = with_twins(HEADER).unwrap();
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains(
            "boxlite_pull_sync(boxlite_images *images, const char *reference, boxlite_result **result, boxlite_error **error) {"
        ));
        assert!(text.contains("boxlite_pull(images, reference, &operation, error)"));
        assert!(text.contains("boxlite_operation_take_result(operation, result, error)"));
        assert!(!text.contains("boxlite_free_sync"));
        assert!(text.ends_with("#endif\n"));
    }
}
