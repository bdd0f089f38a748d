//! Urls of Redis servers.

use flywheel_kind::{Secret, SecretSource, Section};
use url::Url;

/// The urls of a Redis store's servers: one, or each of a cluster's. `None` when there is a
/// mistake, which is reported.
pub(super) fn servers(
    section: &mut Section<'_>,
    path: &[&str],
    source: &SecretSource,
    cluster: bool,
) -> Option<Vec<Secret>> {
    if !cluster {
        let secret = section.secret(path, source)?;
        let hosts = each_host(secret.expose());
        if hosts.len() > 1 && hosts.iter().all(|url| redis_problem(url).is_none()) {
            section.mistake(
                path,
                "several hosts, where there is no cluster",
                "set `cluster = true`, or name one host; a primary and its replicas are found by `sentinels`",
            );
            return None;
        }
        return server(section, path, source).map(|url| vec![url]);
    }
    let secret = section.secret(path, source)?;
    let urls = each_host(secret.expose());
    for url in &urls {
        let problem = redis_problem(url).or_else(|| {
            let parsed = Url::parse(url).ok()?;
            let number = parsed.path().trim_start_matches('/');
            let is_other = parsed.scheme().contains("unix") || !matches!(number, "" | "0");
            is_other.then(|| {
                "not a Redis Cluster's url: a cluster has TCP and the database 0 alone".into()
            })
        });
        if let Some(problem) = problem {
            section.mistake(
                path,
                problem,
                "write redis://user:password@host1:port1,host2:port2, with %2F for / in a password; rediss://… for TLS",
            );
            return None;
        }
    }
    Some(urls.into_iter().map(Secret::new).collect())
}

/// A Redis server's url; `None` when it isn't one, which is reported.
pub(super) fn server(
    section: &mut Section<'_>,
    path: &[&str],
    source: &SecretSource,
) -> Option<Secret> {
    let secret = section.secret(path, source)?;
    if let Some(problem) = redis_problem(secret.expose()) {
        section.mistake(
            path,
            problem,
            "write redis://user:password@host:port/number, with %2F for / in a password; rediss://… for TLS; unix:///path for a Unix socket",
        );
        return None;
    }
    Some(secret)
}

/// A url for each of a cluster's hosts: `redis://login@one,two/` is `redis://login@one/` and
/// `redis://login@two/`.
fn each_host(text: &str) -> Vec<String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return vec![text.to_owned()];
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, hosts) = authority
        .rfind('@')
        .map_or(("", authority), |at| (&authority[..=at], &authority[at + 1..]));
    hosts.split(',').map(|host| format!("{scheme}://{login}{host}{rest}")).collect()
}

/// Why this isn't the url of a Redis server.
fn redis_problem(text: &str) -> Option<String> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("not a Redis url: {error}")),
    };
    match url.scheme() {
        "redis" | "rediss" if !url.has_host() => Some("not a Redis url: it names no host".into()),
        "redis" | "rediss" => {
            let number = url.path().trim_start_matches('/');
            let is_number = number.is_empty() || number.parse::<u32>().is_ok();
            (!is_number)
                .then(|| "not a Redis url: what follows the host isn't a database's number".into())
        }
        "unix" | "redis+unix" => url
            .path()
            .trim_start_matches('/')
            .is_empty()
            .then(|| "not a Redis url: it names no socket".into()),
        other => Some(format!("not a Redis url: its scheme is {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_a_cluster() {
        assert_eq!(
            each_host("rediss://app:a%2Cb@one,[::1]:7000/0?protocol=resp3"),
            [
                "rediss://app:a%2Cb@one/0?protocol=resp3",
                "rediss://app:a%2Cb@[::1]:7000/0?protocol=resp3"
            ]
        );
        assert_eq!(each_host("redis://one"), ["redis://one"]);
        assert_eq!(each_host("one,two"), ["one,two"]);
    }

    #[test]
    fn redis_urls() {
        for url in [
            "redis://cache",
            "redis://:p@cache:6380/2",
            "rediss://cache/",
            "unix:///run/redis.sock",
            "redis://[::1]/0",
            "redis://cache/?protocol=resp3",
        ] {
            assert_eq!(redis_problem(url), None, "{url}");
        }
        for url in [
            "cache:6379",
            "redis://",
            "redis:///1",
            "redis://cache/one",
            "redis://cache:a/b@c",
            "unix://",
            "http://cache",
        ] {
            assert!(redis_problem(url).is_some(), "{url}");
        }
    }
}
