//! Asking both, and where their answers part.

use std::fmt;
use std::time::Duration;

use super::Frame;
use crate::raw::{Client, Event, Lost, Message};

/// Long, since a busy machine isn't what is tested; it is waited out only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// What nothing else is called.
const END: &str = "the end of the case";

/// A session of plain PostgreSQL and one of Flywheel.
#[derive(Debug)]
pub struct Pair {
    /// PostgreSQL.
    pub postgres: Client,
    /// Flywheel.
    pub flywheel: Client,
}

/// Where the answers part.
#[derive(Debug)]
pub struct Difference {
    /// The answer of PostgreSQL, a line for each message.
    pub postgres: Vec<String>,
    /// Flywheel's.
    pub flywheel: Vec<String>,
}

impl Pair {
    /// Sends the same to both; `None`: the same came back.
    pub async fn differ(&mut self, frames: &[Frame]) -> Option<Difference> {
        let postgres = answer(&mut self.postgres, frames).await;
        let flywheel = answer(&mut self.flywheel, frames).await;
        (postgres != flywheel).then_some(Difference { postgres, flywheel })
    }

    /// As [`Self::differ`], for messages that nobody has looked through: in a failed block it isn't
    /// promised which error is told, and a statement that the block's connection doesn't have can't
    /// be described.
    pub async fn differ_much(&mut self, frames: &[Frame]) -> Option<Difference> {
        let different = self.differ(frames).await?;
        (outside_failed_blocks(&different.postgres) != outside_failed_blocks(&different.flywheel))
            .then_some(different)
    }
}

/// What is told outside failed blocks, and what is carried out in them.
fn outside_failed_blocks(lines: &[String]) -> Vec<&str> {
    let mut told = Vec::new();
    let mut is_failed = false;
    for answer in lines.split_inclusive(|line| line.starts_with("ready")) {
        let ends_failed = answer.last().is_some_and(|line| line == "ready E");
        let is_kept = |line: &&String| !(is_failed && ends_failed) || line.starts_with("done");
        told.extend(answer.iter().filter(is_kept).map(String::as_str));
        is_failed = ends_failed;
    }
    told
}

/// All that comes back, a line for each message, without what differs between two servers.
async fn answer(client: &mut Client, frames: &[Frame]) -> Vec<String> {
    let mut lines = Vec::new();
    let read = async {
        let mut unsent = Vec::new();
        for frame in frames {
            match frame {
                Frame::Send { bytes, .. } => unsent.extend_from_slice(bytes),
                Frame::Wait => {
                    client.send_bytes(&std::mem::take(&mut unsent)).await?;
                    until(client, &mut lines, |event| {
                        matches!(event, Event::Ready(_) | Event::Other('G', _))
                    })
                    .await?;
                }
            }
        }
        // Whatever the state is that the messages have led to, this leads out of it.
        let end = [
            Message::new(b'f', b"the end\0"),
            Message::sync(),
            Message::query("ROLLBACK"),
            Message::query(&format!("SELECT '{END}'")),
        ];
        unsent.extend(end.iter().flat_map(Message::bytes));
        client.send_bytes(&unsent).await?;
        until(
            client,
            &mut lines,
            |event| matches!(event, Event::Row(row) if row[..] == [Some(END.into())]),
        )
        .await?;
        until(client, &mut lines, |event| matches!(event, Event::Ready(_))).await
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(())) => {}
        Ok(Err(lost)) => lines.push(format!("{lost:?}")),
        Err(_) => lines.push("nothing more comes".to_owned()),
    }
    lines
}

async fn until(
    client: &mut Client,
    lines: &mut Vec<String>,
    is_last: impl Fn(&Event) -> bool,
) -> Result<(), Lost> {
    loop {
        let event = client.next().await?;
        if matches!(&event, Event::Error(error) if error.field('M').is_some_and(|message| message.contains("during COPY from stdin")))
        {
            // That the session ends here is all that PostgreSQL's versions agree on.
            lines.push("out of step in a COPY".to_owned());
            client.until_closed().await?;
            return Err(Lost::Closed);
        }
        lines.push(line(&event));
        if is_last(&event) {
            return Ok(());
        }
    }
}

fn line(event: &Event) -> String {
    match event {
        // The process that notifies is another one.
        Event::Other('A', body) => {
            format!("notification {}", String::from_utf8_lossy(&body[4..]).replace('\0', " "))
        }
        event => event.to_string(),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = self
            .postgres
            .iter()
            .zip(&self.flywheel)
            .take_while(|(one, other)| one == other)
            .count();
        let rest_postgres = &self.postgres[same..];
        let rest_flywheel = &self.flywheel[same..];
        let end = rest_postgres
            .iter()
            .rev()
            .zip(rest_flywheel.iter().rev())
            .take_while(|(one, other)| one == other)
            .count();
        for line in &self.postgres[..same] {
            writeln!(f, "    {line}")?;
        }
        for line in &rest_postgres[..rest_postgres.len() - end] {
            writeln!(f, "  P {line}")?;
        }
        for line in &rest_flywheel[..rest_flywheel.len() - end] {
            writeln!(f, "  F {line}")?;
        }
        for line in &rest_postgres[rest_postgres.len() - end..] {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}
