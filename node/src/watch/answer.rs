//! How an [`Outcome`] looks by HTTP. Pure.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;

use super::Outcome;
use super::viewer::Viewer;
use crate::directory::Entry;
use crate::http::wish::encoded;
use crate::http::{Failed, Reaches, page};

/// Where all paths of the door are.
const BELOW: &str = "/watch/";
/// What pages of other origins may read of an answer.
const EXPOSED: &str = "Location, Retry-After";
/// Nothing on the way may keep what is meant for one viewer now.
const VARY: &str = "Accept, Cookie";
/// Seconds after which somebody may have left.
const AGAIN: u32 = 10;
/// Seconds after which a page looks again whether a broadcast has begun.
const LOOKS_AGAIN: u32 = 5;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The page, by a browser: what is wrong is for people.
    Page,
    /// The page, by a program: what is wrong is JSON.
    Redirect,
    /// To be told.
    Json,
    /// The WHEP endpoint.
    Whep,
}

/// Where to go, for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    node: &'a str,
    url: &'a str,
    page: String,
    whep: String,
}

impl Form {
    pub fn of(method: &Method, headers: &HeaderMap) -> Form {
        if *method == Method::POST {
            return Form::Whep;
        }
        let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepts
            .flat_map(|value| value.split(','))
            .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        match types.find(|name| name == "text/html" || name == "application/json") {
            Some(name) if name == "text/html" => Form::Page,
            Some(_) => Form::Json,
            None => Form::Redirect,
        }
    }
}

/// The answer at `/watch/{sid}`.
pub(super) fn answer(outcome: &Outcome, session: &str, viewer: &Viewer, form: Form) -> Response {
    let mut response = match outcome {
        Outcome::Go { node, entry } => go(node, entry, session, form),
        _ => refusal(outcome, session, form),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static(VARY));
    if let Outcome::Go { node, .. } = outcome
        && let Some(Ok(cookie)) = viewer.cookie(node).map(HeaderValue::try_from)
    {
        headers.insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Goes around all that is answered at the door, refusals of the guard included: pages of any origin may read it, and a person
/// reads a page.
pub(crate) async fn readable(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(BELOW) {
        return next.run(request).await;
    }
    let form = Form::of(request.method(), request.headers());
    let mut response = next.run(request).await;
    let is_page = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
    if form == Form::Page
        && is_busy(response.status())
        && !response.headers().get(header::CONTENT_TYPE).is_some_and(is_page)
    {
        response = crowded(&response);
    }
    let mut say =
        |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
    say(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    say(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    response
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// The same refusal for a person.
fn crowded(refusal: &Response) -> Response {
    let again = refusal.headers().get(header::RETRY_AFTER);
    let seconds = again.and_then(|again| again.to_str().ok()?.parse().ok()).unwrap_or(AGAIN);
    let sentence = "Too many are coming in from where you are. This page tries again by itself.";
    let mut response = page(html(sentence, seconds.max(LOOKS_AGAIN)), &[], Reaches::ItsNode);
    *response.status_mut() = refusal.status();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The answer of a WHEP endpoint that cannot serve, if another can: there. It says from where it comes ([`super::Redirector::send_on`]).
pub(super) fn elsewhere(outcome: &Outcome, session: &str, from: &str) -> Option<Response> {
    let Outcome::Go { entry, .. } = outcome else { return None };
    let place = format!("{}?not={}", entry.endpoint(session), encoded(from));
    Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response())
}

fn go(node: &str, entry: &Entry, session: &str, form: Form) -> Response {
    let place = match form {
        Form::Json => {
            let (page, whep) = (entry.page(session), entry.endpoint(session));
            return Json(Told { node, url: &entry.url, page, whep }).into_response();
        }
        Form::Whep => entry.endpoint(session),
        Form::Page | Form::Redirect => entry.page(session),
    };
    // The same method and body there, and not for ever: RFC 9110 section 15.4.8.
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response()
}

fn refusal(outcome: &Outcome, session: &str, form: Form) -> Response {
    let (status, why, people) = match outcome {
        Outcome::Full => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "every egress that carries session {session:?} is full, or takes nobody; come again later"
            ),
            "All places are taken. This page tries again by itself.",
        ),
        // Why is for those who run the node: it is in its log.
        Outcome::Unavailable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("who carries session {session:?} cannot be found out at present; try again in a moment"),
            "This does not work at the moment. This page tries again by itself.",
        ),
        _ => (
            StatusCode::NOT_FOUND,
            format!("no egress carries a session {session:?} at present"),
            "There is no such broadcast at the moment. If it begins, it will play here.",
        ),
    };
    let seconds = if status == StatusCode::NOT_FOUND { LOOKS_AGAIN } else { AGAIN };
    let mut response = match form {
        Form::Page => {
            let mut response = page(html(people, seconds), &[], Reaches::ItsNode);
            *response.status_mut() = status;
            response
        }
        _ => Failed(status, why).into_response(),
    };
    if *outcome == Outcome::Full {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(AGAIN));
    }
    response
}

/// A page that says one thing and looks again.
fn html(sentence: &str, seconds: u32) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <meta http-equiv=refresh content={seconds}><title>Broadcast</title>\
         <style>:root{{color-scheme:light dark}}body{{display:grid;place-content:center;min-height:90vh;\
         font:1.1em/1.5 system-ui,sans-serif;text-align:center;padding:0 1em}}</style><main role=status>{sentence}</main>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Particulars;
    use crate::record::NodeType;

    fn entry(url: &str, whep_path: Option<&str>) -> Box<Entry> {
        let whep_path = whep_path.map(str::to_owned);
        Box::new(Entry {
            node_type: NodeType::Egress,
            url: url.to_owned(),
            zone: String::new(),
            status: "active".to_owned(),
            parent: None,
            particulars: Particulars { whep_path, ..Particulars::default() },
        })
    }

    fn location(url: &str, whep: Option<&str>, form: Form) -> String {
        let outcome = Outcome::Go { node: "e".to_owned(), entry: entry(url, whep) };
        let response = answer(&outcome, "a.b", &Viewer::default(), form);
        assert_eq!(response.status(), 307);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        response.headers()[header::LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_browser_goes_to_the_page_and_a_player_to_the_endpoint() {
        let url = "https://m.example/e1";
        assert_eq!(location(url, None, Form::Page), "https://m.example/e1/?id=a.b");
        assert_eq!(location(url, None, Form::Whep), "https://m.example/e1/whep/endpoint/a.b");
        assert_eq!(location("..", Some("/play"), Form::Whep), "../play/endpoint/a.b");
    }

    #[test]
    fn each_is_answered_as_it_asks() {
        let form = |method: &Method, accept: Option<&'static str>| {
            let accept = accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept)));
            Form::of(method, &HeaderMap::from_iter(accept))
        };
        assert_eq!(form(&Method::GET, Some("text/html,application/xhtml+xml,*/*;q=0.8")), Form::Page);
        assert_eq!(form(&Method::GET, Some("application/json")), Form::Json);
        assert_eq!(form(&Method::GET, Some("*/*")), Form::Redirect);
        assert_eq!(form(&Method::HEAD, None), Form::Redirect);
        assert_eq!(form(&Method::POST, Some("application/json")), Form::Whep);
    }

    #[test]
    fn who_cannot_be_sent_anywhere_is_told_when_to_come_again() {
        let of = |outcome: &Outcome, form| {
            let response = answer(outcome, "show", &Viewer::default(), form);
            let again =
                response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
            let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            (response.status().as_u16(), again, kind)
        };
        let json = "application/json".to_owned();
        assert_eq!(of(&Outcome::Unknown, Form::Whep), (404, None, json.clone()));
        assert_eq!(of(&Outcome::Full, Form::Redirect), (503, Some("10".to_owned()), json.clone()));
        let away = Outcome::Unavailable("away".to_owned());
        assert_eq!(of(&away, Form::Json), (503, Some("2".to_owned()), json));
        let (status, again, kind) = of(&Outcome::Full, Form::Page);
        assert_eq!((status, again.as_deref()), (503, Some("10")));
        assert!(kind.starts_with("text/html"), "{kind}");
        assert!(elsewhere(&Outcome::Full, "show", "e").is_none());
    }
}
