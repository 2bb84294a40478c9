//! Base paths of WHIP and WHEP.

/// What every node serves besides ([`crate::http::router`]).
const OF_ALL: [&str; 8] =
    ["/status", "/topology", "/refresh", "/drain", "/metrics", "/healthz", "/readyz", "/tree"];

/// A base path, without a slash at its end. `example`: a good one. `own`: how the node's own paths begin, besides those that every
/// node has.
pub fn base_path(text: &str, example: &str, own: &[&str]) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if !path.starts_with('/') || path.contains("//") || !path.bytes().all(plain) {
        return Err(format!("must be a path such as {example}, of letters, digits, '-', '_', '.' and '~'"));
    }
    let first = path.match_indices('/').nth(1).map_or(path, |(end, _)| &path[..end]);
    if OF_ALL.iter().chain(own).any(|taken| *taken == first) {
        return Err(format!("{first} is a path of the node's own; choose another, for instance {example}"));
    }
    Ok(path.to_owned())
}

/// How the paths of a router begin, of the text that makes it. For the tests of those who have one.
pub fn routes(source: &str) -> Vec<String> {
    let paths = source.split(".route(\"/").skip(1).filter_map(|rest| rest.split(['/', '"']).next());
    paths.filter(|first| !first.is_empty()).map(|first| format!("/{first}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_node_serves_is_taken() {
        let all = [include_str!("../http/mod.rs"), include_str!("../overview/http.rs")];
        for path in all.into_iter().flat_map(routes) {
            assert!(OF_ALL.contains(&&*path), "{path}");
        }
    }

    #[test]
    fn a_base_path_is_plain_and_nobody_else_s() {
        let read = |text: &str| base_path(text, "/whip", &["/publish"]);
        for (text, path) in [("/whip", "/whip"), ("/in/whip/", "/in/whip"), ("/published", "/published")] {
            assert_eq!(read(text).unwrap(), path);
        }
        for text in ["", "/", "whip", "/a//b", "/a b", "/{a}", "/a?b", "/é"] {
            assert!(read(text).unwrap_err().starts_with("must be a path such as /whip"), "{text}");
        }
        for text in ["/publish", "/publish/whip", "/status/", "/healthz/x"] {
            assert!(read(text).unwrap_err().contains("of the node's own"), "{text}");
        }
    }
}
