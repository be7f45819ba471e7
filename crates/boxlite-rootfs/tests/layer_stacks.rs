//! Stacks of layers made at random over a small alphabet of names, so that everything meets everything: compared with a
//! model on every machine, and with umoci and the kernel as root.

mod support;

use boxlite_types::ErrorCode;
use proptest::prelude::*;
use support::model::{Model, Operation};
use support::{Converted, Snapshot, check_like_umoci, is_root, layer};

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|names| names.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    let plain =
        prop::sample::select(vec!["a", "b", "c", "../a", "/b", "a/b", "../../c", "/", "..", "x/y", "./c/."]);
    plain.prop_map(str::to_owned)
}

fn operation() -> impl Strategy<Value = Operation> {
    let mode = prop::sample::select(vec![0o644, 0o755, 0o4711, 0o1777]);
    let sizes = prop::sample::select(vec![0_usize, 1, 200, 300, 4096, 4200, 9000]);
    let file = (path(), sizes, any::<u8>(), mode.clone())
        .prop_map(|(path, size, byte, mode)| Operation::File { path, content: vec![byte; size], mode });
    prop_oneof![
        4 => file,
        // Directories without setgid: umoci's mkdir of a missing parent would inherit it from the host.
        4 => (path(), mode, 0..3_u32).prop_map(|(path, mode, owner)| Operation::Directory { path, mode, owner }),
        2 => (path(), target()).prop_map(|(path, target)| Operation::SymbolicLink { path, target }),
        2 => (path(), path()).prop_map(|(path, target)| Operation::HardLink { path, target }),
        1 => path().prop_map(|path| Operation::Fifo { path }),
        3 => path().prop_map(|path| Operation::Whiteout { path }),
        1 => path().prop_map(|path| Operation::Opaque { path }),
    ]
}

fn stack() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    prop::collection::vec(prop::collection::vec(operation(), 0..14), 1..5)
}

fn tars(stack: &[Vec<Operation>]) -> Vec<Vec<u8>> {
    stack
        .iter()
        .map(|operations| layer(&operations.iter().map(Operation::entry).collect::<Vec<_>>()))
        .collect()
}

/// Leaves out what cannot be applied, and returns the tree of the rest.
fn possible(stack: Vec<Vec<Operation>>) -> (Vec<Vec<Operation>>, Model) {
    let mut model = Model::new();
    let stack = stack
        .into_iter()
        .map(|operations| {
            model.next_layer();
            let kept = operations.into_iter().filter(|operation| {
                let mut attempt = model.clone();
                let possible = attempt.apply(operation).is_ok();
                if possible {
                    model = attempt;
                }
                possible
            });
            kept.collect()
        })
        .collect();
    (stack, model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stack_becomes_the_tree_of_the_model(stack in stack()) {
        let (stack, model) = possible(stack);
        let converted = Converted::of(&tars(&stack)).unwrap();
        let ours = Snapshot::of_erofs(&converted.export());
        prop_assert_eq!(ours.differences(&model.snapshot()), Vec::<String>::new(), "ours (-), the model's (+)");
    }

    #[test]
    fn what_the_model_cannot_apply_is_an_image_error(stack in stack()) {
        let mut model = Model::new();
        let all = stack.iter().try_for_each(|operations| {
            model.next_layer();
            operations.iter().try_for_each(|operation| model.apply(operation))
        });
        let ours = Converted::of(&tars(&stack));
        match (all, ours) {
            (Ok(()), Ok(_)) => {}
            (Err(_), Err(error)) => prop_assert_eq!(error.code(), ErrorCode::Image),
            (all, ours) => prop_assert!(false, "model: {:?}, ours: {:?}", all, ours.err()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stack_becomes_the_tree_of_umoci(stack in stack()) {
        if is_root("random stacks with umoci") {
            let (stack, _) = possible(stack);
            check_like_umoci(&format!("{stack:?}"), &tars(&stack));
        }
    }
}
