//! The one table of routes: the router is built from it, the OpenAPI document is written from it,
//! and each route's least role is checked by it.

use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};

use super::{State, auth};
use crate::model::Role;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody.
    Public,
    /// Whoever has the token of `web.ingest_token`, where one is set.
    Ingest,
    /// Whoever knows the secret that the body is signed with.
    Signed,
    /// A session or an API token with at least this role.
    Role(Role),
}

/// The name of a type in the document, with its schema and all that it refers to.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    pub(super) fn of<T: ToSchema>() -> Self {
        let name = T::name().into_owned();
        let mut schemas = vec![(name.clone(), T::schema())];
        T::schemas(&mut schemas);
        Self { name, schemas }
    }
}

/// What a request carries or an answer gives.
pub(super) enum Content {
    /// JSON of a type.
    Json(Shape),
    /// Something else, by its media type, with a word on it.
    Other(&'static str, &'static str),
}

/// One route.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    pub(super) params: Vec<Parameter>,
    pub(super) body: Vec<Content>,
    pub(super) answer: Vec<Content>,
    pub(super) errors: Vec<u16>,
    handler: MethodRouter<State>,
}

impl Route {
    fn new<H, T>(
        (filter, method): (MethodFilter, &'static str),
        path: &'static str,
        (access, summary): (Access, &'static str),
        handler: H,
    ) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        let errors = if path.contains('{') { vec![404] } else { Vec::new() };
        let handler = on(filter, handler);
        let (params, body, answer) = (Vec::new(), Vec::new(), Vec::new());
        Self { method, path, summary, access, params, body, answer, errors, handler }
    }

    /// A route that reads.
    pub(super) fn get<H, T>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        Self::new((MethodFilter::GET, "get"), path, (access, summary), handler)
    }

    /// A route that changes something.
    pub(super) fn post<H, T>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        Self::new((MethodFilter::POST, "post"), path, (access, summary), handler)
    }

    /// A route that ends something.
    pub(super) fn delete<H, T>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, State>,
        T: 'static,
    {
        Self::new((MethodFilter::DELETE, "delete"), path, (access, summary), handler)
    }

    /// Its query parameters.
    pub(super) fn query<T: IntoParams>(mut self) -> Self {
        self.params.extend(T::into_params(|| Some(utoipa::openapi::path::ParameterIn::Query)));
        self.errors.push(400);
        self
    }

    /// The JSON that it takes.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        self.body.push(Content::Json(Shape::of::<T>()));
        self.errors.extend([400, 413, 415]);
        self
    }

    /// Something else that it takes.
    pub(super) fn takes_other(mut self, media: &'static str, what: &'static str) -> Self {
        self.body.push(Content::Other(media, what));
        self.errors.extend([400, 413]);
        self
    }

    /// The JSON that it gives.
    pub(super) fn gives<T: ToSchema>(mut self) -> Self {
        self.answer.push(Content::Json(Shape::of::<T>()));
        self
    }

    /// Something else that it gives.
    pub(super) fn gives_other(mut self, media: &'static str, what: &'static str) -> Self {
        self.answer.push(Content::Other(media, what));
        self
    }

    /// Errors beyond those that follow from its shape.
    pub(super) fn fails(mut self, codes: &[u16]) -> Self {
        self.errors.extend(codes);
        self
    }

    /// All the ways in which it can fail, each once, in order.
    pub(super) fn all_errors(&self) -> Vec<u16> {
        let mut all = self.errors.clone();
        match self.access {
            Access::Public => {}
            Access::Ingest | Access::Signed => all.extend([401, 503]),
            Access::Role(Role::Viewer) if self.method == "get" => all.extend([401, 503]),
            Access::Role(_) => all.extend([401, 403, 503]),
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The router of a table. Routes that need a role are guarded.
pub(super) fn router(state: &State, routes: Vec<Route>) -> Router<State> {
    routes.into_iter().fold(Router::new(), |router, route| {
        let handler = match route.access {
            Access::Role(role) => {
                let guarded = (state.clone(), role);
                route.handler.route_layer(from_fn_with_state(guarded, auth::guard))
            }
            Access::Public | Access::Ingest | Access::Signed => route.handler,
        };
        let name = route.path;
        let measured = from_fn(move |request, next| measure(name, request, next));
        router.route(name, handler.route_layer(measured))
    })
}

/// Counts a request and how long its answer took to begin, by route and status.
async fn measure(route: &'static str, request: Request, next: Next) -> Response {
    let (method, started) = (request.method().clone(), Instant::now());
    let response = next.run(request).await;
    let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    metrics::histogram!(
        "nightjar_web_request_seconds", "route" => route, "status" => status.to_string()
    )
    .record(seconds);
    tracing::debug!(%method, route, status, duration_ms = seconds * 1_000.0, "a request");
    response
}
