//! Making a box: one row, nothing else.

use boxlite_types::{BoxId, BoxInfo, BoxSpec, BoxState, Context, Error, ErrorCode, Event, Result};

use super::command::Defaults;
use super::now;
use super::validate::check_spec;
use crate::core::count;
use crate::operation::Work;

/// Makes a box of an image that is in the store.
///
/// # Errors
/// `InvalidArgument` for a specification that cannot be; `NotFound` if the image is not in the store; `AlreadyExists` if
/// the name is taken.
pub(crate) async fn create(work: &Work, spec: BoxSpec) -> Result<BoxId> {
    let made = make(work, spec).await;
    match &made {
        Ok(id) => {
            count(&work.counters.boxes_created);
            work.emit(Event::BoxCreated { id: id.clone() });
        }
        Err(_) => count(&work.counters.boxes_failed),
    }
    made
}

async fn make(work: &Work, spec: BoxSpec) -> Result<BoxId> {
    check_spec(&spec)?;
    let image = work.cancellable(work.images.get(&spec.image, spec.platform.as_ref())).await;
    let image = image.map_err(|error| missing_image(error, &spec.image))?;
    // Also proves that the image can be run from.
    let (_, config) = work.cancellable(work.images.root(&image.id)).await?;
    if let Some(main) = &spec.main {
        Defaults::new(&config, &spec).main(main)?;
    }
    let info = BoxInfo {
        id: random_id()?,
        name: spec.name.clone(),
        image: image.reference,
        image_id: image.id,
        state: BoxState::Created,
        created_at: now(),
        started_at: None,
        stopped_at: None,
        exit_code: None,
        pid: None,
        isolation: None,
        spec,
    };
    let id = info.id.clone();
    work.rows(move |table| table.insert(&info, &config)).await?;
    Ok(id)
}

fn missing_image(error: Error, reference: &str) -> Error {
    if error.code() != ErrorCode::NotFound {
        return error;
    }
    Error::new(ErrorCode::NotFound, format!("image `{reference}` is not in the store"))
        .with(Context::Reference, reference)
        .hint(format!("pull it first: `boxlite pull {reference}`"))
        .caused_by(error)
}

fn random_id() -> Result<BoxId> {
    let mut random = [0; 12];
    fill(&mut random).map_err(|error| {
        Error::new(ErrorCode::Internal, format!("the system gives no random bytes: {error}"))
    })?;
    Ok(BoxId::from_random(random))
}

fn fill(random: &mut [u8]) -> rustix::io::Result<()> {
    let mut filled = 0;
    while filled < random.len() {
        filled += rustix::rand::getrandom(&mut random[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}
