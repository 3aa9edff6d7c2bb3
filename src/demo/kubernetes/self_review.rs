//! Which version of `SelfSubjectReview` the API server has: older ones have another or none, and some
//! forbid it.

use super::{
    authorization::Action,
    encoding::status::Status,
    objects::resources::{REVIEWS, Review},
    route::Route,
};
use http::Request;

/// What users may ask about themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelfReviews {
    /// In version v1, as since Kubernetes 1.28.
    #[default]
    V1,
    /// Only in version v1beta1.
    V1beta1,
    /// Only in version v1alpha1.
    V1alpha1,
    /// Nothing: the API is forbidden.
    Forbidden,
    /// Nothing: there is no such API.
    Missing,
}

impl SelfReviews {
    /// The route of a request to the API; `None` for any other path.
    ///
    /// # Errors
    /// What a server responds that does not have this version, or forbids it.
    pub(crate) fn route<B>(
        self,
        request: &Request<B>,
        user: &str,
    ) -> Option<Result<Route, Status>> {
        let review: &Review = &REVIEWS[0];
        let path = request.uri().path().strip_prefix("/apis/")?;
        let version = path.strip_prefix(review.group)?.strip_prefix('/')?;
        let version = version.strip_suffix(review.plural)?.strip_suffix('/')?;
        let has = match self {
            Self::V1 => "v1",
            Self::V1beta1 => "v1beta1",
            Self::V1alpha1 => "v1alpha1",
            Self::Missing => "",
            Self::Forbidden => {
                let route = Route::Review(review);
                let action = Action::of(request, Some(&route));
                return Some(Err(action.forbidden(user, "")));
            }
        };
        Some(if version == has {
            Ok(Route::Review(review))
        } else {
            Err(Status::no_such_path())
        })
    }
}
