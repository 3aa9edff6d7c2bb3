//! The accounts of a user, and the choice of one.

use std::collections::BTreeSet;

use http::StatusCode;
use serde::Deserialize;

use super::{
    error::ibm_error,
    names::{Named, find, names},
    services::{Services, problem},
};
use crate::credential::{Error, protocol::issuer::Response};

/// The path of the first page.
const FIRST_PAGE: &str = "/coe/v2/accounts";
/// The most pages that are read.
const MAX_PAGES: usize = 100;

/// An IBM Cloud account.
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

/// Returns all accounts, page by page.
pub(super) async fn list(services: &Services) -> Result<Vec<Account>, Error> {
    let mut accounts = Vec::new();
    let mut path = FIRST_PAGE.to_owned();
    let mut seen = BTreeSet::new();
    while seen.len() < MAX_PAGES {
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
        // The next page must be on the same host, which the token is sent to.
        if !next.starts_with('/') || next.starts_with("//") || seen.contains(&next) {
            return Err(problem(
                &response,
                "its next_url is not another page of the same service",
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
        .map_err(|_| problem(response, "its answer is not a list of accounts"))
}

/// Returns the account with the ID or name `asked`, or the only account. Returns `None` if there are
/// several and none is asked for.
///
/// # Errors
/// There is no such account, or none at all; the error lists those that exist.
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
