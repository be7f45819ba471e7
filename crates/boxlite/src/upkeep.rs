//! Looking at a whole home: what takes space in it, and what is wrong with it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use boxlite_types::{BoxState, CheckReport, ErrorCode, Finding, Result, UsageReport};

use crate::boxes::{self, Table};
use crate::core::Core;
use crate::operation::Work;

/// Measures the home: images as their store counts them, boxes and machines here.
pub(crate) async fn usage(work: &Work) -> Result<UsageReport> {
    let mut report = work.cancellable(work.images.usage()).await?;
    let core: Arc<Core> = Arc::clone(work);
    let (box_bytes, machine_bytes) = work
        .cancellable(work.blocking(move || {
            let home = &core.home;
            let machines = [home.templates(), home.kernels(), home.bin()];
            let machine_bytes = machines.iter().map(|directory| allocated_bytes(directory)).sum::<u64>();
            Ok((allocated_bytes(&home.boxes()), machine_bytes))
        }))
        .await?;
    report.boxes = work.rows(Table::all).await?.len() as u64;
    report.box_bytes = box_bytes;
    report.machine_bytes = machine_bytes;
    Ok(report)
}

/// Examines the home.
pub(crate) async fn check(work: &Work, repair: bool) -> Result<CheckReport> {
    let mut report = work.cancellable(work.images.check(repair)).await?;
    let core: Arc<Core> = Arc::clone(work);
    let broken = work.cancellable(work.blocking(move || core.database.integrity())).await?;
    report.findings.extend(broken.into_iter().map(|detail| Finding {
        kind: "corrupt-database".into(),
        subject: "boxlite.db".into(),
        detail,
        repaired: false,
    }));
    check_boxes(work, repair, &mut report).await?;
    Ok(report)
}

async fn check_boxes(work: &Work, repair: bool, report: &mut CheckReport) -> Result<()> {
    for row in work.rows(Table::all).await? {
        report.examined += 1;
        let id = row.info.id.clone();
        let claimed = row.info.state;
        // Looking at it settles it: there is no other truth to be kept for a check that repairs nothing.
        let looked = work.cancellable(boxes::truth(work, row)).await;
        let found = match looked {
            Ok(row) if claimed != row.info.state && row.info.state == BoxState::Stopped => {
                Some(("dead-box", format!("it was noted as {} and had died", claimed.as_str()), true))
            }
            Ok(row) if matches!(row.info.state, BoxState::Created | BoxState::Stopped) => {
                let haunted = boxes::is_haunted(work, &id, repair).await?;
                haunted.then(|| {
                    ("stray-machine", format!("it runs although it is {}", row.info.state.as_str()), repair)
                })
            }
            Ok(_) => None,
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) if error.code() == ErrorCode::Cancelled => return Err(error),
            Err(error) => Some(("unreadable-box", error.message().to_owned(), false)),
        };
        report.findings.extend(found.map(|(kind, detail, repaired)| Finding {
            kind: kind.into(),
            subject: id.to_string(),
            detail,
            repaired,
        }));
    }
    let orphans = boxes::sweep(work, repair).await?;
    report.findings.extend(orphans.into_iter().map(|name| Finding {
        kind: "orphan-directory".into(),
        subject: format!("boxes/{name}"),
        detail: "it belongs to no box".into(),
        repaired: repair,
    }));
    Ok(())
}

/// Adds up what the disk gives to everything below a directory; what cannot be looked at, or goes away meanwhile, is
/// nothing.
fn allocated_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => metadata.blocks() * 512 + allocated_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
