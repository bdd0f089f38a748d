//! The servers of a store: one, the primary that sentinels know, or a cluster. Requests name their
//! keys, by which they find their server.

use std::sync::Arc;

use flywheel_store::StoreError;
use futures_util::future::join_all;
use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisResult, ServerErrorKind, Value,
    from_redis_value,
};

use crate::cluster::{Cluster, Repeat};
use crate::connection::{Failure, Link, Server, single};
use crate::error::store_error;
use crate::options::{RedisOptions, Topology, server};
use crate::script::Run;
use crate::sentinel::Sentinels;
use crate::slot;

#[derive(Debug)]
pub(crate) enum Servers {
    One(Arc<Link>),
    Cluster(Cluster),
}

impl Servers {
    pub(crate) fn new(options: &RedisOptions) -> Result<Self, StoreError> {
        let info = |url: &String| server(url, &options.certificates);
        Ok(match &options.topology {
            Topology::One(url) => {
                let client = Client::open(info(url)?).map_err(store_error)?;
                Self::One(Arc::new(Link::new(Server::Fixed(client), options.timeout)))
            }
            Topology::Cluster(urls) => Self::Cluster(Cluster::new(
                urls.iter().map(info).collect::<Result<_, _>>()?,
                options.timeout,
            )),
            Topology::Sentinel { primary, sentinels } => {
                let sentinels = sentinels.iter().map(info).collect::<Result<_, _>>()?;
                let sentinels = Sentinels::new(info(primary)?, sentinels)?;
                Self::One(Arc::new(Link::new(Server::Primary(sentinels), options.timeout)))
            }
        })
    }

    /// Those that have keys, each once.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<Link>>, StoreError> {
        match self {
            Self::One(link) => Ok(vec![link.clone()]),
            Self::Cluster(cluster) => cluster.primaries().await,
        }
    }

    /// How to connect to the server that has `key`, for what needs a connection of its own.
    pub(crate) async fn client(&self, key: &str) -> Result<Client, StoreError> {
        match self {
            Self::One(link) => link.client().await,
            Self::Cluster(cluster) => {
                let nodes = cluster.nodes_of(&[slot::of(key.as_bytes())]).await?;
                let node = nodes.into_iter().next().flatten();
                let missing = || StoreError::Unavailable {
                    reason: format!("no node of the cluster has the slot of {key}"),
                };
                node.ok_or_else(missing)?.client().await
            }
        }
    }

    /// A command on `key` that may be sent twice.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        key: &str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let value = self.send(key, command, Repeat::Read).await.map_err(Failure::of_read)?;
        typed(value)
    }

    /// Commands, each on its key, that may be sent twice; their answers in the same order. Those
    /// for one server are sent together.
    pub(crate) async fn query_each<T: FromRedisValue>(
        &self,
        commands: Vec<(&str, Cmd)>,
    ) -> Result<Vec<T>, StoreError> {
        let cluster = match self {
            Self::One(link) => {
                let answers =
                    link.read(&pipeline(commands.iter().map(|(_, command)| command))).await;
                let answers = answers.map_err(Failure::of_read)?;
                return answers
                    .into_iter()
                    .map(|answer| typed(answer.map_err(store_error)?))
                    .collect();
            }
            Self::Cluster(cluster) => cluster,
        };
        let slots: Vec<u16> = commands.iter().map(|(key, _)| slot::of(key.as_bytes())).collect();
        let nodes = cluster.nodes_of(&slots).await?;
        let mut groups: Vec<(Arc<Link>, Vec<usize>)> = Vec::new();
        for (place, node) in nodes.into_iter().enumerate() {
            let Some(node) = node else { continue };
            match groups.iter_mut().find(|(each, _)| Arc::ptr_eq(each, &node)) {
                Some((_, places)) => places.push(place),
                None => groups.push((node, vec![place])),
            }
        }
        let ask = |(node, places): (Arc<Link>, Vec<usize>)| {
            let commands = pipeline(places.iter().map(|place| &commands[*place].1));
            async move { (node.read(&commands).await, places) }
        };
        let mut answers: Vec<Option<Value>> = (0..commands.len()).map(|_| None).collect();
        for (group, places) in join_all(groups.into_iter().map(ask)).await {
            for (answer, place) in group.into_iter().flatten().zip(places) {
                answers[place] = answer.ok();
            }
        }
        let mut typed_answers = Vec::with_capacity(commands.len());
        for ((key, command), answer) in commands.iter().zip(answers) {
            typed_answers.push(match answer {
                Some(value) => typed(value)?,
                // Alone it is followed to where its slot is now, and its error is its own.
                None => self.query(key, command).await?,
            });
        }
        Ok(typed_answers)
    }

    /// A script that writes: carried out once. Where its answer is lost, whether it was is unknown.
    pub(crate) async fn write<T: FromRedisValue>(&self, run: &Run<'_>) -> Result<T, StoreError> {
        self.run(run, Repeat::Write).await.map_err(Failure::of_write).and_then(typed)
    }

    /// A script that only reads, and so may be sent twice.
    pub(crate) async fn read<T: FromRedisValue>(&self, run: &Run<'_>) -> Result<T, StoreError> {
        self.run(run, Repeat::Read).await.map_err(Failure::of_read).and_then(typed)
    }

    async fn run(&self, run: &Run<'_>, repeat: Repeat) -> Result<Value, Failure> {
        let key = run.keys.first().map_or("", String::as_str);
        self.check_one_slot(&run.keys).map_err(Failure::Unsent)?;
        match self.send(key, &run.by_digest(), repeat).await {
            Err(Failure::Answered(error))
                if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
            {
                self.send(key, &run.whole(), repeat).await
            }
            result => result,
        }
    }

    /// The slot of a key, where there are slots.
    pub(crate) fn slot(&self, key: &str) -> Option<u16> {
        match self {
            Self::One(_) => None,
            Self::Cluster(_) => Some(slot::of(key.as_bytes())),
        }
    }

    /// Whether the keys can be changed together.
    pub(crate) fn check_one_slot(&self, keys: &[String]) -> Result<(), StoreError> {
        let Self::Cluster(_) = self else { return Ok(()) };
        let Some((first, rest)) = keys.split_first() else {
            return Ok(());
        };
        let of_first = slot::of(first.as_bytes());
        match rest.iter().find(|key| slot::of(key.as_bytes()) != of_first) {
            None => Ok(()),
            Some(other) => Err(StoreError::Unsupported {
                what: format!(
                    "{first} and {other} are in two slots of the Redis Cluster, which can't be written all or none; \
                     write them by two statements in two transactions"
                ),
            }),
        }
    }

    async fn send(&self, key: &str, command: &Cmd, repeat: Repeat) -> Result<Value, Failure> {
        let link = match self {
            Self::Cluster(cluster) => {
                return cluster.send(slot::of(key.as_bytes()), command, repeat).await;
            }
            Self::One(link) => link,
        };
        let commands = single(command);
        let mut answers = match repeat {
            Repeat::Read => link.read(&commands).await?,
            Repeat::Write => link.write(&commands).await?,
        };
        answers.pop().unwrap_or(Ok(Value::Nil)).map_err(Failure::Answered)
    }
}

/// A command on one of [`Servers::all`] that may be sent twice.
pub(crate) async fn query_at<T: FromRedisValue>(
    link: &Link,
    command: &Cmd,
) -> Result<T, StoreError> {
    let mut answers = link.read(&single(command)).await.map_err(Failure::of_read)?;
    typed(answers.pop().unwrap_or(Ok(Value::Nil)).map_err(store_error)?)
}

fn pipeline<'c>(commands: impl ExactSizeIterator<Item = &'c Cmd>) -> Pipeline {
    let mut all = Pipeline::with_capacity(commands.len());
    for command in commands {
        all.add_command(command.clone());
    }
    all.ignore_errors();
    all
}

fn typed<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    let typed: RedisResult<T> = from_redis_value(value).map_err(Into::into);
    typed.map_err(store_error)
}
