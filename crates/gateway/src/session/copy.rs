//! COPY FROM STDIN that Flywheel has a server carry out in a transaction of its own.

use flywheel_wire::frame::Piece;
use flywheel_wire::{PgError, reply};

use super::relay::Drained;
use super::{Failure, Outcome, Session};

impl Session {
    /// Runs a COPY FROM STDIN on the server with the client's data; its tag. The client is told that it may send, and not yet how it has ended.
    pub(crate) async fn receive_copy(&mut self, sql: &str) -> Outcome<String> {
        let lease = self.server().await?;
        if let Err(error) = lease.put_query(sql) {
            return Err(self.server_failed(&error));
        }
        self.lose_unnamed();
        self.send_to_server().await?;
        let (mut tag, mut failed) = (String::new(), None);
        loop {
            // Rows, which come in pieces, aren't an answer to it.
            let Piece::Message(frame) = self.next_piece().await? else {
                continue;
            };
            match frame.tag() {
                reply::tag::COPY_IN_RESPONSE => {
                    self.forward(&frame);
                    self.sync_swallowed = true;
                    self.copy_in(false, &mut Drained::default()).await?;
                }
                reply::tag::ERROR_RESPONSE => {
                    let error = PgError::read(frame.body());
                    if error.is_fatal() {
                        return Err(self.server_ended(error));
                    }
                    failed.get_or_insert(error);
                }
                reply::tag::COMMAND_COMPLETE => reply::command_tag(&frame).unwrap_or_default().clone_into(&mut tag),
                reply::tag::READY_FOR_QUERY => break,
                _ => self.forward(&frame),
            }
        }
        self.follow_server();
        failed.map_or(Ok(tag), |error| Err(Failure::Statement(error)))
    }
}
