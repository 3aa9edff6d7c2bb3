//! `kubegate registry add --configure`: makes the link on PATH and the line in the configuration by
//! which docker and podman request tokens from kubegate.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::kubeconfig::{replacement::Replacement, text};

const HELPER: &str = "docker-credential-kubegate";
/// The name of the helper in the configuration.
const HELPER_NAME: &str = "kubegate";

/// The changes to make. Obstacles are found while the plan is made, before anything is changed.
pub(super) struct Plan {
    link: Option<(PathBuf, PathBuf)>,
    files: Vec<Change>,
    messages: Vec<String>,
}

/// A configuration file to write.
struct Change {
    file: PathBuf,
    /// The content that it has now; `None` if there is no such file.
    before: Option<Zeroizing<Vec<u8>>>,
    after: Value,
}

impl Plan {
    /// Plans the changes for a registry, by all its names.
    pub(super) fn new(names: &[String]) -> anyhow::Result<Self> {
        let mut plan = Self {
            link: None,
            files: Vec::new(),
            messages: Vec::new(),
        };
        plan.plan_link(&env::current_exe().context("cannot tell where kubegate is")?)?;
        plan.plan_lines(docker_config()?, names)?;
        for file in podman_configs() {
            plan.plan_lines(file, names)?;
        }
        Ok(plan)
    }

    /// Plans the link to `kubegate`, unless PATH already has one.
    fn plan_link(&mut self, kubegate: &Path) -> anyhow::Result<()> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = env::split_paths(&path)
            .filter(|one| one.is_absolute())
            .collect();
        let here = fs::canonicalize(kubegate)?;
        for helper in folders.iter().map(|folder| folder.join(HELPER)) {
            if fs::symlink_metadata(&helper).is_err() {
                continue;
            }
            if fs::canonicalize(&helper).is_ok_and(|target| target == here) {
                self.messages
                    .push(format!("{} exists already", helper.display()));
                return Ok(());
            }
            bail!(
                "{} exists already and is not this kubegate ({}); remove it first",
                helper.display(),
                here.display()
            );
        }
        let home = env::var_os("HOME").map(PathBuf::from);
        let own = home
            .map(|home| home.join(".local/bin"))
            .context("HOME is not set")?;
        let beside = kubegate
            .parent()
            .filter(|folder| folders.iter().any(|one| one == folder));
        let folder = match beside {
            Some(folder) if !folders.contains(&own) => folder.to_owned(),
            _ => own,
        };
        let link = folder.join(HELPER);
        if fs::symlink_metadata(&link).is_ok() && fs::canonicalize(&link).ok() != Some(here.clone())
        {
            bail!(
                "{} exists already and is not this kubegate; remove it first",
                link.display()
            );
        }
        if !folders.contains(&folder) {
            self.messages
                .push(format!("{} is not on PATH; add it", folder.display()));
        }
        if fs::symlink_metadata(&link).is_err() {
            self.link = Some((link, here));
        }
        Ok(())
    }

    /// Plans the lines in a configuration file that the file does not have yet.
    fn plan_lines(&mut self, file: PathBuf, names: &[String]) -> anyhow::Result<()> {
        let shown = file.display().to_string();
        let (before, mut all) = read(&file)?;
        let helpers = all
            .entry("credHelpers")
            .or_insert_with(|| Map::new().into());
        let Value::Object(helpers) = helpers else {
            bail!("credHelpers in {shown} is not a JSON object; correct it first");
        };
        let mut changes = false;
        for name in names {
            match helpers.get(name) {
                Some(Value::String(helper)) if helper == HELPER_NAME => {
                    self.messages
                        .push(format!("{shown} already names kubegate for {name}"));
                }
                Some(_) => {
                    bail!("{shown} names another credential helper for {name}; remove it first")
                }
                None => {
                    helpers.insert(name.clone(), json!(HELPER_NAME));
                    changes = true;
                }
            }
        }
        if changes {
            self.files.push(Change {
                file,
                before,
                after: Value::Object(all),
            });
        }
        Ok(())
    }

    /// Makes the changes and returns what was done. After a failure, takes all of them back.
    pub(super) fn run(mut self) -> anyhow::Result<Vec<String>> {
        if let Some((link, kubegate)) = &self.link {
            make_folder_of(link).with_context(|| format!("cannot make {}", link.display()))?;
            symlink(kubegate, link).with_context(|| format!("cannot make {}", link.display()))?;
            self.messages.push(format!(
                "made {}, a link to {}",
                link.display(),
                kubegate.display()
            ));
        }
        for (number, change) in self.files.iter().enumerate() {
            let file = change.file.display();
            if let Err(error) = change.make() {
                self.take_back(number);
                return Err(error).with_context(|| format!("cannot write {file}"));
            }
            self.messages
                .push(format!("wrote the credential helper into {file}"));
        }
        Ok(self.messages)
    }

    /// Removes the link that was made, and writes the first `written` files as they were.
    fn take_back(&self, written: usize) {
        if let Some((link, _)) = &self.link {
            let _ = fs::remove_file(link);
        }
        for change in self.files.iter().take(written).rev() {
            if let Err(error) = change.take_back() {
                let file = change.file.display();
                tracing::warn!(%error, %file, "cannot take the credential helper out again");
            }
        }
    }
}

impl Change {
    fn make(&self) -> io::Result<()> {
        let mut text = Zeroizing::new(serde_json::to_vec_pretty(&self.after)?);
        text.push(b'\n');
        replace(&self.file, &text)
    }

    fn take_back(&self) -> io::Result<()> {
        match &self.before {
            Some(text) => replace(&self.file, text),
            None => fs::remove_file(&self.file),
        }
    }
}

/// Takes the lines of a registry out of the configuration, by all its names. Returns the files that were
/// changed, and an error for each one that has to be corrected by hand.
pub(super) fn remove_lines(names: &[String]) -> (Vec<PathBuf>, Vec<anyhow::Error>) {
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    let docker = docker_config().ok().filter(|file| file.is_file());
    for file in docker.into_iter().chain(podman_configs()) {
        match remove_lines_of(&file, names) {
            Ok(true) => changed.push(file),
            Ok(false) => {}
            Err(error) => problems.push(error),
        }
    }
    (changed, problems)
}

/// Returns whether the file had such lines.
fn remove_lines_of(file: &Path, names: &[String]) -> anyhow::Result<bool> {
    let (before, mut all) = read(file)?;
    let Some(Value::Object(helpers)) = all.get_mut("credHelpers") else {
        return Ok(false);
    };
    let count = helpers.len();
    helpers.retain(|name, helper| !(names.contains(name) && *helper == HELPER_NAME));
    if helpers.len() == count {
        return Ok(false);
    }
    if helpers.is_empty() {
        all.remove("credHelpers");
    }
    let change = Change {
        file: file.to_owned(),
        before,
        after: Value::Object(all),
    };
    let shown = file.display();
    change.make().with_context(|| {
        format!(
            "cannot write {shown}; remove {} from its credHelpers",
            names.join(" and ")
        )
    })?;
    Ok(true)
}

/// The content of a configuration file, wiped on drop; it may have passwords.
type Content = Zeroizing<Vec<u8>>;

/// Returns the content of a configuration file, if there is such a file, and its fields.
fn read(file: &Path) -> anyhow::Result<(Option<Content>, Map<String, Value>)> {
    let shown = file.display();
    let bytes = match fs::read(file) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).context(format!("cannot read {shown}")),
    };
    let Ok(text) = text::decode(bytes.as_ref().map_or(&[][..], |bytes| bytes.as_slice())) else {
        bail!("{shown} is not text; correct it first");
    };
    let text = if text.trim().is_empty() { "{}" } else { &text };
    // The parser's error is dropped, since it may quote a password.
    let Ok(Value::Object(all)) = serde_json::from_str(text) else {
        bail!("{shown} is not a JSON object; correct it first");
    };
    Ok((bytes, all))
}

fn docker_config() -> anyhow::Result<PathBuf> {
    let folder = env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty());
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let folder = folder
        .map(PathBuf::from)
        .or_else(home)
        .context("HOME is not set")?;
    Ok(folder.join("config.json"))
}

/// Returns the existing configuration files of podman, which reads docker's after them
/// (containers-auth.json(5)).
fn podman_configs() -> Vec<PathBuf> {
    let in_folder =
        |variable: &str, rest: &str| Some(PathBuf::from(env::var_os(variable)?).join(rest));
    let files = [
        env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from),
        in_folder("XDG_RUNTIME_DIR", "containers/auth.json"),
        in_folder("HOME", ".config/containers/auth.json"),
    ];
    files
        .into_iter()
        .flatten()
        .filter(|file| file.is_file())
        .collect()
}

/// Replaces the file atomically and keeps its mode. If the path is a symbolic link, replaces its target.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    make_folder_of(&file)?;
    let mode = fs::metadata(&file).map_or(0o600, |metadata| metadata.mode() & 0o777);
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".kubegate.{}", std::process::id()));
    let new = Replacement::new(&file, file.with_file_name(name))?;
    // A file system without modes may refuse this. The new file is then readable for nobody else.
    let _ = new.file().set_permissions(fs::Permissions::from_mode(mode));
    new.put(text, || Ok(true)).map(|_| ())
}

fn make_folder_of(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}
