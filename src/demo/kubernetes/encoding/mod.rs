//! The encodings of objects in requests and responses.

pub(crate) mod age;
pub(crate) mod columns;
pub(crate) mod protobuf;
pub(crate) mod request_object;
pub(crate) mod response;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod view;
