//! The layer that reads each request, and puts its [`RequestInfo`] among its extensions.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use http::{Request, Response};
//! use kubegate::proxy::{Body, Error, RequestInfo, request_info};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let service = ServiceBuilder::new()
//!     .layer(request_info::layer())
//!     .service(service_fn(async |request: Request<()>| {
//!         let info = request.extensions().get::<RequestInfo>().unwrap();
//!         assert_eq!(info.verb(), "list");
//!         Ok::<_, Error>(Response::new(Body::Empty))
//!     }));
//! assert!(service.clone().oneshot(Request::get("/api/v1/pods").body(()).unwrap()).await.is_ok());
//! let ambiguous = Request::get("/api/v1/../v1/pods").body(()).unwrap();
//! assert!(service.oneshot(ambiguous).await.is_err());
//! # }
//! ```

use http::Request;

use super::RequestInfo;
use crate::proxy::{
    head_filter::{HeadFilter, HeadFilterLayer},
    refusal::Refusal,
};

/// Reads requests, and refuses those whose path is ambiguous with 400. Belongs inside of the route,
/// where `--api-prefix` is stripped.
#[must_use]
pub fn layer() -> HeadFilterLayer<ReadRequestInfo> {
    HeadFilterLayer::new(ReadRequestInfo)
}

/// See [`layer`].
#[derive(Debug)]
pub struct ReadRequestInfo;

impl HeadFilter for ReadRequestInfo {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let info = RequestInfo::read(request);
        let info = info
            .map_err(|ambiguous| Refusal::malformed("ambiguous target", ambiguous.to_string()))?;
        request.extensions_mut().insert(info);
        Ok(())
    }
}
