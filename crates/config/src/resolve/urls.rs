//! URLs of servers.

use flywheel_kind::{Secret, SecretSource};
use percent_encoding::percent_decode_str;
use url::Url;

use super::Resolver;
use crate::config::{PostgresHost, PostgresUrl, SessionAttributes, SslMode};

impl Resolver<'_> {
    /// The url of the primary; `None` when it isn't one, which is reported.
    pub(super) fn primary_url(
        &mut self,
        path: &[&str],
        source: &SecretSource,
    ) -> Option<PostgresUrl> {
        use SessionAttributes::{Any, Primary, ReadWrite};
        let help = "it is read-write, primary or any here; standbys are listed in `replicas`";
        self.postgres_url(
            path,
            source,
            &[Any, ReadWrite, Primary],
            ("the primary isn't that", help),
        )
    }

    /// The url of replicas; `None` when it isn't one, which is reported.
    pub(super) fn replica_url(
        &mut self,
        path: &[&str],
        source: &SecretSource,
    ) -> Option<PostgresUrl> {
        use SessionAttributes::{Any, PreferStandby, ReadOnly, Standby};
        let help = "it is standby, prefer-standby, read-only or any here";
        self.postgres_url(
            path,
            source,
            &[Any, ReadOnly, Standby, PreferStandby],
            ("a replica isn't that", help),
        )
    }

    fn postgres_url(
        &mut self,
        path: &[&str],
        source: &SecretSource,
        allowed: &[SessionAttributes],
        (problem, help): (&str, &str),
    ) -> Option<PostgresUrl> {
        let secret = self.secret(path, source)?;
        match parse_postgres_url(secret.expose()) {
            Ok(url)
                if url
                    .session_attributes
                    .is_none_or(|attributes| allowed.contains(&attributes)) =>
            {
                Some(url)
            }
            Ok(_) => {
                self.mistake(path, format!("`target_session_attrs` in the url: {problem}"), help);
                None
            }
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
}

/// Where the hosts of a url stand while the `url` crate reads the rest: it knows one host at most,
/// and none with a comma.
const PLACE: &str = "hosts.invalid";

/// As libpq reads a connection URI (libpq-connect, "connection URIs").
fn parse_postgres_url(text: &str) -> Result<PostgresUrl, String> {
    let not_a_url = |what: &str| format!("not a PostgreSQL url: {what}");
    let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, hosts) =
        authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
    let with_place = match (text.contains("://"), login) {
        (false, _) => text.to_owned(),
        (true, "") => format!("{scheme}://{PLACE}{rest}"),
        (true, login) => format!("{scheme}://{login}@{PLACE}{rest}"),
    };
    let url = Url::parse(&with_place).map_err(|error| not_a_url(&error.to_string()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(not_a_url(&format!("its scheme is {}", url.scheme())));
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| not_a_url("not UTF-8"))
    };
    if url.fragment().is_some() {
        return Err(not_a_url("# ends it"));
    }
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        // The colons of an IPv6 address stand in brackets.
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port),
            _ => (host, ""),
        };
        names.push(decode(name)?);
        ports.push(parse_port(port).ok_or_else(|| not_a_url("invalid port number"))?);
    }
    let mut session_attributes = None;
    let mut ssl_mode = SslMode::Prefer;
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "host" => names = value.split(',').map(str::to_owned).collect(),
            "port" => {
                ports = value
                    .split(',')
                    .map(|port| {
                        parse_port(port)
                            .ok_or_else(|| "`port` in the url isn't a number".to_owned())
                    })
                    .collect::<Result<_, _>>()?;
            }
            "target_session_attrs" => session_attributes = Some(parse_session_attributes(&value)?),
            "sslmode" => ssl_mode = parse_ssl_mode(&value)?,
            "sslrootcert" | "sslcert" | "sslkey" => {
                return Err(format!(
                    "the url's parameter `{name}` is a key of the store: `tls_ca_cert_file`, `tls_cert_file`, `tls_key_file`"
                ));
            }
            // Not what may be a part of a password.
            other if !other.bytes().all(|each| each.is_ascii_alphanumeric() || each == b'_') => {
                return Err(not_a_url("what follows ? isn't known"));
            }
            other => {
                return Err(format!(
                    "the url's parameter `{other}` isn't known: host, port, target_session_attrs and sslmode are"
                ));
            }
        }
    }
    let user = decode(url.username())?;
    if user.is_empty() {
        return Err("the url names no user".into());
    }
    let database = decode(url.path().trim_start_matches('/'))?;
    Ok(PostgresUrl {
        hosts: pair(names, &ports)?,
        ssl_mode,
        session_attributes,
        password: url.password().map(&decode).transpose()?.map(Secret::new),
        database: if database.is_empty() { user.clone() } else { database },
        user,
    })
}

/// A port; the default when it is empty.
fn parse_port(text: &str) -> Option<u16> {
    if text.is_empty() { Some(5432) } else { text.parse().ok() }
}

/// Hosts with their ports: one for all, or one for each.
fn pair(names: Vec<String>, ports: &[u16]) -> Result<Vec<PostgresHost>, String> {
    if ports.len() > 1 && ports.len() != names.len() {
        return Err(format!("the url has {} hosts and {} ports", names.len(), ports.len()));
    }
    let name = |name: String| {
        if name.is_empty() {
            "127.0.0.1".to_owned()
        } else {
            name.trim_matches(['[', ']']).to_owned()
        }
    };
    let port = |position: usize| *ports.get(position).or_else(|| ports.first()).unwrap_or(&5432);
    let hosts = names.into_iter().enumerate();
    Ok(hosts
        .map(|(position, each)| PostgresHost { name: name(each), port: port(position) })
        .collect())
}

fn parse_ssl_mode(text: &str) -> Result<SslMode, String> {
    Ok(match text {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => return Err("`sslmode` in the url is one of disable, allow, prefer, require, verify-ca, verify-full".into()),
    })
}

fn parse_session_attributes(text: &str) -> Result<SessionAttributes, String> {
    Ok(match text {
        "any" => SessionAttributes::Any,
        "read-write" => SessionAttributes::ReadWrite,
        "read-only" => SessionAttributes::ReadOnly,
        "primary" => SessionAttributes::Primary,
        "standby" => SessionAttributes::Standby,
        "prefer-standby" => SessionAttributes::PreferStandby,
        _ => return Err("`target_session_attrs` in the url is one of any, read-write, read-only, primary, standby, prefer-standby".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &PostgresUrl) -> Vec<(&str, u16)> {
        url.hosts.iter().map(|host| (host.name.as_str(), host.port)).collect()
    }

    #[test]
    fn several_hosts() {
        let cases: [(&str, &[(&str, u16)]); 6] = [
            ("postgres://app@one,two/x", &[("one", 5432), ("two", 5432)]),
            ("postgres://app@one:1,two:2/x", &[("one", 1), ("two", 2)]),
            ("postgres://app@one,two:2", &[("one", 5432), ("two", 2)]),
            ("postgres://app:p,q@[::1]:1,[::2]/x", &[("::1", 1), ("::2", 5432)]),
            ("postgres://app@/x?host=one,two&port=1,2", &[("one", 1), ("two", 2)]),
            ("postgres://app@/x?host=one,/two&port=1", &[("one", 1), ("/two", 1)]),
        ];
        for (url, expected) in cases {
            assert_eq!(hosts(&parse_postgres_url(url).unwrap()), expected, "{url}");
        }
        let url =
            parse_postgres_url("postgres://app@one,two/x?target_session_attrs=read-write").unwrap();
        assert_eq!(url.session_attributes, Some(SessionAttributes::ReadWrite));
        assert_eq!(
            parse_postgres_url("postgres://app@one,two,three/x?port=1,2"),
            Err("the url has 3 hosts and 2 ports".to_owned())
        );
        assert_eq!(
            parse_postgres_url("postgres://app@one,two/x?target_session_attrs=master"),
            Err("`target_session_attrs` in the url is one of any, read-write, read-only, primary, standby, prefer-standby".to_owned())
        );
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        let url = parse_postgres_url("postgres://app:p%40ss@db.internal:5433/shop").unwrap();
        assert_eq!((url.user.as_str(), url.database.as_str()), ("app", "shop"));
        assert_eq!(hosts(&url), [("db.internal", 5433)]);
        assert_eq!(url.password.unwrap().expose(), "p@ss");
        let url = parse_postgres_url("postgresql://postgres@/postgres?host=/tmp/sockets").unwrap();
        assert_eq!(hosts(&url), [("/tmp/sockets", 5432)]);
        assert_eq!(hosts(&parse_postgres_url("postgres://app@[::1]/x").unwrap()), [("::1", 5432)]);
        assert_eq!(
            hosts(&parse_postgres_url("postgres://app@%2Ftmp/x").unwrap()),
            [("/tmp", 5432)]
        );
        assert_eq!(parse_postgres_url("postgres://app@h").unwrap().database, "app");
        let url = parse_postgres_url("postgres://app@h/x?sslmode=verify-full").unwrap();
        assert_eq!(url.ssl_mode, SslMode::VerifyFull);
        assert!(
            parse_postgres_url("postgres://app@h/x?sslmode=always").unwrap_err().contains("prefer")
        );
        assert!(parse_postgres_url("mysql://app@h/x").is_err());
    }

    #[test]
    fn problems_of_postgres_urls() {
        let cases = [
            ("app@db", "not a PostgreSQL url: relative URL without a base"),
            ("postgres://db/app", "the url names no user"),
            ("postgres://app@db/app?port=many", "`port` in the url isn't a number"),
            (
                "postgres://app@db/app?target=x",
                "the url's parameter `target` isn't known: host, port, target_session_attrs and sslmode are",
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
}
