use std::time::Duration;

use boxlite_image::PullOptions;
use boxlite_testkit::registry::{Fault, Gate, Rule, Target};
use boxlite_types::ErrorCode;
use tokio_util::sync::CancellationToken;

use super::{blob, image, pull, serve};
use crate::common::TestHome;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Cancels a pull that is held at `fault`, by its token or by dropping it; checks that it ends at once, hangs up, leaves no
/// row and no lock, and that a later pull succeeds.
async fn check_cancel(
    target: fn(&boxlite_testkit::images::Artifact) -> Target,
    fault: fn(Gate) -> Fault,
    drop_it: bool,
) {
    let artifact = image(2);
    let (registry, reference) = serve(&artifact);
    let gate = Gate::new();
    registry.script(Rule::on(target(&artifact)).with(fault(gate.clone())));
    let home = TestHome::new();
    let store = home.store();
    let rows = home.rows();
    let cancel = CancellationToken::new();
    let options = PullOptions { cancel: cancel.clone(), ..PullOptions::default() };
    let pulling = {
        let (store, reference) = (store.clone(), reference.clone());
        tokio::spawn(async move { store.pull(&reference, options).await })
    };
    tokio::time::timeout(LIMIT, gate.reached()).await.expect("the pull comes to the gate");
    if drop_it {
        pulling.abort();
        pulling.await.unwrap_err();
    } else {
        cancel.cancel();
        let outcome = tokio::time::timeout(LIMIT, pulling).await.expect("a cancelled pull ends").unwrap();
        assert_eq!(outcome.unwrap_err().code(), ErrorCode::Cancelled);
    }
    tokio::time::timeout(LIMIT, gate.abandoned()).await.expect("a cancelled pull hangs up");
    tokio::time::timeout(LIMIT, store.settled()).await.expect("nothing goes on behind the back");
    assert_eq!(home.rows(), rows);
    assert_eq!(home.locked(), Vec::<String>::new());
    let stray: Vec<String> =
        home.files().paths().filter(|path| path.ends_with(".tmp")).map(str::to_owned).collect();
    assert_eq!(stray, Vec::<String>::new());
    registry.heal();
    gate.open();
    pull(&store, &reference, &artifact).await;
}

#[tokio::test]
async fn while_the_registry_is_looked_for() {
    check_cancel(|_| Target::Ping, Fault::HoldHead, false).await;
    check_cancel(|_| Target::Ping, Fault::HoldHead, true).await;
}

#[tokio::test]
async fn while_the_manifest_is_read() {
    check_cancel(|_| Target::Manifests, |gate| Fault::HoldAfter(10, gate), false).await;
    check_cancel(|_| Target::Manifests, |gate| Fault::HoldAfter(10, gate), true).await;
}

#[tokio::test]
async fn while_a_layer_is_downloaded() {
    check_cancel(
        |artifact| Target::Blob(artifact.layer_digest(1)),
        |gate| Fault::HoldAfter(9000, gate),
        false,
    )
    .await;
    check_cancel(
        |artifact| Target::Blob(artifact.layer_digest(1)),
        |gate| Fault::HoldAfter(9000, gate),
        true,
    )
    .await;
}

#[tokio::test]
async fn a_cancelled_download_is_resumed_by_the_next_pull() {
    let artifact = image(1);
    let (registry, reference) = serve(&artifact);
    let (gate, layer) = (Gate::new(), artifact.layer_digest(0));
    registry.script(Rule::on(Target::Blob(layer)).nth(1).with(Fault::HoldAfter(20_000, gate.clone())));
    let home = TestHome::new();
    let store = home.store();
    let partial = home.home().ingest().join(format!("blob-{}.partial", layer.hex()));
    let cancel = CancellationToken::new();
    let options = PullOptions { cancel: cancel.clone(), ..PullOptions::default() };
    let pulling = {
        let (store, reference) = (store.clone(), reference.clone());
        tokio::spawn(async move { store.pull(&reference, options).await })
    };
    gate.reached().await;
    cancel.cancel();
    pulling.await.unwrap().unwrap_err();
    let held = std::fs::metadata(&partial).map_or(0, |metadata| metadata.len());
    assert!(held <= 20_000);
    pull(&store, &reference, &artifact).await;
    let expect = (held > 0).then(|| format!("bytes={held}-"));
    assert_eq!(blob(&registry, layer)[1].range(), expect.as_deref());
}
