//! What gateways that serve the same databases have in common: word of what each has written, and
//! answers.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::StoreError;

/// How gateways find each other, and for how long they wait for each other.
#[derive(Debug, Clone)]
pub struct ExchangeOptions {
    /// Gateways of one name belong together.
    pub name: String,
    /// How often a gateway says how far it has read.
    pub beat: Duration,
    /// A gateway that says nothing for so long is no longer waited for.
    pub forget_after: Duration,
}

/// The name of a version: a number that moves with every post that names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionName {
    /// Versions of one group are read together and forgotten together.
    pub group: String,
    /// Which of the group.
    pub field: String,
}

/// What a gateway tells all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its words, of which an exchange knows nothing.
    pub words: Vec<u8>,
    /// What moves with it, at the same moment.
    pub versions: Vec<VersionName>,
}

/// A gateway, as an exchange knows it.
#[async_trait]
pub trait Member: Send + Sync {
    /// Another one's post.
    fn posted(&self, words: &[u8]);

    /// Posts may have been missed, of whomever.
    fn missed(&self);

    /// Waits until there is something to post.
    async fn wait(&self);

    /// What there is to post. It's asked for again after [`Self::done`] only.
    fn take(&self) -> Option<Post>;

    /// What was taken, if anything, has been posted; or that isn't known, and it is to be taken
    /// again.
    fn done(&self, is_posted: bool);
}

/// What is known of an answer that others may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// How many posts there had been when the versions were read.
    pub number: u64,
    /// Numbers that stay the same as long as none of the versions asked for moves.
    pub versions: Vec<u64>,
    /// What is kept under the key, and for how long it is yet.
    pub kept: Option<(Vec<u8>, Duration)>,
}

/// Where gateways post, and keep answers for each other.
#[async_trait]
pub trait Exchange: Send + Sync + Debug {
    /// Reads others' posts and posts a member's, for ever, over whatever breaks.
    async fn run(&self, member: &dyn Member);

    /// How old the news may be: whatever any gateway's clients were told to be committed longer ago
    /// was read. `None`: nothing is known.
    fn lag(&self) -> Option<Duration>;

    /// Whether others know of this gateway.
    fn is_entered(&self) -> bool;

    /// Says goodbye, so that nobody waits for word of this gateway. Nothing is posted after it.
    async fn leave(&self);

    /// Whether so many posts were read, without a gap.
    fn has_read(&self, number: u64) -> bool;

    /// Looks for an answer. A version that isn't there begins at a number that no other ever had.
    ///
    /// # Errors
    /// The exchange can't be reached.
    async fn look(&self, key: &str, versions: &[VersionName]) -> Result<Looked, StoreError>;

    /// Keeps an answer for so long.
    ///
    /// # Errors
    /// The exchange can't be reached, or is full.
    async fn keep(&self, key: &str, bytes: &[u8], lifetime: Duration) -> Result<(), StoreError>;
}
