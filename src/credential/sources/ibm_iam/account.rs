//! The accounts that a user can be in, and the choice of one.

use std::collections::BTreeSet;

use http::StatusCode;
use serde::Deserialize;

use super::error::ibm_error;
use super::{
    names::{Named, find, names},
    services::{Services, problem},
};
use crate::credential::{Error, protocol::issuer::Response};

/// Where the first page is.
const FIRST: &str = "/coe/v2/accounts";
/// No user has accounts for more.
const PAGES: usize = 100;

/// An account of IBM Cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// 32 hexadecimal digits: `bss_account`.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Named for Account {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Deserialize)]
struct Page {
    next_url: Option<String>,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    metadata: Metadata,
    #[serde(default)]
    entity: Entity,
}

#[derive(Deserialize)]
struct Metadata {
    guid: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entity {
    name: Option<String>,
}

/// All accounts, page by page.
pub(super) async fn list(services: &Services) -> Result<Vec<Account>, Error> {
    let mut accounts = Vec::new();
    let mut path = FIRST.to_owned();
    let mut seen = BTreeSet::new();
    while seen.len() < PAGES {
        let url = services.endpoints.accounts(&path)?;
        let response = services.get(&url).await?;
        let page = parsed(&response)?;
        accounts.extend(page.resources.into_iter().map(|resource| Account {
            name: resource.entity.name.unwrap_or_default(),
            id: resource.metadata.guid,
        }));
        seen.insert(std::mem::take(&mut path));
        let Some(next) = page.next_url.filter(|next| !next.is_empty()) else {
            return Ok(accounts);
        };
        // A path below the same host, or the token would go elsewhere.
        if !next.starts_with('/') || next.starts_with("//") || seen.contains(&next) {
            return Err(problem(
                &response,
                "its next page is not a further page of its own",
            ));
        }
        path = next;
    }
    Ok(accounts)
}

fn parsed(response: &Response) -> Result<Page, Error> {
    if response.status != StatusCode::OK {
        return Err(problem(
            response,
            &format!("it answered {}", response.status),
        ));
    }
    serde_json::from_slice(&response.body)
        .map_err(|_| problem(response, "its answer is no list of accounts"))
}

/// The account that is meant, by id or name; without a word, the only one there is. `None` where
/// there are several to choose from.
///
/// # Errors
/// None of that id or name, or none at all; the error lists what there is.
pub fn choose<'a>(
    accounts: &'a [Account],
    asked: Option<&str>,
) -> Result<Option<&'a Account>, Error> {
    match (accounts, asked) {
        ([], _) => Err(ibm_error(
            "this user is in no account; have an account's administrator invite the user"
                .to_owned(),
        )),
        ([only], None) => Ok(Some(only)),
        (_, None) => Ok(None),
        (_, Some(asked)) => match find(accounts, asked)[..] {
            [account] => Ok(Some(account)),
            [] => Err(ibm_error(format!(
                "there is no account {asked:?} for this user; there is {}",
                names(accounts)
            ))),
            _ => Err(ibm_error(format!(
                "several accounts are named {asked:?}; choose one by its id: {}",
                names(accounts)
            ))),
        },
    }
}
