//! The rows of images and references: every statement the store runs, and the conversion of rows to types.
//!
//! Takes connections and transactions, opens none. What a row means for the files stands elsewhere.

mod images;
mod needs;
mod references;

use boxlite_state::rusqlite::{self, Connection, Row};
use boxlite_types::{Digest, Platform};

pub(crate) use images::*;
pub(crate) use needs::*;
pub(crate) use references::*;

type Sql<T> = rusqlite::Result<T>;

fn digest(row: &Row<'_>, column: usize) -> Sql<Digest> {
    parse_digest(column, row.get_ref(column)?.as_str()?)
}

fn parse_digest(column: usize, text: &str) -> Sql<Digest> {
    text.parse().map_err(|error: boxlite_types::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

fn optional_digest(row: &Row<'_>, column: usize) -> Sql<Option<Digest>> {
    row.get_ref(column)?.as_str_or_null()?.map(|text| parse_digest(column, text)).transpose()
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Sql<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}

fn to_json<T: serde::Serialize>(value: &T) -> Sql<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn platform(row: &Row<'_>, first: usize) -> Sql<Platform> {
    let variant: String = row.get(first + 2)?;
    Ok(Platform {
        os: row.get(first)?,
        architecture: row.get(first + 1)?,
        variant: Some(variant).filter(|variant| !variant.is_empty()),
    })
}

fn collect<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> Sql<T>,
) -> Sql<Vec<T>> {
    connection.prepare_cached(statement)?.query_map(parameters, read)?.collect()
}
