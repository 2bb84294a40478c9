//! Who is admitted, and what every answer says, refusals of the guard included.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::servers::{Asked, session_in, tell};
use super::{ACCEPT_PATCH, ACCEPT_POST, SDP};
use crate::auth::{Access, Admission, Asking};
use crate::config::HttpConfig;
use crate::http::{Client, Failed, HttpService, Limits, bearer, guard};
use crate::ice::IceServers;

/// What a page of another origin may read of an answer.
const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Allow, Retry-After, WWW-Authenticate";
/// Janus, or whatever is missing, is tried again after so many seconds.
const AGAIN: &str = "2";

/// Of a request: when its head had come, before anybody was asked whether it may.
#[derive(Clone, Copy, Debug)]
pub struct Came(pub Instant);

/// The paths of one protocol.
#[derive(Clone, Debug)]
pub struct Door {
    /// Base path, without a slash at its end: `/whip`.
    pub base: String,
    /// `whip` or `whep`.
    pub protocol: &'static str,
    /// Who is let in.
    pub admission: Arc<Admission>,
    /// What resources take by PATCH.
    pub accept_patch: &'static str,
    /// The STUN and TURN servers that clients are told of.
    pub ice: IceServers,
}

/// Admits to the protocol's routes who may begin something (POST), or go on with what was begun. What a path is, and which
/// methods it has, is no secret.
pub fn protect<S: Clone + Send + Sync + 'static>(router: Router<S>, door: Arc<Door>) -> Router<S> {
    router.layer(from_fn_with_state(door, admit))
}

async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Result<Response, Failed> {
    let (mut parts, body) = request.into_parts();
    let Ok(client) = Client::from_request_parts(&mut parts, &()).await;
    // A path that is no text names no session; the handler says what is wrong with it.
    let path = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
    let named =
        |wanted: &str| path.iter().flatten().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let asking = Asking {
        session: named("session").unwrap_or_default(),
        token: bearer(&parts.headers),
        client: (client != Client::UNKNOWN).then(|| client.address()),
        protocol: door.protocol,
    };
    let asked = Asked::of(&parts.method, &parts.headers);
    let admitted = match (&parts.method, named("resource")) {
        (&Method::POST, None) => door.admission.admit(asking).await.map(|()| true)?,
        // At a resource something has begun, and whoever knows its name may go on with it.
        (&Method::POST | &Method::PATCH | &Method::DELETE, _) => {
            // With a token that may have expired, so no credentials are given out.
            door.admission.goes_on(asking).map(|()| false)?
        }
        // Whoever decides is asked only where the answer makes a difference.
        _ => asked == Asked::Options && !door.ice.urls.is_empty() && door.admission.would_admit(asking).await,
    };
    let session = session_in(&door.base, parts.uri.path()).to_owned();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    tell(&door.ice, asked, &session, admitted, &mut response);
    Ok(response)
}

/// Goes around everything, the guard included: pages of any origin may read every answer, refusals too, for what protects
/// a session is its token; and a refusal says what would be taken.
fn answers(router: Router, door: Arc<Door>) -> Router {
    router.layer(from_fn_with_state(door, complete))
}

/// The routes of a node as its public listener has them and, if there is a second one, as operators do.
pub fn services(
    routes: &Router,
    access: Access,
    door: &Arc<Door>,
    has_admin: bool,
) -> (HttpService, Option<HttpService>) {
    let guarded = |access: Access| {
        let limits = access.limits.clone();
        HttpService { router: answers(guard(routes.clone(), access), door.clone()), limits }
    };
    // What viewers or publishers take is not taken from operators, who come without a proxy.
    let admin =
        has_admin.then(|| guarded(Access { limits: Limits::new(HttpConfig::default()), ..access.clone() }));
    (guarded(Access { is_public: has_admin, ..access }), admin)
}

async fn complete(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.strip_prefix(&door.base).is_some_and(|rest| rest.starts_with('/')) {
        return next.run(request).await;
    }
    let method = request.method().clone();
    request.extensions_mut().insert(Came(Instant::now()));
    let mut response = next.run(request).await.into_response();
    let status = response.status();
    let says_when = response.headers().contains_key(header::RETRY_AFTER);
    let mut say = |name: HeaderName, value| {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    };
    say(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    say(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    match status {
        // RFC 9110 section 11.6.1: a 401 has a challenge.
        StatusCode::UNAUTHORIZED => say(header::WWW_AUTHENTICATE, "Bearer"),
        // RFC 9110 section 15.5.16 and RFC 5789 section 2.2: a 415 says what is taken.
        StatusCode::UNSUPPORTED_MEDIA_TYPE if method == Method::PATCH => say(ACCEPT_PATCH, door.accept_patch),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => say(ACCEPT_POST, SDP),
        StatusCode::SERVICE_UNAVAILABLE if !says_when => say(header::RETRY_AFTER, AGAIN),
        _ => {}
    }
    response
}
