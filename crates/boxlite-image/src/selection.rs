//! Choosing an image by platform: which entry of an index, and whether a configuration is what was asked for.
//!
//! Variants as containerd reads them: `arm64` is `arm64/v8`, `arm` is `arm/v7`, `amd64` is `amd64/v1`. An older variant
//! runs on a newer machine, never the other way round; of those that run, the newest is chosen.

use boxlite_types::{Context, Error, ErrorCode, Platform, Result};

use crate::manifest::IndexEntry;

/// Writes a platform in the one way it is compared and stored.
pub(crate) fn normalize(platform: &Platform) -> Platform {
    let mut platform = platform.clone();
    platform.os.make_ascii_lowercase();
    platform.architecture.make_ascii_lowercase();
    let architecture = match platform.architecture.as_str() {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" => "arm",
        other => other,
    };
    let variant =
        platform.variant.as_deref().map(str::to_ascii_lowercase).filter(|variant| !variant.is_empty());
    let variant = match (architecture, variant.as_deref()) {
        ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
        ("arm", None | Some("7")) => Some("v7".into()),
        ("arm", Some("5" | "6" | "8")) => variant.map(|variant| format!("v{variant}")),
        _ => variant,
    };
    Platform { os: platform.os, architecture: architecture.into(), variant }
}

/// Returns how well an image for `found` suits who wants `wanted`, both normalized: higher is better, `None` not at all.
fn suits(wanted: &Platform, found: &Platform) -> Option<u32> {
    if (&wanted.os, &wanted.architecture) != (&found.os, &found.architecture) {
        return None;
    }
    if wanted.variant == found.variant {
        return Some(u32::MAX);
    }
    let level = |platform: &Platform| match (platform.architecture.as_str(), platform.variant.as_deref()) {
        ("arm64", None) => Some(8),
        ("amd64", None) => Some(1),
        ("arm" | "arm64" | "amd64", Some(variant)) => {
            variant.strip_prefix('v').and_then(|number| number.split('.').next()?.parse::<u32>().ok())
        }
        _ => None,
    };
    match (level(wanted), level(found)) {
        (Some(wanted), Some(found)) if found < wanted => Some(found),
        // An architecture whose variants mean nothing to us: none given is taken for any.
        (None, None) if found.variant.is_none() => Some(0),
        _ => None,
    }
}

/// Chooses the entry of an index for `wanted`; of equally good ones the first.
///
/// # Errors
/// `PlatformMismatch`, naming what the index has.
pub(crate) fn choose<'a>(entries: &'a [IndexEntry], wanted: &Platform) -> Result<&'a IndexEntry> {
    let wanted = normalize(wanted);
    let platforms = entries.iter().filter_map(|entry| {
        let (os, architecture, variant) = entry.platform.as_ref()?;
        let platform =
            Platform { os: os.clone(), architecture: architecture.clone(), variant: variant.clone() };
        Some((entry, normalize(&platform)))
    });
    let platforms: Vec<_> = platforms.collect();
    let mut best: Option<(&IndexEntry, u32)> = None;
    for (entry, platform) in &platforms {
        if let Some(score) = suits(&wanted, platform)
            && best.is_none_or(|(_, highest)| score > highest)
        {
            best = Some((entry, score));
        }
    }
    if let Some((entry, _)) = best {
        return Ok(entry);
    }
    // Attestations of build tools stand in an index as `unknown/unknown`.
    let mut names: Vec<String> = platforms
        .iter()
        .filter(|(_, platform)| platform.os != "unknown")
        .map(|(_, platform)| platform.to_string())
        .collect();
    names.dedup();
    Err(mismatch(&wanted, &names))
}

/// Checks that a configuration for `found` is what who wants `wanted` can run.
pub(crate) fn check(found: &Platform, wanted: &Platform) -> Result<()> {
    match suits(&normalize(wanted), &normalize(found)) {
        Some(_) => Ok(()),
        None => Err(mismatch(wanted, &[found.to_string()])),
    }
}

/// The error for a platform that is not among those there are.
pub(crate) fn mismatch(wanted: &Platform, names: &[String]) -> Error {
    let there = match names {
        [] => "it is for no platform at all".to_owned(),
        names => format!("there is {}", names.join(", ")),
    };
    Error::new(ErrorCode::PlatformMismatch, format!("image does not exist for `{wanted}`; {there}"))
        .with(Context::Platform, wanted.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Descriptor;
    use boxlite_types::Digest;

    fn index(platforms: &[&str]) -> Vec<IndexEntry> {
        let entry = |(place, text): (usize, &&str)| {
            let parts: Vec<&str> = text.split('/').collect();
            let platform = (parts.len() > 1)
                .then(|| (parts[0].into(), parts[1].into(), parts.get(2).map(|variant| (*variant).into())));
            let digest = Digest::from_bytes([place as u8; 32]);
            IndexEntry { descriptor: Descriptor { media_type: String::new(), digest, size: 0 }, platform }
        };
        platforms.iter().enumerate().map(entry).collect()
    }

    fn check_choice(platforms: &[&str], wanted: &str, expect: Option<usize>) {
        let entries = index(platforms);
        let chosen = choose(&entries, &wanted.parse().unwrap());
        match expect {
            Some(place) => assert_eq!(chosen.unwrap(), &entries[place], "{wanted} in {platforms:?}"),
            None => assert_eq!(
                chosen.unwrap_err().code(),
                ErrorCode::PlatformMismatch,
                "{wanted} in {platforms:?}"
            ),
        }
    }

    #[test]
    fn the_best_entry_is_chosen() {
        check_choice(&["linux/arm64", "linux/amd64"], "linux/amd64", Some(1));
        check_choice(&["linux/amd64", "linux/amd64"], "linux/amd64", Some(0));
        check_choice(&["windows/amd64", "linux/amd64"], "linux/amd64", Some(1));
        check_choice(&["", "linux/amd64"], "linux/amd64", Some(1));
        check_choice(&["linux/arm64/v8"], "linux/arm64", Some(0));
        check_choice(&["linux/arm64"], "linux/arm64/v8", Some(0));
        check_choice(&["linux/arm64/v9", "linux/arm64"], "linux/arm64", Some(1));
        check_choice(&["linux/arm64/v8"], "linux/arm64/v9", Some(0));
        check_choice(&["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v6", Some(1));
        check_choice(&["linux/arm/v5", "linux/arm/v6"], "linux/arm", Some(1));
        check_choice(&["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1));
        check_choice(&["linux/amd64/v2", "linux/amd64/v3"], "linux/amd64/v3", Some(1));
        check_choice(&["linux/x86_64"], "linux/amd64", Some(0));
    }

    #[test]
    fn what_does_not_run_is_not_chosen() {
        check_choice(&[], "linux/amd64", None);
        check_choice(&["unknown/unknown"], "linux/amd64", None);
        check_choice(&["linux/arm64"], "linux/amd64", None);
        check_choice(&["linux/arm/v7"], "linux/arm/v6", None);
        check_choice(&["linux/arm64/v9"], "linux/arm64", None);
        check_choice(&["linux/amd64/v3"], "linux/amd64", None);
        check_choice(&["linux/arm/v7"], "linux/arm64", None);
        check_choice(&["linux/ppc64le/power9"], "linux/ppc64le", None);
    }

    #[test]
    fn the_error_names_what_there_is_but_not_attestations() {
        let entries = index(&["linux/arm64", "unknown/unknown"]);
        let error = choose(&entries, &"linux/amd64".parse().unwrap()).unwrap_err();
        assert!(error.message().ends_with("there is linux/arm64"), "{error}");
    }

    #[test]
    fn a_configuration_of_another_platform_is_refused() {
        let error = check(&"linux/arm64".parse().unwrap(), &"linux/amd64".parse().unwrap()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PlatformMismatch);
        check(&"linux/arm64/v8".parse().unwrap(), &"linux/arm64".parse().unwrap()).unwrap();
    }
}
