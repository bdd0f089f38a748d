//! `[stores.…]` of Redis.

use super::Resolver;
use crate::config::{Redis, RedisServers, Secret};
use crate::file::SecretSource;

/// The keys of a Redis store that aren't read by themselves.
pub(super) struct Keys<'f> {
    pub(super) url: &'f SecretSource,
    pub(super) cluster: Option<bool>,
    pub(super) sentinels: &'f [Option<SecretSource>],
    pub(super) tls_ca_cert_file: Option<&'f str>,
    pub(super) tls_cert_file: Option<&'f str>,
    pub(super) tls_key_file: Option<&'f str>,
    pub(super) key_prefix: Option<&'f str>,
    pub(super) timeout: Option<&'f str>,
}

impl Resolver<'_> {
    pub(super) fn redis(&mut self, name: &str, keys: &Keys<'_>) -> Redis {
        let path = |key: &'static str| ["stores", name, key];
        let timeout = self.duration(&path("timeout"), keys.timeout, "1s");
        let cluster = keys.cluster == Some(true);
        let urls = self.redis_urls(&path("url"), keys.url, cluster);
        let mut sentinels = Vec::new();
        for (position, sentinel) in keys.sentinels.iter().enumerate() {
            let Some(sentinel) = sentinel else { continue };
            sentinels.extend(self.redis_url(&["stores", name, "sentinels", &position.to_string()], sentinel));
        }
        if cluster && self.is_filled(&path("sentinels")) {
            self.mistake(
                &path("sentinels"),
                "`sentinels` of a cluster",
                "a cluster replaces its nodes itself: leave them out, or leave `cluster` out",
            );
        }
        let tls = urls
            .iter()
            .flatten()
            .chain(&sentinels)
            .any(|url| url.expose().starts_with("rediss://"));
        for key in ["tls_ca_cert_file", "tls_cert_file", "tls_key_file"] {
            if self.is_there(&path(key)) && !tls && urls.is_some() {
                self.mistake(
                    &path(key),
                    format!("`{key}` without TLS"),
                    "leave it out, or begin the url with rediss://",
                );
            }
        }
        for (given, missing) in [("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")] {
            if self.is_there(&path(given)) && !self.is_there(&path(missing)) {
                self.mistake(
                    &path(given),
                    format!("`{given}` without `{missing}`"),
                    "give the client's certificate and its key, or neither",
                );
            }
        }
        let authorities = self.pem(&path("tls_ca_cert_file"), keys.tls_ca_cert_file);
        let certificate = self.pem(&path("tls_cert_file"), keys.tls_cert_file);
        let key = self.pem(&path("tls_key_file"), keys.tls_key_file);
        // What has a mistake is replaced: the configuration isn't used then.
        let mut urls = urls.unwrap_or_default();
        let servers = if cluster {
            RedisServers::Cluster(urls)
        } else {
            let url = urls.pop().unwrap_or_else(|| Secret::new(String::new()));
            if sentinels.is_empty() {
                RedisServers::One(url)
            } else {
                RedisServers::Sentinel { primary: url, sentinels }
            }
        };
        Redis {
            servers,
            authorities,
            client: certificate.zip(key),
            key_prefix: keys.key_prefix.unwrap_or_default().to_owned(),
            timeout,
        }
    }

    /// A file of certificates or a key.
    fn pem(&mut self, path: &[&str], file: Option<&str>) -> Option<Secret> {
        let file = file?;
        let content = match std::fs::read_to_string(self.folder.join(file)) {
            Ok(content) if content.contains("-----BEGIN ") => return Some(Secret::new(content)),
            Ok(_) => "it holds nothing in PEM".to_owned(),
            Err(error) => error.to_string(),
        };
        self.mistake(
            path,
            format!("can't read {file}: {content}"),
            "a PEM file, by a path that is absolute or relative to this file",
        );
        None
    }
}
