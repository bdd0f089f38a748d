//! Gateways that have something in common.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flywheel_redis::{Certificates, RedisExchange, RedisOptions, Topology};
use flywheel_store::ExchangeOptions;
use flywheel_store::{Exchange, Looked, Member, Post, VersionName};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::server::until;

/// Notes what it reads, and posts what it is given.
#[derive(Default)]
pub(crate) struct Notebook {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) posts: Mutex<Vec<Post>>,
    is_posting: AtomicBool,
    more: Notify,
}

#[async_trait]
impl Member for Notebook {
    fn posted(&self, words: &[u8]) {
        // A gateway that subscribes anew posts nothing but that versions have moved.
        if !words.is_empty() {
            self.add(String::from_utf8_lossy(words).into_owned());
        }
    }

    fn missed(&self) {
        self.add("missed".to_owned());
    }

    async fn wait(&self) {
        self.more.notified().await;
    }

    fn take(&self) -> Option<Post> {
        let post = self.posts.lock().expect("not poisoned").first().cloned();
        self.is_posting.store(post.is_some(), Ordering::SeqCst);
        post
    }

    fn done(&self, is_posted: bool) {
        if self.is_posting.swap(false, Ordering::SeqCst) && is_posted {
            let mut posts = self.posts.lock().expect("not poisoned");
            posts.remove(0);
            if !posts.is_empty() {
                self.more.notify_one();
            }
        }
    }
}

impl Notebook {
    fn add(&self, line: String) {
        self.lines.lock().expect("not poisoned").push(line);
    }

    /// All that it has read, once this is the last of it.
    pub(crate) async fn until(&self, last: &str) -> Vec<String> {
        until(last, async || {
            let lines = self.lines.lock().expect("not poisoned");
            lines.last().is_some_and(|line| line == last)
        })
        .await;
        std::mem::take(&mut *self.lines.lock().expect("not poisoned"))
    }
}

pub(crate) struct Gateway {
    pub(crate) exchange: Arc<RedisExchange>,
    pub(crate) notebook: Arc<Notebook>,
    pub(crate) running: JoinHandle<()>,
}

pub(crate) fn exchange(topology: Topology, name: &str, forget_after: u64) -> RedisExchange {
    let redis = RedisOptions {
        topology,
        certificates: Certificates::default(),
        key_prefix: "x:".into(),
        timeout: Duration::from_secs(1),
    };
    let options = ExchangeOptions {
        name: name.to_owned(),
        beat: Duration::from_millis(50),
        forget_after: Duration::from_secs(forget_after),
    };
    RedisExchange::new(&redis, options).expect("options")
}

impl Gateway {
    pub(crate) async fn start(url: &str, name: &str) -> Self {
        Self::on(exchange(Topology::One(url.to_owned()), name, 600)).await
    }

    pub(crate) async fn on(exchange: RedisExchange) -> Self {
        let (exchange, notebook) = (Arc::new(exchange), Arc::<Notebook>::default());
        let running = {
            let (exchange, notebook) = (exchange.clone(), notebook.clone());
            tokio::spawn(async move { exchange.run(&*notebook).await })
        };
        let gateway = Self { exchange, notebook, running };
        gateway.knows().await;
        gateway
    }

    /// Waits until it knows what everybody has written.
    pub(crate) async fn knows(&self) {
        until("everybody is heard of", async || self.exchange.lag().is_some()).await;
    }

    pub(crate) fn post(&self, words: &str) {
        self.post_with(words, &[]);
    }

    pub(crate) fn post_with(&self, words: &str, versions: &[VersionName]) {
        let post = Post { words: words.as_bytes().to_vec(), versions: versions.to_vec() };
        self.notebook.posts.lock().expect("not poisoned").push(post);
        self.notebook.more.notify_one();
    }

    pub(crate) async fn look(&self, key: &str, versions: &[VersionName]) -> Looked {
        self.exchange.look(key, versions).await.expect("an answer")
    }
}
