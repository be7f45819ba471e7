//! `api/operations.toml` against what is really there: names on every surface, and the scenarios that use them.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use boxlite_conformance::scenario::{CAPABILITIES, Needs, USUAL};
use boxlite_conformance::table::COLUMNS;
use support::{root, scenarios, table};

/// Every source of a kind below a directory, as one text.
fn sources(directory: &str, ending: &str) -> String {
    fn collect(directory: &Path, ending: &str, text: &mut String) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("internal") {
                collect(&path, ending, text);
            } else if path.to_str().is_some_and(|path| path.ends_with(ending) && !path.ends_with("_test.go"))
            {
                text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
                text.push('\n');
            }
        }
    }
    let mut text = String::new();
    collect(&root().join(directory), ending, &mut text);
    assert!(!text.is_empty(), "`{directory}` has no `*{ending}`");
    text
}

/// The lines from one that begins with `start` to the next that is neither indented nor empty.
fn block<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let begin = text.match_indices(start).map(|(place, _)| place).find(|place| {
        let before = text[..*place].rsplit('\n').next().unwrap_or_default();
        let after = text[place + start.len()..].chars().next();
        before.is_empty() && after.is_none_or(|next| !next.is_alphanumeric() && next != '_')
    })?;
    let rest = &text[begin..];
    let mut end = 0;
    for (number, line) in rest.split_inclusive('\n').enumerate() {
        let outside = !line.starts_with([' ', '\t', '\n', '}', ')', '{']);
        if number > 0 && outside {
            break;
        }
        end += line.len();
    }
    Some(&rest[..end])
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(place, _)| {
        let before = text[..place].chars().next_back();
        let after = text[place + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Checks every name of a column; `known` says whether it is there.
fn check(column: &str, known: impl Fn(&str) -> bool) {
    let table = table();
    let names: Vec<&str> = table.operations.iter().filter_map(|operation| operation.on(column)).collect();
    assert!(names.len() > 20, "`{column}` has almost nothing");
    let missing: BTreeSet<&str> = names.into_iter().filter(|name| !known(name)).collect();
    assert!(missing.is_empty(), "`{column}` has no {missing:?}");
}

/// Whether a class, however it begins, mentions a member.
fn member_of(text: &str, starts: &[String], member: &str) -> bool {
    starts.iter().any(|start| block(text, start).is_some_and(|block| has_word(block, member)))
}

#[test]
fn every_name_of_rust_is_a_public_item() {
    let text = sources("crates/boxlite/src", ".rs");
    check("rust", |name| {
        if let Some(kind) = name.strip_prefix("drop(").and_then(|rest| rest.strip_suffix(')')) {
            return text.contains(&format!("pub struct {kind} "));
        }
        match name.split_once("::") {
            Some((kind, function)) => block(&text, &format!("impl {kind}")).is_some_and(|block| {
                ["pub fn", "pub async fn"].iter().any(|start| has_word(block, &format!("{start} {function}")))
            }),
            None => text.contains(&format!("pub struct {name} ")),
        }
    });
}

#[test]
fn every_public_operation_of_rust_is_in_the_table() {
    let text = sources("crates/boxlite/src", ".rs");
    let table = table();
    let listed: BTreeSet<&str> =
        table.operations.iter().filter_map(|operation| operation.on("rust")).collect();
    let mut missing = BTreeSet::new();
    for kind in ["Runtime", "Images", "BoxHandle", "Kernels", "EventStream", "LogStream"] {
        let block = block(&text, &format!("impl {kind}")).expect("a public type");
        for part in block.split("pub async fn ").skip(1) {
            let function: String =
                part.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            let name = format!("{kind}::{function}");
            if !listed.contains(name.as_str()) {
                missing.insert(name);
            }
        }
    }
    assert!(missing.is_empty(), "api/operations.toml lacks {missing:?}");
}

#[test]
fn every_name_of_c_is_in_the_header() {
    let header =
        std::fs::read_to_string(root().join("crates/boxlite-ffi/include/boxlite.h")).expect("the header");
    check("c", |name| header.contains(&format!("{name}(")));
}

#[test]
fn every_name_of_go_is_exported() {
    let text = sources("sdks/go", ".go");
    check("go", |name| match name.split_once(").") {
        Some((receiver, method)) => {
            let kind = receiver.trim_start_matches("(*");
            text.lines().any(|line| {
                let Some(rest) = line.strip_prefix("func (") else { return false };
                let Some((receiver, rest)) = rest.split_once(") ") else { return false };
                receiver.split(' ').next_back() == Some(&format!("*{kind}"))
                    && rest.starts_with(&format!("{method}("))
            })
        }
        None => text.lines().any(|line| line.starts_with(&format!("func {name}("))),
    });
}

#[test]
fn every_name_of_python_is_in_the_package() {
    let text = sources("sdks/python/python/boxlite", ".py");
    check("python", |name| {
        let (kind, member) = name.split_once('.').expect("Class.member");
        member_of_python(&text, kind, member)
    });
}

/// A member may be inherited.
fn member_of_python(text: &str, kind: &str, member: &str) -> bool {
    let Some(class) = block(text, &format!("class {kind}")) else { return false };
    if has_word(class, &format!("def {member}")) || class.contains(&format!("{member}: ")) {
        return true;
    }
    let line = class.lines().next().unwrap_or_default();
    let parents = line.split(['(', ')', '[', ']', ',', ' ', ':']).skip(2).filter(|word| !word.is_empty());
    parents.filter(|parent| *parent != kind).any(|parent| member_of_python(text, parent, member))
}

#[test]
fn every_name_of_node_is_in_the_package() {
    let text = sources("sdks/node/lib", ".ts");
    check("node", |name| {
        let (kind, member) = name.split_once('.').expect("Class.member");
        let starts: Vec<String> = ["export class", "export interface", "export abstract class", "class"]
            .iter()
            .map(|start| format!("{start} {kind}"))
            .collect();
        member_of_node(&text, &starts, member)
    });
}

fn member_of_node(text: &str, starts: &[String], member: &str) -> bool {
    if member_of(text, starts, member) {
        return true;
    }
    let class = starts.iter().find_map(|start| block(text, start));
    let line = class.and_then(|class| class.lines().next()).unwrap_or_default();
    let parent = line.split_once(" extends ").map(|(_, rest)| rest);
    let Some(parent) = parent.and_then(|rest| rest.split([' ', '<', '{']).next()) else { return false };
    let starts: Vec<String> = ["export class", "export abstract class", "class"]
        .iter()
        .map(|start| format!("{start} {parent}"))
        .collect();
    member_of(text, &starts, member)
}

#[test]
fn every_name_of_the_command_line_is_in_its_help() {
    // A test of boxlite-cli keeps this file as the program prints it.
    let help = std::fs::read_to_string(root().join("crates/boxlite-cli/tests/help.txt")).expect("the help");
    check("cli", |name| {
        let words: Vec<&str> = name.split(' ').collect();
        let flag = words.iter().find(|word| word.starts_with("--"));
        let command: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("--")).collect();
        let title = format!("===== {} \n", command.join(" "));
        let title = title.replace(" \n", "\n");
        let section = help.split("=====").find(|section| {
            section.lines().next().is_some_and(|line| line.trim() == title.trim_start_matches("=====").trim())
        });
        section.is_some_and(|section| flag.is_none_or(|flag| section.contains(flag)))
    });
}

#[test]
fn scenarios_use_operations_of_the_table_and_all_of_them() {
    let table = table();
    let used: BTreeSet<String> =
        scenarios().iter().flat_map(|scenario| Needs::of(scenario).operations).collect();
    let unknown: Vec<&String> = used.iter().filter(|name| table.get(name).is_none()).collect();
    assert!(unknown.is_empty(), "api/operations.toml has no {unknown:?}");
    for operation in &table.operations {
        let (used, excused) = (used.contains(&operation.name), operation.untested.is_some());
        assert!(used || excused, "no scenario uses `{}`", operation.name);
        assert!(!(used && excused), "`{}` is used; it needs no excuse", operation.name);
    }
}

#[test]
fn scenarios_need_capabilities_of_the_protocol() {
    let protocol = std::fs::read_to_string(root().join("conformance/PROTOCOL.md")).expect("the protocol");
    for name in CAPABILITIES.iter().chain(&USUAL) {
        assert!(protocol.contains(&format!("`{name}`")), "conformance/PROTOCOL.md lacks `{name}`");
    }
    for scenario in scenarios() {
        for name in Needs::of(&scenario).capabilities {
            let known = CAPABILITIES.iter().chain(&USUAL).any(|known| *known == name);
            assert!(known, "{}: there is no capability `{name}`", scenario.title());
        }
    }
}

#[test]
fn every_cell_says_something() {
    for operation in &table().operations {
        for column in COLUMNS {
            let said = match operation.presence(column) {
                boxlite_conformance::table::Presence::Name(name) => name.clone(),
                boxlite_conformance::table::Presence::Absent { absent } => absent.clone(),
            };
            assert!(!said.trim().is_empty() && !said.ends_with('.'), "`{}` in {column}", operation.name);
        }
        assert!(operation.name.contains('.') && !operation.summary.is_empty());
    }
}
