//! URLs of servers.

use percent_encoding::percent_decode_str;
use url::Url;

use super::Resolver;
use crate::config::{PostgresUrl, Secret};
use crate::file::SecretSource;

impl Resolver<'_> {
    /// A PostgreSQL server's url; `None` when it isn't one, which is reported.
    pub(super) fn postgres_url(&mut self, path: &[&str], source: &SecretSource) -> Option<PostgresUrl> {
        let secret = self.secret(path, source)?;
        match parse_postgres_url(secret.expose()) {
            Ok(url) => Some(url),
            // The url itself may hold a password, and isn't shown.
            Err(problem) => {
                self.mistake(
                    path,
                    problem,
                    "write postgres://user:password@host:port/database, with %2F for / in a password; for a Unix socket postgres://user@/database?host=/folder",
                );
                None
            }
        }
    }

    /// A Redis server's url; `None` when it isn't one, which is reported.
    pub(super) fn redis_url(&mut self, path: &[&str], source: &SecretSource) -> Option<Secret> {
        let secret = self.secret(path, source)?;
        if let Some(problem) = redis_problem(secret.expose()) {
            self.mistake(
                path,
                problem,
                "write redis://user:password@host:port/number, with %2F for / in a password; rediss://… for TLS; unix:///path for a Unix socket",
            );
            return None;
        }
        Some(secret)
    }
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
            (!is_number).then(|| "not a Redis url: what follows the host isn't a database's number".into())
        }
        "unix" | "redis+unix" => url
            .path()
            .trim_start_matches('/')
            .is_empty()
            .then(|| "not a Redis url: it names no socket".into()),
        other => Some(format!("not a Redis url: its scheme is {other}")),
    }
}

/// As libpq reads a connection URI (libpq-connect, "connection URIs"), for one host.
fn parse_postgres_url(text: &str) -> Result<PostgresUrl, String> {
    // A url without a host isn't one to the `url` crate: libpq allows it.
    let with_host = text.replacen(":///", "://socket.invalid/", 1).replacen("@/", "@socket.invalid/", 1);
    let url = Url::parse(&with_host).map_err(|error| format!("not a PostgreSQL url: {error}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(format!("not a PostgreSQL url: its scheme is {}", url.scheme()));
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| "not a PostgreSQL url: not UTF-8".to_owned())
    };
    if url.fragment().is_some() {
        return Err("not a PostgreSQL url: # ends it".into());
    }
    let mut host = decode(url.host_str().filter(|host| *host != "socket.invalid").unwrap_or("127.0.0.1"))?;
    let mut port = url.port().unwrap_or(5432);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "host" => host = value.into_owned(),
            "port" => port = value.parse().map_err(|_| "`port` in the url isn't a number".to_owned())?,
            "sslmode" if matches!(value.as_ref(), "disable" | "allow" | "prefer") => {}
            "sslmode" => return Err(format!("sslmode={value}: TLS to PostgreSQL servers isn't supported")),
            // Not what may be a part of a password.
            other if !other.bytes().all(|each| each.is_ascii_alphanumeric() || each == b'_') => {
                return Err("not a PostgreSQL url: what follows ? isn't known".into());
            }
            other => return Err(format!("the url's parameter `{other}` isn't known: host, port and sslmode are")),
        }
    }
    if host.contains(',') {
        return Err("a store has one host; replicas are listed in `replicas`".into());
    }
    let user = decode(url.username())?;
    if user.is_empty() {
        return Err("the url names no user".into());
    }
    let database = decode(url.path().trim_start_matches('/'))?;
    Ok(PostgresUrl {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        password: url.password().map(&decode).transpose()?.map(Secret::new),
        database: if database.is_empty() { user.clone() } else { database },
        user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        let url = parse_postgres_url("postgres://app:p%40ss@db.internal:5433/shop").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.user.as_str(), url.database.as_str()),
            ("db.internal", 5433, "app", "shop")
        );
        assert_eq!(url.password.unwrap().expose(), "p@ss");
        let url = parse_postgres_url("postgresql://postgres@/postgres?host=/tmp/sockets").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("/tmp/sockets", 5432));
        assert_eq!(parse_postgres_url("postgres://app@[::1]/x").unwrap().host, "::1");
        assert_eq!(parse_postgres_url("postgres://app@h").unwrap().database, "app");
        assert!(
            parse_postgres_url("postgres://app@h/x?sslmode=require")
                .unwrap_err()
                .contains("TLS")
        );
        assert!(parse_postgres_url("mysql://app@h/x").is_err());
    }

    #[test]
    fn problems_of_postgres_urls() {
        let cases = [
            ("app@db", "not a PostgreSQL url: relative URL without a base"),
            ("postgres://db/app", "the url names no user"),
            (
                "postgres://app@one,two/app",
                "a store has one host; replicas are listed in `replicas`",
            ),
            (
                "postgres://app@/app?host=one,two",
                "a store has one host; replicas are listed in `replicas`",
            ),
            ("postgres://app@db/app?port=many", "`port` in the url isn't a number"),
            (
                "postgres://app@db/app?target=x",
                "the url's parameter `target` isn't known: host, port and sslmode are",
            ),
            ("postgres://app:12?34@db/app", "not a PostgreSQL url: what follows ? isn't known"),
            ("postgres://app:1/2@db/app", "the url names no user"),
            ("postgres://app@db/app#main", "not a PostgreSQL url: # ends it"),
            ("postgres://app@db:65536/app", "not a PostgreSQL url: invalid port number"),
            ("postgres://%FF@db/app", "not a PostgreSQL url: not UTF-8"),
        ];
        for (url, problem) in cases {
            assert_eq!(parse_postgres_url(url), Err(problem.to_owned()), "{url}");
        }
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
