//! `kind = "redis"` in the configuration file.

mod url;

use std::sync::Arc;

use async_trait::async_trait;
use flywheel_kind::layout::{self, LayoutKeys};
use flywheel_kind::{
    CommonTable, Configured, Keys, OpenError, Opened, Secret, SecretSource, Section, StoreKind,
    TableChoices,
};
use flywheel_store::{Exchange, ExchangeOptions};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::{Certificates, RedisExchange, RedisOptions, RedisStore, Topology};

/// `kind = "redis"`.
#[derive(Debug, Clone, Copy)]
pub struct RedisKind;

/// Redis 6.2 or later.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StoreKeys {
    /// redis://user:password@host:port/number, rediss:// for TLS. For a cluster several hosts
    /// (host1:port1,host2:port2), through any of which its nodes are found. With `sentinels`
    /// the host is the name that they know the primary by.
    url: SecretSource,
    /// Whether it is a Redis Cluster. Default: false.
    cluster: Option<bool>,
    /// Sentinels that know which server is the primary, by their urls, each with its own login.
    /// Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<SecretSource>")]
    sentinels: Vec<Option<SecretSource>>,
    /// For TLS: a PEM file of the authorities that are trusted. Default: those of the operating
    /// system.
    #[schemars(length(min = 1))]
    tls_ca_cert_file: Option<String>,
    /// For TLS: a PEM file of the client's certificate. Default: none.
    #[schemars(length(min = 1))]
    tls_cert_file: Option<String>,
    /// For TLS: a PEM file of the client certificate's key.
    #[schemars(length(min = 1))]
    tls_key_file: Option<String>,
    /// Put before every key. Default: nothing.
    key_prefix: Option<String>,
    /// How long one request may take, such as "1s". Default: 1s.
    #[schemars(example = "5s")]
    timeout: Option<String>,
}

impl StoreKind for RedisKind {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn title(&self) -> &'static str {
        "Redis"
    }

    fn keys(&self) -> Keys {
        Keys::of::<StoreKeys>().with_table::<LayoutKeys>()
    }

    fn can_share(&self) -> bool {
        true
    }

    fn configure(
        &self,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<Arc<dyn Configured>, serde_json::Error> {
        let keys: StoreKeys = serde_json::from_value(keys)?;
        Ok(Arc::new(ConfiguredRedis { options: options(&keys, section) }))
    }
}

#[derive(Debug)]
struct ConfiguredRedis {
    options: RedisOptions,
}

#[async_trait]
impl Configured for ConfiguredRedis {
    fn table(
        &self,
        common: &CommonTable,
        keys: Value,
        section: &mut Section<'_>,
    ) -> Result<TableChoices, serde_json::Error> {
        Ok(TableChoices {
            // SCAN walks through the keys of everybody.
            allow_scan: false,
            consistent_read: true,
            indexes: Some(common.strong_indexes()),
            options: layout::choose(common, keys, section)?,
        })
    }

    async fn open(&self) -> Result<Opened, OpenError> {
        let store = RedisStore::new(&self.options)
            .map_err(|error| OpenError::new("can't use these servers", error))?;
        Ok(Opened::new(Arc::new(store)))
    }

    fn exchange(&self, options: ExchangeOptions) -> Option<Result<Arc<dyn Exchange>, OpenError>> {
        Some(match RedisExchange::new(&self.options, options) {
            Ok(exchange) => Ok(Arc::new(exchange)),
            Err(error) => Err(OpenError::new("can't use these servers", error)),
        })
    }
}

fn options(keys: &StoreKeys, section: &mut Section<'_>) -> RedisOptions {
    let timeout = section.duration(&["timeout"], keys.timeout.as_deref(), "1s");
    let cluster = keys.cluster == Some(true);
    let urls = url::servers(section, &["url"], &keys.url, cluster);
    let mut sentinels = Vec::new();
    for (position, sentinel) in keys.sentinels.iter().enumerate() {
        let Some(sentinel) = sentinel else { continue };
        let path = ["sentinels", &position.to_string()];
        sentinels.extend(url::server(section, &path, sentinel));
    }
    if cluster && section.is_filled(&["sentinels"]) {
        section.mistake(
            &["sentinels"],
            "`sentinels` of a cluster",
            "a cluster replaces its nodes itself: leave them out, or leave `cluster` out",
        );
    }
    let tls =
        urls.iter().flatten().chain(&sentinels).any(|url| url.expose().starts_with("rediss://"));
    for key in ["tls_ca_cert_file", "tls_cert_file", "tls_key_file"] {
        if section.is_there(&[key]) && !tls && urls.is_some() {
            section.mistake(
                &[key],
                format!("`{key}` without TLS"),
                "leave it out, or begin the url with rediss://",
            );
        }
    }
    for (given, missing) in [("tls_cert_file", "tls_key_file"), ("tls_key_file", "tls_cert_file")] {
        if section.is_there(&[given]) && !section.is_there(&[missing]) {
            section.mistake(
                &[given],
                format!("`{given}` without `{missing}`"),
                "give the client's certificate and its key, or neither",
            );
        }
    }
    let authorities = section.pem(&["tls_ca_cert_file"], keys.tls_ca_cert_file.as_deref());
    let certificate = section.pem(&["tls_cert_file"], keys.tls_cert_file.as_deref());
    let key = section.pem(&["tls_key_file"], keys.tls_key_file.as_deref());
    let text = |secret: Secret| secret.expose().to_owned();
    let bytes = |secret: Secret| secret.expose().as_bytes().to_vec();
    // What has a mistake is replaced: the configuration isn't used then.
    let mut urls = urls.unwrap_or_default();
    let topology = if cluster {
        Topology::Cluster(urls.into_iter().map(text).collect())
    } else {
        let url = urls.pop().map(text).unwrap_or_default();
        if sentinels.is_empty() {
            Topology::One(url)
        } else {
            let sentinels = sentinels.into_iter().map(text).collect();
            Topology::Sentinel { primary: url, sentinels }
        }
    };
    RedisOptions {
        topology,
        certificates: Certificates {
            authorities: authorities.map(bytes),
            client: certificate.map(bytes).zip(key.map(bytes)),
        },
        key_prefix: keys.key_prefix.clone().unwrap_or_default(),
        timeout,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A file in which everything is right.
    struct Sound;

    impl flywheel_kind::Page for Sound {
        fn mistake(&mut self, path: &[&str], message: String, _: String) {
            panic!("{path:?}: {message}")
        }

        fn is_there(&self, _: &[&str]) -> bool {
            false
        }

        fn is_filled(&self, _: &[&str]) -> bool {
            false
        }

        fn folder(&self) -> &Path {
            Path::new(".")
        }
    }

    #[test]
    fn the_url_of_a_server() {
        let url = "rediss://default:secret@cache.internal:6379/0";
        let keys = serde_json::json!({ "url": url, "key_prefix": "app:" });
        let keys = serde_json::from_value(keys).expect("keys");
        let options = options(&keys, &mut Section::new(&mut Sound, &["stores", "fast"]));
        assert!(matches!(&options.topology, Topology::One(one) if one == url));
        assert_eq!(options.key_prefix, "app:");
    }
}
