//! The layer that reads each request, and puts its [`RequestInfo`] among its extensions.

use http::Request;

use super::RequestInfo;
use crate::proxy::{
    head_filter::{HeadFilter, HeadFilterLayer},
    refusal::Refusal,
};

/// Reads requests; one whose path is ambiguous is refused with 400. Belongs inside of routing, where
/// `--api-prefix` is off the path.
pub(in crate::proxy) fn layer() -> HeadFilterLayer<ReadRequestInfo> {
    HeadFilterLayer::new(ReadRequestInfo)
}

/// See [`layer`].
#[derive(Debug)]
pub(in crate::proxy) struct ReadRequestInfo;

impl HeadFilter for ReadRequestInfo {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let info = RequestInfo::read(request);
        let info = info.map_err(|ambiguous| Refusal::malformed(ambiguous.to_string()))?;
        request.extensions_mut().insert(info);
        Ok(())
    }
}
