//! Resources, their objects, and the store that holds them.

pub(crate) mod defaults;
pub(crate) mod field_selector;
pub(crate) mod label_selector;
pub(crate) mod managed_fields;
pub(crate) mod metadata;
pub(crate) mod patch;
pub(crate) mod resources;
pub(crate) mod server_side_apply;
pub(crate) mod store;
pub(crate) mod strategic_merge;
pub(crate) mod validation;
