//! Origins of their own for what pods and services serve.
//!
//! Below `.../proxy/` a page of an app shares the origin of the whole API, and is sandboxed there.
//! At `http://SERVICE.NAMESPACE.svc.localhost:8001/` it has an origin of its own, which reaches
//! nothing but this service: the host becomes the path of its proxy, and nothing in a request's path
//! leaves that.
//!
//! | subject | file |
//! |---|---|
//! | an app, in a host name and in a path of the API | `app` |
//! | the request's path and credentials | `request` |
//! | the headers that name an origin, in both directions | `headers` |
//! | the layer that changes those headers | `layer` |
//! | browsers that open an app in the API's origin | `redirect` |

mod app;
mod headers;
mod layer;
mod redirect;
mod request;

pub use app::{App, AppOrigin, Kind};
pub use layer::{AppHeaders, AppHeadersLayer};
pub use redirect::{RedirectToApp, RedirectToAppLayer};
pub use request::{RewriteForApp, rewrite_layer};
